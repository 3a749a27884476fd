"""What the app and a decoder say to each other: a head as JSON, and parts as bytes behind it.

JSON, not pickle: whoever takes over a decoder with a hostile file can still only answer.
"""

import json
from collections.abc import Callable
from typing import IO, Any

from app.domain.messages import Message

MAX_HEAD = 64 * 2**10
MAX_PART = 512 * 2**20
MAX_PARTS = 8


class WireError(Exception):
    """What came is not what this side can read, or the other side is gone."""


def send(file: IO[bytes], head: dict[str, Any], *parts: bytes) -> None:
    """Write a head and its parts. Raises OSError when the other side is gone."""
    text = json.dumps({**head, "parts": [len(part) for part in parts]}).encode()
    file.write(len(text).to_bytes(4, "big") + text)
    for part in parts:
        file.write(part)
    file.flush()


def receive_head(read: Callable[[int], bytes]) -> tuple[dict[str, Any], list[int]]:
    """A head and the lengths of the parts after it. read: gives exactly that many bytes."""
    length = int.from_bytes(read(4), "big")
    if length > MAX_HEAD:
        raise WireError("The head is too long.")
    try:
        head = json.loads(read(length))
        lengths = head.pop("parts")
    except (ValueError, LookupError, AttributeError, TypeError):
        raise WireError("The head is not what was agreed.") from None
    if not (
        isinstance(lengths, list)
        and len(lengths) <= MAX_PARTS
        and all(type(part) is int and 0 <= part <= MAX_PART for part in lengths)
    ):
        raise WireError("The parts are not what was agreed.")
    return head, lengths


def packed(message: Message) -> dict[str, Any]:
    """A sentence as JSON holds it."""
    values = {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in message.values.items()
    }
    return {"msgid": message.msgid, "values": values}


def unpacked(message: object) -> Message:
    """The sentence again. Raises WireError for anything else."""
    try:
        return Message(str(message["msgid"]), **message["values"])  # type: ignore[index]
    except (LookupError, TypeError, ValueError):
        raise WireError("The sentence is not what was agreed.") from None
