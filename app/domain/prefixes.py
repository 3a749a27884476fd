"""The text before a segment, with what the export must know of it, grown from segment to segment.

A sample's pairs share most of their prefixes. So each piece of text is looked at once, and what is
known of a prefix (its JSON, its hash, its tokens, whether it holds a special string) is what was
known of the shorter one and what the new piece adds.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol, Self

import orjson

from app.domain.text import SPECIAL_STRINGS, defect
from app.domain.tokencount import text_tokens

# What every special string begins with: almost all texts are cleared by a plain search for it.
_MARKS = tuple({special[:2] for special in SPECIAL_STRINGS})
# A special string may stand across a boundary; so much of the text before it is looked at again.
_SEAM = max(map(len, SPECIAL_STRINGS)) - 1


class Hash(Protocol):
    """A hash that grows; hashlib's own."""

    def update(self, data: bytes, /) -> None: ...
    def copy(self) -> Self: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Prefix:
    """A text as a JSON string without its quotes, and what is known of it.

    pieces: the texts of the segments that it was grown from, behind `before`. end: its last few
    characters. tokens: estimated. special: a model would read a part of it as a command. control:
    it holds a control character other than tab and newlines. content: hash of the whole text,
    however it is cut; copy it before use.
    """

    before: "Prefix | None"
    pieces: tuple[str, ...]
    json: bytes
    end: str
    tokens: float
    special: bool
    control: bool
    content: Hash

    @property
    def text(self) -> str:
        """The whole text."""
        parts: list[str] = []
        at: Prefix | None = self
        while at is not None:
            parts.extend(reversed(at.pieces))
            at = at.before
        parts.reverse()
        return "".join(parts)

    def grow(self, pieces: tuple[str, ...]) -> "Prefix":
        """This prefix and the pieces behind it."""
        added = "".join(pieces)
        json = escaped(added)
        content = self.content.copy()
        content.update(json)
        return Prefix(
            before=self,
            pieces=pieces,
            json=self.json + json,
            end=(self.end + added)[-_SEAM:],
            tokens=self.tokens + text_tokens(added),
            special=self.special or has_special(self.end, added),
            control=self.control or has_control(added, json),
            content=content,
        )


EMPTY = Prefix(None, (), b"", "", 0.0, False, False, hashlib.blake2b(digest_size=16))


def escaped(text: str) -> bytes:
    """The text as JSON writes it, without the quotes. What is written for two texts one after the
    other is what is written for both: JSON escapes character by character."""
    return orjson.dumps(text)[1:-1]


def has_special(end: str, text: str) -> bool:
    """Whether the text holds a special string of the models, also one that begins in `end`, the
    end of the text before it."""
    whole = end + text if end else text
    return any(mark in whole for mark in _MARKS) and _is_command(whole)


def has_control(text: str, json: bytes) -> bool:
    """Whether a control character (C0 or DEL) other than tab and newlines stands in the text.

    json: escaped(text), in which such a one is rare and can be looked for at once.
    """
    if b"\\u00" not in json and b"\\b" not in json and b"\\f" not in json and "\x7f" not in text:
        return False
    return any((char < " " and char not in "\t\n\r") or char == "\x7f" for char in text)


def _is_command(text: str) -> bool:
    return defect(text) is not None
