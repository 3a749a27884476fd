"""Pairs as a stream of JSON lines: flat memory, and no database session while bytes travel."""

import zlib
from collections.abc import Callable, Iterable, Iterator

import orjson

from app.db import Sessions
from app.domain.formats import raw_row
from app.pairs.feed import Window
from app.pairs.queries import BATCH, Order, pair_batch

CHUNK = 64 * 1024


def pair_lines(
    sessions: Sessions, *, project_id: int, window: Window, image_url: Callable[[str], str]
) -> Iterator[bytes]:
    """One line a pair of the window, each with its cursor.

    A session is open only while a batch is read: a slow client holds no connection and no snapshot.
    What is taken back meanwhile is left out.
    """
    after = window.after
    while after < window.until:
        with sessions() as db:
            batch = pair_batch(
                db,
                project_id=project_id,
                order=Order.FEED,
                after=after,
                until=window.until,
                limit=BATCH,
            )
        for placed in batch.pairs:
            row = raw_row(placed.pair, image_url)
            row["cursor"] = placed.cursor
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if batch.read < BATCH:
            return
        after = batch.cursor


def chunked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined to chunks of about 64 KiB: one thread hop and one write for many lines."""
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


def gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as one gzip stream, compressed as they come."""
    # Level 4: prefixes repeat from row to row, and level 9 would win 3 % for three times the time.
    compressor = zlib.compressobj(4, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        if packed := compressor.compress(chunk):
            yield packed
    yield compressor.flush()


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3; no header: it does not)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            weights[coding.strip()] = float(value) if name == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
