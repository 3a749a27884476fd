"""The real vLLM on a CPU, with a tiny random vision-language model, for tests and measurements."""

import asyncio
import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.settings import ROOT
from worker.engine import EngineError
from worker.vllm import Launch, VllmServer

_PROGRAMS = ROOT / ".venv-vllm" / "bin"
_SERVER = ROOT / "tests" / "vllm" / "server"
_CACHE = ROOT / "build" / "vllm"
_MODEL, _ADAPTER = _CACHE / "model", _CACHE / "adapter"
START_S = 300.0
SLOTS = 8

# What a CPU needs; the other options are those of VllmServer.
FLAGS = (
    *("--served-model-name", "tiny"),
    *("--dtype", "float32", "--enforce-eager"),
    *("--max-model-len", "16384", "--max-num-seqs", str(SLOTS)),
    *("--limit-mm-per-prompt", '{"image":16,"video":0}'),
    # A prompt that is read in two steps, with a seed, kills this build (GPUs know no such end):
    # "CPU Generator does not use offset".
    *("--max-num-batched-tokens", "16384"),
    *("--block-size", "32", "--kv-cache-memory-bytes", "128M"),
    *("--distributed-executor-backend", "uni"),
    *("--middleware", "recorder.Recorder"),
)
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CACHE_ROOT": str(_CACHE / "cache"),
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # More threads make it twenty times slower with one process.
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(_SERVER),
}


@dataclass(frozen=True)
class Running:
    """The server of this run. records: where it writes down what it was asked and what it said."""

    url: str
    server: VllmServer
    adapter: Path
    client: httpx.Client
    model: Path
    records: Path

    def metric(self, name: str) -> float:
        """The sum over all labels of one of the server's own figures."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name}{{", name + " "))
        )


def make_model() -> Path:
    """The tiny model, made once and kept."""
    maker = _SERVER / "make_tiny_vlm.py"
    made = _CACHE / hashlib.sha256(maker.read_bytes()).hexdigest()
    if not made.exists():
        subprocess.run(
            [str(_PROGRAMS / "python"), str(maker), str(_MODEL), str(_ADAPTER)],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            check=True,
        )
        made.touch()
    return _MODEL


@contextmanager
def serving(records: Path) -> Iterator[Running]:
    """The server, once it serves; with its log in the exception when it does not come.

    records: the directory in which it writes down what it was asked and what it said.
    """
    model = make_model()
    log = _CACHE / "server.log"
    log.unlink(missing_ok=True)
    launch = Launch(
        model=str(model),
        log=log,
        flags=(*FLAGS, "--max-loras", "2"),
        adapters=True,
        program=str(_PROGRAMS / "vllm"),
        environment={**ENVIRONMENT, "RECORDS": str(records)},
    )
    ready: list[VllmServer | EngineError] = []
    come, leave = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with VllmServer(launch) as server:
            try:
                await server.ready(START_S)
                ready.append(server)
            except EngineError as error:
                ready.append(error)
            come.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        come.wait()
        if isinstance(ready[0], EngineError):
            said = log.read_text(errors="replace")[-20_000:]
            raise AssertionError(f"{ready[0].message}\n{said}")
        url = ready[0].url
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            yield Running(url, ready[0], _ADAPTER, client, model, records)
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()
        loop.close()
