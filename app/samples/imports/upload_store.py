"""Where the files of imports are until they end: under random names, shared with the workers.

DATA/uploads/imports/<name>/upload, and output beside it where a deck came with its text.
"""

import re
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from app.domain.messages import Message
from app.refusals import Conflict

_FILE, _OUTPUT = "upload", "output"
_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
# What nobody has touched for so long is nobody's any more: its request or its import is dead.
_FORGOTTEN_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """The files of one import. output: the text of a deck; None where there is none."""

    file: Path
    output: Path | None


class UploadStore:
    """The files of all imports, under the directory of uploads that app and workers share."""

    def __init__(self, uploads: Path) -> None:
        self._uploads = uploads
        self._root = uploads / "imports"

    def new_name(self) -> str:
        """A name that nobody can guess."""
        return secrets.token_urlsafe(16)

    def take(self, name: str, file: Path, output: Path | None) -> None:
        """Move files here, from the same disk, to be found by that name."""
        folder = self._root / name
        folder.mkdir(parents=True)
        for source, kept in ((file, _FILE), (output, _OUTPUT)):
            if source is not None:
                source.replace(folder / kept)

    def files(self, name: str) -> KeptFiles:
        """The files of that name. Raises Conflict when they are not here."""
        folder = self._root / name
        if not _NAME.fullmatch(name) or not (folder / _FILE).is_file():
            raise Conflict(
                Message(
                    "The worker finds no upload in %(folder)s. Send the file again; if that does "
                    "not help, the worker's data directory is not that of the app (ITERDPO_DATA).",
                    folder=self._root,
                )
            )
        output = folder / _OUTPUT
        return KeptFiles(folder / _FILE, output if output.is_file() else None)

    def drop(self, name: str) -> None:
        """Remove the files of that name; nothing happens if they are gone."""
        if _NAME.fullmatch(name):
            shutil.rmtree(self._root / name, ignore_errors=True)

    def sweep(self, kept: Collection[str]) -> int:
        """Remove what no import waits for and what requests that were killed left; how much.

        kept: the names that are in use. Nothing younger than a day is touched.
        """
        before, swept = time.time() - _FORGOTTEN_S, 0
        # Uploads that were looked at have a clock of their own.
        arriving = [path for path in _entries(self._uploads) if path.name.startswith("tmp")]
        ended = [path for path in _entries(self._root) if path.name not in kept]
        for path in (*arriving, *ended):
            try:
                old = path.stat().st_mtime < before
            except FileNotFoundError:
                continue
            if old:
                shutil.rmtree(path, ignore_errors=True)
                swept += 1
        return swept


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
