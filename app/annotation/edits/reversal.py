"""Undo the last revision, or restore a continuation that a regeneration displaced."""

from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.edits.path import Path, PathSegment, add_copies, copy_of, whole
from app.annotation.edits.revision import begin, draft_state, record, undoable, verdicts_of
from app.domain.corrections import Verdict
from app.domain.spans import head, take_out
from app.models import Action, Draft, Regeneration, Revision, RunState
from app.refusals import Conflict, NotFound, Outdated


def undo(db: Session, *, draft: Draft, base_version: int) -> Revision | None:
    """Undo the last revision that is not undone yet: the head moves, nothing is deleted.

    The revision's pairs rest; pairs that it had replaced or displaced count again. Candidates that
    were offered before it are offered again, by a new run. Returns the undone revision, None when
    there is nothing to undo.
    """
    begin(draft, base_version)
    last = undoable(db, draft)
    if last is None:
        return None
    before = after = draft_state(db, draft)
    if _moved(db, last):
        regenerations.supersede(db, draft_id=draft.id)
        run = (
            db.get(Regeneration, last.previous_regeneration_id)
            if last.previous_regeneration_id
            else None
        )
        draft.head_id = last.previous_head_id
        # A run that has been stopped since then may hold one segment more: its cut tail.
        draft.regeneration_id = run.id if run is not None else None
        if run is not None and (last.action is Action.CHOOSE or _lost_its_choice(run)):
            regenerations.offer_again(db, draft=draft, of=run)
        after = draft_state(db, draft)
    verdicts = {
        int(segment): Verdict(verdict) if verdict else None
        for segment, verdict in last.previous_verdicts.items()
    }
    undone = record(
        db,
        draft=draft,
        action=Action.UNDO,
        before=before,
        after=after.path,
        verdicts=verdicts,
        segment_id=last.segment_id,
        quiet=True,
    )
    last.undone_by = undone
    return last


def restore(db: Session, *, draft: Draft, base_version: int, regeneration_id: int) -> None:
    """Restore the continuation that a regeneration displaced; the correction before it stays.

    The old segments are copied below the run's anchor with their verdicts, or used directly when
    they are below it already. Raises Conflict when the anchor has left the path.
    """
    begin(draft, base_version)
    run = run_of(db, draft, regeneration_id)
    before = draft_state(db, draft)
    anchor = before.path.find(run.anchor_id)
    if anchor is None:
        raise Outdated("The text before this continuation has changed, so it cannot be restored.")
    displaced = Path.load(db, run.displaced_id)
    old = displaced.deeper_than(run.displaced_depth)
    if not old:
        raise Conflict("This continuation replaced nothing.")
    regenerations.supersede(db, draft_id=draft.id)
    verdicts: dict[int, Verdict | None] = {}
    after = before.path.down_to(anchor).fork(*old)
    if old[0].parent_id == anchor.id:
        draft.head_id = run.displaced_id
    else:
        copies = _below(db, draft=draft, anchor=anchor, displaced=displaced, run=run)
        after = before.path.down_to(anchor).fork(*copies)
        was = verdicts_of(db, draft, displaced)
        verdicts = {
            copy.id: was[source.id]
            for copy, source in zip(copies, old, strict=True)
            if source.id in was
        }
        draft.head_id = copies[-1].id
    draft.regeneration_id = None
    record(
        db,
        draft=draft,
        action=Action.RESTORE,
        before=before,
        after=after,
        verdicts=verdicts,
        segment_id=anchor.id,
    )


def run_of(db: Session, draft: Draft, regeneration_id: int) -> Regeneration:
    """A regeneration of this draft. Raises NotFound for another draft's."""
    run = db.get(Regeneration, regeneration_id)
    if run is None or run.draft_id != draft.id:
        raise NotFound("This sample has no such run.")
    return run


def _below(
    db: Session, *, draft: Draft, anchor: PathSegment, displaced: Path, run: Regeneration
) -> tuple[PathSegment, ...]:
    """Copies of what a run displaced, below its anchor; deleted text stays deleted."""
    old = displaced.deeper_than(run.displaced_depth)
    copies = whole(old)
    if anchor.depth < run.displaced_depth:
        gone = displaced.steps[run.displaced_depth]
        marks, spans = take_out(gone.spans, old[0].spans)
        copies[0] = copy_of(old[0], (*marks, *(spans or ())))
    elif anchor.depth > run.displaced_depth:
        # What had been deleted in front of it is in front of the inserted segment by now.
        copies[0] = copy_of(old[0], head(old[0].spans)[1])
    return add_copies(db, sample_id=draft.sample_id, parent=anchor, copies=copies)


def _moved(db: Session, step: Revision) -> bool:
    """Whether the revision changed the path; a plain acceptance changes only a verdict."""
    if step.action is not Action.ACCEPT:
        return True
    # One that went back to the model's text has put another segment there.
    run = db.get(Regeneration, step.previous_regeneration_id or 0)
    path = Path.load(db, run.leaf_id if run is not None else step.previous_head_id)
    return path.find(step.segment_id or 0) is None


def _lost_its_choice(run: Regeneration) -> bool:
    """Whether the revision ended a run that was still offering candidates."""
    return run.undecided and run.state is RunState.SUPERSEDED
