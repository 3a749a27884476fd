"""What commands need that work on the database: its schema, a transaction, progress bars."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.database import migrate
from app.database.postgres import database_url
from app.database.sessions import make_engine, make_sessions
from app.refusals import Conflict
from app.settings import Settings


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """URL of the database, whatever its schema, for as long as the block runs.

    Raises Conflict when it does not answer, now or later.
    """
    try:
        with database_url(settings) as url:
            yield url
    except OperationalError as error:
        raise Conflict(f"The database does not answer: {str(error.orig).strip()}") from error
    except psycopg.OperationalError as error:
        raise Conflict(f"The database does not answer: {str(error).strip()}") from error


@contextmanager
def database(settings: Settings, *, upgrade: bool = False) -> Iterator[str]:
    """URL of a database with the current schema, for as long as the block runs.

    The embedded one is migrated as needed. One of your own is changed only by `iterdpo migrate`, or
    with `upgrade` (the demo): raises Conflict when it is not current.
    """
    with open_database(settings) as url:
        engine = make_engine(url, pool=1)
        try:
            current = migrate.is_current(engine)
        finally:
            engine.dispose()
        if not current and settings.database_url is not None and not upgrade:
            raise Conflict("The database has another schema version. Run: iterdpo migrate")
        if not current:
            migrate.upgrade(url)
        yield url


@contextmanager
def transaction(settings: Settings) -> Iterator[Session]:
    """A session on the database; commits at the end, nothing stays when the block raises."""
    with database(settings) as url:
        engine = make_engine(url, pool=2)
        try:
            with make_sessions(engine).begin() as db:
                yield db
        finally:
            engine.dispose()


def progress() -> Progress:
    """A progress bar on standard error; silent when that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
