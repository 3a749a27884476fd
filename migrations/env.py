"""Runs migrations on the connection that app.database.migrate opened."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from app.models import Base

# Any number of processes may start at once; the first migrates, the others wait here.
ADVISORY_LOCK = 0x17E2D90


def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """procrastinate's tables have their own history; the drift check leaves them alone."""
    return not (kind in ("table", "index") and (name or "").startswith("procrastinate"))


def run(connection: Connection) -> None:
    """Migrate in one transaction, with a short lock time-out: better to fail than to queue."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_object=ours,
            compare_type=True,
            compare_server_default=False,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.execute("SET lock_timeout = '10s'")
            context.run_migrations()
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
        connection.commit()


run(context.config.attributes["connection"])
