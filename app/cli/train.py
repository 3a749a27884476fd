"""iterdpo train: train an adapter on preference pairs."""

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
    config: Annotated[Path, typer.Argument(help="Configuration file in YAML (docs/training.md).")],
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Check configuration and data, and stop before the first step."
        ),
    ] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Add the trained adapter to the studio as a policy.")
    ] = False,
) -> None:
    """Train a LoRA adapter with TRL on preference pairs from a studio (REST API) or an export.

    Needs `pip install "iterdpo-studio[train]"`. Before training, every pair is rendered for the
    model and checked. Ctrl+C saves after the current step; run the same command again to resume.
    docs/training.md describes the configuration file.

    Examples:

        iterdpo train round1.yaml --check

        iterdpo train round1.yaml --register
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        _end(
            f'Training needs {", ".join(missing)}. Install it: pip install "iterdpo-studio[train]"',
            1,
        )
    # Imported late: the application and its help must work without these packages.
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
