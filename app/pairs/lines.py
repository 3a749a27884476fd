"""Rows as JSON lines, written at the speed of copying.

A format is a plain function from a pair to rows, and a line is a row through orjson. But a prefix
of ten thousand characters, escaped anew for each of the pairs that share most of it, is
where all the time goes. So the row is made of a pair whose three long texts are marks of a few
bytes, and the marks in its JSON are exchanged for the texts as they have been escaped already. A
format that does anything with a text but put it in, whole or joined with others, is not verbatim
and is written the plain way.
"""

import re
from collections.abc import Callable
from typing import Any

from app.domain.jsonlines import json_of
from app.pairs.formats import Format, Rendering, Rows
from app.pairs.leaving import Leaving
from app.pairs.source import Found

# PostgreSQL stores no NUL, and JSON writes one as \u0000. Two in a row cannot be read out of any
# stored text: a backslash of its own is written twice, and the second mark's stands behind a "0".
_PREFIX, _CHOSEN, _REJECTED = "\0\0p", "\0\0c", "\0\0r"
_MARKS = re.compile(rb"\\u0000\\u0000([pcr])")


def lines_of(form: Format) -> Callable[[Any, Rows, Rendering], list[bytes]]:
    """What writes the lines of a format."""
    return quick_lines if form.verbatim else plain_lines


def plain_lines(leaving: Leaving, rows: Rows, rendering: Rendering) -> list[bytes]:
    """The rows of a pair, or of what else leaves, as lines of JSON."""
    return [json_of(row) + b"\n" for row in rows(leaving.item, rendering)]


def quick_lines(found: Found, rows: Rows, rendering: Rendering) -> list[bytes]:
    """The same lines, for a format that is verbatim."""
    marked = found.pair_of(_PREFIX, _CHOSEN, _REJECTED)
    return [_filled(json_of(row) + b"\n", found) for row in rows(marked, rendering)]


def _filled(line: bytes, found: Found) -> bytes:
    parts = _MARKS.split(line)
    filled = [parts[0]]
    for at in range(1, len(parts), 2):
        mark = parts[at]
        if mark == b"p":
            filled += found.prefix.json
        else:
            filled.append(found.chosen.json if mark == b"c" else found.rejected.json)
        filled.append(parts[at + 1])
    return b"".join(filled)
