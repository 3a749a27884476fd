"""Snapshot files in a backup: which ones belong in it, and how they are restored."""

import hashlib
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.exports.snapshot_store import ARCHIVE, INDEX, MODEL

FOLDER = "snapshots/"
# Beneath FOLDER. No other name from a backup is used as a path.
NAME = re.compile(rf"\d{{1,19}}/(\d{{1,9}}/({re.escape(ARCHIVE)}|{INDEX})|{MODEL})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of all snapshots of a database.

    paths: by name beneath FOLDER.
    archives: the SHA-256 that the database holds, by the same names.
    whole, lost: how many ready snapshots have all their files, and how many do not.
    """

    paths: Mapping[str, Path]
    archives: Mapping[str, str]
    whole: int
    lost: int


def snapshot_files(db: psycopg.Connection, root: Path) -> Files:
    """The files of the snapshots that the transaction sees, without those being built."""
    rows = db.execute("SELECT id, attempt, archive_sha256 FROM snapshots ORDER BY id").fetchall()
    paths, archives, whole, lost = {}, {}, 0, 0
    for number, attempt, sha256 in rows:
        model = f"{number}/{MODEL}"
        if (root / model).is_file():
            paths[model] = root / model
        if sha256 is None:
            continue
        archive, index = (f"{number}/{attempt}/{name}" for name in (ARCHIVE, INDEX))
        archives[archive] = sha256
        if not ((root / archive).is_file() and (root / index).is_file()):
            lost += 1
            continue
        whole += 1
        paths |= {archive: root / archive, index: root / index}
    return Files(paths, archives, whole, lost)


def bring_back(db: psycopg.Connection, root: Path, scratch: Path, names: Collection[str]) -> None:
    """Move the files from a backup to their places, replacing what is there.

    Existing files that the database refers to stay.
    """
    for number in sorted({name.partition("/")[0] for name in names}):
        shutil.rmtree(root / number, ignore_errors=True)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / name, root / name)
    for name, sha256 in snapshot_files(db, root).archives.items():
        if name in names or not (root / name).is_file():
            continue
        with (root / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                shutil.rmtree(root / name.partition("/")[0])
    # What was waiting is built now: its builder looks for the folder (SnapshotStore.prepare).
    for (number,) in db.execute(
        "SELECT id FROM snapshots WHERE state IN ('queued', 'building')"
    ).fetchall():
        (root / str(number)).mkdir(parents=True, exist_ok=True)
