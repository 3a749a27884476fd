"""Builder heartbeat: report progress, renew the lease, detect its loss."""

import threading
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.database.sessions import Sessions
from app.snapshots import attempts
from app.snapshots.attempts import Work

_BEAT_S = 0.5


class LostError(Exception):
    """Another builder has taken over, or the snapshot was deleted: keep nothing more."""


class Pulse:
    """Renews the lease from a thread while a snapshot is built; use it as a context.

    So a long query or a large image cannot cost the lease.
    """

    def __init__(self, sessions: Sessions, work: Work, *, lease_s: float) -> None:
        self._sessions = sessions
        self._work = work
        self._lease_s = lease_s
        self._at = ("", 0, 0)
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
        self._log = structlog.get_logger("snapshots").bind(
            snapshot=work.snapshot_id, attempt=work.attempt
        )

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

    def at(self, stage: str, done: int, total: int) -> None:
        """Note the progress. Raises LostError once the lease is known to be lost."""
        if self._lost.is_set():
            raise LostError
        self._at = (stage, done, total)

    def _beat(self) -> None:
        away = False
        while not self._over.wait(_BEAT_S):
            stage, done, total = self._at
            try:
                with self._sessions.begin() as db:
                    held = attempts.advance(
                        db,
                        self._work,
                        stage=stage,
                        done=done,
                        total=total,
                        lease_s=self._lease_s,
                    )
            except SQLAlchemyError as error:
                # The database may come back before the lease is over; if not, the next beat or the
                # last write of the build finds out.
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
