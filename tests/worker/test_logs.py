"""Every line about a regeneration says which one, and at which attempt, whoever logs it."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import orjson
import pytest
import structlog

from app import logs
from app.models import RunState
from app.regenerations import Work
from tests.worker.conftest import Studio, until
from tests.worker.test_process import Scripted
from worker import process
from worker.engine import Delta, EngineError


def test_lines_of_the_engine_and_of_libraries_carry_regeneration_and_attempt(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "_RETRY_S", 0.02)
    own = structlog.get_config()

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        # As modules below the worker do, which do not know what they work for.
        structlog.get_logger("engine").info("asked")
        await asyncio.to_thread(structlog.get_logger("thread").info, "read")
        other = asyncio.create_task(aside())
        await other
        if work.attempt == 1:
            raise EngineError("Away.", temporary=True)
        yield Delta("Text.", stop_reason="stop")

    async def aside() -> None:
        logging.getLogger("library").warning("slow")

    async def scenario() -> int:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))
        return run

    handlers = logging.getLogger().handlers[:]
    logs.configure(json=True, level="INFO")
    try:
        run = asyncio.run(scenario())
    finally:
        logging.getLogger().handlers[:] = handlers
        structlog.configure(**own)
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    about = {"asked", "read", "slow", "started", "engine failed", "given back", "written"}
    seen = [line for line in lines if line["event"] in about]
    assert {line["event"] for line in seen} == about
    assert {(line["regeneration"], line["attempt"]) for line in seen} == {(run, 1), (run, 2)}
    own_lines = {"policy chosen", "ready", "engine is well again", "stopping", "stopped"}
    others = [line for line in lines if line["event"] in own_lines]
    assert {line["event"] for line in others} == own_lines
    assert not any("regeneration" in line for line in others)
