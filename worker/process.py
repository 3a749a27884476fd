"""The worker process: start-up, main loop, and a shutdown that loses no word."""

import asyncio
import logging
import os
import random
import signal
import socket
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import asdict

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app import logs, regenerations
from app.database import jobs
from app.database.notifications import WORKERS, Hub, Watch
from app.database.sessions import make_engine, make_sessions
from app.policies.loading import CHANGED
from app.regenerations import Ending
from app.settings import Settings
from worker import candidates, metrics
from worker.database import THREADS, Database, first_line, is_away
from worker.engine import Engine, EngineError, Failure
from worker.engines import engine_for
from worker.import_supervisor import ImportSupervisor
from worker.policies import Policies
from worker.queue import Queue, is_news, writing
from worker.snapshot_supervisor import SnapshotSupervisor
from worker.streams import Release, Stream
from worker.vllm import Launch
from worker.writer import Writer, about

# Beside the threads of Database, for what an engine reads by itself.
_ENGINE_CONNECTIONS = 8
# A busy machine may hold a transaction up for a moment; the lease says nothing of that.
_SHORTEST_IDLE_S = 5.0
_RETRY_S = 2.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
# An outage costs a regeneration one attempt. After so many it is its text that the server fails at.
_FREE_ATTEMPTS = 20


def main(settings: Settings, url: str, launch: Launch | None = None) -> None:
    """Work until SIGTERM or SIGINT; then give back what is being written and end.

    launch: how to start a vLLM of the worker's own.
    """
    logs.configure(json=settings.log_json, level=settings.log_level)
    quieten_libraries()

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await run(settings, url, stop, launch=launch)

    with metrics.served(settings):
        asyncio.run(work())


