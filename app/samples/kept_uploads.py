"""Uploads that wait between a look at them and their import: under random names, for an hour."""

import json
import re
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

from app.refusals import Invalid
from app.samples.uploads import Upload

KEPT_S = 3600
# Of one user in one project; a look at another file makes the oldest go.
_MOST = 3
_NAME = re.compile(r"[A-Za-z0-9_-]{22}")


def keep(root: Path, upload: Upload, *, owner: str) -> str:
    """Keep the files of an upload beyond its request; returns the name to find them by.

    root: the directory of kept uploads. owner: who may find it again, and where.
    """
    _clear(root, owner)
    name = secrets.token_urlsafe(16)
    folder = root / name
    folder.mkdir(parents=True)
    for file, kept in ((upload.file, "upload"), (upload.output, "output")):
        if file is not None:
            shutil.move(file, folder / kept)
    facts = {"owner": owner, "name": upload.name}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    return name


def found(root: Path, upload: Upload, *, owner: str) -> Upload:
    """The kept upload that a form names. Raises Invalid when it is gone or another's."""
    folder = root / upload.kept
    facts = _facts(folder) if _NAME.fullmatch(upload.kept) else None
    if facts is None or facts["owner"] != owner or _age_s(folder) > KEPT_S:
        raise Invalid("The upload is no longer kept. Choose the file again.", "file")
    output = folder / "output"
    return replace(
        upload,
        file=folder / "upload",
        output=output if output.is_file() else None,
        name=facts["name"],
    )


def forget(root: Path, name: str) -> None:
    """Remove a kept upload that was found."""
    if _NAME.fullmatch(name):
        shutil.rmtree(root / name, ignore_errors=True)


def _clear(root: Path, owner: str) -> None:
    """Remove what has expired, and of the owner's own all but the newest."""
    if not root.is_dir():
        return
    by_age = sorted(root.iterdir(), key=_age_s)
    own = [folder for folder in by_age if (_facts(folder) or {}).get("owner") == owner]
    for folder in {*own[_MOST - 1 :], *(each for each in by_age if _age_s(each) > KEPT_S)}:
        shutil.rmtree(folder, ignore_errors=True)


def _facts(folder: Path) -> dict[str, str] | None:
    try:
        return dict(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return float("inf")
