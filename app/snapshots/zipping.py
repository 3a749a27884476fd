"""A reproducible zip file: its bytes depend on its contents only (no times, one order, one form).

Images are stored as they are; text is deflated. It is a sink of an export (app/exports/sinks.py)
that knows the hash of every file and, once it is closed, its own.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from app.domain.sums import FileSum

_BLOCK = 1 << 20
_BEGINNING = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16
_UNIX = 3
# Prefixes repeat from row to row: level 1 finds them, and is three times as fast as 6.
_LEVEL = 1
_PACKED = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".parquet", ".zst"})


class _Hashed:
    """A file that cannot seek, hashed and measured as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Zip:
    """A zip file that is being written; entries are in the order in which they come.

    sums: the hashes of the files so far.
    top: the folder that contains everything.
    """

    def __init__(self, file: IO[bytes], top: str) -> None:
        self._outlet = _Hashed(file)
        self._top = top
        self._archive = zipfile.ZipFile(self._outlet, "w", allowZip64=True)  # type: ignore[call-overload] # a file that cannot seek is allowed
        self.sums: list[FileSum] = []

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write, open for the block; one at a time."""
        # How long it gets is not known: 64-bit sizes.
        with self._archive.open(self._entry(name), "w", force_zip64=True) as entry:
            hashed = _Hashed(entry)
            yield cast(IO[bytes], hashed)
        self.sums.append(FileSum(name, hashed.size, hashed.sha256))

    def image(self, source: Path, name: str) -> None:
        """A copy of a file under that name."""
        with source.open("rb") as read, self.file(name) as write:
            while block := read.read(_BLOCK):
                write.write(block)

    def text(self, name: str, text: str) -> None:
        """A small file made here."""
        with self.file(name) as write:
            write.write(text.encode())

    def close(self) -> str:
        """Write the list of files that ends the zip; returns the SHA-256 of all its bytes."""
        self._archive.close()
        return self._outlet.sha256

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Also one that is given up: left open, it would write when nobody expects it.
        self._archive.close()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._outlet.size

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(f"{self._top}/{name}", _BEGINNING)
        stored = Path(name).suffix in _PACKED
        entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        # Public, as compress_level, from Python 3.13 on. The archive's own level does not count for
        # entries that are opened by a ZipInfo.
        entry._compresslevel = _LEVEL  # type: ignore[attr-defined] # typeshed leaves it out
        entry.external_attr = _READABLE
        entry.create_system = _UNIX
        return entry


class Part:
    """A folder of a zip, as a sink for one export. An empty file is not written."""

    def __init__(self, archive: Zip, folder: str) -> None:
        self._archive = archive
        self._folder = folder

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write, open for the block."""
        with ExitStack() as stack:
            begin = partial(stack.enter_context, self._archive.file(f"{self._folder}/{name}"))
            yield cast(IO[bytes], _Late(begin))

    def image(self, source: Path, name: str) -> None:
        """A copy of a file under that name."""
        self._archive.image(source, f"{self._folder}/{name}")


class _Late:
    """A file that is created with its first byte."""

    def __init__(self, begin: Callable[[], IO[bytes]]) -> None:
        self._begin = begin
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> int:
        if not data:
            return 0
        if self._file is None:
            self._file = self._begin()
        return self._file.write(data)

    def writelines(self, lines: list[bytes]) -> None:
        self.write(b"".join(lines))

    def flush(self) -> None:
        """Nothing is held back."""
