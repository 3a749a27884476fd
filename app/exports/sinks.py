"""Destinations of an export: a directory that appears complete, or a stream (zip: archive.py).

A sink takes files one after the other, and images by their content; it knows nothing of pairs.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from app.refusals import Conflict

# The first words of the README.md by which an export of ours is known.
TITLE = "# IterDPO"
MANIFEST = "manifest.yaml"
# What an export held before there were manifests.
_WITHOUT = frozenset({"metadata.jsonl", "images", "README.md", "dpo.yaml"})
_BLOCK = 2**20


class Sink(Protocol):
    """Takes the files of an export, one at a time; names are relative, with "/"."""

    def file(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write, open for the block. A name comes once."""
        ...

    def image(self, source: Path, name: str) -> None:
        """A copy of a file under that name."""
        ...


class DirectorySink:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """See Sink."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb", buffering=_BLOCK) as out:
            yield out

    def image(self, source: Path, name: str) -> None:
        """See Sink."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)


class StreamSink:
    """Writes the first file as one stream of bytes, such as standard output.

    Everything else (README, manifest, images) is left out.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: IO[bytes] | None = stream

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """See Sink."""
        stream, self._stream = self._stream, None
        if stream is not None:
            yield stream
            stream.flush()
            return
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
            yield nowhere

    def image(self, source: Path, name: str) -> None:
        """See Sink: left out."""


@contextmanager
def directory(out: Path) -> Iterator[DirectorySink]:
    """A sink whose folder appears as `out` when the block succeeds, completely or not at all.

    Replaces an earlier export. Raises Conflict when `out` holds anything else.
    """
    out = out.absolute()
    _check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        # mkdtemp makes it private; an export is as readable as the umask says.
        mask = os.umask(0)
        os.umask(mask)
        folder.chmod(0o777 & ~mask)
        yield DirectorySink(folder)
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            out.replace(old)
            folder.replace(out)
            shutil.rmtree(old)
        else:
            folder.replace(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_place(out: Path) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise Conflict(f"{out} is not a directory. Name a new one for the export.")
    names = {path.name for path in out.iterdir()}
    if names and not (_is_ours(out) and names <= _exported(out)):
        raise Conflict(
            f"{out} holds files that are no export of IterDPO Studio. Name a new directory."
        )


def _is_ours(folder: Path) -> bool:
    readme = folder / "README.md"
    if not readme.is_file():
        return False
    with readme.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith(TITLE)


def _exported(folder: Path) -> set[str]:
    """The files that an earlier export wrote into the folder, according to its manifest."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return set(_WITHOUT)
    return {name.partition("/")[0] for name in files} | {"images", MANIFEST}
