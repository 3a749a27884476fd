"""What the commands share: their settings, their database, and how they speak."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy.orm import Session

from app import migrate
from app.db import make_engine, make_sessions
from app.postgres import database_url
from app.refusals import Conflict
from app.settings import Settings

_errors = Console(stderr=True, highlight=False, soft_wrap=True)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Directory of the embedded database, the images and the logs "
        "[ITERDPO_DATA, else ./data].",
        file_okay=False,
        show_default=False,
    ),
]


def settings_for(**given: object) -> Settings:
    """The settings of the environment, with every option that was given in their place.

    Raises pydantic.ValidationError.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = Settings(**chosen)  # type: ignore[arg-type]  # pydantic checks the values
    return settings.model_copy(update={"data": settings.data.expanduser().absolute()})


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """URL of a database with the current schema, for as long as the block runs.

    The embedded one is migrated as needed. One of your own is changed only by `iterdpo migrate`:
    raises Conflict when it is not current.
    """
    with database_url(settings) as url:
        if settings.database_url is None:
            migrate.upgrade(url)
        else:
            engine = make_engine(url, pool=1)
            try:
                if not migrate.is_current(engine):
                    raise Conflict("The database has another schema version. Run: iterdpo migrate")
            finally:
                engine.dispose()
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


def say(text: str) -> None:
    """A result, on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Something about the work, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain(text: str) -> None:
    """An error, on standard error, coloured on a terminal."""
    _errors.print("Error: ", style="bold red", end="")
    _errors.print(text, markup=False)


def progress() -> Progress:
    """A progress bar on standard error; silent when that is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_errors,
        disable=not _errors.is_terminal,
        transient=True,
    )


def end_on_sigterm() -> None:
    """Make SIGTERM and SIGHUP leave by SystemExit, so that every `with` block is left properly."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
