"""What an annotator's transaction does to regenerations; its caller has locked the draft."""

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from app import changes, jobs
from app.models import Draft, Project, Regeneration, RunState, Sample, now
from app.regenerations.texts import keep_tail

LIVE = (RunState.QUEUED, RunState.RUNNING)


def request(
    db: Session, *, draft: Draft, anchor_id: int, displaced_id: int, displaced_depth: int
) -> Regeneration:
    """Have the draft continued after `anchor_id`, in place of what is being written now, if any.

    displaced_id and displaced_depth: the leaf of the path that this replaces, and the depth below
    which it does. A worker starts once the caller's transaction is committed.
    """
    if draft.regeneration_id is not None:
        # Without one the draft has no live one either: whoever clears the pointer ends the run.
        supersede(db, draft_id=draft.id)
    run = db.scalars(
        _INSERT,
        {
            "draft": draft.id,
            "sample": draft.sample_id,
            "anchor": anchor_id,
            "displaced": displaced_id,
            "depth": displaced_depth,
        },
    ).one()
    jobs.defer(
        db,
        jobs.Task.REGENERATE,
        priority=jobs.Priority.INTERACTIVE,
        regeneration_id=run.id,
    )
    draft.head_id, draft.regeneration_id = anchor_id, run.id
    return run


def supersede(db: Session, *, draft_id: int) -> None:
    """End the draft's live regeneration, if there is one, because its place is taken."""
    for regeneration_id in db.scalars(_SUPERSEDE, {"draft": draft_id}).all():
        announce_end(db, draft_id, regeneration_id)


def cancel(db: Session, *, draft_id: int, regeneration_id: int) -> None:
    """Stop a regeneration; the text so far stays, its last piece as a segment. Once ended: nothing.

    A regeneration of another draft is left alone.
    """
    run = db.scalar(
        select(Regeneration)
        .where(
            Regeneration.id == regeneration_id,
            Regeneration.draft_id == draft_id,
            Regeneration.state.in_(LIVE),
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if run is None:
        return
    keep_tail(db, run)
    run.state, run.finished_at, run.lease_until = RunState.CANCELLED, now(), None
    db.flush()
    announce_end(db, draft_id, regeneration_id)


def leaf(db: Session, draft: Draft) -> int:
    """The last segment of the draft's path: its regeneration's if it has one, else its head."""
    if draft.regeneration_id is None:
        return draft.head_id
    return db.scalars(
        select(Regeneration.leaf_id).where(Regeneration.id == draft.regeneration_id)
    ).one()


def announce_end(db: Session, draft_id: int, regeneration_id: int) -> None:
    """Wake pages and, at once, the worker that may still be writing."""
    key = f"regeneration:{regeneration_id}"
    changes.notify(db, key, f"draft:{draft_id}", workers=[key])


# Built once: putting such a statement together costs more than running it.
_INSERT = (
    insert(Regeneration)
    .values(
        draft_id=bindparam("draft"),
        sample_id=bindparam("sample"),
        anchor_id=bindparam("anchor"),
        leaf_id=bindparam("anchor"),
        displaced_id=bindparam("displaced"),
        displaced_depth=bindparam("depth"),
        number=select(func.coalesce(func.max(Regeneration.number), 1) + 1)
        .where(Regeneration.draft_id == bindparam("draft"))
        .scalar_subquery(),
        settings=select(Project.generation)
        .join(Sample, Sample.project_id == Project.id)
        .where(Sample.id == bindparam("sample"))
        .scalar_subquery(),
    )
    .returning(Regeneration)
)
_SUPERSEDE = (
    update(Regeneration)
    .where(Regeneration.draft_id == bindparam("draft"), Regeneration.state.in_(LIVE))
    .values(state=RunState.SUPERSEDED, finished_at=func.clock_timestamp(), lease_until=None)
    .returning(Regeneration.id)
    .execution_options(synchronize_session="fetch")
)
