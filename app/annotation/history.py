"""Going back: undo the last step, bring back a continuation that a regeneration displaced."""

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import Session

from app import regenerations
from app.annotation.path import Path, add_copies, whole
from app.annotation.steps import begin, record, standing, verdicts_of
from app.domain.corrections import Kind, Verdict
from app.models import Action, Correction, Draft, Regeneration, Revision, RunState, now
from app.refusals import Conflict, NotFound, Outdated

# Steps that wrote a segment of their own: every pair in which it is chosen came with them.
_WRITES = (Action.CORRECT, Action.KEEP, Action.INSERT)

# What Undo can take back of the draft with the id `draft`.
UNDOABLE = and_(
    Revision.draft_id == bindparam("draft"),
    Revision.undone_by.is_(None),
    Revision.action != Action.UNDO,
)
_LAST = select(Revision).where(UNDOABLE).order_by(Revision.version.desc()).limit(1)


def undo(db: Session, *, draft: Draft, base_version: int) -> Revision | None:
    """Take back the last step that is not taken back yet; the head moves, nothing is deleted.

    A correction undone is a pair retracted; one that it had replaced counts again. Candidates that
    were there before the step are offered again, by a new run. Returns the step taken back, None
    when there is none.
    """
    begin(draft, base_version)
    last = undoable(db, draft)
    if last is None:
        return None
    before = standing(db, draft)
    if _moved(last):
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
    if _moved(last):
        _turn_corrections(db, last)
    verdicts = {
        int(segment): Verdict(verdict) if verdict else None
        for segment, verdict in last.previous_verdicts.items()
    }
    undone = record(
        db,
        draft=draft,
        action=Action.UNDO,
        before=before,
        verdicts=verdicts,
        segment_id=last.segment_id,
    )
    last.undone_by = undone
    return last


def undoable(db: Session, draft: Draft) -> Revision | None:
    """The step that Undo would take back."""
    return db.scalar(_LAST, {"draft": draft.id})


def restore(db: Session, *, draft: Draft, base_version: int, regeneration_id: int) -> None:
    """Bring back the continuation that a regeneration replaced; the correction before it stays.

    The old segments are copied below the run's anchor with their verdicts, or simply returned to
    where they stand below it already. Raises Conflict when the anchor has left the path.
    """
    begin(draft, base_version)
    run = run_of(db, draft, regeneration_id)
    before = standing(db, draft)
    anchor = before.path.find(run.anchor_id)
    if anchor is None:
        raise Outdated("The text before this continuation has changed; it cannot be restored.")
    displaced = Path.load(db, run.displaced_id)
    old = displaced.deeper_than(run.displaced_depth)
    if not old:
        raise Conflict("This continuation replaced nothing.")
    regenerations.supersede(db, draft_id=draft.id)
    verdicts: dict[int, Verdict | None] = {}
    if old[0].parent_id == anchor.id:
        draft.head_id = run.displaced_id
    else:
        copies = add_copies(db, sample_id=draft.sample_id, parent=anchor, copies=whole(old))
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
        verdicts=verdicts,
        segment_id=anchor.id,
    )


def run_of(db: Session, draft: Draft, regeneration_id: int) -> Regeneration:
    """A regeneration of this draft. Raises NotFound for another's."""
    run = db.get(Regeneration, regeneration_id)
    if run is None or run.draft_id != draft.id:
        raise NotFound("There is no such run in this task.")
    return run


def _moved(step: Revision) -> bool:
    """Whether the step changed the path; a plain acceptance changes only a verdict."""
    return step.action is not Action.ACCEPT or step.correction_id is not None


def _lost_its_choice(run: Regeneration) -> bool:
    """Whether the step ended a run that was still offering candidates."""
    return run.undecided and run.state is RunState.SUPERSEDED


def _turn_corrections(db: Session, step: Revision) -> None:
    """Retract the pairs that a step made, or revive the one that it took back."""
    if step.action is Action.ACCEPT:
        revived = [step.correction_id]
    else:
        made = Correction.id == step.correction_id
        if step.action in _WRITES:
            made |= Correction.chosen_id == step.segment_id
        elif step.action is Action.CHOOSE:
            made = and_(Correction.chosen_id == step.segment_id, Correction.kind == Kind.CHOICE)
        retracted = db.scalars(
            update(Correction)
            .where(Correction.draft_id == step.draft_id, made, Correction.retracted_at.is_(None))
            .values(retracted_at=now(), retract_reason="The annotator undid it.")
            .returning(Correction.id)
        ).all()
        revived = list(
            db.scalars(select(Correction.id).where(Correction.superseded_by.in_(retracted)))
        )
        db.execute(
            update(Revision)
            .where(
                Revision.draft_id == step.draft_id,
                Revision.version != step.version,
                Revision.action == Action.DELETE,
                Revision.correction_id.in_(retracted),
            )
            .values(correction_id=None)
        )
    db.execute(
        update(Correction)
        .where(Correction.id.in_(revived))
        .values(superseded_by=None, retracted_at=None, retract_reason=None)
    )
