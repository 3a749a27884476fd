"""Policies as the page, the command line and the API show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, func, select, true
from sqlalchemy.orm import Session

from app.domain.corrections import REPLAY_ENGINE
from app.models import Correction, Policy, Segment, User, Worker
from app.models.live import is_live_pair
from app.policies.service import is_alive
from app.refusals import NotFound

# More segments of a policy are not counted: counting a million takes longer than the page may.
COUNTED = 10_000


class Use(StrEnum):
    """What becomes of a policy just now."""

    # Of the worker's engine, an import, or an adapter that is not active.
    IDLE = "idle"
    # A worker writes new regenerations with it.
    WRITING = "writing"
    # Active, and workers of its base model are loading it.
    LOADING = "loading"
    # Active, and a worker of its base model could not load it.
    REFUSED = "refused"
    # Active, and no worker that is alive has its base model.
    UNSERVED = "unserved"


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that is alive. policy: what it writes with; None while its engine is not usable.

    problem: what is not well, None if nothing is.
    """

    name: str
    engine: str
    base_model: str
    served_name: str
    policy_id: int | None
    policy: str | None
    refused_id: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy with what it wrote. segments: without copies of them, counted up to COUNTED. pairs:
    rejected sides of it.

    can_be_active: it is an adapter that was added. workers: those that write with it. refusals:
    why others could not load it, by worker.
    """

    id: int
    name: str
    engine: str
    base_model: str
    revision: str
    adapter: str
    served_name: str
    template_hash: str
    round: int
    can_be_active: bool
    active: bool
    activated_at: datetime | None
    added_by: str | None
    created_at: datetime
    segments: int
    pairs: int
    use: Use
    workers: tuple[str, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def counted_all(self) -> bool:
        """It wrote no more segments than were counted."""
        return self.segments < COUNTED

    @property
    def is_settled(self) -> bool:
        """Nothing will change by itself in a moment."""
        return self.use is not Use.LOADING


def policies(db: Session, *, alive: Sequence[WorkerView] | None = None) -> tuple[PolicyView, ...]:
    """All policies: active ones first, then the latest round, the latest added.

    alive: the workers, if they have been asked for already.
    """
    alive = workers(db) if alive is None else alive
    segments = _counts(db, _SEGMENTS)
    pairs = _counts(db, _PAIRS)
    rows = db.execute(
        select(Policy, User.display_name)
        .outerjoin(User, User.id == Policy.added_by)
        .order_by(Policy.active.desc(), Policy.round.desc(), Policy.id.desc())
    )
    return tuple(
        _view(row, added_by, segments.get(row.id, 0), pairs.get(row.id, 0), alive)
        for row, added_by in rows
    )


def policy_id_of(db: Session, name: str) -> int:
    """The id of the policy of that name. Raises NotFound."""
    found = db.scalar(select(Policy.id).where(Policy.name == name)) if "\0" not in name else None
    if found is None:
        raise NotFound(f"There is no policy named {name}.")
    return found


def use_of(db: Session, policy_id: int) -> PolicyView:
    """One policy with its workers and without its counts, which cost more. Raises NotFound."""
    row = db.get(Policy, policy_id, populate_existing=True)
    if row is None:
        raise NotFound("There is no such policy.")
    return _view(row, None, 0, 0, workers(db))


def workers(db: Session) -> tuple[WorkerView, ...]:
    """The workers that are alive, by name."""
    rows = db.execute(
        select(Worker, Policy.name)
        .outerjoin(Policy, Policy.id == Worker.policy_id)
        .where(is_alive())
        .order_by(Worker.name)
        .execution_options(populate_existing=True)
    )
    return tuple(
        WorkerView(
            name=row.name,
            engine=row.engine,
            base_model=row.base_model,
            served_name=row.served_name,
            policy_id=row.policy_id,
            policy=policy,
            refused_id=row.refused_id,
            problem=row.problem,
        )
        for row, policy in rows
    )


def _view(
    row: Policy, added_by: str | None, segments: int, pairs: int, alive: Sequence[WorkerView]
) -> PolicyView:
    writing = tuple(one.name for one in alive if one.policy_id == row.id)
    refusals = {one.name: one.problem or "" for one in alive if one.refused_id == row.id}
    return PolicyView(
        id=row.id,
        name=row.name,
        engine=row.engine,
        base_model=row.base_model,
        revision=row.revision,
        adapter=row.adapter,
        served_name=row.served_name,
        template_hash=row.template_hash,
        round=row.round,
        can_be_active=bool(row.adapter_hash),
        active=row.active,
        activated_at=row.activated_at,
        added_by=added_by,
        created_at=row.created_at,
        segments=segments,
        pairs=pairs,
        use=_use(row, writing, refusals, alive),
        workers=writing,
        refusals=refusals,
    )


def _use(
    row: Policy,
    writing: Sequence[str],
    refusals: Mapping[str, str],
    alive: Sequence[WorkerView],
) -> Use:
    if not row.active:
        return Use.WRITING if writing else Use.IDLE
    if refusals:
        return Use.REFUSED
    able = [
        one.name
        for one in alive
        if row.base_model in (one.base_model, one.served_name) and one.engine != REPLAY_ENGINE
    ]
    if not able:
        return Use.UNSERVED
    return Use.WRITING if set(able) <= set(writing) else Use.LOADING


def _counts(db: Session, query: Select[int | None, int]) -> dict[int, int]:
    return {policy: count for policy, count in db.execute(query) if policy is not None}


_some = (
    select(Segment.id)
    .where(Segment.policy_id == Policy.id, Segment.copied_from.is_(None))
    .limit(COUNTED)
    .correlate(Policy)
    .lateral()
)
_SEGMENTS = select(Policy.id, func.count(_some.c.id)).outerjoin(_some, true()).group_by(Policy.id)
_PAIRS = (
    select(Correction.policy_id, func.count())
    .where(is_live_pair(), Correction.policy_id.is_not(None))
    .group_by(Correction.policy_id)
)