def quieten_libraries() -> None:
    """Each job and each try to connect would be a line or a traceback; our own say it once."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(is_news)


async def run(
    settings: Settings,
    url: str,
    stop: asyncio.Event,
    engine: Engine | None = None,
    *,
    launch: Launch | None = None,
) -> None:
    """Work until `stop` is set. engine: unless one is given, what launch or the settings say."""
    # Paused in the middle of a transaction, a worker would keep others from what it has locked.
    database_engine = make_engine(
        url,
        pool=THREADS + _ENGINE_CONNECTIONS,
        idle_in_transaction_s=max(settings.lease_s, _SHORTEST_IDLE_S),
    )
    sessions = make_sessions(database_engine)
    try:
        async with Hub(url, channel=WORKERS) as hub, AsyncExitStack() as stack:
            if engine is None:
                engine = await stack.enter_async_context(engine_for(settings, sessions, launch))
            watch = await stack.enter_async_context(hub.watch(CHANGED))
            await _Worker(settings, url, hub, watch, Database(sessions, hub), engine).run(stop)
    finally:
        database_engine.dispose()


class _Worker:
    def __init__(
        self,
        settings: Settings,
        url: str,
        hub: Hub,
        watch: Watch,
        database: Database,
        engine: Engine,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.streams = settings.worker_streams
        self.lease_s = settings.lease_s
        self.timeout_s = settings.regeneration_timeout_s
        self.hub = hub
        self.database = database
        self.engine = engine
        self.policies = Policies(database, watch, engine, worker=self.name)
        self.stopping = False
        # None: not known yet.
        self.usable: bool | None = None
        # The engine has failed in a way that may pass: it is to be checked before the next job.
        self.doubted = asyncio.Event()
        self.writer = Writer(database, lease_s=self.lease_s)
        self.queue = Queue(
            url,
            hub,
            line=jobs.Line.WRITING,
            register=writing(self.regenerate, self.tidy),
            lease_s=self.lease_s,
            takes=lambda: not self.doubted.is_set(),
        )
        # Beside the streams, and without an engine.
        self.supervisors = (
            SnapshotSupervisor(settings, url, hub, database),
            ImportSupervisor(settings, url, hub, database),
        )
        self.log = structlog.get_logger("worker").bind(worker=self.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Write, pack and import until `stop` is set. Only writing waits for an engine."""
        aside = [asyncio.create_task(each.run(), name=f"{each.noun}s") for each in self.supervisors]
        writing = asyncio.create_task(self.write(stop), name="writing")
        try:
            await asyncio.wait((*aside, writing), return_when=asyncio.FIRST_COMPLETED)
            for task in aside:
                if task.done():
                    # It never returns by itself: a fault that a restart may heal.
                    task.result()
            await writing
        finally:
            self.stop_aside()
            await asyncio.wait(aside, timeout=self.lease_s)
            await _end(*aside, writing)
            self.database.close()

    def stop_aside(self) -> None:
        """Have the supervisors take nothing more."""
        for each in self.supervisors:
            each.stop()

    async def write(self, stop: asyncio.Event) -> None:
        """Regenerate until `stop` is set."""
        stopped = asyncio.create_task(stop.wait())
        ready = asyncio.create_task(self.prepare())
        await asyncio.wait((stopped, ready), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await _end(ready)
            return
        ready.result()
        tasks = [
            asyncio.create_task(self.writer.run(), name="writer"),
            asyncio.create_task(self.keep(), name="keeper"),
            asyncio.create_task(self.check(), name="checker"),
            asyncio.create_task(self.policies.follow(self.doubted.set), name="policies"),
            asyncio.create_task(
                self.queue.run(lambda: self.streams - len(self.writer.streams)), name="queue"
            ),
        ]
        self.log.info("ready", streams=self.streams, engine=self.engine.policy.engine)
        try:
            await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                # None of them ever returns by itself: a fault that a restart may heal.
                for task in tasks:
                    if task.done():
                        task.result()
            await self.drain(tasks[-1])
        finally:
            await _end(stopped, *tasks)
            self.writer.close()
            with suppress(SQLAlchemyError):
                await self.policies.leave()
        self.log.info("stopped")

    async def prepare(self) -> None:
        """Wait for the database and the engine, and choose what to write with."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self.hub.listening()
                await self.engine.check()
                await self.policies.refresh()
            except EngineError as error:
                self.lose_engine()
                self.log.error("engine is not usable", reason=error.message)
                with suppress(SQLAlchemyError):
                    await self.policies.trouble(error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            except SQLAlchemyError as error:
                if not is_away(error):
                    self.log.warning("not prepared", reason=first_line(error))
                await asyncio.sleep(1)
            else:
                self.usable = True
                metrics.USABLE.set(1)
                return

    def lose_engine(self) -> None:
        """It is to be checked before the next job; an outage is counted once until it is well."""
        if self.usable is not False:
            self.usable = False
            metrics.USABLE.set(0)
            metrics.OUTAGES.inc()

    async def check(self) -> None:
        """After a failure that may pass, take nothing new until the engine is well again."""
        while True:
            await self.doubted.wait()
            await self.prepare()
            self.doubted.clear()
            self.queue.look_again(_RETRY_S)
            self.log.info("engine is well again", engine=self.engine.policy.engine)

    async def regenerate(self, regeneration_id: int) -> None:
        """The job: returns when the regeneration has ended here, in whatever way."""
        if self.stopping or self.doubted.is_set():
            await self.database.do(
                lambda db: regenerations.put_off(
                    db,
                    regeneration_id=regeneration_id,
                    delay_s=0 if self.stopping else _RETRY_S,
                )
            )
            return
        work = await self.database.do(
            lambda db: regenerations.start(
                db,
                regeneration_id=regeneration_id,
                worker=self.name,
                policy_id=self.policies.current,
                held=self.policies.held,
                lease_s=self.lease_s,
            )
        )
        if work is None:
            return
        if work.tries == 1:
            metrics.CLAIM.observe(work.waited_s)
        stream = Stream(work)
        self.writer.add(stream)
        if self.stopping:
            stream.hand_back(Release())
            self.writer.touch()
            await stream.closed.wait()
            return
        # Every line that is logged while it is read, by whatever module, says what it is about.
        with structlog.contextvars.bound_contextvars(**about(stream)):
            stream.reader = asyncio.create_task(self.read(stream), name=f"read {stream.id}")
            self.log.info("started", policy=work.policy_id)
        await stream.closed.wait()

    async def read(self, stream: Stream) -> None:
        """Take text from the engine until it ends, or until the stream is closed."""
        minding = asyncio.create_task(self.mind(stream))
        try:
            await self.listen(stream)
            self.writer.touch()
            # The row may still be taken away while the last text waits to be written.
            await stream.closed.wait()
        finally:
            minding.cancel()

    async def listen(self, stream: Stream) -> None:
        """Feed the stream what the engine says, and note how that ended."""
        meter = metrics.Meter()
        try:
            if stream.work.candidates is not None:
                await self.offer(stream)
                return
            if stream.enough:
                stream.wait()
                return
            async with aclosing(self.engine.stream(stream.work)) as deltas:
                async for delta in deltas:
                    meter.take(delta)
                    stream.feed(delta.text, delta.tokens)
                    if delta.stop_reason is not None:
                        stream.end(Ending(stop_reason=delta.stop_reason))
                    elif stream.enough:
                        stream.wait()
                        break
                    self.writer.touch(at_once=stream.fresh)
            if not stream.over:
                raise EngineError(
                    "The engine stopped before the text was complete.", temporary=True
                )
        except EngineError as error:
            self.log.warning("engine failed", kind=error.reason, reason=error.message)
            metrics.FAILURES.labels(error.reason.value).inc()
            if error.temporary:
                self.doubted.set()
                self.lose_engine()
                counts = error.counts or stream.work.tries > _FREE_ATTEMPTS
                stream.hand_back(Release(error.message if counts else None, delay_s=_RETRY_S))
            else:
                stream.end(Ending(error=error.message))
        except Exception:
            self.log.exception("engine crashed")
            metrics.FAILURES.labels(Failure.CRASHED.value).inc()
            stream.hand_back(
                Release(error="The engine crashed; see the worker's log.", delay_s=_RETRY_S)
            )
            self.queue.look_again(_RETRY_S)

    async def offer(self, stream: Stream) -> None:
        """Write candidates instead of text; the stream ends with them, or was taken away."""
        if await candidates.offer(stream, self.engine, self.database):
            self.log.info("offered", **about(stream))
            self.writer.remove(stream)
        else:
            stream.doubted = True

    async def mind(self, stream: Stream) -> None:
        """Hear at once that an annotator stopped or superseded it, even when no text comes."""
        async with self.hub.watch(f"regeneration:{stream.id}") as watch:
            while True:
                if await watch.wait(3600):
                    stream.doubted = True
                    self.writer.touch(at_once=True)

    async def keep(self) -> None:
        """Hand on what dead workers held."""
        while True:
            # Not all workers at the same moment.
            await asyncio.sleep(self.lease_s / 2 * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                found = await self.database.do(
                    lambda db: regenerations.recover(db, timeout_s=self.timeout_s)
                )
            except SQLAlchemyError as error:
                if not is_away(error):
                    self.log.warning("not kept", reason=first_line(error))
                continue
            if found:
                self.log.warning("recovered", **asdict(found))
                lost = len(found.requeued) + len(found.failed)
                metrics.FAILURES.labels(Failure.LOST.value).inc(lost)
            await self.queue.retry_stalled()

    async def tidy(self) -> None:
        """The hourly job."""
        rows = await self.database.do(regenerations.clear_chunks)
        self.log.info("tidied", chunks=rows)

    async def drain(self, queue: asyncio.Task[None]) -> None:
        """Take nothing more, write what has come, give the rest back to other workers."""
        self.stopping = True
        self.stop_aside()
        self.queue.stop()
        self.log.info("stopping", streams=len(self.writer.streams))
        for stream in self.writer.streams.values():
            stream.hand_back(Release())
        self.writer.touch()
        # Jobs end with their streams, and the queue with its jobs.
        await asyncio.wait((queue,), timeout=self.lease_s)


async def _end(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
