"""Waits that last too long end, and nothing else does."""

import asyncio

import pytest

from worker.openai.idle_timeout import Silence


def test_a_wait_that_lasts_too_long_ends_with_a_timeout() -> None:
    async def scenario() -> None:
        silence = Silence()
        with pytest.raises(TimeoutError), silence.at_most(0.02):
            await asyncio.sleep(20)
        silence.close()
        # The task goes on as if nobody had cancelled it.
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        await asyncio.sleep(0.001)

    asyncio.run(scenario())


def test_many_short_waits_are_no_long_one() -> None:
    async def scenario() -> None:
        silence = Silence()
        for _ in range(30):
            with silence.at_most(0.2):
                await asyncio.sleep(0.02)
        silence.close()

    asyncio.run(scenario())


def test_what_is_done_between_two_waits_counts_for_neither() -> None:
    async def scenario() -> None:
        silence = Silence()
        with silence.at_most(0.02):
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        with silence.at_most(0.5):
            await asyncio.sleep(0.05)
        silence.close()

    asyncio.run(scenario())


def test_a_shorter_wait_after_a_long_one_ends_in_its_own_time() -> None:
    async def scenario() -> None:
        silence = Silence()
        with silence.at_most(3600):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), silence.at_most(0.02):
            await asyncio.sleep(20)
        silence.close()

    asyncio.run(scenario())


def test_who_is_cancelled_by_another_stays_cancelled() -> None:
    async def wait() -> None:
        silence = Silence()
        with silence.at_most(3600):
            await asyncio.sleep(20)

    async def scenario() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
