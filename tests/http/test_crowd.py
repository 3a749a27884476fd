"""More requests at once than the database has connections for."""

import asyncio
import time
from pathlib import Path

from httpx2 import ASGITransport, AsyncClient
from pydantic import PostgresDsn
from sqlalchemy import text

from app.main import create_app
from app.settings import Settings
from app.web.dependencies import CurrentUser, SessionDep


def test_a_crowd_waits_its_turn_and_nobody_blocks_the_others(
    database_url: str, tmp_path: Path
) -> None:
    """Threads that wait for connections, held by requests that wait for threads, would stop all
    until the pool gives up after 20 s."""
    settings = Settings(DATABASE_URL=PostgresDsn(database_url), data=tmp_path, demo=True, db_pool=6)
    app = create_app(settings)

    def slow(db: SessionDep) -> None:
        db.execute(text("SELECT pg_sleep(0.01)"))

    def in_two_steps(db: SessionDep, _actor: CurrentUser) -> None:
        raise AssertionError

    app.add_api_route("/slow", slow)
    app.add_api_route("/closed", in_two_steps)

    async def crowd() -> list[int]:
        async with app.router.lifespan_context(app):
            transport = ASGITransport(app)
            async with AsyncClient(transport=transport, base_url="http://testserver") as client:
                client.cookies.set("iterdpo_session", "nobody's")
                paths = ["/slow", "/closed"] * 60
                answers = await asyncio.gather(*(client.get(path) for path in paths))
                return [answer.status_code for answer in answers]

    start = time.monotonic()
    statuses = asyncio.run(crowd())
    assert statuses == [200, 303] * 60
    assert time.monotonic() - start < 15
