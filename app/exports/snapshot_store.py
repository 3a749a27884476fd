"""Where the files of snapshots are: a folder each, filled by one attempt, shown whole or not.

DATA/snapshots/<id>/<attempt>/archive.zip and index.tsv, and model.json beside the attempts where a
model's own chat template renders the rows. An attempt writes beside its place and
moves there in one step; only the row says which attempt counts.
"""

import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.domain.messages import Message
from app.domain.rowindex import IndexedRow, find_row
from app.refusals import Conflict, NotFound

ARCHIVE = "archive.zip"
INDEX = "index.tsv"
MODEL = "model.json"
_UNFINISHED = ".unfinished-"
# What nobody has touched for so long is nobody's work any more.
_FORGOTTEN_S = 24 * 3600.0


class SnapshotStore:
    """The files of all snapshots, under one directory that app and workers share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self, snapshot_id: int) -> None:
        """Make the folder of a new snapshot. It tells a builder that it sees this very store."""
        self._folder(snapshot_id).mkdir(parents=True, exist_ok=True)

    def keep_model(self, snapshot_id: int, saved: Mapping[str, Any]) -> None:
        """Keep the chat template that it is rendered with, beside what prepare() made."""
        text = json.dumps(saved, ensure_ascii=False)
        (self._folder(snapshot_id) / MODEL).write_text(text, encoding="utf-8")

    def model(self, snapshot_id: int) -> Mapping[str, Any]:
        """The chat template that was kept. Raises NotFound when it is not here."""
        path = self._folder(snapshot_id) / MODEL
        if not path.is_file():
            raise NotFound(
                Message(
                    "The chat template of this snapshot is no longer in %(root)s.",
                    root=self.root,
                )
            )
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @contextmanager
    def filling(self, snapshot_id: int) -> Iterator[Path]:
        """An empty directory to work in, on the disk of the store; gone afterwards.

        What earlier attempts left is removed: whoever still writes there has lost the snapshot.
        Raises Conflict when the folder that prepare() made is not here.
        """
        folder = self._folder(snapshot_id)
        if not folder.is_dir():
            raise Conflict(
                Message(
                    "The worker cannot find %(folder)s: its data directory differs from the "
                    "app's. Workers that build snapshots must share it (ITERDPO_DATA).",
                    folder=folder,
                )
            )
        for left in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        # mkdtemp makes it private; what is built is as readable as the folder it is built in.
        place.chmod(folder.stat().st_mode & 0o777)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def keep(self, filled: Path, snapshot_id: int, attempt: int) -> None:
        """Give what was filled its place: all of it in one step, on the disk for good."""
        for path in filled.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        filled.replace(self._folder(snapshot_id) / str(attempt))

    def archive(self, snapshot_id: int, attempt: int) -> Path:
        """The zip file. Raises NotFound when it is not here."""
        return self._file(snapshot_id, attempt, ARCHIVE)

    def index(self, snapshot_id: int, attempt: int) -> Path:
        """The index of its rows. Raises NotFound when it is not here."""
        return self._file(snapshot_id, attempt, INDEX)

    def find(self, snapshot_id: int, attempt: int, row_id: str) -> IndexedRow | None:
        """A row of a snapshot; None when it does not hold it. Raises NotFound without files."""
        with (
            self.index(snapshot_id, attempt).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return find_row(content, row_id)

    def drop(self, snapshot_id: int, attempt: int | None = None) -> None:
        """Remove what an attempt left, or all of a snapshot."""
        folder = self._folder(snapshot_id)
        shutil.rmtree(folder if attempt is None else folder / str(attempt), ignore_errors=True)

    def ids(self) -> set[int]:
        """The snapshots that have a folder."""
        if not self.root.is_dir():
            return set()
        return {int(path.name) for path in self.root.iterdir() if path.name.isdecimal()}

    def sweep(self, kept: Collection[int]) -> int:
        """Remove files that belong to no snapshot or to a dead builder; returns how many.

        kept: the ids of existing snapshots. Anything younger than a day stays: its transaction or
            its builder may still be at work.
        """
        before, swept = time.time() - _FORGOTTEN_S, 0
        for number in sorted(self.ids()):
            folder = self._folder(number)
            lost = [folder] if number not in kept else sorted(folder.glob(f"{_UNFINISHED}*"))
            for path in lost:
                if path.stat().st_mtime < before:
                    shutil.rmtree(path, ignore_errors=True)
                    swept += 1
        return swept

    def _folder(self, snapshot_id: int) -> Path:
        return self.root / str(snapshot_id)

    def _file(self, snapshot_id: int, attempt: int, name: str) -> Path:
        path = self._folder(snapshot_id) / str(attempt) / name
        if not path.is_file():
            raise NotFound(
                Message(
                    "The files of this snapshot are no longer in %(root)s. Delete the snapshot "
                    "and create it again: the same filters on the same data give the same "
                    "content.",
                    root=self.root,
                )
            )
        return path
