"""python -m worker.building ID: builds one snapshot and ends; see worker/packing.py."""

import os
import signal
import socket
import sys
import threading
from types import FrameType

from app import logs
from app.db import make_engine, make_sessions
from app.images.store import ImageStore
from app.pairs.snapshots.building import build
from app.pairs.snapshots.store import SnapshotStore
from app.settings import Settings

# Be the last to get the processor: regenerations have somebody waiting.
_NICENESS = 5


def main(snapshot_id: int) -> None:
    """Build it, if nobody else does; on SIGTERM, or when the parent dies, give it back."""
    settings = Settings()
    logs.configure(json=settings.log_json, level=settings.log_level)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, _stop)
    # Ctrl+C reaches the whole terminal; the worker tells its builder what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    engine = make_engine(str(settings.database_url), pool=4)
    try:
        build(
            make_sessions(engine),
            snapshot_id=snapshot_id,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            store=SnapshotStore(settings.snapshots),
            images=ImageStore(settings.images),
            lease_s=settings.lease_s,
        )
    except KeyboardInterrupt:
        # It is in the queue again.
        return
    finally:
        engine.dispose()


def _stop(number: int, frame: FrameType | None) -> None:
    # Once is enough: giving it back must not be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _stop_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
