"""The process tree: started together, restarted after a crash, ended together, whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.supervise import StartError, require_free_port

SUPERVISOR = """
import sys
from pathlib import Path
from app.supervise import Child, StartError, supervise

place = Path(sys.argv[1])
child = [sys.executable, "-c", Path(sys.argv[2]).read_text(), str(place)]
try:
    supervise(
        [Child("first", child, place / "first.log"), Child("second", child, place / "second.log")],
        ready=lambda: len(list(place.glob("*.pid"))) >= 2,
        on_ready=lambda: print("ready", flush=True),
        tend=lambda: None,
        tell=lambda text: print(text, flush=True),
    )
except StartError as error:
    sys.exit(str(error))
print("stopped", flush=True)
"""

OBEDIENT = """
import os, sys, time
from pathlib import Path
from app.supervise import stop_with_parent
stop_with_parent()
Path(sys.argv[1], f"{os.getpid()}.pid").touch()
time.sleep(600)
"""

STUBBORN = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(sys.argv[1], f"{os.getpid()}.pid").touch()
time.sleep(600)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a supervisor over two children of that script, and ends all of it afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        (tmp_path / "child.py").write_text(script)
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(tmp_path), str(tmp_path / "child.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for pid in children(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(place: Path) -> list[int]:
    """The children that live now."""
    alive = []
    for path in place.glob("*.pid"):
        with suppress(psutil.Error):
            if psutil.Process(int(path.stem)).status() != psutil.STATUS_ZOMBIE:
                alive.append(int(path.stem))
    return alive


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child(
    tmp_path: Path, supervisor: Callable[[str], subprocess.Popen[str]], how: signal.Signals
) -> None:
    process = supervisor(OBEDIENT)
    assert line(process) == "ready\n"
    assert len(children(tmp_path)) == 2
    os.killpg(process.pid, how)
    assert process.communicate(timeout=10)[0] == "stopped\n"
    assert process.returncode == 0
    assert children(tmp_path) == []


def test_a_crashed_child_is_started_again(
    tmp_path: Path, supervisor: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = supervisor(OBEDIENT)
    assert line(process) == "ready\n"
    crashed = children(tmp_path)[0]
    os.kill(crashed, signal.SIGKILL)
    assert "ended with status -9" in line(process)
    until(lambda: crashed not in children(tmp_path) and len(children(tmp_path)) == 2)


def test_children_end_when_the_supervisor_is_killed(
    tmp_path: Path, supervisor: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = supervisor(OBEDIENT)
    assert line(process) == "ready\n"
    process.kill()
    until(lambda: children(tmp_path) == [])


def test_a_second_interrupt_ends_children_that_do_not_listen(
    tmp_path: Path, supervisor: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = supervisor(STUBBORN)
    assert line(process) == "ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert len(children(tmp_path)) == 2
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5)[0] == "stopped\n"
    assert children(tmp_path) == []


def test_a_child_that_cannot_start_is_a_message_with_its_log(
    supervisor: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = supervisor("raise SystemExit('the reason')")
    _, error = process.communicate(timeout=10)
    assert "ended with status 1 before it was ready" in error
    assert "the reason" in error


def test_a_taken_port_is_a_message_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} .*already in use.*PORT={port + 1}"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)
