"""Change notifications over LISTEN/NOTIFY.

A transaction notifies, and one connection per process listens. A key names what changed ("draft:7",
"regeneration:12"), never how: the woken process reads the database. A lost notification is
therefore only a delay, and every wait has a time-out.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.database.sessions import PatientConnection

# What pages wait for. Workers listen on their own channel: they need not hear each other's text.
CHANNEL = "iterdpo"
WORKERS = "iterdpo_workers"
# The key of a log-in, an account, a token or a membership that has ended or changed.
RIGHTS = "rights"

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0
# While an outage lasts it is said again after so long, then after twice as long, and so on.
_SAID_AGAIN_S = 60.0


def notify(db: Session, *keys: str, workers: Sequence[str] = ()) -> None:
    """Wake everyone who watches one of `keys`, once this transaction is committed.

    workers: keys that only workers watch.
    """
    channels = [CHANNEL] * len(keys) + [WORKERS] * len(workers)
    if channels:
        db.execute(_NOTIFY, {"channels": channels, "keys": [*keys, *workers]})


_NOTIFY = text(
    """
    SELECT pg_notify(channel, key)
    FROM unnest(CAST(:channels AS text[]), CAST(:keys AS text[])) AS each (channel, key)
    """
)


class Hub:
    """The one connection by which a process receives notifications; use it as an async context.

    It reconnects by itself after an outage of the database, and then wakes everyone, since nobody
    knows what was missed.
    """

    def __init__(self, url: str, *, channel: str = CHANNEL) -> None:
        scheme, _, rest = url.partition("://")
        self._url = f"{scheme.partition('+')[0]}://{rest}"
        self._channel = channel
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._released = False
        self._lost_at: float | None = None
        self._say_at = 0.0
        self._log = structlog.get_logger("changes")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name=f"listen {self._channel}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._wake(self._watches)

    @property
    def open(self) -> bool:
        """False once the process is about to end: streams end then."""
        return self._task is not None and not self._released

    def release(self) -> None:
        """The process is about to end: wake everyone who waits."""
        self._released = True
        self._wake(self._watches)

    @asynccontextmanager
    async def watch(self, *keys: str) -> AsyncIterator["Watch"]:
        """Remember changes of `keys` from here on; begin to watch, then read, then wait."""
        watch = Watch()
        for key in keys:
            self._watches[key].add(watch)
        try:
            yield watch
        finally:
            for key in keys:
                self._watches[key].discard(watch)
                if not self._watches[key]:
                    del self._watches[key]

    async def listening(self) -> None:
        """Return once the connection stands."""
        await self._listening.wait()

    def was_lost(self, since: float) -> bool:
        """Whether there has been no connection at some time since then (time.monotonic).

        The log says so already: what failed for it need not say it once more.
        """
        lost = self._lost_at is not None and self._lost_at >= since
        return lost or not self._listening.is_set()

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with await PatientConnection.connect(
                    self._url, autocommit=True, application_name="iterdpo listen"
                ) as connection:
                    await connection.execute(
                        sql.SQL("LISTEN {}").format(sql.Identifier(self._channel))
                    )
                    pause = _FIRST_PAUSE_S
                    self._found()
                    self._wake(self._watches)
                    async for heard in connection.notifies():
                        self._wake((heard.payload,))
            except (psycopg.Error, OSError) as error:
                self._lost(str(error))
            self._listening.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _lost(self, reason: str) -> None:
        """Say it once for each outage, and again after ever longer times while it lasts."""
        now = time.monotonic()
        if self._listening.is_set() or self._lost_at is None:
            self._lost_at = self._say_at = now
        if now >= self._say_at:
            away_s = round(now - self._lost_at)
            self._log.warning(
                "database is gone", channel=self._channel, away_s=away_s, reason=_line(reason)
            )
            self._say_at = now + max(_SAID_AGAIN_S, now - self._lost_at)

    def _found(self) -> None:
        if self._lost_at is not None:
            away_s = round(time.monotonic() - self._lost_at, 1)
            self._log.info("database is back", channel=self._channel, away_s=away_s)
        self._listening.set()

    def _wake(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            for watch in self._watches.get(key, ()):
                watch.wake(key)


def _line(reason: str) -> str:
    """A driver's message in one line."""
    return " ".join(reason.split())


class Watch:
    """What has changed since it was last asked."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._keys: set[str] = set()

    async def wait(self, timeout_s: float) -> frozenset[str]:
        """The keys that changed since the last call, as soon as there are any; none: time-out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return frozenset()
        self._event.clear()
        keys, self._keys = frozenset(self._keys), set()
        return keys

    def wake(self, key: str) -> None:
        """Note that `key` has changed."""
        self._keys.add(key)
        self._event.set()
