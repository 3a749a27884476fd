"""`vllm serve` on this machine: started, watched, started again, stopped without a trace."""

import asyncio
import shutil
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType

import httpx
import structlog

from worker.engine import EngineError
from worker.vllm import keeper
from worker.vllm.diagnosis import diagnose

_ADDRESS = "127.0.0.1"
_POLL_S = 0.5
_HEALTH_S = 5.0
# A server on a CPU answers nothing while it works on a long prompt.
_SILENT_S = 180.0
_STOP_S = keeper.STOP_S + 5.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# Give up after this many consecutive early exits.
_ATTEMPTS = 5
_STABLE_S = 600.0
_LOG_LIMIT = 50_000_000
_READ = 200_000

_NOT_INSTALLED = (
    "vLLM is not installed: there is no program “{program}”. It needs an environment of its own: "
    "python3 -m venv .venv-vllm && .venv-vllm/bin/pip install vllm"
)


class State(StrEnum):
    """What a server is doing."""

    STARTING = "starting"
    SERVING = "serving"
    WAITING = "waiting to be started again"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Launch:
    """How vLLM is to be started.

    model: a directory or a name at the model hub. port: 0 for any that is free. flags: more
    options for `vllm serve`; they come last and win. log: the file that its output is added to.
    adapters: LoRA adapters can be loaded while it runs; the server then listens to whoever reaches
    its port, which is this machine. program: vllm's path; "" looks beside this Python, in
    .venv-vllm and on the path. environment: variables it is given beside ours.
    """

    model: str
    log: Path
    port: int = 0
    flags: tuple[str, ...] = ()
    adapters: bool = False
    program: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, program: str, port: int) -> list[str]:
        """The words that start it."""
        words = [program, "serve", self.model, "--host", _ADDRESS, "--port", str(port)]
        words += [
            "--enable-prompt-tokens-details",
            "--scheduling-policy",
            "priority",
            # Token ids in and out, and aborting by id.
            "--enable-scale-out",
            # It must never fetch an image from an address: ours come as bytes.
            "--allowed-media-domains",
            "none.invalid",
        ]
        if self.adapters:
            # Two at once: what was begun with the round before must not hold up the new one.
            words += ["--enable-lora", "--max-loras", "2"]
        return [*words, *self.flags]

    def variables(self) -> dict[str, str]:
        """The environment it is given beside ours."""
        given = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if self.adapters:
            given["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
        return given | self.environment


class VllmServer:
    """One server, from `async with` to its end; only then is anything left of it: its log.

    A server that ends is started again, sooner at first and later then; one that cannot be
    started, or ends again and again, has failed, and `problem` says why.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.port = launch.port or _free_port()
        self.url = f"http://{_ADDRESS}:{self.port}"
        self.state = State.STOPPED
        self.problem = ""
        self.restarts = 0
        self._changed = asyncio.Event()
        self._supervision: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("worker").bind(engine="vllm", port=self.port)

    async def __aenter__(self) -> "VllmServer":
        """Start it; it is not serving yet. Raises EngineError when vLLM is not installed."""
        program = find_program(self.launch.program)
        self.launch.log.parent.mkdir(parents=True, exist_ok=True)
        self._enter(State.STARTING)
        self._supervision = asyncio.create_task(self._supervise(program), name="vllm")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, and wait until all its processes have ended."""
        if self._supervision is not None:
            self._supervision.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervision
        self._enter(State.STOPPED)

    async def ready(self, timeout_s: float | None = None) -> None:
        """Wait until it serves. Raises EngineError: temporary while it may still come."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.state not in (State.SERVING, State.FAILED, State.STOPPED):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            said = self.problem or f"Its log says: {last_line(self.launch.log)}"
            raise EngineError(f"vLLM is {self.state}. {said}", temporary=True) from None
        if self.state is State.FAILED:
            raise EngineError(self.problem, temporary=False)
        if self.state is State.STOPPED:
            raise EngineError("vLLM has been stopped.", temporary=True)

    async def _supervise(self, program: str) -> None:
        clock = asyncio.get_running_loop()
        failures = 0
        pause = _FIRST_PAUSE_S
        while True:
            began = clock.time()
            since = _rotate(self.launch.log)
            served = await self._run(program)
            if clock.time() - began > _STABLE_S and served:
                failures, pause = 0, _FIRST_PAUSE_S
            failures += 1
            found = diagnose(_read(self.launch.log, since))
            self.problem = found.message if found else f"vLLM ended; see {self.launch.log}."
            final = found is not None and found.final and not served
            if final or failures >= _ATTEMPTS:
                self._log.error("vllm failed", reason=self.problem, log=str(self.launch.log))
                self._enter(State.FAILED)
                return
            self._enter(State.WAITING)
            self._log.warning("vllm ended", reason=self.problem, again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            self.restarts += 1
            self._enter(State.STARTING)

    async def _run(self, program: str) -> bool:
        """One life of the server; whether it has served."""
        variables = [f"{name}={value}" for name, value in self.launch.variables().items()]
        with self.launch.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(Path(keeper.__file__)),
                *variables,
                *self.launch.command(program, self.port),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl+C at a terminal is for the worker, which then stops its server.
                start_new_session=True,
            )
        self._log.info("vllm starting", keeper=process.pid, model=self.launch.model)
        ended = asyncio.create_task(process.wait())
        try:
            return await self._watch(ended)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            if not ended.done():
                await _shielded(ended)

    async def _watch(self, ended: asyncio.Task[int]) -> bool:
        """Returns once it has ended or is no good any more."""
        served = False
        clock = asyncio.get_running_loop()
        well_at = clock.time()
        async with httpx.AsyncClient(trust_env=False, timeout=_HEALTH_S) as client:
            while not ended.done():
                healthy = await _is_healthy(client, self.url)
                if ended.done():
                    # What answered, if something did, is another program on this port.
                    break
                if healthy:
                    well_at = clock.time()
                    if not served:
                        served = True
                        self.problem = ""
                        self._log.info("vllm serving", url=self.url)
                        self._enter(State.SERVING)
                elif served and (healthy is False or clock.time() - well_at > _SILENT_S):
                    self._log.warning("vllm is not well", answered=healthy is False)
                    return served
                await asyncio.wait((ended,), timeout=_HEALTH_S if served else _POLL_S)
        return served

    def _enter(self, state: State) -> None:
        self.state = state
        self._changed.set()


def find_program(given: str) -> str:
    """The path of vllm's program. Raises EngineError when there is none."""
    beside = Path(sys.executable).parent / "vllm"
    own = Path(".venv-vllm/bin/vllm").absolute()
    candidates = [given] if given else [str(beside), str(own), "vllm"]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    raise EngineError(_NOT_INSTALLED.format(program=given or "vllm"), temporary=False)


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in _read(log, 0).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing."


async def _is_healthy(client: httpx.AsyncClient, url: str) -> bool | None:
    """None: no answer, which may only mean that it is busy."""
    try:
        answer = await client.get(f"{url}/health")
    except httpx.HTTPError:
        return None
    return answer.status_code == 200


async def _shielded(ended: asyncio.Task[int]) -> None:
    """Wait for the keeper although this task is being cancelled: it ends by itself in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await asyncio.shield(ended)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_ADDRESS, 0))
        port: int = probe.getsockname()[1]
    return port


def _rotate(log: Path) -> int:
    """Put a log that has grown large aside; where the next output will begin."""
    if not log.exists():
        return 0
    size = log.stat().st_size
    if size <= _LOG_LIMIT:
        return size
    log.replace(log.with_name(f"{log.name}.1"))
    return 0


def _read(log: Path, since: int) -> str:
    """The end of what was added since; for a diagnosis the last part is enough."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(since, size - _READ))
        return file.read().decode(errors="replace")
