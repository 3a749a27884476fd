"""A zip export that is streamed while it is written; memory use stays flat."""

import shutil
import zipfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from app.database.sessions import Sessions
from app.exports.counts import Tally

_BLOCK = 2**20
# So much is handed on at once.
_CHUNK = 256 * 1024
# What is compressed already is stored as it is.
_STORED = frozenset({".png", ".jpg", ".webp", ".gif"})
# The earliest time that a zip file can hold: equal exports make equal files.
_TIME = (1980, 1, 1, 0, 0, 0)


class _Outlet:
    """A write-only file; the caller takes what was written piece by piece."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Does nothing: no data is buffered."""

    def take(self) -> bytes:
        """What was written since the last call."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self.size = 0
        return data


class ZipSink:
    """Files below one folder of a zip archive; a Sink."""

    def __init__(self, folder: str) -> None:
        self.outlet = _Outlet()
        # Level 1: prefixes repeat from row to row, and level 6 would win 15 % for twice the time.
        self._zip = zipfile.ZipFile(self.outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=1)  # type: ignore[call-overload] # a file that cannot seek is allowed
        self._folder = folder

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """See Sink."""
        # How much comes is not known: 64-bit sizes.
        with self._zip.open(self._entry(name), "w", force_zip64=True) as out:
            yield out

    def image(self, source: Path, name: str) -> None:
        """See Sink."""
        entry = self._entry(name)
        entry.file_size = source.stat().st_size
        with source.open("rb") as file, self._zip.open(entry, "w") as out:
            shutil.copyfileobj(file, out, _BLOCK)

    def close(self) -> None:
        """Write the list of files that ends an archive."""
        self._zip.close()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(f"{self._folder}/{name}", _TIME)
        stored = Path(name).suffix in _STORED
        entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        return entry


class Handover:
    """The sessions of an export that begins inside a request and continues after it.

    Until `leave`, it uses the request's own session: waiting there for a second connection could
    deadlock.
    """

    def __init__(self, db: Session, sessions: Sessions) -> None:
        self._own: Session | None = db
        self._sessions = sessions

    def __call__(self) -> AbstractContextManager[Session]:
        return self._sessions() if self._own is None else nullcontext(self._own)

    def leave(self) -> None:
        """End the use of the request's session: from here on, each batch opens its own."""
        self._own = None


def zipped(sink: ZipSink, steps: Generator[int, None, Tally]) -> Iterator[bytes]:
    """The bytes of the archive, produced by running the steps of an export into the sink."""
    for _ in steps:
        if sink.outlet.size >= _CHUNK:
            yield sink.outlet.take()
    sink.close()
    yield sink.outlet.take()
