"""An adapter that a restarted server has lost, or that is gone: who gets it back, who goes on."""

import asyncio
from pathlib import Path

from app.models import RunState
from app.policies.queries import Use
from tests.worker.conftest import Studio, until
from tests.worker.openai.adapting import LOAD, Adapting
from tests.worker.openai.rounds import (
    OTHER,
    activated,
    added,
    corrected,
    done,
    is_used,
    play,
    policy_of,
    serving,
    use,
)


def test_a_server_that_restarted_while_idle_gets_its_adapter_again(
    studio: Studio, tmp_path: Path
) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        server = Adapting()
        async with serving(server) as (engine, asked), studio.worker(engine):
            assert await done(studio, corrected(studio)) == "round-1"
            server.loaded.clear()
            run = corrected(studio)
            assert await done(studio, run) == "round-1"
            assert studio.run(run).attempt == 1
            assert len(asked.bodies(LOAD)) == 2

    play(scenario)


def test_a_server_that_restarted_over_a_text_gets_it_before_the_next_job(
    studio: Studio, tmp_path: Path
) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        server = Adapting(broken=True)
        async with serving(server) as (engine, asked), studio.worker(engine):
            run = corrected(studio)
            assert await done(studio, run) == "round-1"
            assert studio.run(run).attempt == 2
            assert [path for path, _ in asked.asked if path == LOAD] == [LOAD] * 2

    play(scenario)


def test_a_retry_stays_with_its_policy_although_another_one_is_active_by_then(
    studio: Studio, tmp_path: Path
) -> None:
    first = added(studio, tmp_path, "round-1")
    second = added(studio, tmp_path, "round-2", weights=b"others")
    activated(studio, first)

    async def scenario() -> None:
        server = Adapting(hold=asyncio.Event())
        async with serving(server) as (engine, _), studio.worker(engine):
            run = corrected(studio)
            await until(lambda: studio.run(run).written > 0)
        # The worker was told to stop; another one, that never had the first round, goes on.
        assert studio.run(run).state is RunState.QUEUED
        activated(studio, second)
        server.hold = None
        server.loaded.clear()
        async with serving(server) as (engine, _), studio.worker(engine):
            assert await done(studio, run) == "round-1"
            assert await done(studio, corrected(studio)) == "round-2"

    play(scenario)


def test_a_text_whose_adapter_is_gone_goes_on_with_what_is_there(
    studio: Studio, tmp_path: Path
) -> None:
    policy = added(studio, tmp_path, "round-1")
    activated(studio, policy)

    async def scenario() -> None:
        server = Adapting(broken=True)
        async with serving(server) as (engine, _), studio.worker(engine):
            await until(is_used(studio, policy, Use.WRITING))
            server.refusal = (500, OTHER)
            server.loaded.clear()
            run = corrected(studio)
            await until(studio.is_now(run, RunState.DONE))
            assert policy_of(studio, run).startswith("lecturer@")
            assert studio.run(run).failures == 0
            assert use(studio, policy).use is Use.REFUSED

    play(scenario)
