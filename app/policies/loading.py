"""The workers' side of policies: which adapters to load, and reports of what is loaded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.models import BEING_WRITTEN, Policy, Regeneration, Worker
from app.policies.service import CHANGED, GONE_AFTER

__all__ = ["CHANGED", "Adapter", "Report", "heard", "left", "report", "wanted"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter to load. path: its directory as the model server sees it.

    activated: it is the active one, or one that was before it, and new regenerations may be
    written with it; else only what was begun with it goes on.
    """

    id: int
    name: str
    served_name: str
    path: str
    sha256: str
    template_hash: str
    active: bool
    activated: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself; see app.models.Worker."""

    engine: str
    base_model: str = ""
    served_name: str = ""
    policy_id: int | None = None
    refused_id: int | None = None
    problem: str | None = None


def wanted(db: Session, *, base_models: Collection[str]) -> list[Adapter]:
    """The adapters of a base model that a worker needs, given all the names that it has.

    The active one first, then those that were active before it, the latest first, then those with
    which a text that is being written was begun.
    """
    begun = select(Regeneration.policy_id).where(Regeneration.state.in_(BEING_WRITTEN))
    rows = db.scalars(
        select(Policy)
        .where(
            Policy.adapter_hash != "",
            Policy.base_model.in_(base_models),
            Policy.activated_at.is_not(None) | Policy.id.in_(begun),
        )
        .order_by(Policy.active.desc(), Policy.activated_at.desc().nulls_last(), Policy.id.desc())
    )
    return [
        Adapter(
            id=row.id,
            name=row.name,
            served_name=row.served_name,
            path=row.adapter,
            sha256=row.adapter_hash,
            template_hash=row.template_hash,
            active=row.active,
            activated=row.activated_at is not None,
        )
        for row in rows
    ]


def report(
    db: Session,
    *,
    worker: str,
    said: Report,
    loaded: Sequence[int] = (),
    template_hash: str = "",
) -> None:
    """Keep what a worker says of itself, and forget the workers that are gone.

    loaded: adapters that its server has; they belong to its chat template from now on.
    """
    values = {
        "engine": said.engine,
        "base_model": said.base_model,
        "served_name": said.served_name,
        "policy_id": said.policy_id,
        "refused_id": said.refused_id,
        "problem": said.problem,
        "seen_at": func.now(),
    }
    if loaded and template_hash:
        # Policies before workers, as an activation locks them.
        db.execute(
            update(Policy)
            .where(Policy.id.in_(loaded), Policy.template_hash == "")
            .values(template_hash=template_hash)
        )
    db.execute(
        insert(Worker)
        .values(name=worker, **values)
        .on_conflict_do_update(index_elements=[Worker.name], set_=values)
    )
    db.execute(delete(Worker).where(Worker.seen_at < func.now() - 10 * GONE_AFTER))


def heard(db: Session, *, worker: str) -> bool:
    """The worker lives. False: it was silent for so long that its row is gone."""
    row = update(Worker).where(Worker.name == worker).values(seen_at=func.now())
    return db.scalar(row.returning(Worker.name)) is not None


def left(db: Session, *, worker: str) -> None:
    """The worker has ended."""
    db.execute(delete(Worker).where(Worker.name == worker))
