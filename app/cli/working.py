"""iterdpo worker: the process that regenerates."""

import typer

from app.cli.console import Data, settings_for, settle
from app.cli.work import database
from worker.process import main as work

commands = typer.Typer()


@commands.command()
def worker(data: Data = None) -> None:
    """Regenerate continuations; run as many as you like, on any host that reaches the database.

    Examples:

        iterdpo worker

        DATABASE_URL=postgresql://iterdpo@db/iterdpo iterdpo worker
    """
    settings = settings_for(data=data)
    with database(settings) as url:
        settle()
        work(settings, url)
