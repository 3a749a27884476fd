"""python -m worker.snapshot_process ID: builds one snapshot and ends (snapshot_supervisor.py)."""

import sys

from sqlalchemy.orm import Session

from app.database.sessions import Sessions
from app.exports.snapshot_store import SnapshotStore
from app.images.store import ImageStore
from app.settings import Settings
from app.snapshots import attempts
from app.snapshots.builder import build
from worker.leased_process import main


def _build(settings: Settings, sessions: Sessions, number: int, name: str) -> None:
    build(
        sessions,
        snapshot_id=number,
        worker=name,
        store=SnapshotStore(settings.snapshots),
        images=ImageStore(settings.images),
        lease_s=settings.lease_s,
    )


def _give_back(db: Session, number: int, name: str) -> None:
    attempts.give_back(db, snapshot_id=number, worker=name)


if __name__ == "__main__":
    main(int(sys.argv[1]), _build, _give_back)
