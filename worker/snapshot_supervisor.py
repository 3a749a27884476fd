"""Snapshots built beside the worker's streams, a process each."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import jobs
from app.exports.snapshot_store import SnapshotStore
from app.models import Snapshot
from app.snapshots import attempts
from worker.queue import Register, packing
from worker.supervisor import Supervisor


class SnapshotSupervisor(Supervisor):
    """Builds snapshots."""

    noun = "snapshot"
    line = jobs.Line.PACKING
    module = "worker.snapshot_process"

    def _jobs(self) -> Register:
        return packing(self._do, self._sweep)

    def _holds(self, db: Session, number: int, name: str) -> bool:
        return attempts.holds(db, snapshot_id=number, worker=name)

    async def _died(self, number: int, name: str) -> None:
        await self._database.do(lambda db: attempts.died(db, snapshot_id=number, worker=name))

    async def _recover(self) -> Mapping[str, object]:
        found = await self._database.do(attempts.recover)
        return asdict(found) if found else {}

    async def _sweep(self) -> None:
        store = SnapshotStore(self._settings.snapshots)
        # Folders before rows: a folder whose row is committed in between is then not seen yet.
        there = await asyncio.to_thread(store.ids)
        known = set(await self._database.do(lambda db: db.scalars(select(Snapshot.id)).all()))
        swept = await asyncio.to_thread(store.sweep, known | (store.ids() - there))
        self._log.info("swept", folders=swept)
