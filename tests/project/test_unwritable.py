"""Data directories that cannot be written: one clear message, never a traceback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import ROOT
from tests.support.unwritable import unwritable

COMMANDS = [
    ("demo", "--port", "1"),
    ("serve", "--port", "1"),
    ("worker",),
    ("user", "add", "anna"),
]


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody can write to, root neither."""
    place = tmp_path / "closed"
    place.mkdir()
    with unwritable(place):
        yield place


def iterdpo(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *names: Path) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert any(str(name) in line for name in names)
    assert "Read-only file system" in line or "Permission denied" in line


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_data_directory_that_cannot_be_written(closed: Path, words: tuple[str, ...]) -> None:
    # One directory that is there already, and one that would have to be made.
    place = closed / "data" if words[0] == "demo" else closed
    refused(iterdpo(*words, "--data", str(place)), closed)


def test_with_a_database_elsewhere_only_what_writes_files_is_refused(
    closed: Path, committed_database: str, tmp_path: Path
) -> None:
    url = {"DATABASE_URL": committed_database}
    assert iterdpo("user", "add", "anna", "--data", str(closed), **url).returncode == 0
    file = str(tmp_path / "b.tar")
    assert iterdpo("backup", file, "--data", str(closed), **url).returncode == 0
    refused(iterdpo("restore", file, "--force", "--data", str(closed), **url), closed)
    refused(iterdpo("serve", "--port", "1", "--data", str(closed), **url), closed)
    refused(iterdpo("backup", str(closed / "b.tar"), "--data", str(tmp_path), **url), closed)
