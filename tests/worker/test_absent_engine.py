"""A model server that is away, restarts, or fails at one text again and again."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.models import Policy, RunState
from app.regenerations import MAX_FAILURES, Work
from tests.worker.conftest import Studio, until
from worker import process
from worker.engine import Delta, EngineError, PolicyFacts

WORDS = ["One ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight."]
AWAY = "The model server does not answer."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds are what people wait for, not tests."""
    monkeypatch.setattr(process, "_RETRY_S", 0.02)
    monkeypatch.setattr(process, "_FIRST_PAUSE_S", 0.02)


class Server:
    """Says one word, breaks, and is away for a few checks; each time it is another policy."""

    def __init__(self, *, breaks: int, away: int) -> None:
        self.breaks = breaks
        self.away = away
        self.missing = 0
        self.checks = 0
        self.asked = 0

    @property
    def policy(self) -> PolicyFacts:
        """Another one after each restart."""
        return PolicyFacts(name=f"served-{self.asked}", engine="openai")

    async def check(self) -> None:
        """Fails while it is away."""
        self.checks += 1
        if self.missing:
            self.missing -= 1
            raise EngineError(AWAY, temporary=True)

    async def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
        """The next word, and a broken connection; in the end all that is left."""
        assert not self.missing, "a job was taken although the server is away"
        self.asked += 1
        said = len(work.kept.split())
        if self.asked <= self.breaks:
            yield Delta(WORDS[said])
            self.missing = self.away
            raise EngineError(AWAY, temporary=True)
        yield Delta("".join(WORDS[said:]), stop_reason="stop")


def test_a_server_that_restarts_again_and_again_costs_no_failure(studio: Studio) -> None:
    breaks = MAX_FAILURES + 2
    server = Server(breaks=breaks, away=3)

    async def scenario() -> None:
        async with studio.worker(server):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
        row = studio.run(run)
        assert (row.failures, row.attempt) == (0, breaks + 1)
        assert studio.written(run) == "".join(WORDS)
        assert server.checks == 1 + breaks * 4
        with studio.sessions() as db:
            assert db.get_one(Policy, row.policy_id).name == f"served-{breaks}"

    asyncio.run(scenario())


def test_while_the_server_is_away_no_job_is_taken_and_none_is_lost(studio: Studio) -> None:
    server = Server(breaks=1, away=1_000_000)

    async def scenario() -> None:
        async with studio.worker(server):
            first = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(first, RunState.QUEUED))
            await until(lambda: server.missing > 0 and server.checks > 2)
            studio.new_draft(["One.\n", "Two."])
            second = studio.correct(1, "One", "Uno")
            await asyncio.sleep(1)
            assert studio.run(first).state is RunState.QUEUED
            assert studio.run(second).state is RunState.QUEUED
            assert server.asked == 1
            server.missing = 0
            for run in (first, second):
                await until(studio.is_now(run, RunState.DONE))
                assert studio.run(run).failures == 0

    asyncio.run(scenario())


def test_a_worker_stops_while_its_server_is_away(studio: Studio) -> None:
    server = Server(breaks=1, away=1_000_000)

    async def scenario() -> None:
        async with studio.worker(server):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: server.checks > 2)
        row = studio.run(run)
        assert (row.state, row.worker, row.failures) == (RunState.QUEUED, None, 0)

    asyncio.run(scenario())


def test_a_text_at_which_a_server_that_is_there_always_fails_is_given_up(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_FREE_ATTEMPTS", 3)

    class Failing(Server):
        async def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
            self.asked += 1
            raise EngineError("The model server failed (HTTP 500).", temporary=True)
            yield

    server = Failing(breaks=0, away=0)

    async def scenario() -> None:
        async with studio.worker(server):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.FAILED))
        row = studio.run(run)
        assert row.error == "The model server failed (HTTP 500)."
        assert row.attempt == server.asked == 3 + MAX_FAILURES

    asyncio.run(scenario())
