"""What every command shares: its settings and how it speaks. Imports nothing heavy."""

import gc
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from app.settings import Settings

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Directory of the embedded database, images and logs. Default: "
        "ITERDPO_DATA or ./data.",
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
    note(f"\x1b[1;31mError:\x1b[0m {text}" if sys.stderr.isatty() else f"Error: {text}")


def end_on_sigterm() -> None:
    """Make SIGTERM and SIGHUP leave by SystemExit, so that every `with` block is left properly."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)


def settle() -> None:
    """Tell the garbage collector that what is loaded now stays.

    Its pauses get shorter, and the end of the process no longer takes a second of collecting.
    """
    gc.collect()
    gc.freeze()
