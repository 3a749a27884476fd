"""Long work beside the worker's streams: a process for each, so that no stream waits for it.

A thread would do the work as well, but it would share the interpreter with the streams: their
text would wait for its turns. Measured in docs/decisions/0015-snapshots.md.
"""

import asyncio
import os
import random
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.database import jobs
from app.database.notifications import Hub
from app.settings import Settings
from worker.database import Database, first_line, is_away
from worker.queue import Queue, Register

# So long may a process take to leave no trace after it was told to stop.
_LEAVING_S = 8.0
_FIRST_SIGN_S = 60.0
_SILENT_LEASES = 3


class Supervisor(ABC):
    """Takes one kind of work from its queue, one at a time, whatever the engine is doing.

    noun: what is worked on, for the log. line: its queue. module: what a process runs, with the id
    as its argument.
    """

    noun: ClassVar[str]
    line: ClassVar[jobs.Line]
    module: ClassVar[str]

    def __init__(self, settings: Settings, url: str, hub: Hub, database: Database) -> None:
        self._settings = settings
        self._url = url
        self._database = database
        self._stopping = False
        self._child: asyncio.subprocess.Process | None = None
        self._queue = Queue(
            url,
            hub,
            line=self.line,
            register=self._jobs(),
            lease_s=settings.lease_s,
        )
        self._log = structlog.get_logger(f"{self.noun}s")

    async def run(self) -> None:
        """Work until cancelled or told to stop()."""
        keeping = asyncio.create_task(self._keep(), name=f"keeper of {self.noun}s")
        try:
            await self._queue.run(lambda: 1)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._end()

    def stop(self) -> None:
        """Take nothing more; run() returns once the process at work has given back its own."""
        self._stopping = True
        self._queue.stop()
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()

    async def _do(self, number: int) -> None:
        """The job: returns when its process has ended, in whatever way."""
        if self._stopping:
            # Nobody has taken it: whoever looks for what waits without a job finds it.
            return
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            # A directory `worker` where this was called is not ours.
            "-P",
            "-m",
            self.module,
            str(number),
            # Its end tells the child that this process has died.
            stdin=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        name = f"{socket.gethostname()}:{self._child.pid}"
        status = await self._end_of(self._child, number, name)
        if not status:
            return
        self._log.warning("process died", number=number, status=status)
        # Should this find no database: the lease runs out, and some worker's keeper hands it on.
        with suppress(SQLAlchemyError):
            await self._died(number, name)

    async def _end_of(self, child: asyncio.subprocess.Process, number: int, name: str) -> int:
        """Its exit status. One that gives no sign of life for some leases is ended."""
        lease_s = self._settings.lease_s
        # On a busy machine a process takes its time before its first sign.
        patience_s = max(_FIRST_SIGN_S, _SILENT_LEASES * lease_s)
        while patience_s > 0:
            try:
                return await asyncio.wait_for(child.wait(), lease_s)
            except TimeoutError:
                patience_s -= lease_s
            try:
                if await self._database.do(lambda db: self._holds(db, number, name)):
                    patience_s = _SILENT_LEASES * lease_s
            except SQLAlchemyError:
                # While the database is away nobody can give a sign of life.
                patience_s += lease_s
        child.kill()
        return await child.wait()

    async def _keep(self) -> None:
        """Hand on what dead processes held."""
        while True:
            # Not all workers at the same moment.
            await asyncio.sleep(self._settings.lease_s / 2 * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                found = await self._recover()
            except SQLAlchemyError as error:
                if not is_away(error):
                    self._log.warning("not kept", reason=first_line(error))
                continue
            if found:
                self._log.warning("recovered", **found)
            await self._queue.retry_stalled()

    async def _end(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _LEAVING_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    def _environment(self) -> dict[str, str]:
        """What the process must see as this process does, options of the command line included."""
        settings = self._settings
        return {
            **os.environ,
            "DATABASE_URL": self._url,
            "ITERDPO_DATA": str(settings.data),
            "ITERDPO_LEASE_S": str(settings.lease_s),
            "ITERDPO_LOG_JSON": str(settings.log_json),
            "ITERDPO_LOG_LEVEL": settings.log_level,
        }

    @abstractmethod
    def _jobs(self) -> Register:
        """The jobs of its queue: _do for each piece of work, _sweep once an hour."""

    @abstractmethod
    def _holds(self, db: Session, number: int, name: str) -> bool:
        """Whether that process holds its work, its lease not being over."""

    @abstractmethod
    async def _died(self, number: int, name: str) -> None:
        """Count the death of a process and hand on what it held."""

    @abstractmethod
    async def _recover(self) -> Mapping[str, object]:
        """Hand on what dead processes of all workers held; what it was, nothing if there was none.
        Called now and then."""

    @abstractmethod
    async def _sweep(self) -> None:
        """The hourly job: remove files that belong to nothing any more."""
