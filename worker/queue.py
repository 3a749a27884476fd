"""The worker's side of the job queue: fetches jobs, and comes back when the database does."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import procrastinate
import psycopg
import structlog
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Notification
from procrastinate.worker import Worker
from sqlalchemy.exc import DBAPIError

from app.database import jobs
from app.database.notifications import Hub
from worker.database import is_away

# How long a job waits at most whose notification was lost or whose delay has ended. Nobody watches
# a snapshot or an import grow word by word.
_POLL_S = {jobs.Line.WRITING: 4.0, jobs.Line.PACKING: 8.0, jobs.Line.IMPORTING: 8.0}
_LOOK_AGAIN_S = 0.03
_LOOK_OFTEN_S = 0.5
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 3.0
_STOPPING_S = 10.0
# So long ago may the outage have been for which a listener or a heartbeat fails now.
_OUTAGE_S = 60.0

Job = Callable[[int], Awaitable[None]]
Tidy = Callable[[], Awaitable[None]]
Takes = Callable[[], bool]
Register = Callable[[procrastinate.App], None]


def writing(regenerate: Job, tidy: Tidy) -> Register:
    """The jobs of jobs.Line.WRITING, done by these."""

    def register(app: procrastinate.App) -> None:
        @app.task(name=jobs.Task.REGENERATE.value, queue=jobs.Line.WRITING.value)
        async def regenerate_one(regeneration_id: int) -> None:
            await regenerate(regeneration_id)

        # Without any periodic task the library would not notice that its listener has died.
        @app.periodic(cron="17 * * * *")
        @app.task(
            name=jobs.Task.TIDY.value,
            queue=jobs.Line.WRITING.value,
            priority=jobs.Priority.BATCH.value,
        )
        async def tidy_up(timestamp: int) -> None:
            await tidy()
            await app.job_manager.delete_old_jobs(
                nb_hours=24, include_failed=True, include_cancelled=True, include_aborted=True
            )

    return register


def packing(snapshot: Job, sweep: Tidy) -> Register:
    """The jobs of jobs.Line.PACKING, done by these."""

    def register(app: procrastinate.App) -> None:
        @app.task(name=jobs.Task.SNAPSHOT.value, queue=jobs.Line.PACKING.value)
        async def build_one(snapshot_id: int) -> None:
            await snapshot(snapshot_id)

        @app.periodic(cron="37 * * * *")
        @app.task(name=jobs.Task.SWEEP.value, queue=jobs.Line.PACKING.value)
        async def sweep_up(timestamp: int) -> None:
            await sweep()

    return register


def importing(import_one: Job, sweep: Tidy) -> Register:
    """The jobs of jobs.Line.IMPORTING, done by these."""

    def register(app: procrastinate.App) -> None:
        @app.task(name=jobs.Task.IMPORT.value, queue=jobs.Line.IMPORTING.value)
        async def do_one(import_id: int) -> None:
            await import_one(import_id)

        @app.periodic(cron="47 * * * *")
        @app.task(name=jobs.Task.CLEAR_UPLOADS.value, queue=jobs.Line.IMPORTING.value)
        async def clear_uploads(timestamp: int) -> None:
            await sweep()

    return register


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the library says what we do not: not that the database is away.

    A filter for handlers; the library logs a traceback for each of its tasks in an outage.
    """
    if not record.name.startswith("procrastinate") or not record.exc_info:
        return True
    error: BaseException | None = record.exc_info[1]
    while error is not None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | ConnectionError):
            return False
        if isinstance(error, DBAPIError) and is_away(error):
            return False
        error = error.__cause__ or error.__context__
    return True


class Queue:
    """Runs jobs, at most as many at once as there is room for, until it is told to stop.

    line: which jobs. takes: whether new jobs are fetched just now, asked before each fetch.

    A job that the library gives up (it does so with all when the database is gone) is only let go
    of here: what it began goes on by itself.
    """

    def __init__(
        self,
        url: str,
        hub: Hub,
        *,
        line: jobs.Line,
        register: Register,
        lease_s: float,
        takes: Takes = lambda: True,
    ) -> None:
        self._url = url
        self._hub = hub
        self._line = line
        self._register = register
        self._lease_s = lease_s
        self._takes = takes
        self._worker: _Worker | None = None
        self._stopping = False
        self._log = structlog.get_logger("worker")

    async def run(self, room: Callable[[], int]) -> None:
        """Fetch and run jobs. room: how many may run at once, asked at each new beginning."""
        pause = _FIRST_PAUSE_S
        while not self._stopping:
            await self._hub.listening()
            began = asyncio.get_running_loop().time()
            failure = ""
            try:
                await self._fetch(max(1, room()))
            except (ProcrastinateException, psycopg.Error, OSError) as error:
                failure = str(error.__cause__ or error)
            if self._stopping:
                return
            lasted = asyncio.get_running_loop().time() - began
            pause = _FIRST_PAUSE_S if lasted > 60 else min(2 * pause, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause)
            if failure and not self._hub.was_lost(time.monotonic() - _OUTAGE_S):
                self._log.warning("queue is away", reason=" ".join(failure.split()))

    def stop(self) -> None:
        """Fetch nothing more; run() returns once the running jobs have ended."""
        self._stopping = True
        if self._worker is not None:
            self._worker.shutdown_graceful_timeout = _STOPPING_S
            self._worker.stop()  # type: ignore[no-untyped-call] # the library has no type for it

    def look_again(self, within_s: float) -> None:
        """Look for jobs twice a second for so long: one whose delay ends has no notification."""
        loop = asyncio.get_running_loop()
        for turn in range(int(within_s / _LOOK_OFTEN_S) + 1):
            loop.call_later(turn * _LOOK_OFTEN_S + _LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        if self._worker is not None:
            self._worker.look()

    async def retry_stalled(self) -> None:
        """Put back the jobs of workers that died over them."""
        if self._worker is None or self._worker.worker_id is None:
            return
        with suppress(ProcrastinateException, psycopg.Error):
            manager = self._worker.app.job_manager
            for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._lease_s):
                await manager.retry_job(job)

    async def _fetch(self, concurrency: int) -> None:
        app = jobs.make_app(self._url)
        self._register(app)
        async with app.open_async():
            self._worker = _Worker(
                app,
                queues=[self._line.value],
                concurrency=concurrency,
                fetch_job_polling_interval=_POLL_S[self._line],
                shutdown_graceful_timeout=0,
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=self._lease_s / 3,
                stalled_worker_timeout=self._lease_s,
            )
            self._worker.takes = self._takes
            try:
                await self._worker.run()  # type: ignore[no-untyped-call] # the same
            finally:
                self._worker = None


class _Worker(Worker):
    """Fetches only while it may, and once more a little after each notification.

    The library forgets a notification that comes while a fetch is on its way back with nothing;
    its job would wait for the next poll.
    """

    takes: Takes

    def look(self) -> None:
        """Fetch now, as after a notification."""
        self._new_job_event.set()

    async def _fetch_and_process_jobs(self) -> None:
        if self.takes():
            await super()._fetch_and_process_jobs()  # type: ignore[no-untyped-call] # the same
        else:
            # Left set, the library would ask again at once, without end.
            self._new_job_event.clear()

    async def _handle_notification(self, *, channel: str, notification: Notification) -> None:
        await super()._handle_notification(channel=channel, notification=notification)
        asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self.look)
