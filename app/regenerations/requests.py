"""What an annotator's transaction does to regenerations; the caller has locked the draft."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    ScalarSelect,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.database import jobs, notifications
from app.models import (
    BEING_WRITTEN,
    UNFINISHED,
    Draft,
    Project,
    Regeneration,
    RunState,
    Sample,
    Segment,
    now,
    table_of,
)
from app.regenerations.texts import keep_tail


def request(
    db: Session,
    *,
    draft: Draft,
    anchor_id: int,
    displaced_id: int,
    displaced_depth: int,
    offers: bool = False,
    ahead: int | None = None,
    deleted: list[list[Any]] | None = None,
) -> Regeneration:
    """Request a continuation after `anchor_id`, superseding any active regeneration.

    displaced_id, displaced_depth: the leaf of the path that this replaces, and the depth below
        which it does.
    offers: write candidates for the first segment first, if the project wants any.
    ahead: segments written before it waits for its annotator; None: the project's setting; 0: it
        waits at once.
    deleted: see Regeneration.

    A worker starts once the caller's transaction is committed.
    """
    if draft.regeneration_id is not None:
        # Without one the draft has no live one either: whoever clears the pointer ends the run.
        supersede(db, draft_id=draft.id)
    run: Regeneration = db.scalars(
        _INSERT,
        {
            "draft": draft.id,
            "user": draft.user_id,
            "sample": draft.sample_id,
            "anchor": anchor_id,
            "displaced": displaced_id,
            "depth": displaced_depth,
            "offers": offers,
            "ahead": ahead,
            "deleted": deleted,
            "state": RunState.WAITING if ahead == 0 else RunState.QUEUED,
        },
    ).one()
    if run.state is RunState.QUEUED:
        defer(db, run.id, run.priority)
    draft.head_id, draft.regeneration_id = anchor_id, run.id
    return run


def resume(db: Session, *, draft: Draft, regeneration_id: int) -> bool:
    """Let a regeneration that waits for its annotator write on; False: it is not waiting for that.

    Calling it twice requests once. A run that waits for a choice continues with the choice only.
    """
    run = locked(db, draft_id=draft.id, regeneration_id=regeneration_id, states=[RunState.WAITING])
    if run is None or run.undecided:
        return False
    go_on(db, draft=draft, run=run)
    return True


def go_on(db: Session, *, draft: Draft, run: Regeneration) -> None:
    """Queue a regeneration whose annotator wants more of it; the caller has locked the row."""
    ahead = run.settings.get("look_ahead")
    if isinstance(ahead, int) and run.wanted is not None:
        depths = select(Segment.id, Segment.depth).where(
            Segment.id.in_([run.leaf_id, run.anchor_id])
        )
        depth = {row.id: row.depth for row in db.execute(depths)}
        run.wanted = max(run.wanted, depth[run.leaf_id] - depth[run.anchor_id]) + ahead
    else:
        run.wanted = None
    run.priority = priority_of(db, draft)
    run.tries = run.failures = 0
    run.spent_s = 0
    run.state, run.queued_at = RunState.QUEUED, now()
    db.flush()
    defer(db, run.id, run.priority)
    notifications.notify(db, f"regeneration:{run.id}", f"draft:{draft.id}")


def supersede(db: Session, *, draft_id: int) -> None:
    """End the draft's unfinished regeneration, if any, because another replaces it."""
    for regeneration_id in db.scalars(_SUPERSEDE, {"draft": draft_id}).all():
        announce_end(db, draft_id, regeneration_id)


def cancel(db: Session, *, draft_id: int, regeneration_id: int) -> None:
    """Stop a regeneration; its text stays, and the tail becomes a segment. No effect once ended.

    A regeneration of another draft is left alone.
    """
    run = locked(db, draft_id=draft_id, regeneration_id=regeneration_id, states=UNFINISHED)
    if run is not None:
        _cancel(db, run)


def _cancel(db: Session, run: Regeneration) -> None:
    keep_tail(db, run)
    run.state, run.finished_at, run.lease_until = RunState.CANCELLED, now(), None
    db.flush()
    announce_end(db, run.draft_id, run.id)


