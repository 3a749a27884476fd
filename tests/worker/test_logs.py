"""Every line about a regeneration says which one, and at which attempt, whoever logs it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import orjson
import pytest
import structlog

from app import logs
from app.models import RunState
from app.regenerations import Work
from tests.worker.conftest import Studio, lecture, until
from tests.worker.test_crashes import shut_out
from tests.worker.test_process import Scripted
from worker import process
from worker.engine import Delta, EngineError


@contextmanager
def logged() -> Iterator[None]:
    """Lines of JSON on stderr, as a worker process writes them."""
    own = structlog.get_config()
    handlers = logging.getLogger().handlers[:]
    names = ("procrastinate", "psycopg.pool")
    levels = {name: logging.getLogger(name).level for name in names}
    logs.configure(json=True, level="INFO")
    process.quieten_libraries()
    try:
        yield
    finally:
        logging.getLogger().handlers[:] = handlers
        structlog.configure(**own)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def test_an_outage_of_the_database_is_one_line_and_its_end_another(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    studio.new_draft(lecture(6))
    studio.set_speed(250)

    async def scenario() -> None:
        async with studio.worker():
            run = studio.correct(3, "captivating realm", "wide field")
            await until(lambda: studio.run(run).written > 300)
            # Three leases: everything that asks the database by itself has met the outage.
            await asyncio.to_thread(shut_out, studio, for_s=3 * studio.settings.lease_s)
            await until(studio.is_now(run, RunState.DONE), within_s=60)

    with logged():
        asyncio.run(scenario())
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    trouble = [line for line in lines if line["level"] in ("warning", "error", "critical")]
    allowed = {"recovered"}  # The lease has run out meanwhile.
    (gone,) = [line for line in trouble if line["event"] not in allowed]
    assert gone["event"] == "database is gone"
    assert "\n" not in gone["reason"]
    (back,) = [line for line in lines if line["event"] == "database is back"]
    assert back["away_s"] >= 2 * studio.settings.lease_s
    assert not any("exception" in line for line in lines)


def test_lines_of_the_engine_and_of_libraries_carry_regeneration_and_attempt(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "_RETRY_S", 0.02)

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

    with logged():
        run = asyncio.run(scenario())
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    about = {"asked", "read", "slow", "started", "engine failed", "given back", "written"}
    seen = [line for line in lines if line["event"] in about]
    assert {line["event"] for line in seen} == about
    assert {(line["regeneration"], line["attempt"]) for line in seen} == {(run, 1), (run, 2)}
    own_lines = {"policy chosen", "ready", "engine is well again", "stopping", "stopped"}
    others = [line for line in lines if line["event"] in own_lines]
    assert {line["event"] for line in others} == own_lines
    assert not any("regeneration" in line for line in others)
