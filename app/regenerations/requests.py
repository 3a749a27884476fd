"""What an annotator's transaction does to regenerations; its caller has locked the draft."""

from sqlalchemy import func, select, update
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
    supersede(db, draft_id=draft.id)
    number = select(func.coalesce(func.max(Regeneration.number), 1) + 1).where(
        Regeneration.draft_id == draft.id
    )
    generation = (
        select(Project.generation)
        .join(Sample, Sample.project_id == Project.id)
        .where(Sample.id == draft.sample_id)
    )
    run = Regeneration(
        draft_id=draft.id,
        sample_id=draft.sample_id,
        number=db.scalars(number).one(),
        anchor_id=anchor_id,
        leaf_id=anchor_id,
        displaced_id=displaced_id,
        displaced_depth=displaced_depth,
        settings=db.scalars(generation).one(),
    )
    db.add(run)
    db.flush()
    draft.head_id, draft.regeneration_id = anchor_id, run.id
    db.flush()
    jobs.defer(
        db,
        jobs.Task.REGENERATE,
        priority=jobs.Priority.INTERACTIVE,
        regeneration_id=run.id,
    )
    changes.notify(db, f"draft:{draft.id}")
    return run


def supersede(db: Session, *, draft_id: int) -> None:
    """End the draft's live regeneration, if there is one, because its place is taken."""
    ended = db.scalars(
        update(Regeneration)
        .where(Regeneration.draft_id == draft_id, Regeneration.state.in_(LIVE))
        .values(state=RunState.SUPERSEDED, finished_at=now(), lease_until=None)
        .returning(Regeneration.id),
        execution_options={"synchronize_session": "fetch"},
    ).all()
    for regeneration_id in ended:
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
    changes.notify(db, f"regeneration:{regeneration_id}", f"draft:{draft_id}")
    changes.notify(db, f"regeneration:{regeneration_id}", channel=changes.WORKERS)
