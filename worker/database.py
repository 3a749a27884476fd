"""Short transactions of the worker, in threads beside its event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Sessions

T = TypeVar("T")

# The writer's batch, jobs that start, and the keeper.
THREADS = 4


class Database:
    """Runs a function of a session in a transaction of its own, committed when it returns."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def do(self, function: Callable[[Session], T]) -> T:
        """The function's result, after COMMIT. Raises what it raises, after ROLLBACK.

        Cancelling does not interrupt it: the transaction ends by itself.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, function)

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
