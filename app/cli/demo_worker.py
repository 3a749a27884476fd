"""iterdpo demo-worker: the worker of a demonstration, which first fills the database.

Seeding here and not in a process of its own saves a second and a half of loading at each start.
"""

from pathlib import Path
from typing import Annotated

import typer

from app.accounts.demo import DEMO_ACCOUNTS
from app.cli.console import Data, settings_for, settle
from app.cli.session import database, transaction
from app.demo import seed
from app.supervise import stop_with_parent
from worker.process import main as work

commands = typer.Typer()


@commands.command(hidden=True)
def demo_worker(
    accounts: Annotated[Path, typer.Argument(help="Where to write how to log in, once seeded.")],
    data: Data = None,
) -> None:
    """Add what is missing of the demo projects and accounts, then work until stdin ends."""
    settings = settings_for(data=data)
    stop_with_parent()
    with database(settings, upgrade=True) as url:
        with transaction(settings) as db:
            seed(db, settings)
        unfinished = accounts.with_suffix(".unfinished")
        unfinished.write_text(_log_ins(), encoding="utf-8")
        unfinished.replace(accounts)
        settle()
        work(settings, url)


def _log_ins() -> str:
    return "".join(
        f"  {account.role.value:<10} {account.name:<8} password {account.password}\n"
        for account in DEMO_ACCOUNTS
    )
