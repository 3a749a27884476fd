"""Writes the text of all streams of this worker, in one short transaction every few hundredths."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app import regenerations
from app.regenerations import Ending, Outcome, Portion
from worker import metrics
from worker.database import Database, first_line, is_away
from worker.streams import Stream

# Below what a reader can see; a shorter one costs worker, database and app more for each word.
TICK_S = 0.05
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_NOT_STORED = "The text could not be stored; the log of the worker says why."


class Writer:
    """Holds the streams of this process. A stream leaves when it is over or was taken away."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self.streams: dict[int, Stream] = {}
        self._database = database
        self._lease_s = lease_s
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._log = structlog.get_logger("worker")

    def add(self, stream: Stream) -> None:
        """Write for this stream from now on; a stream that it had before is closed."""
        before = self.streams.get(stream.id)
        if before is not None:
            before.close()
        stream.written_at = asyncio.get_running_loop().time()
        self.streams[stream.id] = stream
        # Its lease wants renewing from now on.
        self._dirty.set()
        metrics.STREAMS.set(len(self.streams))

    def touch(self, *, at_once: bool = False) -> None:
        """Something has come. It leaves with the next tick.

        at_once: before that, if it is the first text of its stream or the stream is in doubt.
        """
        self._dirty.set()
        if at_once:
            self._urgent.set()

    def remove(self, stream: Stream) -> None:
        """Nothing more is written for this stream here."""
        if self.streams.get(stream.id) is stream:
            del self.streams[stream.id]
            metrics.STREAMS.set(len(self.streams))
        stream.close()

    def close(self) -> None:
        """Let go of what is left; whoever finds the lease at its end goes on with it."""
        for stream in list(self.streams.values()):
            self.remove(stream)

    async def run(self) -> None:
        """Write until cancelled; while the database is away the text waits here."""
        clock = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while True:
            with suppress(TimeoutError):
                # Without a stream there is no lease to renew.
                async with asyncio.timeout(self._lease_s / 8 if self.streams else None):
                    await self._dirty.wait()
            try:
                await self._tick(clock.time() + TICK_S)
            except SQLAlchemyError as error:
                if not is_away(error):
                    self._log.warning("text not stored yet", reason=first_line(error))
                self._dirty.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                pause = _FIRST_PAUSE_S

    async def _tick(self, until: float) -> None:
        """Write for all streams; then, until the next tick, for those that cannot wait for it.

        For these alone: a first text is not held up by the texts of all others, nor they doubled.
        """
        self._dirty.clear()
        self._urgent.clear()
        await self._write(self._due())
        while await self._hurried(until):
            await self._write([one for one in self._due() if one[0].fresh or one[0].doubted])

    async def _hurried(self, until: float) -> bool:
        """Whether something comes before then that cannot wait."""
        if asyncio.get_running_loop().time() >= until:
            return False
        try:
            async with asyncio.timeout_at(until):
                await self._urgent.wait()
        except TimeoutError:
            return False
        self._urgent.clear()
        return True

    def _due(self) -> list[tuple[Stream, Portion]]:
        """The streams that have something to write, and those whose lease wants renewing."""
        now = asyncio.get_running_loop().time()
        due = []
        for stream in self.streams.values():
            portion = stream.portion()
            renew = now - stream.written_at > self._lease_s / 3
            if not portion.renews_only or stream.release or stream.doubted or renew:
                due.append((stream, portion))
        return due

    async def _write(self, due: Sequence[tuple[Stream, Portion]]) -> None:
        if not due:
            return
        for stream, _ in due:
            stream.doubted = False
        try:
            outcome = await self._append([portion for _, portion in due])
        except (ValueError, DBAPIError) as error:
            if is_away(error):
                raise
            await self._write_each(due, error)
            return
        for stream, portion in due:
            await self._settle(stream, portion, outcome[stream.id])

    async def _append(self, portions: Sequence[Portion]) -> dict[int, Outcome]:
        return await self._database.do(
            lambda db: regenerations.append(db, portions, lease_s=self._lease_s)
        )

    async def _write_each(self, due: Sequence[tuple[Stream, Portion]], error: Exception) -> None:
        """One portion is refused by the database: find it, so that the others are not held up."""
        if len(due) > 1:
            for one in due:
                await self._write([one])
            return
        stream, portion = due[0]
        self._log.error("text not stored", **about(stream), reason=first_line(error))
        failed = Portion(
            stream.id, stream.work.attempt, portion.start, ending=Ending(error=_NOT_STORED)
        )
        try:
            await self._append([failed])
        except (ValueError, DBAPIError) as again:
            if is_away(again):
                raise
        self.remove(stream)

    async def _settle(self, stream: Stream, portion: Portion, outcome: Outcome) -> None:
        match outcome:
            case Outcome.BUSY:
                self._dirty.set()
            case Outcome.LOST:
                self._log.info("taken away", **about(stream))
                self.remove(stream)
            case Outcome.WRITTEN:
                stream.wrote(portion)
                stream.written_at = asyncio.get_running_loop().time()
                if portion.ending is not None:
                    self._log.info(
                        portion.ending.state.value if portion.ending.waits else "written",
                        **about(stream),
                        stop_reason=portion.ending.stop_reason,
                        error=portion.ending.error,
                    )
                    self.remove(stream)
                elif stream.release is not None and not stream.pending:
                    await self._release(stream)

    async def _release(self, stream: Stream) -> None:
        release = stream.release
        assert release is not None  # noqa: S101 - asked by the caller
        given = await self._database.do(
            lambda db: regenerations.give_back(
                db,
                [(stream.id, stream.work.attempt)],
                error=release.error,
                delay_s=release.delay_s,
            )
        )
        if stream.id in given:
            self._log.info("given back", **about(stream), error=release.error)
            self.remove(stream)
        else:
            # Busy or lost: the next batch tells.
            self._dirty.set()


def about(stream: Stream) -> dict[str, int]:
    """The keys by which every line of the log names a stream."""
    return {"regeneration": stream.id, "attempt": stream.work.attempt}
