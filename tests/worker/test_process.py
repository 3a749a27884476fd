"""A worker at work on real jobs, in this process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from app.models import RunState
from app.regenerations import Work
from tests.worker.conftest import Studio, lecture, until
from worker.engine import Delta, EngineError, PolicyFacts

AFTER_3 = lecture(8)[3:]
Say = Callable[[Work], AsyncGenerator[Delta, None]]


class Scripted:
    """An engine that does what a test says; it remembers what it was asked and what it closed."""

    policy = PolicyFacts(name="scripted", engine="openai")

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[Work] = []
        self.closed = 0

    async def check(self) -> None:
        """It is always ready."""

    async def stream(self, work: Work) -> AsyncGenerator[Delta, None]:
        """Whatever the script says."""
        self.asked.append(work)
        try:
            async for delta in self.say(work):
                yield delta
        finally:
            self.closed += 1


async def silence(work: Work) -> AsyncGenerator[Delta, None]:
    """An engine that thinks for ever."""
    await asyncio.Event().wait()
    yield Delta("")


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario to its end."""

    async def in_time() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(in_time())


def test_a_correction_is_continued_to_the_end(studio: Studio) -> None:
    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == AFTER_3
            assert studio.written(run) == "".join(AFTER_3)

    play(scenario)


def test_the_annotators_words_are_carried_on(studio: Studio) -> None:
    studio.new_draft(["## Slide 1\nThe Gemini model.\n", "## Slide 2\nGemini again.\n"])

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(1, "Gemini", "Claude")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == ["## Slide 2\nClaude again.\n"]

    play(scenario)


def test_where_nothing_followed_it_ends_at_once(studio: Studio) -> None:
    studio.new_draft(["One.\n", "Two.\n"], ends_output=False)

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(2, "Two", "Zwei")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == []
            assert studio.run(run).stop_reason == "stop"

    play(scenario)


def test_a_text_that_was_stopped_goes_on_where_it_was_cut(studio: Studio) -> None:
    studio.set_speed(60)

    async def scenario() -> None:
        async with studio.worker():
            first = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: studio.run(first).written > 100)
            studio.stop(first)
            kept = "".join(studio.segments(first))
            assert kept == "".join(AFTER_3)[: len(kept)]
        studio.set_speed(4000)
        async with studio.worker():
            second = studio.go_on()
            await until(studio.is_now(second, RunState.DONE))
            assert kept + studio.written(second) == "".join(AFTER_3)

    play(scenario)


def test_a_correction_in_a_text_being_written_replays_what_it_had_to_say(studio: Studio) -> None:
    studio.set_speed(60)

    async def scenario() -> None:
        async with studio.worker():
            first = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: studio.run(first).written > 100)
            second = studio.correct(2, "Welcome back", "Hello again")
            await until(studio.is_now(second, RunState.RUNNING))
            assert studio.run(first).state is RunState.SUPERSEDED
            studio.stop(second)
        studio.set_speed(4000)
        async with studio.worker():
            third = studio.correct(1, "Today, we", "Here we")
            await until(studio.is_now(third, RunState.DONE))
            assert studio.segments(third) == lecture(8)[1:]

    play(scenario)


@pytest.mark.parametrize("end", ["stop", "correct"])
def test_a_silent_engine_is_left_at_once_when_the_annotator_ends_it(
    studio: Studio, end: str
) -> None:
    # So long a lease that only the notification can be what the worker hears.
    studio.settings = studio.settings.model_copy(update={"lease_s": 600})
    engine = Scripted(silence)

    async def scenario() -> None:
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: len(engine.asked) == 1)
            if end == "stop":
                studio.stop(run)
            else:
                studio.correct(2, "Welcome back", "Hello again")
            await until(lambda: engine.closed == 1, within_s=20)

    play(scenario)


def test_a_silent_engine_keeps_its_lease(studio: Studio) -> None:
    # Renewed after a third of it; a busy machine may take the rest.
    studio.settings = studio.settings.model_copy(update={"lease_s": 6})
    engine = Scripted(silence)

    def until_when(run: int) -> datetime:
        end = studio.run(run).lease_until
        assert end is not None
        return end

    async def scenario() -> None:
        async with studio.worker(engine):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: len(engine.asked) == 1)
            first = until_when(run)
            await until(lambda: until_when(run) > first + timedelta(seconds=1))
            assert studio.run(run).attempt == 1
            assert studio.run(run).state is RunState.RUNNING

    play(scenario)


def test_two_workers_share_many_drafts_and_none_is_written_twice(studio: Studio) -> None:
    # However busy the machine is, no lease is lost.
    studio.settings = studio.settings.model_copy(update={"lease_s": 60})

    async def scenario() -> None:
        async with studio.worker(), studio.worker():
            runs = []
            for _ in range(10):
                studio.new_draft(lecture(5))
                runs.append(studio.correct(3, "captivating realm", "wide field"))
            for run in runs:
                await until(studio.is_now(run, RunState.DONE), within_s=40)
                assert studio.segments(run) == lecture(5)[3:]
                assert studio.run(run).attempt == 1

    play(scenario)


def test_a_failure_that_may_pass_is_tried_again_from_the_text_kept(studio: Studio) -> None:
    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        if work.attempt == 1:
            yield Delta("Half a sen")
            raise EngineError("The server is busy.", temporary=True)
        assert work.kept == "Half a sen"
        assert work.prompt.prefix.endswith("students.\nHalf a sen")
        yield Delta("tence.", stop_reason="stop")

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == ["Half a sentence."]
            assert (studio.run(run).attempt, studio.run(run).failures) == (2, 0)

    play(scenario)


def test_a_failure_that_stays_says_why_and_keeps_the_text(studio: Studio) -> None:
    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        yield Delta("Half a sen")
        raise EngineError("The text is too long for the model.", temporary=False)

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.FAILED))
            assert studio.run(run).error == "The text is too long for the model."
            assert studio.segments(run) == ["Half a sen"]

    play(scenario)


@pytest.mark.parametrize("bad", ["\x00", "\ud83d", "<|im_end|>"])
def test_text_that_cannot_be_kept_fails_alone(studio: Studio, bad: str) -> None:
    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        yield Delta("Good. ")
        if work.regeneration_id == 1:
            yield Delta(bad)
        yield Delta("End.", stop_reason="stop")

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            first = studio.correct(3, "captivating realm", "wide field")
            studio.new_draft(["One.\n", "Two."])
            second = studio.correct(1, "One", "Uno")
            await until(studio.is_now(first, RunState.FAILED))
            await until(studio.is_now(second, RunState.DONE))
            assert studio.written(second) == "Good. End."
            assert studio.run(first).error is not None

    play(scenario)


def test_an_engine_that_crashes_is_a_failure_like_any_other(studio: Studio) -> None:
    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        if work.attempt == 1:
            raise ZeroDivisionError
        yield Delta("Text.", stop_reason="stop")

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == ["Text."]

    play(scenario)


def test_a_worker_that_is_told_to_stop_hands_its_texts_on(studio: Studio) -> None:
    studio.set_speed(200)

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: studio.run(run).written > 200)
        row = studio.run(run)
        assert (row.state, row.worker, row.failures) == (RunState.QUEUED, None, 0)
        assert studio.written(run) == "".join(AFTER_3)[: row.written]
        studio.set_speed(4000)
        async with studio.worker():
            await until(studio.is_now(run, RunState.DONE))
            assert studio.segments(run) == AFTER_3
            assert studio.run(run).attempt == 2

    play(scenario)
