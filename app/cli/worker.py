"""iterdpo worker: the process that regenerates."""

from typing import Annotated

import typer

from app.cli.console import Data, settings_for, settle
from app.cli.session import database
from app.refusals import Conflict
from worker.engine import EngineError
from worker.process import main as work
from worker.vllm import Launch, find_program

commands = typer.Typer()


@commands.command()
def worker(
    flags: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- VLLM OPTIONS", help="With --vllm: more options for vllm serve, after “--”."
        ),
    ] = None,
    vllm: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start vLLM on this machine with a directory or a name at the model hub, and "
            "keep it running. Wins over ITERDPO_ENGINE.",
            show_default=False,
        ),
    ] = None,
    adapters: Annotated[
        bool,
        typer.Option(
            "--adapters",
            help="With --vllm: let LoRA adapters be loaded while it runs (iterdpo policy). Ranks "
            "over 16 need -- --max-lora-rank N.",
        ),
    ] = False,
    data: Data = None,
) -> None:
    """Regenerate continuations; run as many as you like, on any host that reaches the database.

    Without a model it replays the samples' own texts. ITERDPO_ENGINE=openai continues them on a
    model server that runs already, --vllm on one that the worker starts (docs/engines.md).

    Examples:

        iterdpo worker

        DATABASE_URL=postgresql://iterdpo@db/iterdpo iterdpo worker

        ITERDPO_ENGINE=openai ITERDPO_ENGINE_URL=http://gpu1:8000 iterdpo worker

        iterdpo worker --vllm Qwen/Qwen2.5-VL-7B-Instruct

        iterdpo worker --vllm /srv/models/ours -- --max-model-len 32768

        iterdpo worker --vllm /srv/models/ours --adapters -- --max-lora-rank 64
    """
    if (flags or adapters) and vllm is None:
        raise typer.BadParameter("Options for vLLM need --vllm MODEL before them.")
    settings = settings_for(data=data)
    launch = None
    if vllm is not None:
        try:
            program = find_program("")
        except EngineError as error:
            raise Conflict(error.message) from error
        log = settings.data / "logs" / "vllm.log"
        launch = Launch(
            model=vllm, log=log, flags=tuple(flags or ()), adapters=adapters, program=program
        )
    with database(settings) as url:
        settle()
        work(settings, url, launch)
