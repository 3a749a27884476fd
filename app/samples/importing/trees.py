"""The files that an import may read: those of one folder, or the entries of one zip archive.

Names in what is imported are only ever looked up here. An archive is never unpacked, and what a
folder gives must lie inside it, also behind links.
"""

import os
import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from app.domain.messages import Message
from app.images.inspection import MAX_BYTES
from app.refusals import Invalid

MAX_FILES = 200_000
# Slides and scans hardly shrink and text shrinks to a fifth; what unpacks to two hundred times its
# size, or to more than this, was made to fill a disk or a memory.
MAX_UNPACKED = 32 * 2**30
MAX_RATIO = 200
_HARMLESS = 64 * 2**20


class FileTree(Protocol):
    """Files by their path from the root, with "/" between the parts."""

    def names(self) -> list[str]:
        """All files, sorted; Invalid if there are too many. Hidden ones are left out."""

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        """A file's bytes; Invalid if it is not there or has more than limit bytes."""

    def lines(self, name: str, limit: int) -> Iterator[bytes]:
        """A file's lines as its newlines (\n) end them, read one at a time; one with more than
        limit bytes comes cut there. Invalid if the file is not there or damaged."""

    def size(self, name: str) -> int:
        """A file's size in bytes."""

    def opened(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file to read from any place in it; Invalid if it is not there or damaged."""


class Folder:
    """The files of a directory; links that lead out of it are refused."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve(strict=True)

    @property
    def root(self) -> Path:
        """The directory itself, resolved."""
        return self._root

    def names(self) -> list[str]:
        found = sorted(self._walk())
        if len(found) > MAX_FILES:
            raise Invalid(
                Message("The folder holds more than %(most)s files.", most=f"{MAX_FILES:,}")
            )
        return found

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        with self.opened(name) as file:
            return _bounded(file, name, limit)

    def lines(self, name: str, limit: int) -> Iterator[bytes]:
        with self.opened(name) as file:
            yield from _lines(file, limit)

    def size(self, name: str) -> int:
        return self._path(name).stat().st_size

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        try:
            with self._path(name).open("rb") as file:
                yield file
        except OSError as error:
            raise Invalid(
                Message(
                    "The file %(name)s cannot be read: %(reason)s.",
                    name=name,
                    reason=error.strerror,
                )
            ) from None

    def _path(self, name: str) -> Path:
        path = self._root / _inner(name)
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise Invalid(Message("There is no file %(name)s.", name=name)) from None
        if not resolved.is_relative_to(self._root):
            raise Invalid(
                Message("The file %(name)s is a link that leads out of the folder.", name=name)
            )
        if not stat.S_ISREG(resolved.stat().st_mode):
            raise Invalid(Message("%(name)s is not a file.", name=name))
        return resolved

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not _hidden(name)]
            inner = Path(folder).relative_to(self._root)
            yield from ((inner / name).as_posix() for name in files if not _hidden(name))


class Archive:
    """The entries of a zip file; one that is built to do harm is refused at once."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Invalid(Message("The zip archive is damaged: %(error)s.", error=error)) from None
        try:
            self._entries = _entries(self._zip, path.stat().st_size)
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the archive's file."""
        self._zip.close()

    def names(self) -> list[str]:
        return sorted(
            name for name in self._entries if not any(_hidden(part) for part in name.split("/"))
        )

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        with self.opened(name) as file:
            return _bounded(file, name, limit)

    def lines(self, name: str, limit: int) -> Iterator[bytes]:
        with self.opened(name) as file:
            yield from _lines(file, limit)

    def size(self, name: str) -> int:
        return self._entries[_inner(name)].file_size

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        entry = self._entries.get(_inner(name))
        if entry is None:
            raise Invalid(Message("There is no file %(name)s in the archive.", name=name))
        try:
            with self._zip.open(entry) as file:
                yield cast(BinaryIO, file)
        # RuntimeError and NotImplementedError: encryption and compression that zipfile lacks.
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise Invalid(
                Message(
                    "The entry %(name)s of the archive is damaged: %(error)s.",
                    name=name,
                    error=error,
                )
            ) from None


def _entries(archive: zipfile.ZipFile, packed: int) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MAX_FILES:
        raise Invalid(Message("The archive holds more than %(most)s files.", most=f"{MAX_FILES:,}"))
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_UNPACKED or (unpacked > _HARMLESS and unpacked > MAX_RATIO * packed):
        raise Invalid(
            Message(
                "The archive of %(packed)s bytes would unpack to %(unpacked)s: that is refused.",
                packed=f"{packed:,}",
                unpacked=f"{unpacked:,}",
            )
        )
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.flag_bits & 0x1:
            raise Invalid(
                Message("The entry %(name)s of the archive is encrypted.", name=info.filename)
            )
        name = _inner(info.filename)
        if name in entries:
            raise Invalid(Message("The archive holds %(name)s twice.", name=name))
        entries[name] = info
    return entries


def _inner(name: str) -> str:
    """A name as a path inside the root; Invalid if it would lead out of it or is none."""
    if "://" in name or name.startswith("data:"):
        raise Invalid("Images must be files of the import: addresses are never fetched.")
    if not name or "\0" in name or name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise Invalid(
            Message(
                "%(name)s is not a path inside what is imported; write folder/file.png.",
                name=f"{name!r}",
            )
        )
    path = posixpath.normpath(name)
    if path == ".." or path.startswith("../"):
        raise Invalid(Message("%(name)s leads out of what is imported.", name=f"{name!r}"))
    return path


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _lines(file: BinaryIO, limit: int) -> Iterator[bytes]:
    while line := file.readline(limit):
        yield line


def _bounded(file: BinaryIO, name: str, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise Invalid(
            Message(
                "The file %(name)s has more than %(limit)s MiB.", name=name, limit=limit // 2**20
            )
        )
    return data
