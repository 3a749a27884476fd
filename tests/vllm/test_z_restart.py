"""The supervised server dies and comes back; last, for the others need it alive."""

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.vllm.conftest import Running
from tests.vllm.talking import ask, engine_at, tell
from worker.engine import EngineError
from worker.openai import OpenAIEngine
from worker.vllm import State


def test_what_was_running_fails_for_now_and_goes_on_with_the_next_server(vllm: Running) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            what = ask("Look:\n", images=4, temperature=0)
            first = await tell(engine, what)
            restarts = vllm.server.restarts
            with pytest.raises(EngineError) as broke:
                await kill_while_it_writes(vllm, engine)
            assert broke.value.temporary
            with pytest.raises(EngineError, match="No model server answers"):
                await tell(engine, what)
            while vllm.server.restarts == restarts or vllm.server.state is not State.SERVING:
                assert vllm.server.state is not State.FAILED, vllm.server.problem
                await asyncio.sleep(0.1)
            # The engine believes that the server has the images.
            assert (await tell(engine, what)).text == first.text

    asyncio.run(scenario())


async def kill_while_it_writes(vllm: Running, engine: OpenAIEngine) -> None:
    what = ask("Look:\n", images=4, max_tokens=8000)
    async with aclosing(engine.ask(what)) as deltas:
        async for _ in deltas:
            for pid in children(keeper_of(vllm.server.port)):
                os.kill(pid, signal.SIGKILL)


def keeper_of(port: int) -> Path:
    """The process that keeps the server on this port; the server itself has another name."""
    for process in Path("/proc").glob("[0-9]*"):
        words = (process / "cmdline").read_bytes().split(b"\0")
        if str(port).encode() in words and any(word.endswith(b"keeper.py") for word in words):
            return process
    raise AssertionError(f"nobody keeps a server on port {port}")


def children(process: Path) -> list[int]:
    lists = [task.read_text() for task in process.glob("task/*/children")]
    return [int(pid) for each in lists for pid in each.split()]
