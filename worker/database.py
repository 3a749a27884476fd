"""Short transactions of the worker, in threads beside its event loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.database.notifications import Hub
from app.database.sessions import Sessions

T = TypeVar("T")

# The writer's batch, jobs that start, and the keeper.
THREADS = 4
# So long may the hub take to notice what a transaction has just met, and so long ago may be what
# ended an idle connection that is used only now.
_NOTICED_S = 0.1
_IDLE_S = 60.0


class Database:
    """Runs a function of a session in a transaction of its own, committed when it returns."""

    def __init__(self, sessions: Sessions, hub: Hub) -> None:
        self._sessions = sessions
        self._hub = hub
        self._log = structlog.get_logger("worker")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def do(self, function: Callable[[Session], T]) -> T:
        """The function's result, after COMMIT. Raises what it raises, after ROLLBACK.

        Cancelling does not interrupt it: the transaction ends by itself. That the database is away
        is said here, unless the hub says it for all.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run, function)
        except DBAPIError as error:
            if is_away(error):
                await asyncio.sleep(_NOTICED_S)
                if not self._hub.was_lost(time.monotonic() - _IDLE_S):
                    self._log.warning("database is away", reason=first_line(error))
            raise

    def close(self) -> None:
        """Wait for what is running and take nothing more."""
        self._threads.shutdown()

    def _run(self, function: Callable[[Session], T]) -> T:
        with self._sessions.begin() as db:
            return function(db)


def is_away(error: Exception) -> bool:
    """Whether trying again later may help: no connection, a deadlock, a lock time-out."""
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated
        or type(error).__name__ in ("OperationalError", "InterfaceError")
    )


def first_line(error: Exception) -> str:
    """The first line of the driver's message: never the statement's values, which are text."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
