"""iterdpo demo: database, app and worker in one process tree, with a demo project."""

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from app.cli import address
from app.cli.console import Data, note, say, settings_for
from app.database.postgres import ServerError, database_url, embedded, running_url
from app.settings import Settings
from app.supervise import Child, answers, require_free_port, supervise

commands = typer.Typer()


@commands.command()
def demo(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on. Default: ITERDPO_HOST or 127.0.0.1.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on. Default: ITERDPO_PORT or 8000.", show_default=False),
    ] = None,
    data: Data = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="For development: restart the app when its code changes."),
    ] = False,
) -> None:
    """Start the database, the app and a worker with a demo project. Ctrl+C stops them.

    The data directory keeps everything for the next start. The passwords of the demo accounts are
    public: do not expose the demo to a network.

    Examples:

        iterdpo demo

        iterdpo demo --port 8123 --data /srv/demo
    """
    settings = settings_for(host=host, port=port, data=data, demo=True)
    require_free_port(settings.host, settings.port)
    # -P: a directory `app` where this was called is not ours.
    program = [sys.executable, "-P", "-m", "app.cli"]
    place = f"--data={settings.data}"
    serve = [
        "serve",
        f"--host={settings.host}",
        f"--port={settings.port}",
        "--demo",
        "--supervised",
    ]
    logs = settings.data / "logs"
    accounts = logs / "accounts.txt"
    accounts.unlink(missing_ok=True)
    with database_url(settings), ExitStack() as rejoined:
        supervise(
            [
                Child("app", [*program, *serve, place, *["--reload"][:reload]], logs / "app.log"),
                Child(
                    "worker", [*program, "demo-worker", str(accounts), place], logs / "worker.log"
                ),
            ],
            ready=lambda: accounts.exists() and answers(settings.host, settings.port),
            on_ready=lambda: _welcome(settings, accounts.read_text(encoding="utf-8")),
            tend=lambda: _tend(settings, rejoined),
            tell=note,
        )
    say("Stopped.")


def _welcome(settings: Settings, accounts: str) -> None:
    say(f"\nIterDPO Studio is ready at {address.own(settings)}\n")
    say(accounts)
    say(f"Data and logs: {settings.data}\nCtrl+C stops everything.")


def _tend(settings: Settings, rejoined: ExitStack) -> None:
    """Check that the embedded server answers; restart it if its keeper was killed."""
    if settings.database_url is None and running_url(settings.data) is None:
        note("The database does not answer; starting it again.")
        try:
            rejoined.enter_context(embedded(settings.data))
        except ServerError as error:
            note(str(error))
