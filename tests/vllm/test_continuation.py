"""Continuations by the real server: what they cost, how they end, how they are stopped."""

import asyncio
import time
from contextlib import aclosing

import pytest

from app.domain.segments import Cutting, Rule, RuleKind
from app.regenerations import Work
from tests.vllm.conftest import SLOTS, Running
from tests.vllm.talking import Told, ask, engine_at, tell
from worker.engine import EngineError
from worker.openai import OpenAIEngine

# The id of <|im_end|> in the tiny model's vocabulary.
END = "4082"
BOTH_WAYS = pytest.mark.parametrize("by_ids", [False, True], ids=["messages", "ids"])
SEGMENTS = [
    f"## Slide {number}\n\nThis slide shows the result of section {number}, and the next one "
    f"compares the growth of the market with the training data of {2000 + number}.\n\n"
    for number in range(1, 25)
]


def test_check_finds_what_the_server_can_do(vllm: Running) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url, model="") as engine:
            await engine.check()
            assert engine.policy.name.startswith("tiny@")
            assert engine.policy.base_model.endswith("model")
            assert len(engine.policy.template_hash) == 64
        async with engine_at(f"{vllm.url}/v1", model="large") as engine:
            with pytest.raises(EngineError, match="has no model “large”; it has “tiny”"):
                await engine.check()

    asyncio.run(scenario())


@BOTH_WAYS
def test_nothing_before_a_correction_is_computed_again(vllm: Running, by_ids: bool) -> None:
    """At least 95 % of the tokens before it, images included."""

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:

            async def told(prefix: str, max_tokens: int = 16) -> Told:
                instruction = f"Lecture {by_ids}."
                what = ask(prefix, images=16, instruction=instruction, max_tokens=max_tokens)
                return await tell(engine, what, by_ids=by_ids)

            await told("".join(SEGMENTS))
            for corrected in (4, 12, 23):
                before = "".join(SEGMENTS[:corrected])
                after = await told(before + "## Slide 0\n\nAnother text.\n\n")
                kept = (await told(before, max_tokens=1)).usage.prompt
                assert after.usage.cached is not None
                assert after.usage.cached >= 0.95 * kept

    asyncio.run(scenario())


def test_what_the_server_wrote_is_found_again_by_its_ids(vllm: Running) -> None:
    """As text it is not: random text does not encode to the ids that it was sampled in."""

    async def share(by_ids: bool) -> float:
        async with engine_at(vllm.url) as engine:
            instruction = f"Write ({by_ids})."
            first = ask("Begin:\n", instruction=instruction, max_tokens=600, images=2)
            told = await tell(engine, first, by_ids=by_ids)
            # Cut at a blank: where a corrected text might go on.
            prefix = "Begin:\n" + told.text[: told.text.rindex(" ")] + " next"
            again = ask(prefix, instruction=instruction, images=2)
            told = await tell(engine, again, by_ids=by_ids)
            assert told.usage.cached is not None
            return told.usage.cached / told.usage.prompt

    by_ids, by_text = asyncio.run(share(True)), asyncio.run(share(False))
    assert by_ids >= 0.9
    assert by_text < by_ids


@BOTH_WAYS
def test_the_end_is_the_models_own_or_a_limit(vllm: Running, by_ids: bool) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:

            async def told(
                stop: tuple[str, ...] = (), logit_bias: dict[str, float] | None = None
            ) -> Told:
                what = ask("Look:\n", stop=stop, logit_bias=logit_bias, temperature=0)
                return await tell(engine, what, by_ids=by_ids)

            limit = await told()
            assert limit.stop_reason == "length"
            assert (await told(logit_bias={END: 100.0})).stop_reason == "stop"
            assert (await told(("zzz",), {END: 100.0})).stop_reason == "stop"
            stop = limit.text[6:8]
            stopped = await told((stop,))
            assert stopped.stop_reason == "stop string"
            assert stopped.text == limit.text[: limit.text.index(stop)]
            assert all(token.end <= len(stopped.text) for token in stopped.tokens)

    asyncio.run(scenario())


@BOTH_WAYS
def test_every_token_has_its_place_and_its_certainty(vllm: Running, by_ids: bool) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            what = ask("Look:\n", max_tokens=120, logit_bias={END: 6.0}, seed=4)
            told = await tell(engine, what, by_ids=by_ids)
            at = 0
            for token in told.tokens:
                assert token.start == at
                assert token.logprob <= 0
                at = token.end
            assert at == len(told.text)
            ended = told.stop_reason == "stop"
            assert len(told.tokens) == told.usage.completion - ended

    asyncio.run(scenario())


@BOTH_WAYS
def test_the_same_seed_writes_the_same_text(vllm: Running, by_ids: bool) -> None:
    """Alone and beside others, with a cold and a warm cache."""

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:

            async def text(seed: int | None) -> str:
                asked = ask("Look:\n", images=2, seed=seed, max_tokens=40, temperature=1.0)
                return (await tell(engine, asked, by_ids=by_ids)).text

            alone = await text(7)
            together = await asyncio.gather(*(text(7) for _ in range(SLOTS)), text(8), text(None))
            assert set(together[:SLOTS]) == {alone}
            assert len({alone, *together[SLOTS:]}) == 3

    asyncio.run(scenario())


