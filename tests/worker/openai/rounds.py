"""A studio whose policies change, and the server that its texts are written on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import select

from app.models import Policy, RunState, Segment
from app.policies import queries, service
from app.policies.queries import Use
from tests.support.adapters import add_adapter, make_adapter
from tests.worker.conftest import Studio, until
from tests.worker.openai.adapting import Adapting
from tests.worker.openai.scripted import ScriptedServer, scripted
from worker.openai import ImageFile, OpenAIEngine

# A refusal in words that the worker does not know.
OTHER = {"error": {"message": "The sky fell."}}


def image(sha256: str) -> ImageFile:
    return ImageFile(sha256.encode(), "image/png")


@asynccontextmanager
async def serving(adapting: Adapting) -> AsyncIterator[tuple[OpenAIEngine, ScriptedServer]]:
    async with scripted(adapting) as server:
        engine = OpenAIEngine(server.url, images=image)
        try:
            yield engine, server
        finally:
            await engine.aclose()


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(in_time())


def added(studio: Studio, directory: Path, name: str, *, weights: bytes = b"weights") -> int:
    """An adapter added as a policy; its id."""
    make_adapter(directory / name, weights=weights)
    with studio.sessions.begin() as db:
        return add_adapter(db, directory / name, name=name).id


def activated(studio: Studio, policy_id: int) -> None:
    """As an admin does it."""
    with studio.sessions.begin() as db:
        service.activate(db, policy_id=policy_id)


def use(studio: Studio, policy_id: int) -> queries.PolicyView:
    with studio.sessions() as db:
        return queries.use_of(db, policy_id)


def is_used(studio: Studio, policy_id: int, how: Use) -> Callable[[], bool]:
    return lambda: use(studio, policy_id).use is how


def policy_of(studio: Studio, run: int) -> str:
    """The policy of a run, which is also that of all its segments."""
    with studio.sessions() as db:
        names = db.scalars(select(Policy.name).where(Policy.id == studio.run(run).policy_id)).all()
        written = db.scalars(
            select(Policy.name)
            .join(Segment, Segment.policy_id == Policy.id)
            .where(Segment.regeneration_id == run)
            .distinct()
        ).all()
    assert written == names
    return names[0]


def corrected(studio: Studio) -> int:
    """A run of a draft of its own."""
    studio.new_draft(["## Slide 1\nOne.\n\n", "## Slide 2\nTwo."])
    return studio.correct(1, "One", "Uno")


async def done(studio: Studio, run: int) -> str:
    """The policy of a run, once it has been written."""
    await until(studio.is_now(run, RunState.DONE))
    return policy_of(studio, run)
