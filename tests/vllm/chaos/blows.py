"""What goes wrong: processes are killed and paused, the database and the servers among them."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from sqlalchemy import func, select

from app.models import Regeneration, RunState
from tests.support.studio import Studio
from tests.vllm.chaos.annotators import Office
from tests.vllm.serving import Running
from worker.vllm import State

LEASE_S = 3.0
# A blow waits until so many texts are half written, if it can.
WORTH_IT = 6
OWN, SHARED = "worker with its own vllm", "worker on the shared vllm"

_HALF_WRITTEN = (
    select(func.count())
    .select_from(Regeneration)
    .where(Regeneration.state == RunState.RUNNING, Regeneration.written > 0)
)


@dataclass
class Storm:
    """Blows in a random order, spread evenly over all that the annotators do."""

    house: Studio
    vllm: Running
    office: Office
    rng: random.Random
    start: Callable[[str], None]

    async def blow(self) -> list[str]:
        """All of them, one after the other; what was done, in order."""
        blows = self._in_order()
        share = self.office.total / (len(blows) + 1)
        for number, (_, strike) in enumerate(blows, start=1):
            # So much is to be left for the blows that follow, and so much may be begun until this.
            due, self.office.allowed = round(share * number), round(share * (number + 1))
            while self.office.begun < due or not (self._is_late() or await self._hits()):
                await asyncio.sleep(0.02)
            await strike()
        self.office.allowed = self.office.total
        return [name for name, _ in blows]

    def _is_late(self) -> bool:
        return self.office.begun >= self.office.allowed

    async def _hits(self) -> bool:
        """Whether texts stand half written: a blow between two texts would show little."""
        count = await self.office.in_database(lambda db: db.scalar(_HALF_WRITTEN) or 0)
        return count >= WORTH_IT

    def _in_order(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Any order, but a server has time to come back before the other one is killed."""
        blows: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            *[(f"kill -9 {SHARED}", lambda: self.kill_worker(SHARED))] * 2,
            (f"SIGTERM {SHARED}", lambda: self.kill_worker(SHARED, signal.SIGTERM)),
            *[(f"pause {SHARED} beyond its lease", lambda: self.pause(SHARED, 1.7))] * 2,
            (f"pause {OWN} beyond its lease", lambda: self.pause(OWN, 1.7)),
            (f"pause {OWN} within its lease", lambda: self.pause(OWN, 0.5)),
            *[("kill -9 PostgreSQL", self.kill_database)] * 2,
            ("kill -9 the app", self.kill_app),
            ("pause the shared vllm", self.pause_shared_server),
        ]
        self.rng.shuffle(blows)
        blows.insert(3, ("kill -9 the engine of the worker's own vllm", self.kill_own_engine))
        blows.insert(8, ("kill -9 the shared vllm", self.kill_shared_server))
        return [*blows, (f"kill -9 {OWN}, and so its vllm", lambda: self.kill_worker(OWN))]

    async def kill_worker(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """It is started again at once, as a service is."""
        await asyncio.to_thread(self.house.kill, name, how)
        self.start(name)

    async def pause(self, name: str, leases: float) -> None:
        """Stop it in the middle of whatever it does, and let it go on later."""
        with _paused([psutil.Process(self.house.running[name].pid)]):
            await asyncio.sleep(leases * LEASE_S)

    async def kill_database(self) -> None:
        """Its first process; its keeper starts it again."""
        self.house.kill_database()
        await asyncio.sleep(1)

    async def kill_app(self) -> None:
        """All streams break."""
        await asyncio.to_thread(self.house.kill, "app")
        await asyncio.to_thread(self.house.start, "app")

    async def kill_shared_server(self) -> None:
        """Its first process; who supervises it starts another."""
        await self._both_serve()
        server_of(psutil.Process(), self.vllm.server.port).kill()
        await asyncio.sleep(2)

    async def pause_shared_server(self) -> None:
        """Connections stay, and nothing comes."""
        server = server_of(psutil.Process(), self.vllm.server.port)
        with _paused([server, *server.children(recursive=True)]):
            await asyncio.sleep(3)

    async def kill_own_engine(self) -> None:
        """Not the server but the process in it that computes."""
        await self._both_serve()
        server = server_of(psutil.Process(self.house.running[OWN].pid))
        for engine in server.children():
            engine.kill()
        await asyncio.sleep(2)

    async def _both_serve(self) -> None:
        """With one server gone the other goes on: to wait for both would show less."""
        async with asyncio.timeout(120):
            while self.vllm.server.state is not State.SERVING or not self._own_serves():
                await asyncio.sleep(0.1)

    def _own_serves(self) -> bool:
        log = (self.house.data / f"{OWN}.log").read_text()
        return log.rfind("vllm serving") > max(log.rfind("vllm starting"), log.rfind("vllm ended"))


def server_of(parent: psutil.Process, port: int | None = None) -> psutil.Process:
    """The vLLM server that a process supervises, on this port if one is named."""
    for process in parent.children():
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue  # One that was killed and is not reaped yet.
        keeps = any(word.endswith("worker/vllm/keeper.py") for word in words)
        if keeps and (port is None or str(port) in words):
            return process.children()[0]
    raise AssertionError("no server is supervised")


@contextmanager
def _paused(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
