"""The engine against servers that do what no real one does when it is wanted."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from app.domain.prompts import ChatPrompt
from app.domain.segments import Cutting, Rule, RuleKind
from app.refusals import NotFound
from app.regenerations import Work
from tests.worker.openai.scripted import Answer, Handler, ScriptedServer, scripted
from worker.engine import EngineError
from worker.openai import Ask, ImageFile, ModelDelta, OpenAIEngine, Patience, Sampling, Usage

CHAT = "/v1/chat/completions"
IMAGES = {
    hashlib.sha256(data).hexdigest(): ImageFile(data, "image/png") for data in (b"one", b"two")
}
PROMPT = ChatPrompt("", tuple(IMAGES), "Write.", "## Slide 1\n\n")
MODELS = {"data": [{"id": "lecturer", "owned_by": "vllm", "root": "/m", "max_model_len": 4096}]}
Chat = Callable[[dict[str, Any], Answer], Coroutine[None, None, None]]


def ask(prompt: ChatPrompt = PROMPT, **options: float) -> Ask:
    return Ask(prompt, Sampling(options), request_id="regeneration-7-1")


def image(sha256: str) -> ImageFile:
    if sha256 not in IMAGES:
        raise NotFound("The file of this image is missing from the image store.")
    return IMAGES[sha256]


def vllm(chat: Chat, *, models: object = MODELS) -> Handler:
    """Answers the probe as vLLM does; what is asked with stream=true is the test's."""

    async def handle(path: str, body: dict[str, Any], answer: Answer) -> None:
        if path == "/v1/models":
            await answer.json(models)
        elif path == CHAT and body.get("stream"):
            await chat(body, answer)
        elif path == CHAT:
            shown = "…assistant\n" + body["messages"][-1]["content"]
            await answer.json({"choices": [], "prompt_text": shown})
        elif path == "/inference/v1/abort_requests":
            await answer.json({})
        elif path == "/tokenize":
            # A token for each word, as the test's tokenizer has it.
            await answer.json({"tokens": [*range(len(body["prompt"].split()))]})
        else:
            await answer.json({"error": "not found"}, 404)

    return handle


async def hello(body: dict[str, Any], answer: Answer) -> None:
    await answer.begin()
    await answer.event(
        {"id": "chatcmpl-regeneration-7-1", "choices": [{"delta": {"content": "Hi"}}]}
    )
    await answer.event({"choices": [{"delta": {"content": "."}, "finish_reason": "stop"}]})
    await answer.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    await answer.event("[DONE]")
    await answer.end()


@asynccontextmanager
async def engine_on(
    handler: Handler, *, model: str = "", patience: Patience | None = None
) -> AsyncIterator[tuple[OpenAIEngine, ScriptedServer]]:
    async with scripted(handler) as server:
        engine = OpenAIEngine(server.url, images=image, model=model, patience=patience)
        try:
            yield engine, server
        finally:
            await engine.aclose()


async def whole(engine: OpenAIEngine, what: Ask) -> list[ModelDelta]:
    async with aclosing(engine.ask(what)) as deltas:
        return [delta async for delta in deltas]


def test_a_text_from_its_beginning_to_its_end() -> None:
    async def scenario() -> None:
        async with engine_on(vllm(hello)) as (engine, server):
            deltas = await whole(engine, ask())
            assert "".join(delta.text for delta in deltas) == "Hi."
            assert deltas[-1].stop_reason == "stop"
            assert deltas[-1].usage == Usage(prompt=9, cached=None, completion=2)
            assert server.bodies("/inference/v1/abort_requests") == [{"request_ids": []}]

    asyncio.run(scenario())


def work(kept: str, **settings: float) -> Work:
    """The next attempt at a text of which so much is kept."""
    prompt = replace(PROMPT, prefix=PROMPT.prefix + kept)
    return Work(
        regeneration_id=7,
        attempt=2,
        draft_id=1,
        sample_id=1,
        anchor_id=1,
        prompt=prompt,
        cutting=Cutting(Rule(RuleKind.SLIDES)),
        before=PROMPT.prefix,
        kept=kept,
        cut=0,
        settings=settings,
    )


@pytest.mark.parametrize(
    ("owner", "asked"),
    # A server that is not vLLM does not count: four words of 20 letters are 7 tokens at most.
    [("vllm", {"max_tokens": 16, "min_tokens": 1}), ("someone", {"max_tokens": 13})],
)
def test_what_earlier_attempts_have_kept_counts_in_the_limit(
    owner: str, asked: dict[str, int]
) -> None:
    entry = {**MODELS["data"][0], "owned_by": owner}

    async def scenario() -> None:
        async with engine_on(vllm(hello, models={"data": [entry]})) as (engine, server):
            async with aclosing(
                engine.stream(work("Four words stand now", max_tokens=20, min_tokens=5))
            ) as deltas:
                assert [delta async for delta in deltas][-1].stop_reason == "stop"
            body = server.bodies(CHAT)[-1]
            assert {name: body[name] for name in asked} == asked

    asyncio.run(scenario())


def test_a_text_that_has_reached_its_limit_is_at_its_end() -> None:
    async def scenario() -> None:
        async with engine_on(vllm(hello)) as (engine, server):
            async with aclosing(
                engine.stream(work("Four words stand now", max_tokens=4))
            ) as deltas:
                (end,) = [delta async for delta in deltas]
            assert (end.text, end.stop_reason) == ("", "length")
            assert not [body for body in server.bodies(CHAT) if body.get("stream")]

    asyncio.run(scenario())


