"""The database engine and its sessions; knows no HTTP."""

import time
from typing import Any

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

# How often a patient connection looks up from its socket, seconds.
_PATIENCE_S = 30.0
# A connection that has not been used for this long is tested before it is used again, seconds.
IDLE_S = 0.25

Sessions = sessionmaker[Session]


class PatientConnection(psycopg.AsyncConnection[Any]):
    """A connection that waits for its socket and does not look up ten times a second.

    psycopg looks up that often so that Ctrl+C interrupts a blocking wait. An event loop needs
    none of that, and a process that only listens then costs almost nothing.
    """

    async def wait(
        self, gen: PQGen[Any], interval: float = _PATIENCE_S, timeout: float | None = None
    ) -> Any:
        """See psycopg.AsyncConnection.wait."""
        return await super().wait(gen, max(interval, _PATIENCE_S), timeout)


def make_engine(url: str, *, pool: int = 16, idle_in_transaction_s: float | None = None) -> Engine:
    """An engine for a postgresql:// URL, holding at most `pool` connections.

    A connection that has been idle is tested before use: after a restart of the database the next
    request finds a live one instead of failing. idle_in_transaction_s: the database ends a
    transaction in which nothing is asked for so long, and with it the locks that it holds, seconds.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"Only PostgreSQL is supported; DATABASE_URL begins with {scheme}://")
    options = "-c lock_timeout=15s"
    if idle_in_transaction_s is not None:
        options += f" -c idle_in_transaction_session_timeout={round(idle_in_transaction_s * 1000)}"
    engine = create_engine(
        f"postgresql+psycopg://{rest}",
        pool_size=pool,
        max_overflow=0,
        pool_timeout=20,
        # The connection used last is used next: under load it is warm and needs no test.
        pool_use_lifo=True,
        connect_args={"application_name": "iterdpo", "options": options},
    )
    _test_idle_connections(engine)
    return engine


def make_sessions(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after commit; nothing loads lazily."""
    return sessionmaker(engine, expire_on_commit=False)


def make_reading_sessions(engine: Engine) -> Sessions:
    """Sessions in which each statement is a transaction of its own, to read one thing at once.

    BEGIN and ROLLBACK are two of the three ways to the database that a single query takes.
    """
    return sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"))


def _test_idle_connections(engine: Engine) -> None:
    """SQLAlchemy's own pool_pre_ping tests at each use, which costs a save two round trips."""

    @event.listens_for(engine, "checkin")
    def remember(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def test(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.OperationalError as error:
            raise InvalidatePoolError from error
