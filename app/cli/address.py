"""The address of the studio that runs on a data directory, for commands that tell people of it.

Each app keeps a file with its address in `run/` and a lock on it. The kernel gives the lock up when
the process ends, however it ends, so a file without a lock is of an app that is gone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.settings import Settings

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (a comparison)
HERE = ("127.0.0.1", "::1")


@contextmanager
def announced(settings: Settings) -> Iterator[None]:
    """Let commands find the app of this process for as long as the block runs."""
    place = _place(settings)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / f"app-{settings.port}.address"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Whoever holds it is ending: its port is free already.
        fcntl.flock(file, fcntl.LOCK_EX)
        os.ftruncate(file, 0)
        os.pwrite(file, own(settings).encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def own(settings: Settings) -> str:
    """The address that these settings give an app, as people type it."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = "localhost" if settings.host in (*EVERYWHERE, *HERE) else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def of_studio(settings: Settings) -> str:
    """Where people reach the studio: the public address, else that of the app that runs on this
    data directory (of several the one that started last), else where one would listen.
    """
    if settings.public_url:
        return own(settings)
    found = sorted(_place(settings).glob("app-*.address"), key=_started, reverse=True)
    return next((text for path in found if (text := _kept(path))), own(settings))


def _place(settings: Settings) -> Path:
    return settings.data.expanduser().absolute() / "run"


def _started(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _kept(path: Path) -> str:
    """The address in the file if its app is running, else ""."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().decode()
    except OSError:
        # Not for this user, or gone just now.
        return ""
    return ""
