"""A server that the worker starts: kept going, given up with a reason, gone without a trace."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.worker.vllm import pretended_path
from worker.engine import EngineError
from worker.vllm import Launch, State, VllmServer, keeper, server


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """How the pretended server is started, quickly again when it ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "_FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(server, "_POLL_S", 0.05)
    monkeypatch.setattr(server, "_HEALTH_S", 0.2)
    program = tmp_path / "vllm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{pretended_path()}" "$@"\n')
    program.chmod(0o755)
    return Launch("well", tmp_path / "logs" / "vllm.log", program=str(program))


def starts() -> list[dict[str, Any]]:
    path = Path("starts")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def all_gone() -> bool:
    return not any(lives(one[key]) for one in starts() for key in ("pid", "child"))


def test_it_serves_and_leaves_nothing_behind(launch: Launch) -> None:
    async def scenario() -> None:
        async with VllmServer(launch) as running:
            await running.ready(20)
            assert running.state is State.SERVING
            (started,) = starts()
            assert lives(started["pid"])
            assert lives(started["child"])
        assert all_gone()

    asyncio.run(scenario())


def test_it_is_started_with_our_options_and_those_of_the_admin(launch: Launch) -> None:
    given = replace(
        launch,
        adapters=True,
        flags=("--max-model-len", "8192", "--port-of", "x"),
        environment={"VLLM_CACHE_ROOT": "/a path/with=signs", "VLLM_NO_USAGE_STATS": "0"},
    )

    async def scenario() -> int:
        async with VllmServer(given) as running:
            await running.ready(20)
            return running.port

    port = asyncio.run(scenario())
    (started,) = starts()
    assert started["words"] == [
        *("serve", "well", "--host", "127.0.0.1", "--port", str(port)),
        *("--enable-prompt-tokens-details", "--scheduling-policy", "priority"),
        *("--enable-scale-out", "--allowed-media-domains", "none.invalid", "--enable-lora"),
        *("--max-loras", "2"),
        *("--max-model-len", "8192", "--port-of", "x"),
    ]
    assert started["env"]["VLLM_CACHE_ROOT"] == "/a path/with=signs"
    assert started["env"]["VLLM_NO_USAGE_STATS"] == "0"
    assert started["env"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "pretended: starting" in launch.log.read_text()


def test_a_server_that_is_killed_is_started_again(launch: Launch) -> None:
    async def scenario() -> None:
        async with VllmServer(launch) as running:
            await running.ready(20)
            os.kill(starts()[0]["pid"], signal.SIGKILL)
            await asyncio.to_thread(until, lambda: len(starts()) == 2)
            await running.ready(20)
            assert running.restarts == 1
            assert not lives(starts()[0]["child"])

    asyncio.run(scenario())
    assert all_gone()


def test_a_server_that_says_it_is_ill_is_replaced(launch: Launch) -> None:
    async def scenario() -> None:
        async with VllmServer(replace(launch, model="sick")) as running:
            await asyncio.to_thread(until, lambda: len(starts()) >= 2)
            assert running.restarts >= 1

    asyncio.run(scenario())
    assert all_gone()


def test_a_server_that_ends_again_and_again_is_given_up(launch: Launch) -> None:
    async def scenario() -> None:
        async with VllmServer(replace(launch, model="dies")) as running:
            await asyncio.to_thread(until, lambda: running.state is State.FAILED)
            with pytest.raises(EngineError, match=r"vLLM ended; see .*vllm\.log") as failed:
                await running.ready()
            assert not failed.value.temporary

    asyncio.run(scenario())
    assert len(starts()) == 5
    assert all_gone()


def test_what_another_start_would_not_heal_is_said_at_once(launch: Launch, tmp_path: Path) -> None:
    said = tmp_path / "no-gpu"
    said.write_text("RuntimeError: Failed to infer device type, please set the environment …")

    async def scenario() -> None:
        async with VllmServer(replace(launch, model=str(said))) as running:
            with pytest.raises(EngineError, match="finds no GPU") as failed:
                await running.ready(20)
            assert not failed.value.temporary

    asyncio.run(scenario())
    assert len(starts()) == 1


def test_a_problem_of_the_last_life_is_not_blamed_on_this_one(launch: Launch) -> None:
    launch.log.parent.mkdir()
    launch.log.write_text("RuntimeError: No CUDA GPUs are available\n")

    async def scenario() -> None:
        async with VllmServer(replace(launch, model="dies")) as running:
            await asyncio.to_thread(until, lambda: bool(running.problem))
            assert "GPU" not in running.problem

    asyncio.run(scenario())


def test_a_server_that_is_still_starting_says_so(launch: Launch, tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\necho Loading weights: 3 of 9\nexec sleep 600\n")
    program.chmod(0o755)

    async def scenario() -> None:
        async with VllmServer(replace(launch, program=str(program))) as running:
            await asyncio.to_thread(
                until, lambda: launch.log.exists() and launch.log.stat().st_size > 0
            )
            with pytest.raises(EngineError, match=r"vLLM is starting\. .*3 of 9") as waiting:
                await running.ready(0.1)
            assert waiting.value.temporary

    asyncio.run(scenario())


def test_without_vllm_there_is_a_way_to_get_it(launch: Launch) -> None:
    async def scenario() -> None:
        with pytest.raises(EngineError, match="pip install vllm"):
            async with VllmServer(replace(launch, program="no-such-program")):
                pass

    asyncio.run(scenario())


def test_one_that_does_not_listen_is_ended(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper's patience is its own process's: this takes it the long way once."""
    short = Path("keeper.py")
    source = Path(keeper.__file__).read_text().replace("STOP_S = 15.0", "STOP_S = 0.5")
    short.write_text(source)
    monkeypatch.setattr(keeper, "__file__", str(short.absolute()))

    async def scenario() -> None:
        async with VllmServer(replace(launch, model="stubborn")) as running:
            await running.ready(20)

    asyncio.run(scenario())
    assert all_gone()


_WORKER = """
import asyncio, sys
from pathlib import Path
from worker.vllm import Launch, VllmServer

async def main():
    launch = Launch("well", Path("logs/vllm.log"), program=sys.argv[1])
    async with VllmServer(launch) as running:
        await running.ready(20)
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("killed", ["worker", "keeper"])
def test_nothing_outlives_whoever_is_killed(launch: Launch, killed: str) -> None:
    root = Path(keeper.__file__).parents[2]
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, launch.program],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    try:
        assert worker.stdout is not None
        assert b"ready\n" in iter(worker.stdout.readline, b"")
        (started,) = starts()
        if killed == "worker":
            worker.kill()
            until(all_gone)
        else:
            parent = int(Path(f"/proc/{started['pid']}/stat").read_text().split()[3])
            os.kill(parent, signal.SIGKILL)
            # The server is told by the kernel; the worker starts another one.
            until(lambda: not lives(started["pid"]))
            os.kill(started["child"], signal.SIGKILL)
            until(lambda: len(starts()) == 2)
    finally:
        worker.kill()
        worker.communicate()
    until(all_gone)
