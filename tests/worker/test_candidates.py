"""Workers that offer candidates: asked for at once, each left at its end, only by the holder."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app import regenerations
from app.models import Regeneration, RunState
from app.regenerations import Candidate, Cut, Outcome, Work
from tests.worker.conftest import Studio, until
from tests.worker.test_process import AFTER_3, Scripted, play
from tests.worker.test_waiting import choose, configure, offered
from worker.engine import Delta, EngineError

LOST, WRITTEN = Outcome.LOST, Outcome.WRITTEN


def versions(*texts: str, first: asyncio.Event | None = None) -> Scripted:
    """An engine with a text for each candidate, and one end for all that goes on."""

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        if work.candidate is None:
            yield Delta("## Slide 9\nThe end.", stop_reason="stop")
            return
        yield Delta(texts[work.candidate])
        if first is not None and work.candidate > 0:
            await first.wait()
        yield Delta("## Slide 9\n")
        await asyncio.Event().wait()

    return Scripted(say)


A, B, C = (f"## Slide 4\nVersion {name}.\n\n" for name in "ABC")


def test_candidates_are_asked_for_at_once_and_each_is_left_at_its_boundary(studio: Studio) -> None:
    configure(studio, candidates=3)
    engine = versions(A, B, C)

    async def scenario() -> None:
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.WAITING))
            assert sorted(one.text for one in offered(studio, run)) == [A, B, C]
            assert (len(engine.asked), engine.closed) == (3, 3)
            assert studio.chain(run) == []
            second = next(one.id for one in offered(studio, run) if one.text == B)
            choose(studio, run, second)
            await until(studio.is_now(run, RunState.DONE))
            assert engine.asked[-1].prompt.prefix.endswith(B)
            assert studio.chain(run) == [B, "## Slide 9\nThe end."]
            assert studio.written(run) == B + "## Slide 9\nThe end."

    play(scenario)


def test_each_is_there_as_soon_as_it_is_ready(studio: Studio) -> None:
    configure(studio, candidates=3)

    async def scenario() -> None:
        gate = asyncio.Event()
        async with studio.worker(versions(A, B, C, first=gate)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: len(offered(studio, run)) == 1)
            assert studio.run(run).state is RunState.RUNNING
            gate.set()
            await until(studio.is_now(run, RunState.WAITING))

    play(scenario)


@pytest.mark.parametrize("end", ["stop", "correct", "choose"])
def test_engines_are_left_when_the_offer_is_ended(studio: Studio, end: str) -> None:
    studio.settings = studio.settings.model_copy(update={"lease_s": 600})
    configure(studio, candidates=3)

    async def scenario() -> None:
        engine = versions(A, B, C, first=asyncio.Event())
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: len(offered(studio, run)) == 1)
            configure(studio)
            if end == "stop":
                studio.stop(run)
            elif end == "correct":
                studio.correct(2, "Welcome back", "Hello again")
            else:
                choose(studio, run, offered(studio, run)[0].id)
            await until(lambda: engine.closed >= 3, within_s=20)
            assert len(offered(studio, run)) == 1

    play(scenario)


def test_a_retry_writes_only_the_candidates_that_are_missing(studio: Studio) -> None:
    configure(studio, candidates=3)

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        assert work.candidate is not None
        if work.candidate > 0 and work.attempt == 1:
            await until(lambda: bool(offered(studio, work.regeneration_id)))
            raise EngineError("The server is busy.", temporary=True)
        yield Delta((A, B, C)[work.candidate] + "## Slide 5\n")
        await asyncio.Event().wait()

    async def scenario() -> None:
        engine = Scripted(say)
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.WAITING))
            assert offered(studio, run)[0].text == A
            assert {one.text for one in offered(studio, run)} == {A, B, C}
            asked = [(work.attempt, work.candidate) for work in engine.asked]
            assert asked == [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]
            assert studio.run(run).failures == 0

    play(scenario)


def test_a_worker_that_is_told_to_stop_hands_its_offer_on(studio: Studio) -> None:
    configure(studio, candidates=3)

    async def scenario() -> None:
        async with studio.worker(versions(A, B, C, first=asyncio.Event())):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: len(offered(studio, run)) == 1)
        assert studio.run(run).state is RunState.QUEUED
        async with studio.worker(versions(A, B, C)):
            await until(studio.is_now(run, RunState.WAITING))
            assert len(offered(studio, run)) == 3

    play(scenario)


def test_one_distinct_text_is_taken_and_the_demo_goes_on(studio: Studio) -> None:
    configure(studio, candidates=3)

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == AFTER_3

    play(scenario)


def test_only_the_present_attempt_offers(studio: Studio) -> None:
    configure(studio, candidates=2)
    run = studio.correct(3, "captivating realm", "wide field")
    zombie = studio.start(run)
    studio.end_lease(run)
    studio.recover()
    late = Candidate(run, zombie.attempt, 0, Cut(len(A), A, None), ends_output=False)

    def offer(candidate: Candidate) -> Outcome:
        with studio.sessions.begin() as db:
            return regenerations.offer(db, candidate)

    def settle(attempt: int) -> Outcome:
        with studio.sessions.begin() as db:
            return regenerations.settle(db, regeneration_id=run, attempt=attempt)

    assert (offer(late), settle(zombie.attempt)) == (LOST, LOST)
    work = studio.start(run)
    assert (offer(late), settle(zombie.attempt)) == (LOST, LOST)
    mine = Candidate(run, work.attempt, 0, Cut(len(A), A, None), ends_output=False)
    assert [offer(mine), offer(mine)] == [WRITTEN, WRITTEN], "COMMIT was lost: it comes again"
    assert len(offered(studio, run)) == 1
    with studio.sessions() as db:
        db.get(Regeneration, run, with_for_update=True)
        other = Candidate(run, work.attempt, 1, Cut(len(B), B, None), ends_output=False)
        assert offer(other) is Outcome.BUSY
        db.rollback()
