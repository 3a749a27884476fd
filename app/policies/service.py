"""Adding trained adapters as policies."""

import re

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.models import Policy
from app.refusals import Conflict, Invalid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST = 1000
# Between an adapter's directory and the hash of its files.
HASH_MARK = "#sha256="


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
    """An adapter as a policy; the same again gives the one that is there.

    adapter: the directory, as the model server sees it. adapter_hash: of its files. round: by
    default one more than the latest of its base model. Raises Invalid naming the field, Conflict
    when the name stands for another adapter.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a "
            "letter or digit.",
            "name",
        )
    if not adapter.startswith("/") or not _is_line(adapter):
        raise Invalid("The adapter is a directory, named by its whole path.", "adapter")
    if not _HASH.fullmatch(adapter_hash):
        raise Invalid("The adapter's hash is a SHA-256 in 64 hexadecimal digits.", "adapter_hash")
    if not base_model or not _is_line(base_model):
        raise Invalid("Say which model the adapter belongs to.", "base_model")
    if not _is_line(revision):
        raise Invalid("A revision is one line.", "revision")
    if round is not None and not 0 <= round < 2**31:
        raise Invalid("A round is a whole number from 0 on.", "round")
    known = db.scalar(select(Policy).where(Policy.name == name))
    place = f"{adapter}{HASH_MARK}{adapter_hash}"
    if known is not None:
        same = known.adapter.partition(HASH_MARK)[2] == adapter_hash
        if not (same and known.base_model == base_model and round in (None, known.round)):
            raise Conflict(
                f"The name {name} stands for another adapter already. What a policy is never "
                "changes, or nobody could say what wrote a text: choose another name."
            )
        return known
    policy = Policy(
        name=name,
        engine="openai",
        base_model=base_model,
        revision=revision,
        adapter=place,
        round=_next_round(db, base_model) if round is None else round,
    )
    try:
        with db.begin_nested():
            db.add(policy)
    except IntegrityError as error:
        raise Conflict(f"Somebody has just added a policy named {name}.") from error
    audit.record(db, actor_id, "added_policy", f"policy:{policy.id}", name=name)
    return policy


def _next_round(db: Session, base_model: str) -> int:
    latest = db.scalar(select(func.max(Policy.round)).where(Policy.base_model == base_model))
    return (latest or 0) + 1


def _is_line(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable()
