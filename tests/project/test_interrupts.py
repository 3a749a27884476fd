"""Ctrl+C in any moment of a command: status 130, no trace, and all of its work or nothing."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest

from app.cli import main
from app.settings import ROOT
from tests.support.commands import run_command

# Python calls and returns in the life of the command; it has some twenty thousand of them.
MOMENTS = 24
# What the command is, from the moment on in which it is ours and not yet Python's.
LOADS = """
import signal, sys
from app.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["iterdpo", "worker"]
from app.cli import interrupts
interrupts.leave_at_once()
print("begins", flush=True)
main()
"""


def interrupted(at: int, told: Path) -> None:
    """The command, with SIGINT at that moment of it (0: never); tells how many it had."""
    moments = 0

    def look(*_: object) -> None:
        nonlocal moments
        moments += 1
        if moments == at:
            signal.raise_signal(signal.SIGINT)

    # As at a terminal, also where the tests run in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(look)
    try:
        main()
    finally:
        sys.setprofile(None)
        told.write_text(str(moments))


def add_project(url: str, place: Path, name: str, at: int = 0) -> tuple[int, str, int]:
    """The exit status of `project add`, what it noted, how many moments it had."""
    told = place / "moments"
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "ITERDPO_DATA": str(place)}
    start = partial(interrupted, at, told)
    done = run_command(["project", "add", name], environment, start=start)
    return done.returncode, done.stderr, int(told.read_text()) if told.exists() else 0


def projects(url: str) -> set[str]:
    with psycopg.connect(url) as db:
        return {name for (name,) in db.execute("SELECT name FROM projects")}


def test_an_interrupt_in_any_moment_is_the_interrupt_that_is_promised(
    committed_database: str, tmp_path: Path
) -> None:
    status, said, moments = add_project(committed_database, tmp_path, "whole")
    assert (status, said) == (0, "")
    assert moments > MOMENTS
    for number in range(MOMENTS):
        # The very first are those of Python, before the command has begun.
        at = 50 + number * moments // MOMENTS
        status, said, _ = add_project(committed_database, tmp_path, f"project-{number}", at)
        assert (status, said) == (130, ""), f"at {at} of {moments}"
    # What was interrupted early did nothing; from the commit on the work is done.
    added = [f"project-{number}" in projects(committed_database) for number in range(MOMENTS)]
    assert added == sorted(added)
    assert not all(added)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3])
def test_an_interrupt_while_the_command_loads_leaves_no_trace(
    after_s: float, committed_database: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOADS],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": committed_database, "ITERDPO_DATA": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        command.stdout.readline()
        time.sleep(after_s)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=60)
    assert (command.returncode, said) == (130, "")
