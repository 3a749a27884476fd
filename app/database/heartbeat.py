"""Heartbeat of long work: report progress, renew the lease, detect its loss."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.database.sessions import Sessions

BEAT_S = 0.5

T = TypeVar("T")


class LostError(Exception):
    """Another process has taken over, or the work was deleted: keep nothing more."""


class Heartbeat(Generic[T]):
    """Renews the lease from a thread, in its own transactions, while work is done; use it as a
    context. So a long query or a large image cannot cost the lease.

    advance: writes the progress and renews the lease; False when the lease is lost. begin: the
    first progress. about: what its log lines name.
    """

    def __init__(
        self,
        sessions: Sessions,
        advance: Callable[[Session, T], bool],
        begin: T,
        **about: object,
    ) -> None:
        self._sessions = sessions
        self._advance = advance
        self._at = begin
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._log = structlog.get_logger("heartbeat").bind(**about)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def at(self, progress: T) -> None:
        """Note the progress. Raises LostError once the lease is known to be lost."""
        if self._lost.is_set():
            raise LostError
        self._at = progress

    def _beat(self) -> None:
        away = False
        while not self._over.wait(BEAT_S):
            try:
                with self._sessions.begin() as db:
                    held = self._advance(db, self._at)
            except SQLAlchemyError as error:
                # The database may come back before the lease is over; if not, the next beat or the
                # last write finds out.
                if not away:
                    self._log.warning("database is away", reason=type(error).__name__)
                away = True
                continue
            if away:
                self._log.info("database is back")
            away = False
            if not held:
                self._lost.set()
                return
