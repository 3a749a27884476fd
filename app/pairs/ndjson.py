"""Pairs as streamed JSON lines: flat memory, and no database session while bytes travel."""

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence

from app.database.sessions import Sessions
from app.domain.quality import Gate, Inspection
from app.exports.formats import Format, Rendering
from app.exports.gate import passing
from app.exports.jsonl import lines_of
from app.exports.reader import read_pairs

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 256 * 1024
# The first batch is small, so that the first line comes at once.
_FIRST, _BATCH = 64, 1024
CODINGS = ("zstd", "gzip")


def pair_lines(
    sessions: Sessions, ids: Sequence[int], *, form: Format, rendering: Rendering, gate: Gate
) -> Iterator[bytes]:
    """The lines of the pairs that pass the gate, in a format, each with the pair's cursor.

    A session is open only while a batch is read: a slow client holds no connection.
    """
    lines = lines_of(form, form.rows, rendering)
    found = read_pairs(sessions, _batches(ids), template=gate.template)
    for pair in passing(found, Inspection(gate)):
        # A row is an object and never empty: the cursor is put in before its end.
        cursor = b',"cursor":%d}\n' % pair.cursor
        for line in lines(pair):
            yield line[:-2] + cursor


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    start, size = 0, _FIRST
    while start < len(ids):
        yield ids[start : start + size]
        start, size = start + size, _BATCH


def chunked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined to chunks of about 256 KiB: one thread hop and one write for many lines."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def packed(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Compress chunks as they come, as one zstd frame or gzip stream; "" leaves them plain."""
    if not coding:
        yield from chunks
        return
    # Prefixes repeat from row to row, and both find them at these levels: 3 % more for three times
    # the time is all that higher ones would win.
    compressor = (
        zstd.ZstdCompressor(level=3)
        if coding == "zstd"
        else zlib.compressobj(4, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    )
    for chunk in chunks:
        if some := compressor.compress(chunk):
            yield some
    yield compressor.flush()


def coding_for(accept_encoding: str) -> str:
    """The coding of CODINGS that an Accept-Encoding header prefers; "" for none.

    RFC 9110, 12.5.3. The first of equally preferred codings wins; without the header, none.
    """
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            weights[coding.strip()] = float(value) if name == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    rest = weights.get("*", 0.0)
    liked = [(weights.get(coding, rest), coding) for coding in CODINGS]
    best, coding = max(liked, key=lambda one: one[0])
    return coding if best > 0 else ""
