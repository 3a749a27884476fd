"""A whole studio of real processes for tests: database, app, worker, each of them killable."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
from sqlalchemy.orm import Session, sessionmaker

from app.database.migrate import upgrade
from app.database.postgres import embedded
from app.database.sessions import make_engine, make_sessions
from app.images.store import ImageStore
from app.models import Image, LoginSession, User, now
from app.security import SESSION_COOKIE, digest, new_secret

# A limit for what hangs: on a busy machine a start alone takes a minute.
START_S = 240.0
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Studio:
    """Its parts by name; start() and kill() work on "app" and "worker", kill_database() on it."""

    data: Path
    port: int
    sessions: sessionmaker[Session]
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the app answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str, *words: str, **settings: str) -> None:
        """Start the app or a worker ("worker", "worker2" …); the app once it answers.

        words and settings: more for the command line and the environment of this process.
        """
        command = "serve" if name == "app" else "worker"
        log = (self.data / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", "app.cli", command, *words],
            env=self.environment | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        if name == "app":
            self._wait(name)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; after SIGKILL and SIGTERM, wait for the end."""
        process = self.running[name]
        process.send_signal(how)
        if how in (signal.SIGKILL, signal.SIGTERM):
            process.wait(120)
            del self.running[name]

    def kill_database(self) -> None:
        """kill -9 the server's first process, as the out-of-memory killer would."""
        pid_file = self.data / "postgres" / "postmaster.pid"
        process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        process.kill()

    def keep_image(self, data: bytes) -> str:
        """Put an image into the store, with its row; its SHA-256."""
        facts = ImageStore(self.data / "images").add(data).facts
        with self.sessions.begin() as db:
            if db.get(Image, facts.sha256) is None:
                db.add(
                    Image(
                        sha256=facts.sha256,
                        format=facts.format,
                        width=facts.width,
                        height=facts.height,
                        size=facts.size,
                    )
                )
        return facts.sha256

    def log_in(self, user: User) -> str:
        """The cookie's value of a new log-in."""
        token = new_secret()
        with self.sessions.begin() as db:
            db.add(
                LoginSession(
                    user_id=user.id,
                    token_hash=digest(token),
                    expires_at=now() + timedelta(days=1),
                )
            )
        return token

    def client(self, user: User) -> httpx.Client:
        """A browser's requests, logged in."""
        return httpx.Client(
            base_url=self.url,
            cookies={SESSION_COOKIE: self.log_in(user)},
            headers=SAME_ORIGIN,
            timeout=30,
        )

    def stop(self) -> None:
        """End every process that is left."""
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running.values():
            process.wait(120)
        self.running.clear()

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.running[name].poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        log = (self.data / f"{name}.log").read_text()
        raise AssertionError(f"{name} does not answer:\n{log[-4000:]}")


@contextmanager
def studio(data: Path, **settings: str) -> Iterator[Studio]:
    """A migrated, empty studio on a free port; nothing runs in it but the database.

    settings: environment variables, such as ITERDPO_REPLAY_WORDS_PER_S.
    """
    with embedded(data) as url:
        upgrade(url)
        engine = make_engine(url)
        port = _free_port()
        environment = os.environ | {
            "ITERDPO_DATA": str(data),
            "ITERDPO_PORT": str(port),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        made = Studio(data, port, make_sessions(engine), environment | settings)
        try:
            yield made
        finally:
            made.stop()
            engine.dispose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
