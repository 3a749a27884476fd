"""The files that belong to the repository."""

import subprocess
from functools import cache
from pathlib import Path

from app.settings import ROOT


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git tracks and what it would: new files count before they are committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    names = listed.decode().split("\0")
    return tuple(ROOT / name for name in sorted({*names}) if name and (ROOT / name).is_file())


def text_of(path: Path) -> str | None:
    """The file's text, None for a binary file."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode()
