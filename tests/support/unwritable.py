"""Directories that nobody can write to, root neither: for root, file systems mounted read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def unwritable(place: Path) -> Iterator[None]:
    """The directory and all that is in it, read-only until the end of the block."""
    if os.geteuid() != 0:
        modes = {one: one.stat().st_mode for one in (place, *place.rglob("*")) if one.is_dir()}
        for one in modes:
            one.chmod(0o500)
        yield
        for one, mode in modes.items():
            one.chmod(mode)
        return
    bound = _mount("--bind", str(place), str(place))
    if bound.returncode:
        pytest.skip("root may not mount a file system here, and every other directory is open")
    try:
        assert _mount("-o", "remount,ro,bind", str(place)).returncode == 0
        yield
    finally:
        subprocess.run(["/usr/bin/umount", str(place)], check=True)


def _mount(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["/usr/bin/mount", *words], capture_output=True, check=False)
