"""Background jobs: which there are, and how one is deferred inside the caller's transaction.

procrastinate dispatches them; what is true about the work stands in our own rows. A job carries
ids only, and running one twice is harmless.
"""

from enum import IntEnum, StrEnum

import procrastinate
from procrastinate import PsycopgConnector, SyncPsycopgConnector
from sqlalchemy.orm import Session

from app.database.sessions import PatientConnection

# Its connector is never opened: each job goes in on the connection of the caller's transaction.
_deferring = procrastinate.App(connector=SyncPsycopgConnector())


class Task(StrEnum):
    """The kinds of jobs; a worker registers a function for each (worker/process.py)."""

    REGENERATE = "regenerate"
    # Once an hour, by one of the workers: clear away what nobody reads any more.
    TIDY = "tidy"
    SNAPSHOT = "snapshot"
    # The same for the files of snapshots.
    SWEEP = "sweep"
    IMPORT = "import"
    # The same for the files of imports.
    CLEAR_UPLOADS = "clear_uploads"


class Line(StrEnum):
    """Who waits behind whom. Packing and importing need no engine, no regeneration waits for them,
    and neither waits for the other: both may take hours."""

    WRITING = "default"
    PACKING = "packing"
    IMPORTING = "importing"


_LINES = {Task.SNAPSHOT: Line.PACKING, Task.IMPORT: Line.IMPORTING}


class Priority(IntEnum):
    """Who goes first when workers are busy; the higher one.

    An annotator's job stands between the two: the more of them one person has, the lower
    (regenerations.requests).
    """

    BATCH = 0
    INTERACTIVE = 10


def defer(
    db: Session, task: Task, *, priority: int, delay_s: float = 0, **arguments: int | str
) -> None:
    """Have a worker do it once this transaction is committed, or never if it is rolled back.

    delay_s: not before so many seconds.
    """
    _deferring.configure_task(
        task.value,
        connection=db.connection().connection.driver_connection,
        queue=_LINES.get(task, Line.WRITING).value,
        priority=priority,
        schedule_in={"seconds": delay_s} if delay_s else None,
    ).defer(**arguments)


def make_app(url: str) -> procrastinate.App:
    """The app that a worker process opens, with a few connections of its own to `url`."""
    return procrastinate.App(
        connector=PsycopgConnector(
            conninfo=url,
            kwargs={"application_name": "iterdpo jobs"},
            connection_class=PatientConnection,
            min_size=1,
            max_size=4,
            timeout=5,
        )
    )