def test_images_are_sent_once_and_again_when_the_server_has_lost_them() -> None:
    lost = False

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        parts = body["messages"][0]["content"]
        if lost and any(part.get("image_url", 1) is None for part in parts):
            message = "Cache miss for image at index 0 but data is not provided."
            await answer.json({"error": {"message": message, "code": 400}}, 400)
        else:
            await hello(body, answer)

    def sent(body: dict[str, Any]) -> list[bool]:
        parts = body["messages"][0]["content"]
        assert [part.get("uuid") for part in parts] == [*IMAGES, None]
        return [part["image_url"] is not None for part in parts[:2]]

    async def scenario() -> None:
        nonlocal lost
        async with engine_on(vllm(chat)) as (engine, server):
            await whole(engine, ask())
            await whole(engine, ask())
            lost = True
            assert len(await whole(engine, ask())) > 0
            bodies = [body for body in server.bodies(CHAT) if body.get("stream")]
            expected = [[True, True], [False, False], [False, False], [True, True]]
            assert [sent(body) for body in bodies] == expected

    asyncio.run(scenario())


def test_an_image_that_is_missing_is_named() -> None:
    async def scenario() -> None:
        async with engine_on(vllm(hello)) as (engine, _):
            prompt = ChatPrompt("", ("0" * 64,), "Write.", "")
            with pytest.raises(EngineError, match="missing from the image store") as failed:
                await whole(engine, ask(prompt))
            assert not failed.value.temporary

    asyncio.run(scenario())


def test_leaving_closes_the_connection_and_aborts_by_id() -> None:
    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        await answer.event({"id": "chatcmpl-of-a-proxy", "choices": [{"delta": {"content": "Hi"}}]})
        await asyncio.sleep(60)

    async def scenario() -> None:
        async with engine_on(vllm(chat)) as (engine, server):
            deltas = engine.ask(ask())
            assert (await anext(deltas)).text == "Hi"
            await deltas.aclose()
            await engine.aclose()
            assert server.gone == [CHAT]
            aborted = server.bodies("/inference/v1/abort_requests")[1:]
            assert aborted == [{"request_ids": ["chatcmpl-of-a-proxy"]}]

    asyncio.run(scenario())


def test_cancelling_the_reader_does_the_same_before_any_text() -> None:
    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await asyncio.sleep(60)

    async def scenario() -> None:
        async with engine_on(vllm(chat)) as (engine, server):
            reading = asyncio.create_task(whole(engine, ask()))
            while not any(body.get("stream") for body in server.bodies(CHAT)):
                await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await engine.aclose()
            assert server.gone == [CHAT]
            aborted = server.bodies("/inference/v1/abort_requests")[1:]
            assert aborted == [{"request_ids": ["chatcmpl-regeneration-7-1"]}]

    asyncio.run(scenario())


async def cut_off(body: dict[str, Any], answer: Answer) -> None:
    await answer.begin()
    await answer.event({"choices": [{"delta": {"content": "Hi"}}]})


async def silent(body: dict[str, Any], answer: Answer) -> None:
    await cut_off(body, answer)
    await asyncio.sleep(60)


async def waiting(body: dict[str, Any], answer: Answer) -> None:
    await asyncio.sleep(60)


async def engine_dead(body: dict[str, Any], answer: Answer) -> None:
    await answer.begin()
    await answer.event({"error": {"message": "EngineCore encountered an issue.", "code": 500}})
    await answer.end()


async def busy(body: dict[str, Any], answer: Answer) -> None:
    await answer.json({"error": {"message": "Server overloaded"}}, 503)


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        (cut_off, "in the middle of the text"),
        (silent, "stopped writing"),
        (waiting, "did not begin to write"),
        (engine_dead, "EngineCore encountered"),
        (busy, "Server overloaded"),
    ],
)
def test_what_another_attempt_may_heal_is_temporary(chat: Chat, words: str) -> None:
    async def scenario() -> None:
        patience = Patience(first_s=0.3, a_token_s=0, next_s=0.3)
        async with engine_on(vllm(chat), patience=patience) as (engine, _):
            with pytest.raises(EngineError, match=words) as failed:
                await whole(engine, ask())
            assert failed.value.temporary

    asyncio.run(scenario())


def test_an_end_without_done_is_an_end() -> None:
    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        await answer.event({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "length"}]})
        await answer.end()

    async def scenario() -> None:
        async with engine_on(vllm(chat)) as (engine, _):
            assert [delta.stop_reason for delta in await whole(engine, ask())] == [None, "length"]

    asyncio.run(scenario())


def test_more_tokens_than_the_model_takes_are_not_asked_for() -> None:
    async def scenario() -> None:
        async with engine_on(vllm(hello)) as (engine, server):
            await whole(engine, ask(max_tokens=4000))
            await whole(engine, ask(max_tokens=4096))
            bodies = [body for body in server.bodies(CHAT) if body.get("stream")]
            assert [body.get("max_tokens") for body in bodies] == [4000, None]

    asyncio.run(scenario())


def test_another_model_in_its_place_is_not_written_with() -> None:
    models = {"data": [dict(MODELS["data"][0])]}
    fails = False

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await (busy if fails else hello)(body, answer)

    async def scenario() -> None:
        nonlocal fails
        async with engine_on(vllm(chat, models=models)) as (engine, _):
            await engine.check()
            fails = True
            with pytest.raises(EngineError):
                await whole(engine, ask())
            fails = False
            models["data"][0]["id"] = "another"
            with pytest.raises(EngineError, match="now serves “another@"):
                await whole(engine, ask())
            await engine.check()
            assert engine.policy.name.startswith("another@")
            await whole(engine, ask())

    asyncio.run(scenario())
