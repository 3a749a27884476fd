"""iterdpo demo: everything in one process tree, with a project to try."""

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from app import demo as demonstration
from app import migrate
from app.accounts.demo import DEMO_ACCOUNTS
from app.cli.console import Data, note, say, settings_for, transaction
from app.postgres import ServerError, database_url, embedded, running_url
from app.settings import Settings
from app.supervise import Child, answers, require_free_port, supervise

commands = typer.Typer()


@commands.command()
def demo(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [ITERDPO_HOST].", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on [ITERDPO_PORT].", show_default=False)
    ] = None,
    data: Data = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Developing: restart the app when its code changes.")
    ] = False,
) -> None:
    """Start database, app and worker with a demo project; Ctrl+C stops them all.

    Everything stays in the data directory and is there at the next start. The demo accounts have
    published passwords: do not put this on a network.

    Examples:

        iterdpo demo

        iterdpo demo --port 8123 --data "/some/where/to try"
    """
    settings = settings_for(host=host, port=port, data=data, demo=True)
    require_free_port(settings.host, settings.port)
    with database_url(settings) as url, ExitStack() as rejoined:
        migrate.upgrade(url)
        _seed(settings)
        common = [f"--data={settings.data}", "--supervised"]
        serve = ["serve", f"--host={settings.host}", f"--port={settings.port}", "--demo"]
        program = [sys.executable, "-m", "app.cli"]
        logs = settings.data / "logs"
        supervise(
            [
                Child(
                    "app",
                    [*program, *serve, *(["--reload"] if reload else []), *common],
                    logs / "app.log",
                ),
                Child("worker", [*program, "worker", *common], logs / "worker.log"),
            ],
            ready=lambda: answers(settings.host, settings.port),
            on_ready=lambda: _welcome(settings),
            tend=lambda: _tend(settings, rejoined),
            tell=note,
        )
    say("Stopped.")


def _seed(settings: Settings) -> None:
    with transaction(settings) as db:
        added = demonstration.seed(db, settings)
    if added.samples:
        note(f"Made {added.projects} demo projects with {added.samples} samples.")


def _tend(settings: Settings, rejoined: ExitStack) -> None:
    """See that the embedded server answers; start it again when even its keeper was killed."""
    if settings.database_url is None and running_url(settings.data) is None:
        note("The database does not answer; starting it again.")
        try:
            rejoined.enter_context(embedded(settings.data))
        except ServerError as error:
            note(str(error))


def _welcome(settings: Settings) -> None:
    say(f"\nIterDPO Studio is ready at {_address(settings)}\n")
    for account in DEMO_ACCOUNTS:
        say(f"  {account.role.value:<10} {account.name:<8} password {account.password}")
    say(f"\nData and logs: {settings.data}\nCtrl+C stops everything.")


def _address(settings: Settings) -> str:
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.host  # noqa: S104
    return settings.public_url or f"http://{host}:{settings.port}"
