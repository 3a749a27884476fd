"""The real vLLM on a CPU, started once for all tests, with a tiny random vision-language model."""

import asyncio
import hashlib
import io
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.settings import ROOT
from tests.worker.conftest import studio
from worker.engine import EngineError
from worker.openai import ImageFile
from worker.vllm import Launch, VllmServer

__all__ = ["studio"]

_PROGRAMS = ROOT / ".venv-vllm" / "bin"
_CACHE = ROOT / "build" / "vllm"
_MODEL, _ADAPTER = _CACHE / "model", _CACHE / "adapter"
_START_S = 300.0
SLOTS = 8

# What a CPU needs; the other options are those of VllmServer.
_FLAGS = (
    *("--served-model-name", "tiny"),
    *("--dtype", "float32", "--enforce-eager"),
    *("--max-model-len", "16384", "--max-num-seqs", str(SLOTS)),
    *("--limit-mm-per-prompt", '{"image":16,"video":0}'),
    # A prompt that is read in two steps, with a seed, kills this build (GPUs know no such end):
    # "CPU Generator does not use offset".
    *("--max-num-batched-tokens", "16384"),
    *("--block-size", "32", "--kv-cache-memory-bytes", "128M"),
    *("--distributed-executor-backend", "uni", "--max-loras", "2"),
)
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CACHE_ROOT": str(_CACHE / "cache"),
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # More threads make it twenty times slower with one process.
    "OMP_NUM_THREADS": "1",
}
IMAGES: dict[str, ImageFile] = {}
for number in range(16):
    buffer = io.BytesIO()
    Image.new("RGB", (200 + number, 150), (number * 13, 40, 90)).save(buffer, "PNG")
    data = buffer.getvalue()
    IMAGES[hashlib.sha256(data).hexdigest()] = ImageFile(data, "image/png")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_START_S + 120))


@dataclass(frozen=True)
class Running:
    """The server of this run."""

    url: str
    server: VllmServer
    adapter: Path
    client: httpx.Client

    def metric(self, name: str) -> float:
        """The sum over all labels of one of the server's own figures."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name}{{", name + " "))
        )


@pytest.fixture(scope="session")
def model() -> Path:
    """The tiny model, made once and kept."""
    maker = ROOT / "tests" / "vllm" / "server" / "make_tiny_vlm.py"
    made = _CACHE / hashlib.sha256(maker.read_bytes()).hexdigest()
    if not made.exists():
        subprocess.run(
            [str(_PROGRAMS / "python"), str(maker), str(_MODEL), str(_ADAPTER)],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            check=True,
        )
        made.touch()
    return _MODEL


@pytest.fixture(scope="session")
def vllm(model: Path) -> Iterator[Running]:
    """The server, serving. Its log is shown when it does not come."""
    log = _CACHE / "server.log"
    log.unlink(missing_ok=True)
    launch = Launch(
        model=str(model),
        log=log,
        flags=_FLAGS,
        adapters=True,
        program=str(_PROGRAMS / "vllm"),
        environment=_ENVIRONMENT,
    )
    ready: list[VllmServer | EngineError] = []
    come, leave = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with VllmServer(launch) as server:
            try:
                await server.ready(_START_S)
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
            pytest.fail(f"{ready[0].message}\n{log.read_text(errors='replace')[-20_000:]}")
        url = ready[0].url
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            yield Running(url, ready[0], _ADAPTER, client)
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()
        loop.close()