@BOTH_WAYS
def test_leaving_stops_the_server_at_once(vllm: Running, by_ids: bool) -> None:
    """Within 300 ms; the best of three, for this machine does other things too."""

    async def left_after_s(engine: OpenAIEngine) -> float:
        what = ask("Look:\n", images=1, max_tokens=8000)
        deltas = engine.ask(what, by_ids=by_ids)
        for _ in range(3):
            await anext(deltas)
        assert await running(vllm) == 1
        began = time.perf_counter()
        await deltas.aclose()
        while await running(vllm):
            assert time.perf_counter() - began < 10
        return time.perf_counter() - began

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            await engine.check()
            assert min([await left_after_s(engine) for _ in range(3)]) < 0.3

    asyncio.run(scenario())


async def running(vllm: Running) -> float:
    return await asyncio.to_thread(vllm.metric, "vllm:num_requests_running")


@BOTH_WAYS
def test_what_is_urgent_overtakes_the_queue(vllm: Running, by_ids: bool) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            order: list[str] = []

            async def take(name: str, priority: int) -> None:
                what = ask("Look:\n", priority=priority, max_tokens=8000, request_id=name)
                async with aclosing(engine.ask(what, by_ids=by_ids)) as deltas:
                    await anext(deltas)
                    order.append(name)
                    async for _ in deltas:
                        pass

            async def waiting(count: int) -> None:
                while await asyncio.to_thread(vllm.metric, "vllm:num_requests_waiting") < count:
                    await asyncio.sleep(0.01)

            await engine.check()
            tasks = [asyncio.create_task(take(f"busy {n}", 5)) for n in range(SLOTS)]
            try:
                # Every slot is taken before anything waits.
                while len(order) < SLOTS:
                    await asyncio.sleep(0.01)
                tasks += [asyncio.create_task(take(f"batch {n}", 9)) for n in range(3)]
                await waiting(3)
                tasks.append(asyncio.create_task(take("urgent", 0)))
                await waiting(4)
                tasks[0].cancel()
                while len(order) == SLOTS:
                    await asyncio.sleep(0.01)
                assert order[SLOTS] == "urgent"
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


def test_what_the_server_refuses_is_said_plainly(vllm: Running) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            with pytest.raises(EngineError, match="exceed the model's limit of 16384 tokens"):
                await tell(engine, ask("the result of " * 9000))
            # More than there is room for is not asked for.
            assert await tell(engine, ask("Look:\n", max_tokens=99_999, logit_bias={END: 100.0}))

    asyncio.run(scenario())


def test_a_regeneration_is_written_by_the_projects_settings(vllm: Running) -> None:
    work = Work(
        regeneration_id=70,
        attempt=2,
        draft_id=1,
        sample_id=1,
        anchor_id=1,
        prompt=ask("Look:\n", images=2).prompt,
        cutting=Cutting(Rule(RuleKind.SLIDES)),
        before="Look:\n",
        kept="",
        cut=0,
        settings={"max_tokens": 12, "seed": 5, "temperature": 0.8, "look_ahead": 2},
    )

    async def text(engine: OpenAIEngine) -> str:
        async with aclosing(engine.stream(work)) as deltas:
            return "".join([delta.text async for delta in deltas])

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            same = ask("Look:\n", images=2, seed=75, max_tokens=12, temperature=0.8)
            assert await text(engine) == (await tell(engine, same)).text != ""

    asyncio.run(scenario())


def test_an_adapter_is_loaded_while_the_server_runs(vllm: Running) -> None:
    def post(path: str, body: dict[str, str]) -> None:
        answer = vllm.client.post(path, json=body)
        assert answer.status_code == 200, answer.text

    async def scenario() -> None:
        what = ask("Look:\n", images=1, temperature=0)
        async with engine_at(vllm.url) as base, engine_at(vllm.url, "round-1") as tuned:
            with pytest.raises(EngineError, match="has no model “round-1”"):
                await tuned.check()
            post(
                "/v1/load_lora_adapter",
                {"lora_name": "round-1", "lora_path": str(vllm.adapter)},
            )
            try:
                await tuned.check()
                await base.check()
                assert tuned.policy.name.startswith("round-1@")
                assert tuned.policy.base_model == "tiny"
                assert tuned.policy.adapter == str(vllm.adapter)
                assert base.policy.adapter == ""
                told = await tell(tuned, what)
                assert told.text != (await tell(base, what)).text
                assert told.text == (await tell(tuned, what, by_ids=True)).text
            finally:
                post("/v1/unload_lora_adapter", {"lora_name": "round-1"})
            with pytest.raises(EngineError, match="does not have the model “round-1”"):
                await tell(tuned, what)

    asyncio.run(scenario())
