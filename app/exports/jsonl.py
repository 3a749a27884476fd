"""Fast JSONL serialization: cache each sample's constant parts.

A format is a function from a pair to rows, and a line is a row through orjson. Most of that time
goes into prefixes of ten thousand characters, escaped again for each pair that shares most of them,
and into the same images and instruction. So the pairs of a sample that differ only in texts, id,
position and time share a frame: the JSON of a pair's row with marks in these seven places, cut at
the marks. A line is the frame with the pair's values, whose texts are escaped already. A format
that does more with them than insert them, whole or joined with other text, is not verbatim and uses
the plain writer.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from secrets import randbelow
from typing import Any

import orjson

from app.domain.formats.rows import iso
from app.domain.jsonlines import json_of
from app.exports.formats import Format, Rendering, Rows
from app.exports.items import ExportItem
from app.exports.reader import Found

# PostgreSQL stores no NUL, and JSON writes one as \u0000. Two in a row cannot be read out of any
# stored text: a backslash of its own is written twice, and the second mark's stands behind a "0".
_PREFIX, _CHOSEN, _REJECTED = "\0\0p", "\0\0c", "\0\0r"
# A number and a time cannot hold one. These are drawn anew in each process out of 10^17 and more,
# so that no text of a sample holds them, by accident or by intent.
_PAIR_ID = 10**18 + randbelow(10**18)
_POSITION = 3 * 10**18 + randbelow(10**18)
_MOMENT = datetime(1000, 1, 1, tzinfo=UTC) + timedelta(microseconds=randbelow(2 * 10**17))
_DRAWN = {
    b"%d" % _PAIR_ID: rb"\u0000\u0000i",
    b"%d" % _POSITION: rb"\u0000\u0000n",
    # Some formats count from 1.
    b"%d" % (_POSITION + 1): rb"\u0000\u0000m",
    iso(_MOMENT).encode(): rb"\u0000\u0000t",
}
_MARKS = re.compile(rb"\\u0000\\u0000([pcrinmt])")
# Where a pair's own parts stand among those that a line is made of.
_PLACES = b"pcrinmt"
# So many frames are kept: an export has its samples one after the other, the feed many at a time.
_FRAMES = 1024

Lines = Callable[[Any], list[bytes]]


def lines_of(form: Format, rows: Rows, rendering: Rendering) -> Lines:
    """The function that turns items of this format into JSON lines, one item at a time."""
    if form.verbatim:
        return QuickLines(rows, rendering)
    return lambda item: plain_lines(item, rows, rendering)


def plain_lines(item: ExportItem, rows: Rows, rendering: Rendering) -> list[bytes]:
    """The rows of an item as JSON lines."""
    return [json_of(row) + b"\n" for row in rows(item.item, rendering)]


class QuickLines:
    """Writes the same lines faster, for a verbatim format."""

    def __init__(self, rows: Rows, rendering: Rendering) -> None:
        self._rows = rows
        self._rendering = rendering
        self._frames: dict[tuple[object, ...], list[_Frame]] = {}

    def __call__(self, found: Found) -> list[bytes]:
        """The lines of a pair."""
        # All else that a row can show of it.
        key = (
            found.sample,
            found.kind,
            found.on_policy,
            found.ends_output,
            found.annotator,
            found.policy,
        )
        frames = self._frames.get(key)
        if frames is None:
            frames = self._frames[key] = self._made(found)
        position = found.position
        values = (
            b"".join(found.prefix.json),
            found.chosen.json,
            found.rejected.json,
            b"%d" % found.pair_id,
            b"%d" % position,
            b"%d" % (position + 1),
            # What iso makes of it, in a quarter of the time.
            orjson.dumps(found.created_at.astimezone(UTC))[1:-1],
        )
        return [b"".join(order(values + literals)) for order, literals in frames]

    def _made(self, found: Found) -> "list[_Frame]":
        if len(self._frames) == _FRAMES:
            self._frames.clear()
        marked = found._replace(pair_id=_PAIR_ID, position=_POSITION, created_at=_MOMENT)
        rows = self._rows(marked.pair_of(_PREFIX, _CHOSEN, _REJECTED), self._rendering)
        return [_frame(json_of(row) + b"\n") for row in rows]


# What takes the parts of a line, in order, out of (*values, *literals); and the literals.
_Frame = tuple[Callable[[tuple[bytes, ...]], tuple[bytes, ...]], tuple[bytes, ...]]


def _frame(line: bytes) -> _Frame:
    for drawn, mark in _DRAWN.items():
        line = line.replace(drawn, mark)
    parts = _MARKS.split(line)
    order = [
        _PLACES.index(part) if at % 2 else len(_PLACES) + at // 2 for at, part in enumerate(parts)
    ]
    return itemgetter(*order), tuple(parts[::2])
