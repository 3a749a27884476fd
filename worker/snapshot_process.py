"""python -m worker.snapshot_process ID: builds one snapshot and ends (snapshot_supervisor.py)."""

import os
import signal
import socket
import sys
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app import logs
from app.database.sessions import Sessions, make_engine, make_sessions
from app.exports.snapshot_store import SnapshotStore
from app.images.store import ImageStore
from app.settings import Settings
from app.snapshots import attempts
from app.snapshots.builder import build

# Be the last to get the processor: regenerations have somebody waiting.
_NICENESS = 5


def main(snapshot_id: int) -> None:
    """Build it, if nobody else does; on SIGTERM, or when the parent dies, give it back."""
    # All threads inherit it: the one that waits for the signal is the only one to get it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # Ctrl+C reaches the whole terminal; the worker tells its builder what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = Settings()
    logs.configure(json=settings.log_json, level=settings.log_level)
    os.nice(_NICENESS)
    engine = make_engine(str(settings.database_url), pool=4)
    sessions = make_sessions(engine)
    name = f"{socket.gethostname()}:{os.getpid()}"
    threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    threading.Thread(
        target=_leave, args=(sessions, snapshot_id, name), name="leaving", daemon=True
    ).start()
    try:
        build(
            sessions,
            snapshot_id=snapshot_id,
            worker=name,
            store=SnapshotStore(settings.snapshots),
            images=ImageStore(settings.images),
            lease_s=settings.lease_s,
        )
    finally:
        engine.dispose()


def _leave(sessions: Sessions, snapshot_id: int, name: str) -> None:
    """When told to, give the snapshot back and end the process, whatever it is doing.

    An exception raised in the middle of a query would have to be survived by every layer
    between; as it is, the attempt counts no longer and the files are the next one's to remove.
    """
    signal.sigwait({signal.SIGTERM})
    try:
        with sessions.begin() as db:
            attempts.give_back(db, snapshot_id=snapshot_id, worker=name)
    except SQLAlchemyError as error:
        # The lease runs out, and some worker's keeper hands it on.
        structlog.get_logger("snapshots").warning("not given back", reason=type(error).__name__)
        os._exit(1)
    os._exit(0)


def _stop_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
