"""iterdpo worker: the process that regenerates continuations."""

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
            metavar="-- VLLM OPTIONS", help="With --vllm: options for `vllm serve`, after “--”."
        ),
    ] = None,
    vllm: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start vLLM on this machine with this model (a directory or a name on "
            "the model hub) and keep it running. Overrides ITERDPO_ENGINE.",
            show_default=False,
        ),
    ] = None,
    adapters: Annotated[
        bool,
        typer.Option(
            "--adapters",
            help="With --vllm: allow loading LoRA adapters while it runs (iterdpo "
            "policy). Ranks above 16 need -- --max-lora-rank N.",
        ),
    ] = False,
    data: Data = None,
) -> None:
    """Regenerate continuations. Run any number of workers, on any host that reaches the database.

    Without a model, the worker replays the samples' own texts. ITERDPO_ENGINE=openai uses a running
    model server; --vllm starts one (docs/engines.md).

    Examples:

        iterdpo worker

        DATABASE_URL=postgresql://iterdpo@db/iterdpo iterdpo worker

        ITERDPO_ENGINE=openai ITERDPO_ENGINE_URL=http://gpu1:8000 iterdpo worker

        iterdpo worker --vllm Qwen/Qwen2.5-VL-7B-Instruct

        iterdpo worker --vllm /srv/models/ours -- --max-model-len 32768

        iterdpo worker --vllm /srv/models/ours --adapters -- --max-lora-rank 64
    """
    if (flags or adapters) and vllm is None:
        raise typer.BadParameter("--adapters and options after -- need --vllm MODEL.")
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
