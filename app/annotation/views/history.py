"""History and comparison: the versions of a segment, the runs, two continuations side by side."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from app.annotation.edits.reversal import run_of
from app.annotation.edits.revision import draft_state
from app.annotation.views.segments import anchor_number, lines, segment_view, shown, word_diff
from app.annotation.views.values import (
    ComparedRow,
    ComparisonView,
    HistoryView,
    RevisionView,
    RunSummary,
    SegmentView,
    VersionView,
)
from app.annotation.views.workspace import depth_of, displaced, run_number
from app.domain.diffs import Change, Op, pair_rows
from app.domain.words import words
from app.models import Draft, Policy, Regeneration, Revision, RunState, Segment
from app.refusals import NotFound

LAST_STEPS = 30


def comparison(db: Session, *, draft: Draft, regeneration_id: int) -> ComparisonView:
    """The continuation that a run wrote beside the one it replaced."""
    run = run_of(db, draft, regeneration_id)
    old_view = displaced(db, draft=draft, run=run)
    if old_view is None:
        raise NotFound("This run replaced nothing.")
    after = depth_of(db, run.anchor_id)
    leaf = draft_state(db, draft).path.leaf.id if draft.regeneration_id == run.id else run.leaf_id
    new = tuple(segment_view(line, after) for line in lines(db, draft, leaf)[after:])
    old = old_view.segments
    rows = pair_rows([view.text for view in old], [view.text for view in new])
    return ComparisonView(
        regeneration_id=run.id,
        old_run=old_view.number,
        new_run=run.number,
        after_number=after,
        rows=tuple(
            _row(old[left] if left is not None else None, new[right] if right is not None else None)
            for left, right in rows
        ),
    )


def history(db: Session, *, draft: Draft, segment_id: int) -> HistoryView:
    """What is known about a segment of the path, and the draft's runs and last steps."""
    state = draft_state(db, draft)
    path = lines(db, draft, state.path.leaf.id)
    line = next((line for line in path if line.id == segment_id), None)
    if line is None:
        raise NotFound("This segment is no longer part of the text. Reload the page.")
    policy = db.get(Policy, line.policy_id) if line.policy_id else None
    return HistoryView(
        segment=segment_view(line, anchor_number(path, state.run)),
        words=words(line.text),
        policy=policy.name if policy else None,
        versions=_versions(db, draft, line.parent_id, line.id),
        runs=_runs(db, draft),
        revisions=_revisions(db, draft),
    )


def _row(old: SegmentView | None, new: SegmentView | None) -> ComparedRow:
    same = old is not None and new is not None and old.text == new.text
    if old is not None and new is not None:
        changes = word_diff(old.text, new.text)
    elif old is not None:
        changes = (Change(Op.DELETE, old.text),)
    else:
        changes = (Change(Op.INSERT, new.text if new else ""),)
    return ComparedRow(
        old_number=old.number if old else None,
        new_number=new.number if new else None,
        old=tuple(change for change in changes if change.op is not Op.INSERT),
        new=tuple(change for change in changes if change.op is not Op.DELETE),
        same=same,
    )


def _versions(
    db: Session, draft: Draft, parent_id: int, current_id: int
) -> tuple[VersionView, ...]:
    """Every text that stood at this place in this draft, newest first."""
    run = aliased(Regeneration)
    rows = db.execute(
        select(Segment, run.number)
        .outerjoin(run, run.id == Segment.regeneration_id)
        .where(
            Segment.parent_id == parent_id,
            or_(Segment.author_id.is_(None), Segment.author_id == draft.user_id),
            or_(run.id.is_(None), run.draft_id == draft.id),
        )
        .order_by(Segment.id.desc())
    )
    return tuple(
        VersionView(
            segment_id=row.id,
            text=shown(row.text),
            origin=row.origin,
            run=number,
            created_at=row.created_at,
            current=row.id == current_id,
            candidate=row.candidate is not None,
        )
        for row, number in rows
    )


def _runs(db: Session, draft: Draft) -> tuple[RunSummary, ...]:
    anchor = aliased(Segment)
    rows = db.execute(
        select(Regeneration, anchor.depth)
        .join(anchor, anchor.id == Regeneration.anchor_id)
        .where(Regeneration.draft_id == draft.id)
        .order_by(Regeneration.number.desc())
    ).all()
    runs = [
        RunSummary(
            regeneration_id=run.id,
            number=run.number,
            state=run.state,
            after_number=depth,
            at=run.created_at,
            current=run.id == draft.regeneration_id,
        )
        for run, depth in rows
    ]
    imported = RunSummary(
        regeneration_id=None,
        number=run_number(db, None),
        state=RunState.DONE,
        after_number=0,
        at=draft.created_at,
        current=draft.regeneration_id is None and not runs,
    )
    return (*runs, imported)


def _revisions(db: Session, draft: Draft) -> tuple[RevisionView, ...]:
    rows = db.execute(
        select(Revision, Segment.depth)
        .outerjoin(Segment, Segment.id == Revision.segment_id)
        .where(Revision.draft_id == draft.id)
        .order_by(Revision.version.desc())
        .limit(LAST_STEPS)
    )
    return tuple(
        RevisionView(
            version=row.version,
            action=row.action,
            number=number,
            at=row.created_at,
            undone=row.undone_by is not None,
            rested=row.rested,
        )
        for row, number in rows
    )