def cancel_all(db: Session, *, project_id: int) -> int:
    """Stop everything that is being written in a project, as cancel does; returns how many.

    Runs that wait for their annotator go on waiting. Nobody may start anything in the project
    meanwhile.
    """
    runs = db.scalars(
        select(Regeneration)
        .join(Sample, Sample.id == Regeneration.sample_id)
        .where(Sample.project_id == project_id, Regeneration.state.in_(BEING_WRITTEN))
        .order_by(Regeneration.id)
        .with_for_update(of=Regeneration, key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in runs:
        _cancel(db, run)
    return len(runs)


def leaf(db: Session, draft: Draft) -> int:
    """The last segment of the draft's path: its regeneration's if it has one, else its head."""
    if draft.regeneration_id is None:
        return draft.head_id
    return db.scalars(
        select(Regeneration.leaf_id).where(Regeneration.id == draft.regeneration_id)
    ).one()


def locked(
    db: Session, *, draft_id: int, regeneration_id: int, states: Sequence[RunState]
) -> Regeneration | None:
    """The draft's regeneration, locked and up to date; None when it is in none of the states."""
    return db.scalar(
        select(Regeneration)
        .where(
            Regeneration.id == regeneration_id,
            Regeneration.draft_id == draft_id,
            Regeneration.state.in_(states),
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def priority_of(db: Session, draft: Draft) -> int:
    """The priority of a draft's next job, lowered for each other active run of its annotator."""
    found: int = db.scalars(select(_PRIORITY), {"draft": draft.id, "user": draft.user_id}).one()
    return found


def defer(db: Session, regeneration_id: int, priority: int, delay_s: float = 0) -> None:
    """Let a worker take it once this transaction is committed, not before `delay_s` seconds."""
    jobs.defer(
        db,
        jobs.Task.REGENERATE,
        priority=priority,
        delay_s=delay_s,
        regeneration_id=regeneration_id,
    )


def announce_end(db: Session, draft_id: int, regeneration_id: int) -> None:
    """Wake pages and, at once, the worker that may still be writing."""
    key = f"regeneration:{regeneration_id}"
    notifications.notify(db, key, f"draft:{draft_id}", workers=[key])


_current = aliased(Regeneration)
# Who has many texts being written goes behind others who have one, never behind batch work. What
# waits for its annotator counts for nothing. A draft has no unfinished run but its current one.
_PRIORITY = func.greatest(
    jobs.Priority.BATCH + 1,
    jobs.Priority.INTERACTIVE
    - select(func.count())
    .select_from(Draft)
    .join(_current, _current.id == Draft.regeneration_id)
    .where(
        Draft.user_id == bindparam("user"),
        Draft.id != bindparam("draft"),
        Draft.finished_at.is_(None),
        _current.state.in_(BEING_WRITTEN),
    )
    .scalar_subquery(),
)


def _of_its_project(value: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ScalarSelect[Any]:
    return (
        select(value)
        .select_from(Project)
        .join(Sample, Sample.project_id == Project.id)
        .where(Sample.id == bindparam("sample"))
        .scalar_subquery()
    )


def _number(setting: str) -> ColumnElement[int]:
    return cast(Project.generation[setting].astext, BigInteger)


# Built once: putting such a statement together costs more than running it.
# A plain insert: the ORM would compose the statement again on each call (1.5 ms).
_INSERT = select(Regeneration).from_statement(
    insert(table_of(Regeneration))
    .values(
        draft_id=bindparam("draft"),
        sample_id=bindparam("sample"),
        anchor_id=bindparam("anchor"),
        leaf_id=bindparam("anchor"),
        displaced_id=bindparam("displaced"),
        displaced_depth=bindparam("depth"),
        state=bindparam("state"),
        deleted=bindparam("deleted", type_=JSONB(none_as_null=True)),
        priority=_PRIORITY,
        number=select(func.coalesce(func.max(Regeneration.number), 1) + 1)
        .where(Regeneration.draft_id == bindparam("draft"))
        .scalar_subquery(),
        settings=_of_its_project(Project.generation),
        wanted=func.coalesce(
            bindparam("ahead", type_=BigInteger), _of_its_project(_number("look_ahead"))
        ),
        candidates=case(
            (
                bindparam("offers", type_=Boolean),
                func.coalesce(_of_its_project(_number("candidates")), 0),
            ),
            else_=0,
        ),
    )
    .returning(*table_of(Regeneration).c)
)
_SUPERSEDE = (
    update(Regeneration)
    .where(Regeneration.draft_id == bindparam("draft"), Regeneration.state.in_(UNFINISHED))
    .values(state=RunState.SUPERSEDED, finished_at=func.clock_timestamp(), lease_until=None)
    .returning(Regeneration.id)
    .execution_options(synchronize_session="fetch")
)
