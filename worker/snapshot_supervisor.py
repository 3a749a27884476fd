"""Snapshots built beside the worker's streams: a process each, so that no stream waits for one.

A thread would do the work as well, but it would share the interpreter with the streams: their
text would wait for its turns. Measured in docs/decisions/0015-snapshots.md.
"""

import asyncio
import os
import random
import socket
import sys
from contextlib import suppress
from dataclasses import asdict

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.database import jobs
from app.database.notifications import Hub
from app.exports.snapshot_store import SnapshotStore
from app.models import Snapshot
from app.settings import Settings
from app.snapshots import attempts
from worker.database import Database, first_line, is_away
from worker.queue import Queue, packing

# So long may a builder take to leave no trace after it was told to stop.
_LEAVING_S = 8.0
_FIRST_SIGN_S = 60.0
_SILENT_LEASES = 3


class Packing:
    """Takes snapshots from their queue, one at a time, whatever the engine is doing."""

    def __init__(self, settings: Settings, url: str, hub: Hub, database: Database) -> None:
        self._settings = settings
        self._url = url
        self._database = database
        self._stopping = False
        self._builder: asyncio.subprocess.Process | None = None
        self._queue = Queue(
            url,
            hub,
            line=jobs.Line.PACKING,
            register=packing(self._build, self._sweep),
            lease_s=settings.lease_s,
        )
        self._log = structlog.get_logger("packing")

    async def run(self) -> None:
        """Work until cancelled or told to stop()."""
        keeping = asyncio.create_task(self._keep(), name="keeper of snapshots")
        try:
            await self._queue.run(lambda: 1)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._end()

    def stop(self) -> None:
        """Take nothing more; run() returns once the builder at work has given back its own."""
        self._stopping = True
        self._queue.stop()
        if self._builder is not None and self._builder.returncode is None:
            self._builder.terminate()

    async def _build(self, snapshot_id: int) -> None:
        """The job: returns when its builder has ended, in whatever way."""
        if self._stopping:
            # Nobody has taken it: whoever looks for snapshots without a job finds it.
            return
        self._builder = await asyncio.create_subprocess_exec(
            sys.executable,
            # A directory `worker` where this was called is not ours.
            "-P",
            "-m",
            "worker.snapshot_process",
            str(snapshot_id),
            # Its end tells the builder that this process has died.
            stdin=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        name = f"{socket.gethostname()}:{self._builder.pid}"
        status = await self._end_of(self._builder, snapshot_id, name)
        if not status:
            return
        self._log.warning("builder died", snapshot=snapshot_id, status=status)
        # Should this find no database: the lease runs out, and some worker's keeper hands it on.
        with suppress(SQLAlchemyError):
            await self._database.do(
                lambda db: attempts.died(db, snapshot_id=snapshot_id, worker=name)
            )

    async def _end_of(
        self, builder: asyncio.subprocess.Process, snapshot_id: int, name: str
    ) -> int:
        """Its exit status. One that gives no sign of life for some leases is ended."""
        lease_s = self._settings.lease_s
        # On a busy machine a process takes its time before its first sign.
        patience_s = max(_FIRST_SIGN_S, _SILENT_LEASES * lease_s)
        while patience_s > 0:
            try:
                return await asyncio.wait_for(builder.wait(), lease_s)
            except TimeoutError:
                patience_s -= lease_s
            try:
                if await self._database.do(
                    lambda db: attempts.holds(db, snapshot_id=snapshot_id, worker=name)
                ):
                    patience_s = _SILENT_LEASES * lease_s
            except SQLAlchemyError:
                # While the database is away nobody can give a sign of life.
                patience_s += lease_s
        builder.kill()
        return await builder.wait()

    async def _keep(self) -> None:
        """Hand on what dead builders held."""
        while True:
            # Not all workers at the same moment.
            await asyncio.sleep(self._settings.lease_s / 2 * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                found = await self._database.do(attempts.recover)
            except SQLAlchemyError as error:
                if not is_away(error):
                    self._log.warning("snapshots not kept", reason=first_line(error))
                continue
            if found:
                self._log.warning("recovered snapshots", **asdict(found))
            await self._queue.retry_stalled()

    async def _sweep(self) -> None:
        """The hourly job."""
        store = SnapshotStore(self._settings.snapshots)
        # Folders before rows: a folder whose row is committed in between is then not seen yet.
        there = await asyncio.to_thread(store.ids)
        known = set(await self._database.do(lambda db: db.scalars(select(Snapshot.id)).all()))
        swept = await asyncio.to_thread(store.sweep, known | (store.ids() - there))
        self._log.info("swept", folders=swept)

    async def _end(self) -> None:
        builder = self._builder
        if builder is None or builder.returncode is not None:
            return
        builder.terminate()
        try:
            await asyncio.wait_for(builder.wait(), _LEAVING_S)
        except TimeoutError:
            builder.kill()
            await builder.wait()

    def _environment(self) -> dict[str, str]:
        """What the builder must see as this process does, options of the command line included."""
        settings = self._settings
        return {
            **os.environ,
            "DATABASE_URL": self._url,
            "ITERDPO_DATA": str(settings.data),
            "ITERDPO_LEASE_S": str(settings.lease_s),
            "ITERDPO_LOG_JSON": str(settings.log_json),
            "ITERDPO_LOG_LEVEL": settings.log_level,
        }
