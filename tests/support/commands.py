"""The command line in processes of its own that need not import it anew.

A hundred commands would spend two minutes of CPU on imports alone. So one process imports all of
them, and each command is a fork of it (multiprocessing's fork server): its own arguments,
environment, standard streams and exit status. `python -m app.cli` is what the other tests start.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.cli import main
from app.cli.program import MODULES
from app.settings import ROOT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, *(f"app.cli.{name}" for name in set(MODULES.values()))])


def run_command(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    timeout_s: float = 120,
    start: Callable[[], object] = main,
) -> subprocess.CompletedProcess[str]:
    """`iterdpo` with these words, to its end. Raises TimeoutError, and ends it, after that.

    start: calls main() with something of the test's own around it.
    """
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as noted,
    ):
        given.write(stdin)
        given.seek(0)
        streams = [multiprocessing.reduction.DupFd(file.fileno()) for file in (given, said, noted)]
        command = _FORKS.Process(target=_command, args=([*words], {**environment}, streams, start))
        command.start()
        command.join(timeout_s)
        if command.exitcode is None:
            command.kill()
            command.join()
            raise TimeoutError(f"iterdpo {' '.join(words)} took more than {timeout_s} s")
        outputs = []
        for file in (said, noted):
            file.seek(0)
            outputs.append(file.read())
        return subprocess.CompletedProcess([*words], command.exitcode, *outputs)


def _command(
    words: list[str],
    environment: dict[str, str],
    streams: list[Any],
    start: Callable[[], object],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream.detach(), number)
    # multiprocessing has closed it, as it does in every child.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    os.chdir(ROOT)
    sys.argv = ["iterdpo", *words]
    start()
