"""All pairs of a project in a file: a pull that is killed goes on where it stopped.

While it runs the lines stand in `NAME.part`, which only grows; the finished file takes the place
of an earlier one at once. Continued or not, it has the same bytes.
"""

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from iterdpo.images import digest_of
from iterdpo.refusals import StudioRefusal, TrainingRefusal
from iterdpo.studio import PAGE, Filter, Studio, cursor_of, query_of, sha256_of

# Pairs that were taken back after a pull began stay in what it has: an older beginning is dropped.
RESUMABLE_S = 24 * 3600.0
_PAIR_ID = re.compile(rb'\{"pair_id": ?"([0-9]+)",')


@dataclass(frozen=True, slots=True)
class Pulled:
    """A finished pull. sha256: of the file. resumed: an earlier one was continued."""

    path: Path
    pairs: int
    sha256: str
    resumed: bool

    def rows(self) -> Iterator[dict[str, Any]]:
        """The pairs, in the order of the feed."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def images(self) -> Iterator[str]:
        """The SHA-256 of every image of every pair, repeated."""
        for pair in self.rows():
            yield from map(sha256_of, pair["images"])


def pull(
    studio: Studio,
    project: str,
    directory: Path,
    *,
    filters: Mapping[str, Filter] | None = None,
    format: str = "raw",
    page: int = PAGE,
) -> Pulled:
    """Fetch the project's pairs into a file of the directory; its name says what was asked for.

    format: "raw" or "trl". A pair that came back meanwhile, which the feed then shows again, is in
    it once. Raises StudioRefusal, and TrainingRefusal while another process pulls the same.
    """
    asked = dict(filters or {})
    if "format" in asked:
        raise StudioRefusal("format is no filter of pairs: a run takes them as they are stored.")
    query_of(asked)
    if format != "raw":
        asked["format"] = format
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{_name(studio.url, project, asked)}.jsonl"
    part = path.with_suffix(".part")
    with part.open("ab+") as file:
        _lock(file, part)
        after, known = _recover(file, part)
        resumed = bool(known)
        for line in studio.pair_lines(project, after=after, page=page, **asked):
            if (pair_id := _pair_id(line)) not in known:
                file.write(line)
                known.add(pair_id)
        file.flush()
        os.fsync(file.fileno())
        # Renamed while it is locked: nobody else can begin to write into the finished file.
        part.replace(path)
    return Pulled(path, len(known), digest_of(path), resumed)


def finished(path: Path) -> Pulled:
    """A pull that was finished earlier."""
    with path.open("rb") as file:
        pairs = sum(1 for _ in file)
    return Pulled(path, pairs, digest_of(path), resumed=False)


def _name(url: str, project: str, filters: Mapping[str, Filter]) -> str:
    asked = json.dumps([url, project, sorted(filters.items())], default=str, ensure_ascii=False)
    shown = "".join(c if c.isalnum() and c.isascii() else "-" for c in project)[:40]
    return f"{shown}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def _lock(file: IO[bytes], part: Path) -> None:
    busy = TrainingRefusal(f"Another process is pulling the same pairs to {part}.")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise busy from error
    # Whoever held the lock until now may have renamed this file: then it is the finished one.
    if not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
        raise busy


def _recover(file: IO[bytes], part: Path) -> tuple[int, set[str]]:
    """The cursor and the pair ids of the whole lines that an earlier pull left; the rest is cut
    off."""
    if time.time() - part.stat().st_mtime > RESUMABLE_S:
        file.truncate(0)
    file.seek(0)
    after = end = 0
    known = set()
    for line in file:
        if not line.endswith(b"\n"):
            break
        after = cursor_of(line)
        known.add(_pair_id(line))
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return after, known


def _pair_id(line: bytes) -> str:
    # As for cursors: reading the whole line would cost more than receiving it.
    found = _PAIR_ID.match(line)
    return found[1].decode() if found else str(json.loads(line)["pair_id"])
