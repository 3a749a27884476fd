"""iterdpo serve: the web server."""

import os
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI

from app.cli.address import announced
from app.cli.connections import Connection, room_for_connections
from app.cli.console import Data, end_on_sigterm, settings_for, settle
from app.cli.session import database
from app.main import create_app
from app.resources import PROGRAM
from app.settings import Settings
from app.supervise import require_free_port, stop_with_parent

commands = typer.Typer()

HTTP: dict[str, Any] = {
    "http": Connection,
    "ws": "none",
    "loop": "uvloop",
    "log_config": None,
    "access_log": False,
    # The app does it itself, for ITERDPO_TRUSTED_PROXIES; uvicorn would trust this machine.
    "proxy_headers": False,
}
# An open event stream would keep uvicorn from ever ending.
GRACE_S = 2
# The exit status that uvicorn has for it.
NOT_STARTED = 3


@commands.command()
def serve(
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
        bool, typer.Option("--reload", help="For development: restart when the code changes.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Allow the demo accounts, whose passwords are public.")
    ] = False,
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="Exit when standard input closes.")
    ] = False,
) -> None:
    """Serve the pages and the API. Run `iterdpo worker` beside it to regenerate texts.

    Behind a proxy, set ITERDPO_PUBLIC_URL to the address that users type.

    Examples:

        iterdpo serve

        iterdpo serve --host 0.0.0.0 --port 8123 --data /srv/iterdpo
    """
    settings = settings_for(
        host=host, port=port, data=data, reload=reload or None, demo=demo or None
    )
    require_free_port(settings.host, settings.port)
    end_on_sigterm()
    if supervised:
        stop_with_parent()
    with database(settings, upgrade=supervised), announced(settings):
        if reload:
            # The reloading child process gets its settings by its environment alone.
            os.environ |= {
                "ITERDPO_DATA": str(settings.data),
                "ITERDPO_DEMO": str(settings.demo),
                "ITERDPO_RELOAD": "1",
            }
            uvicorn.run(
                "app.cli.serve:reloaded",
                factory=True,
                reload=True,
                reload_dirs=[str(PROGRAM / "app"), str(PROGRAM / "worker")],
                host=settings.host,
                port=settings.port,
                timeout_graceful_shutdown=GRACE_S,
                **HTTP,
            )
        else:
            app = create_app(settings)
            room = room_for_connections()
            settle()
            config = uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                timeout_graceful_shutdown=GRACE_S,
                limit_concurrency=room,
                **HTTP,
            )
            server = Server(config, app)
            with suppress(KeyboardInterrupt):
                server.run()
            if not server.started:
                raise typer.Exit(NOT_STARTED)


class Server(uvicorn.Server):
    """Lets the open event streams end before it waits for the connections to close."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal asks it to end."""
        if hub := getattr(self.app.state, "hub", None):
            hub.release()
        super().handle_exit(sig, frame)


def reloaded() -> FastAPI:
    """The app from the environment alone, for uvicorn's reloading child process."""
    return create_app(Settings())
