"""What a worker measures, and where it shows it."""

import asyncio
import socket
import urllib.request
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.domain.certainty import Token
from app.models import RunState
from app.regenerations import Work
from app.settings import Settings
from tests.worker.conftest import Studio, until
from tests.worker.test_process import Scripted
from worker import metrics, process
from worker.engine import Delta, EngineError, Failure
from worker.openai import ModelDelta, Usage


def value(name: str, **labels: str) -> float:
    """The figure now."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


NAMES = (
    ("iterdpo_claim_seconds_count", ""),
    ("iterdpo_first_text_seconds_count", ""),
    ("iterdpo_stream_tokens_per_second_count", ""),
    ("iterdpo_written_total", ""),
    ("iterdpo_engine_outages_total", ""),
    ("iterdpo_tokens_total", "prompt"),
    ("iterdpo_tokens_total", "cached"),
    ("iterdpo_tokens_total", "generated"),
)


def figures() -> dict[tuple[str, str], float]:
    found = {}
    for name, kind in NAMES:
        labels = {"kind": kind} if kind else {}
        found[name, kind] = value(name, **labels)
    return found


def added(before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {key: now - before[key] for key, now in figures().items() if now != before[key]}


def test_an_attempt_is_measured_from_the_request_to_its_tokens(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_RETRY_S", 0.02)

    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        if work.attempt == 1:
            raise EngineError("Away.", temporary=True)
        yield ModelDelta("One ", None, (Token(0, 4, -0.1),))
        await asyncio.sleep(0.05)
        yield ModelDelta("two.", "stop", (Token(4, 8, -0.1),), Usage(900, 860, 4))

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.DONE))

    before, away = figures(), value("iterdpo_failures_total", reason="away")
    asyncio.run(scenario())
    assert added(before) == {
        ("iterdpo_claim_seconds_count", ""): 1,
        ("iterdpo_first_text_seconds_count", ""): 1,
        ("iterdpo_stream_tokens_per_second_count", ""): 1,
        ("iterdpo_written_total", ""): 1,
        ("iterdpo_engine_outages_total", ""): 1,
        ("iterdpo_tokens_total", "prompt"): 900,
        ("iterdpo_tokens_total", "cached"): 860,
        ("iterdpo_tokens_total", "generated"): 4,
    }
    assert value("iterdpo_failures_total", reason="away") == away + 1
    assert value("iterdpo_engine_usable") == 1
    assert value("iterdpo_worker_streams") == 0


def test_a_failure_is_counted_by_what_kind_it_is(studio: Studio) -> None:
    async def say(work: Work) -> AsyncGenerator[Delta, None]:
        yield Delta("Bad: \x00")

    async def scenario() -> None:
        async with studio.worker(Scripted(say)):
            run = studio.correct(3, "captivating realm", "wide field")
            await until(studio.is_now(run, RunState.FAILED))

    before = value("iterdpo_failures_total", reason="text")
    asyncio.run(scenario())
    assert value("iterdpo_failures_total", reason="text") == before + 1


def test_what_has_never_happened_is_nought() -> None:
    for reason in Failure:
        assert (
            metrics.REGISTRY.get_sample_value("iterdpo_failures_total", {"reason": reason.value})
            is not None
        )


def test_they_are_served_on_their_own_port_only_when_one_is_set(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with metrics.served(Settings(data=tmp_path)), pytest.raises(OSError, match="refused"):
        read(port)
    with metrics.served(Settings(data=tmp_path, metrics_port=port)):
        assert "iterdpo_first_text_seconds_bucket" in read(port)
    with pytest.raises(OSError, match="refused"):
        read(port)


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
