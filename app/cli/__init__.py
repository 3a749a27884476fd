"""The command `iterdpo`: starts, fills, empties and keeps an IterDPO Studio.

Each command's module is imported only when that command is asked for: `iterdpo serve` must not
wait for what reads PDF decks, and the whole tree costs a second of CPU. The name on the command
line says which module is needed; help and mistyped names load all of them.
"""

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from pydantic import ValidationError

from app.cli.console import complain, settle
from app.postgres import ServerError
from app.refusals import Refusal
from app.supervise import StartError

MODULES = {
    "demo": "demonstration",
    "demo-worker": "seeding",
    "serve": "serving",
    "worker": "working",
    "migrate": "database",
    "backup": "database",
    "restore": "database",
    "import": "transfer",
    "export": "exporting",
    "train": "training",
    "snapshot": "snapshots",
    "project": "people",
    "user": "people",
    "token": "people",
    "policy": "policies",
}

ABOUT = """Correct long vision-language outputs segment by segment; keep every correction as a pair.

Settings come from the environment: ITERDPO_DATA, ITERDPO_PORT and others (docs/configuration.md),
and DATABASE_URL. Without DATABASE_URL a PostgreSQL of its own runs inside the data directory for as
long as a command needs it.

Exit status: 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted.

A first start:

    iterdpo demo

or, for your own work:

    iterdpo user add ada --role admin

    iterdpo project add lectures

    iterdpo import lectures samples.jsonl

    iterdpo serve
"""


def command_line(words: Sequence[str]) -> typer.Typer:
    """The commands that `words` need: one module's when they name a command, else all."""
    app = typer.Typer(
        help=ABOUT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)
    asked = next((word for word in words if not word.startswith("-")), "")
    names = [MODULES[asked]] if asked in MODULES else dict.fromkeys(MODULES.values())
    # Loading makes no garbage; looking for it costs a tenth of the time.
    gc.disable()
    for name in names:
        app.add_typer(importlib.import_module(f"app.cli.{name}").commands)
    gc.enable()
    return app


def main() -> NoReturn:
    """Run the command line and end the process; an expected error is a message, not a trace."""
    try:
        command_line(sys.argv[1:])(prog_name="iterdpo")
    except (Refusal, ServerError, StartError) as refusal:
        _refuse(str(refusal), 1)
    except ValidationError as error:
        wrong = [_complaint(it["loc"], it["msg"]) for it in error.errors()]
        _refuse("\n".join(["A setting cannot be used.", *wrong]), 2)
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}", 1)
    except KeyboardInterrupt:
        _refuse("interrupted", 130)
    settle()
    sys.exit(0)


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not where:
        # It is about several settings and names them itself.
        return message
    name = str(where[0])
    return f"{name if name.isupper() else f'ITERDPO_{name.upper()}'}: {message}"


def _refuse(message: str, status: int) -> NoReturn:
    complain(message)
    settle()
    sys.exit(status)
