"""Prefix statistics for exports, computed incrementally."""

import re
import zlib
from typing import NamedTuple

from app.domain.jsonlines import json_of
from app.domain.text import SPECIAL_STRINGS, defect
from app.domain.tokencount import text_tokens

# A special string may stand across a boundary; so much of the text before it is looked at again.
_SEAM = max(map(len, SPECIAL_STRINGS)) - 1
# What JSON makes of control characters other than tab and newlines.
_ESCAPED = re.compile(rb"\\(?:u00|[bf])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Piece(NamedTuple):
    """A text. json: as JSON writes it, without the quotes. tokens: estimated. special: it holds a
    string that the models read as a command. control: a control character but tab and newlines."""

    text: str
    json: bytes
    tokens: float
    special: bool
    control: bool

    @classmethod
    def of(cls, text: str) -> "Piece":
        """The piece of a text."""
        # Character by character: what JSON makes of two texts in a row is what it makes of both.
        json = json_of(text)[1:-1]
        # A search for one character takes a fiftieth of the time that one for two takes.
        return cls(
            text,
            json,
            text_tokens(text),
            "<" in text and defect(text) is not None,
            (_ESCAPED.search(json) is not None or "\x7f" in text)
            and _CONTROL.search(text) is not None,
        )


class Prefix(NamedTuple):
    """The text before a segment, as the texts of the path to it.

    json: each of them as JSON writes it; joined where it is needed, since a copy of all of it for
    every prefix would be most of an export's work. length, checksums: of the joined JSON, CRC-32
    and Adler-32; together they say that two prefixes are equal, however they are cut (two that
    differ and agree in all three do not come about by writing). end: the last few characters. The
    rest is as for a Piece.
    """

    texts: tuple[str, ...]
    json: tuple[bytes, ...]
    length: int
    checksums: tuple[int, int]
    end: str
    tokens: float
    special: bool
    control: bool

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.texts)

    def grow(self, *pieces: Piece) -> "Prefix":
        """This prefix with the pieces behind it."""
        texts, json, length, (crc, adler), end, tokens, special, control = self
        for text, _, some, commands, controls in pieces:
            special = special or commands or crosses(end, text)
            control = control or controls
            tokens += some
            end = (end + text[-_SEAM:])[-_SEAM:]
        added = [piece.json for piece in pieces]
        stretch = b"".join(added)
        return Prefix(
            (*texts, *[piece.text for piece in pieces]),
            (*json, *added),
            length + len(stretch),
            (zlib.crc32(stretch, crc), zlib.adler32(stretch, adler)),
            end,
            tokens,
            special,
            control,
        )


EMPTY = Prefix((), (), 0, (0, 1), "", 0.0, False, False)


def crosses(end: str, text: str) -> bool:
    """Whether a string that the models read as a command begins in `end`, the end of the text
    before, and ends in the text."""
    return "<" in end and defect(end + text[:_SEAM]) is not None
