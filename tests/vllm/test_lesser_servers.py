"""The real server behind something that takes away what other servers do not have."""

import asyncio
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from tests.vllm.conftest import Running
from tests.vllm.talking import ask, engine_at, tell
from tests.worker.openai.scripted import Answer, Handler, scripted
from worker.engine import EngineError
from worker.openai import Ask, OpenAIEngine

_FLAGS = ("add_generation_prompt", "continue_final_message")


def before(
    vllm: Running, *, drop: tuple[str, ...] = (), hide: bool = False, cut_after: int = 0
) -> Handler:
    """Passes everything on. drop: fields that it takes out of requests. hide: that it is vLLM.
    cut_after: breaks streams off after so many portions.
    """

    async def handle(path: str, body: dict[str, Any], answer: Answer) -> None:
        kept = {name: value for name, value in body.items() if name not in drop}
        method = "GET" if path == "/v1/models" else "POST"
        async with (
            httpx.AsyncClient(base_url=vllm.url, timeout=120, trust_env=False) as client,
            client.stream(method, path, json=kept) as response,
        ):
            if not body.get("stream"):
                raw = await response.aread()
                if hide:
                    raw = raw.replace(b'"owned_by":"vllm"', b'"owned_by":"us"')
                await answer.whole(raw, response.status_code)
                return
            await answer.begin()
            portions = 0
            async for portion in response.aiter_raw():
                await answer.send(portion)
                portions += 1
                if portions == cut_after:
                    return
            await answer.end()

    return handle


def test_flags_that_are_ignored_are_noticed_in_the_prompt(vllm: Running) -> None:
    async def scenario() -> None:
        async with scripted(before(vllm, drop=_FLAGS)) as server, engine_at(server.url) as engine:
            with pytest.raises(EngineError, match="does not continue a text that has begun"):
                await engine.check()

    asyncio.run(scenario())


def test_a_server_that_is_not_vllm_is_known_by_the_length_of_its_prompt(vllm: Running) -> None:
    async def scenario() -> None:
        async with scripted(before(vllm, hide=True)) as server, engine_at(server.url) as engine:
            await engine.check()
            assert engine.policy.template_hash == ""
            what = ask("Look:\n", images=2, temperature=0)
            told = await tell(engine, what)
            again = await tell(engine, what)
            assert told.text == again.text
            for body in server.bodies("/v1/chat/completions"):
                assert not {"request_id", "priority", "return_prompt_text"} & body.keys()
        async with engine_at(vllm.url) as engine:
            assert (await tell(engine, what)).text == told.text

    asyncio.run(scenario())


def test_a_text_that_breaks_off_is_kept_and_can_be_continued(vllm: Running) -> None:
    async def scenario() -> None:
        what = ask("Look:\n", images=2, temperature=0, max_tokens=30)
        async with scripted(before(vllm, cut_after=12)) as server, engine_at(server.url) as engine:
            pieces: list[str] = []
            with pytest.raises(EngineError, match="in the middle of the text") as broke:
                await listen(engine, what, pieces)
            assert broke.value.temporary
        async with engine_at(vllm.url) as engine:
            whole = (await tell(engine, what)).text
        text = "".join(pieces)
        assert text
        assert whole.startswith(text)

    asyncio.run(scenario())


async def listen(engine: OpenAIEngine, what: Ask, pieces: list[str]) -> None:
    async with aclosing(engine.ask(what)) as deltas:
        async for delta in deltas:
            pieces.append(delta.text)  # noqa: PERF401 - what came before the break is kept
