"""Imports done beside the worker's streams, a process each."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import jobs
from app.models import Import
from app.samples.imports import attempts
from app.samples.imports.upload_store import UploadStore
from worker.queue import Register, importing
from worker.supervisor import Supervisor


class ImportSupervisor(Supervisor):
    """Imports what was sent."""

    noun = "import"
    line = jobs.Line.IMPORTING
    module = "worker.import_process"

    def _jobs(self) -> Register:
        return importing(self._do, self._sweep)

    def _holds(self, db: Session, number: int, name: str) -> bool:
        return attempts.holds(db, import_id=number, worker=name)

    async def _died(self, number: int, name: str) -> None:
        dropped = await self._database.do(
            lambda db: attempts.died(db, import_id=number, worker=name)
        )
        if dropped is not None:
            await asyncio.to_thread(self._store.drop, dropped)

    async def _recover(self) -> Mapping[str, object]:
        found = await self._database.do(attempts.recover)
        for name in found.dropped:
            await asyncio.to_thread(self._store.drop, name)
        return asdict(found) if found else {}

    async def _sweep(self) -> None:
        # No folder is as old as the sweep asks for when its row has yet to be committed.
        uploads = await self._database.do(lambda db: db.scalars(select(Import.upload)).all())
        used = {name for name in uploads if name is not None}
        swept = await asyncio.to_thread(self._store.sweep, used)
        self._log.info("swept", folders=swept)

    @property
    def _store(self) -> UploadStore:
        return UploadStore(self._settings.uploads)
