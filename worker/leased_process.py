"""A process that does one piece of work and ends; a supervisor starts it (worker/supervisor.py)."""

import os
import signal
import socket
import threading
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import logs
from app.database.sessions import Sessions, make_engine, make_sessions
from app.settings import Settings

# Be the last to get the processor: regenerations have somebody waiting.
_NICENESS = 5


class Do(Protocol):
    """Does the work, if nobody else does."""

    def __call__(self, settings: Settings, sessions: Sessions, number: int, name: str) -> object:
        """number: the id of the work. name: of this process, as the work's row has it."""


class GiveBack(Protocol):
    """Lets another process begin it afresh."""

    def __call__(self, db: Session, number: int, name: str) -> object:
        """The same two; in a transaction that is committed afterwards."""


def main(number: int, do: Do, give_back: GiveBack) -> None:
    """Do it; on SIGTERM, or when the parent dies, give it back and end."""
    # All threads inherit it: the one that waits for the signal is the only one to get it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # Ctrl+C reaches the whole terminal; the worker tells its processes what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = Settings()
    logs.configure(json=settings.log_json, level=settings.log_level)
    os.nice(_NICENESS)
    engine = make_engine(str(settings.database_url), pool=4)
    sessions = make_sessions(engine)
    name = f"{socket.gethostname()}:{os.getpid()}"
    threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    threading.Thread(
        target=_leave, args=(sessions, number, name, give_back), name="leaving", daemon=True
    ).start()
    try:
        do(settings, sessions, number, name)
    finally:
        engine.dispose()


def _leave(sessions: Sessions, number: int, name: str, give_back: GiveBack) -> None:
    """When told to, give the work back and end the process, whatever it is doing.

    An exception raised in the middle of a query would have to be survived by every layer
    between; as it is, the attempt counts no longer and the files are the next one's to remove.
    """
    signal.sigwait({signal.SIGTERM})
    try:
        with sessions.begin() as db:
            give_back(db, number, name)
    except SQLAlchemyError as error:
        # The lease runs out, and some worker's keeper hands it on.
        structlog.get_logger("worker").warning("not given back", reason=type(error).__name__)
        os._exit(1)
    os._exit(0)


def _stop_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
