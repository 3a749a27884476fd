"""The command `iterdpo`, composed of the modules of its commands.

A command imports only its own module: `iterdpo serve` must not wait for the PDF reader, and
importing all of them takes a second of CPU. Help and mistyped names load all modules.
"""

import gc
import importlib
import re
from collections.abc import Sequence
from inspect import getdoc

import typer
from pydantic import ValidationError

from app.cli import interrupts
from app.cli.console import complain, settle
from app.database.postgres import ServerError
from app.refusals import Refusal
from app.supervise import StartError

MODULES = {
    "demo": "demo",
    "demo-worker": "demo_worker",
    "serve": "serve",
    "worker": "worker",
    "migrate": "database",
    "backup": "database",
    "restore": "database",
    "import": "import_",
    "export": "export",
    "train": "train",
    "snapshot": "snapshots",
    "project": "accounts",
    "user": "accounts",
    "token": "accounts",
    "policy": "policies",
}

# Lines that are indented, with the blank lines between them.
_INDENTED = re.compile(r"(?:^ {4,}\S.*\n?\n*)+", re.MULTILINE)

ABOUT = """Correct long vision-language outputs by segment; every correction is a preference pair.

Settings come from the environment: ITERDPO_DATA, ITERDPO_PORT and others (docs/configuration.md),
and DATABASE_URL. Without DATABASE_URL, iterdpo runs its own PostgreSQL in the data directory while
a command needs it.

Exit status: 0 success, 1 error with a message, 2 wrong usage, 130 interrupted.

To try it:

    iterdpo demo

With your own data:

    iterdpo user add ada --role admin

    iterdpo project add lectures

    iterdpo import lectures samples.jsonl

    iterdpo serve
"""


def command_line(words: Sequence[str]) -> typer.Typer:
    """The commands of the module that `words` name; all commands if they name none."""
    app = typer.Typer(
        help=_with_examples(ABOUT),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)
    asked = next((word for word in words if not word.startswith("-")), "")
    names = [MODULES[asked]] if asked in MODULES else dict.fromkeys(MODULES.values())
    # Imports leave no garbage; collecting takes a tenth of the time.
    gc.disable()
    for name in names:
        app.add_typer(_tidied(importlib.import_module(f"app.cli.{name}").commands))
    gc.enable()
    return app


def _tidied(commands: typer.Typer) -> typer.Typer:
    for command in commands.registered_commands:
        command.help = _with_examples(command.help or getdoc(command.callback) or "")
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _tidied(group.typer_instance)
    return commands


def _with_examples(text: str) -> str:
    """The text with its indented lines as code, one under the other.

    As Markdown's own blocks of code, or as paragraphs, they would have blank lines between them.
    """
    return _INDENTED.sub(lambda block: _one_under_the_other(block[0]), text)


def _one_under_the_other(lines: str) -> str:
    return "\\\n".join(f"`{line.strip()}`" for line in lines.splitlines() if line.strip()) + "\n\n"


def run(words: Sequence[str]) -> int:
    """Run the command line and return the exit status. Expected errors print a message."""
    message = ""
    try:
        commands = command_line(words)
        interrupts.clean_up_first()
        try:
            commands(args=[*words], prog_name="iterdpo")
        finally:
            interrupts.leave_at_once()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except (Refusal, ServerError, StartError) as refusal:
        status, message = 1, str(refusal)
    except ValidationError as error:
        wrong = [_complaint(it["loc"], it["msg"]) for it in error.errors()]
        status, message = 2, "\n".join(["A setting is invalid.", *wrong])
    except BaseException as error:
        # After an interrupt, a failed clean-up is not worth a message.
        if not interrupts.came() and (not isinstance(error, OSError) or error.filename is None):
            raise
        status = 1
        message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else ""
    if interrupts.came() and status:
        status, message = interrupts.STATUS, ""
    if message:
        complain(message)
    settle()
    return status


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not where:
        # The message names the settings itself.
        return message
    name = str(where[0])
    return f"{name if name.isupper() else f'ITERDPO_{name.upper()}'}: {message}"
