"""iterdpo train: a policy from preference pairs."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from app.cli.console import complain, say

commands = typer.Typer()

# What the extra brings, by the names they are imported by.
_NEEDED = ("accelerate", "datasets", "peft", "torch", "torchvision", "transformers", "trl", "yaml")
_WRONG = 2
_INTERRUPTED = 130


@commands.command()
def train(
    config: Annotated[Path, typer.Argument(help="What to train on what, as YAML.")],
    check: Annotated[
        bool, typer.Option("--check", help="Do everything up to the first step, and say it.")
    ] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Make the adapter known to the studio as a policy.")
    ] = False,
) -> None:
    """Train an adapter on preference pairs with TRL: from a studio over REST, or from an export.

    Needs what `pip install "iterdpo-studio[train]"` brings. Pairs are rendered for the model and
    checked one by one before anything is trained. Ctrl+C saves after the step that is running; the
    same command goes on from there. docs/training.md describes the file.

    Examples:

        iterdpo train round1.yaml --check

        iterdpo train round1.yaml --register
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        _end(
            f'Training needs {", ".join(missing)}. Install it: pip install "iterdpo-studio[train]"',
            1,
        )
    # By name and only now: the application must run, and its help be read, without all of that.
    refusals: Any = importlib.import_module("iterdpo.refusals")
    run = importlib.import_module("iterdpo.train").run
    try:
        run(config, check=check, register_after=register, say=say)
    except refusals.ConfigRefusal as refusal:
        _end(str(refusal), _WRONG)
    except refusals.TrainingRefusal as refusal:
        _end(str(refusal), 1)
    except refusals.Interrupted as interruption:
        _end(str(interruption), _INTERRUPTED)


def _end(message: str, status: int) -> NoReturn:
    complain(message)
    raise typer.Exit(status)
