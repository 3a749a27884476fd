"""Pairs that teach the same: an export leaves all but one of them out, and so does who trains from
the feed, which sends them all, since it sees one page at a time."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from iterdpo.studio import Filter

DUPLICATE = "duplicate"
# Of a row as it is stored, and as it is rendered for TRL: what makes two pairs one.
_CONTEXT = ("images", "system", "turns", "image_places", "context", "instruction", "prefix")
_RAW = (*_CONTEXT, "chosen", "rejected")
_RENDERED = (*_CONTEXT, "segment_chosen", "segment_rejected")

Pair = TypeVar("Pair", bound=Mapping[str, Any])


def distinct(pairs: Iterable[Pair], left_out: dict[str, list[str]] | None = None) -> Iterator[Pair]:
    """The pairs without those of which an equal one came before: the same images, context,
    instruction, prefix and sides. left_out: gets their ids under DUPLICATE."""
    seen: set[bytes] = set()
    for pair in pairs:
        names = _RENDERED if "segment_chosen" in pair else _RAW
        facts = json.dumps([pair.get(name) for name in names]).encode()
        digest = hashlib.blake2b(facts, digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield pair
        elif left_out is not None:
            left_out.setdefault(DUPLICATE, []).append(pair["pair_id"])


def allowed(filters: Mapping[str, Filter]) -> bool:
    """Whether the parameters let duplicates pass the gate: `allow` names the check."""
    names = filters.get("allow")
    return DUPLICATE in ([names] if isinstance(names, str) else names or ())  # type: ignore[operator] # a list of texts
