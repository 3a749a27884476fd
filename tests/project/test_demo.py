"""`iterdpo demo` as a person uses it: start, look, Ctrl+C, again; and what if it is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from app.database.postgres import embedded, running_url
from app.settings import ROOT


class Demo:
    """A running `iterdpo demo` in a session of its own, as a terminal gives it."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo", "--port", str(port), "--data", str(data)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self) -> str:
        """What it prints up to the line that says how to stop it."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl+C" in line:
                return "".join(lines)
        raise AssertionError(f"it ended: {''.join(lines)}")

    def interrupt(self) -> str:
        """Ctrl+C, as a terminal sends it: to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        rest, _ = self.process.communicate(timeout=30)
        return rest

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to it, wherever it hangs in the process tree."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if str(self.data) in words or process.cwd().startswith(str(self.data)):
                    found.append(process)
        return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with spaces, seeded by the first test that starts the demo in it."""
    return tmp_path_factory.mktemp("demo") / "a place with spaces" / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Callable[[], Demo]]:
    """Starts the demo on a free port, again and again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demos: list[Demo] = []

    def run() -> Demo:
        demos.append(Demo(data, port))
        return demos[-1]

    yield run
    for demo in demos:
        demo.process.kill()
        demo.process.communicate()
        for process in demo.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def healthy(demo: Demo) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{demo.port}/healthz", timeout=5).status_code == 200
    return False


def samples(url: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute("SELECT count(*) FROM samples").fetchone()
    return int(row[0]) if row else 0


def test_the_demo_starts_stops_and_starts_again_with_everything_there(
    start: Callable[[], Demo],
) -> None:
    demo = start()
    said = demo.wait_until_ready()
    assert f"http://localhost:{demo.port}" in said
    assert "demo-annotator" in said
    assert healthy(demo)
    page = httpx.get(f"http://127.0.0.1:{demo.port}/login", timeout=5)
    assert page.status_code == 200
    assert "<title>" in page.text
    url = running_url(demo.data)
    assert url is not None
    before = samples(url)
    assert before > 0

    assert demo.interrupt().endswith("Stopped.\n")
    assert demo.process.returncode == 0
    assert demo.processes() == []
    log = (demo.data / "logs" / "postgresql.log").read_text()
    assert log.rstrip().endswith("database system is shut down")

    again = start()
    again.wait_until_ready()
    assert healthy(again)
    assert samples(url) == before
    again.process.terminate()
    assert again.process.wait(30) == 0
    assert again.processes() == []


def test_a_taken_port_is_said_before_anything_starts(start: Callable[[], Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    second = start()
    said, _ = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert f"Port {demo.port} on 127.0.0.1 cannot be used" in said
    assert "Traceback" not in said
    assert healthy(demo)


def test_killed_parts_come_back(start: Callable[[], Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    parts = {
        word: process
        for process in demo.processes()
        for word in ("serve", "demo-worker", "keep")
        if word in process.cmdline()
    }
    parts["serve"].kill()
    parts["demo-worker"].kill()
    psutil.Process(int((demo.data / "postgres" / "postmaster.pid").read_text().split()[0])).kill()
    until(lambda: not parts["serve"].is_running() or not healthy(demo))
    until(lambda: healthy(demo))
    parts["keep"].kill()
    until(lambda: not healthy(demo))
    until(lambda: healthy(demo))
    demo.interrupt()
    assert demo.processes() == []


def test_nothing_is_left_when_the_supervisor_is_killed(start: Callable[[], Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    log = demo.data / "logs" / "postgresql.log"
    before = len(log.read_text())
    demo.process.kill()
    until(lambda: demo.processes() == [])
    with embedded(demo.data) as url:
        assert samples(url) > 0
    assert "not properly shut down" not in log.read_text()[before:]
