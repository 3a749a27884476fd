"""Adding adapters as policies, activating one, going back to the base model."""

import re
from datetime import timedelta
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.database import notifications
from app.domain.corrections import REPLAY_ENGINE
from app.domain.messages import Message
from app.models import Policy, Worker, now
from app.refusals import Conflict, Invalid, NotFound, Outdated

# The key that workers watch.
CHANGED = "policies"
# A worker that has not been heard of for so long is gone. While it waits for a vLLM that starts it
# speaks every 30 s.
GONE_AFTER = timedelta(seconds=40)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST = 1000
# What tells one adapter from another.
_WORDS = {
    "base_model": "its base model",
    "revision": "its revision",
    "adapter": "its directory",
    "adapter_hash": "the hash of its files",
    "round": "its round",
}


def register(
    db: Session,
    *,
    name: str,
    adapter: str,
    adapter_hash: str,
    base_model: str,
    revision: str = "",
    round: int | None = None,
    actor_id: int | None = None,
) -> Policy:
    """An adapter as a policy, not active yet; the same again gives the one that is there.

    adapter: the directory, as the model server sees it. adapter_hash: fingerprint.adapter_hash of
    its files. base_model: as workers name theirs, or as their servers do. round: by default one
    more than the latest of its base model. actor_id: None on the command line.
    Raises Invalid naming the field, Conflict when the name stands for another adapter, naming
    what differs.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a "
            "letter or digit.",
            "name",
        )
    if not adapter.startswith("/") or not _is_line(adapter):
        raise Invalid("Give the adapter's directory as an absolute path.", "adapter")
    if not _HASH.fullmatch(adapter_hash):
        raise Invalid(
            "The adapter's hash must be a SHA-256: 64 hexadecimal digits.", "adapter_hash"
        )
    if not base_model or not _is_line(base_model):
        raise Invalid("Name the base model that the adapter belongs to.", "base_model")
    if not _is_line(revision):
        raise Invalid("A revision must be a single line.", "revision")
    if round is not None and not 0 <= round < 2**31:
        raise Invalid("A round must be a whole number, 0 or higher.", "round")
    # As the command line gives it: without a slash at its end.
    adapter = str(PurePosixPath(adapter))
    base_model = _known_base(db, base_model)
    known = db.scalar(select(Policy).where(Policy.name == name))
    if known is not None:
        _require_same(
            known,
            base_model=base_model,
            revision=revision,
            adapter=adapter,
            adapter_hash=adapter_hash,
            round=known.round if round is None else round,
        )
        return known
    policy = Policy(
        name=name,
        engine="openai",
        base_model=base_model,
        revision=revision,
        adapter=adapter,
        adapter_hash=adapter_hash,
        # With the hash in it, what a server has under this name is always this adapter.
        served_name=f"{name}-{adapter_hash[:12]}",
        round=_next_round(db, base_model) if round is None else round,
        added_by=actor_id,
    )
    try:
        with db.begin_nested():
            db.add(policy)
    except IntegrityError as error:
        raise Outdated(
            Message("Someone has just added a policy named %(name)s.", name=name)
        ) from error
    audit.record(db, actor_id, "added_policy", f"policy:{policy.id}", name=name)
    return policy


def activate(db: Session, *, policy_id: int, actor_id: int | None = None) -> Policy:
    """Have new regenerations written with this adapter; workers of its base model load it now.

    Running ones finish with what they began. Activating it again has workers that could not load
    it try once more. Raises NotFound, and Conflict for a policy that is no added adapter or when
    none of the workers that run has a model.
    """
    policy = _locked(db, policy_id)
    if not policy.adapter_hash:
        raise Conflict(
            Message(
                "“%(name)s” is not an added adapter. Only added adapters can be activated.",
                name=policy.name,
            )
        )
    engines = set(db.scalars(select(Worker.engine).where(is_alive())))
    if engines == {REPLAY_ENGINE}:
        raise Conflict(
            "The running workers have no model: they replay the samples' own texts, so an "
            "adapter has no effect. Start a worker with a model server first."
        )
    db.execute(
        update(Policy)
        .where(Policy.base_model == policy.base_model, Policy.active, Policy.id != policy.id)
        .values(active=False)
    )
    policy.active, policy.activated_at = True, now()
    # Their refusal is of before; what they say now is what they say next.
    db.execute(
        update(Worker).where(Worker.refused_id == policy.id).values(refused_id=None, problem=None)
    )
    db.flush()
    audit.record(db, actor_id, "activated_policy", f"policy:{policy.id}", name=policy.name)
    notifications.notify(db, workers=[CHANGED])
    return policy


def deactivate(db: Session, *, policy_id: int, actor_id: int | None = None) -> Policy:
    """Have new regenerations written with the base model alone again.

    No earlier adapter comes back either. Raises NotFound, Conflict when it is not active.
    """
    policy = _locked(db, policy_id)
    if not policy.active:
        raise Conflict(Message("“%(name)s” is not active.", name=policy.name))
    db.execute(
        update(Policy)
        .where(Policy.base_model == policy.base_model)
        .values(active=False, activated_at=None)
    )
    db.execute(
        update(Worker)
        .where(Worker.base_model == policy.base_model, Worker.refused_id.is_not(None))
        .values(refused_id=None, problem=None)
    )
    audit.record(db, actor_id, "deactivated_policy", f"policy:{policy.id}", name=policy.name)
    notifications.notify(db, workers=[CHANGED])
    return policy


def is_alive() -> ColumnElement[bool]:
    """The condition on Worker: it has been heard of a moment ago."""
    return Worker.seen_at > func.now() - GONE_AFTER


def _locked(db: Session, policy_id: int) -> Policy:
    """The policy; it and its base model's others are locked, in the order of their ids."""
    base = select(Policy.base_model).where(Policy.id == policy_id).scalar_subquery()
    rows = db.scalars(
        select(Policy)
        .where((Policy.base_model == base) | (Policy.id == policy_id))
        .order_by(Policy.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    found = next((row for row in rows if row.id == policy_id), None)
    if found is None:
        raise NotFound("There is no such policy.")
    return found


def _known_base(db: Session, base_model: str) -> str:
    """The base model as workers name it, where it is given as their server does."""
    known = db.scalar(
        select(Policy.base_model)
        .where(Policy.served_name == base_model, Policy.adapter == "", Policy.base_model != "")
        .order_by(Policy.id.desc())
        .limit(1)
    )
    return known or base_model


def _require_same(known: Policy, **wanted: object) -> None:
    """Raises Conflict naming what differs. The directory counts too: servers load from it."""
    differing = [
        f"{_WORDS[name]} is {_said(getattr(known, name))}, not {_said(value)}"
        for name, value in wanted.items()
        if getattr(known, name) != value
    ]
    if differing:
        raise Conflict(
            Message(
                "The name %(name)s already belongs to another adapter: %(names)s. A policy "
                "never changes, so that every text can be traced to what wrote it. Choose "
                "another name.",
                name=known.name,
                names="; ".join(differing),
            )
        )


def _said(value: object) -> object:
    return "none" if value in ("", None) else value


def _next_round(db: Session, base_model: str) -> int:
    latest = db.scalar(select(func.max(Policy.round)).where(Policy.base_model == base_model))
    return (latest or 0) + 1


def _is_line(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable()
