"""One process tree: app and worker as children of this process, restarted when they crash.

A child is started in a session of its own, so Ctrl+C reaches only the supervisor, which stops the
children in order. Each child's standard input is a pipe from here; when the supervisor dies,
however it dies, the pipe ends and the child stops itself (`stop_with_parent`). That works on every
system, unlike the parent-death signal. The embedded database needs no place in the tree: every
process holds its lock, and the keeper stops it after the last one.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType

POLL_S = 0.1
TEND_S = 2.0
STOP_S = 10.0
START_S = 120.0
# A child that has run this long before it crashed is restarted at once.
STEADY_S = 60.0
LONGEST_PAUSE_S = 30.0
LOG_BYTES = 10_000_000


class StartError(RuntimeError):
    """The processes could not be started; the message says what to do."""


@dataclass(slots=True)
class Child:
    """A process to keep running, with its own log file."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    crashes: int = 0
    resume_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it; its output goes to the end of the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 (our own program and arguments)
                [*self.command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def ended(self) -> int | None:
        """Its exit status once it has ended, else None."""
        return self.process.poll() if self.process else None

    def stop(self, how: signal.Signals) -> None:
        """Ask (SIGTERM) or force (SIGKILL) it and everything it started to end."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how)

    def closed(self) -> None:
        """Release its pipe."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


def require_free_port(host: str, port: int) -> None:
    """Raises StartError when nothing can listen on that address, saying why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"Port {port} on {host} cannot be used: {error.strerror or error}. "
                f"Is IterDPO Studio running already? Choose another: make demo PORT={port + 1}, "
                f"or iterdpo demo --port {port + 1}."
            ) from error


def supervise(
    children: Sequence[Child],
    *,
    ready: Callable[[], bool],
    on_ready: Callable[[], None],
    tend: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """Run the children until SIGINT, SIGTERM or SIGHUP, then stop them.

    Calls on_ready once, when ready() first says yes, and tend every two seconds from then on. A
    child that ends is started again, after a pause that doubles from 0.5 s to 30 s while it keeps
    crashing. Raises StartError when one
    crashes before the first readiness, or when that does not come within two minutes.
    """
    with _stop_signals() as stop:
        try:
            for child in children:
                child.start()
            deadline = time.monotonic() + START_S
            while not stop.wait(POLL_S) and not ready():
                _require_running(children, deadline)
            if not stop.is_set():
                on_ready()
            tended = time.monotonic()
            while not stop.wait(POLL_S):
                for child in children:
                    _restart_if_ended(child, tell)
                if time.monotonic() - tended > TEND_S:
                    tend()
                    tended = time.monotonic()
        finally:
            stop.clear()
            _stop(children, stop)


def answers(host: str, port: int) -> bool:
    """True when GET /healthz there says 200."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (a comparison)
    connection = HTTPConnection(reachable, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def stop_with_parent() -> None:
    """For a supervised child: turn the end of standard input into SIGTERM for this process."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _require_running(children: Sequence[Child], deadline: float) -> None:
    for child in children:
        if (status := child.ended()) is not None:
            raise StartError(
                f"The {child.name} ended with status {status} before it was ready:\n"
                f"{_end_of(child.log)}"
            )
    if time.monotonic() > deadline:
        raise StartError(f"The app is not ready after {START_S:.0f} s:\n{_end_of(children[0].log)}")


def _restart_if_ended(child: Child, tell: Callable[[str], None]) -> None:
    now = time.monotonic()
    status = child.ended()
    if status is not None:
        child.closed()
        child.crashes = 1 if now - child.started > STEADY_S else child.crashes + 1
        pause = min(LONGEST_PAUSE_S, 0.25 * 2**child.crashes)
        child.resume_at = now + pause
        tell(
            f"The {child.name} ended with status {status}; starting it again in {pause:g} s. "
            f"Its log: {child.log}"
        )
    elif child.process is None and now >= child.resume_at:
        child.start()


def _stop(children: Sequence[Child], again: threading.Event) -> None:
    """SIGTERM to all, SIGKILL after 10 s or at a second Ctrl+C."""
    for child in children:
        child.stop(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while any(child.process and child.ended() is None for child in children):
        if again.wait(0.02) or time.monotonic() > deadline:
            for child in children:
                child.stop(signal.SIGKILL)
            deadline = time.monotonic() + STOP_S
            again.clear()
    for child in children:
        child.closed()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, instead of ending the process."""
    event = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        event.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _end_of(log: Path, lines: int = 12) -> str:
    kept = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join([*kept, f"(the whole log is {log})"])
