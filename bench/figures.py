"""What a series of measurements comes to."""

import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import psutil

from tests.support.studio import Studio


@dataclass
class Series:
    """Wall times of equal requests, and the CPU time of a process over all of them."""

    name: str
    process: psutil.Process
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0

    @contextmanager
    def all(self) -> Iterator[None]:
        """Around the whole series: the process's CPU time is shared out among its requests."""
        before = _cpu(self.process)
        yield
        self.cpu_ms = (_cpu(self.process) - before) * 1000 / max(1, len(self.wall_ms))

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around one request."""
        began = time.perf_counter()
        yield
        self.wall_ms.append((time.perf_counter() - began) * 1000)

    @contextmanager
    def each(self) -> Iterator[None]:
        """Around one request of several series in turn; setting one up is none of it."""
        before, many = _cpu(self.process), len(self.wall_ms)
        with self.one():
            yield
        self.cpu_ms = (self.cpu_ms * many + (_cpu(self.process) - before) * 1000) / (many + 1)

    def row(self) -> str:
        """A line of the table that head() begins."""
        cuts = statistics.quantiles(self.wall_ms, n=20, method="inclusive")
        return (
            f"| {self.name} | {len(self.wall_ms)} | {statistics.median(self.wall_ms):.1f} "
            f"| {cuts[18]:.1f} | {self.cpu_ms:.1f} |"
        )


class Cost:
    """CPU time of the app, the worker and the database while it is entered."""

    def __init__(self, house: Studio) -> None:
        self.house = house
        self.seconds = {"app": 0.0, "worker": 0.0, "database": 0.0}

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        for name, now in self._now().items():
            self.seconds[name] += now - self._before[name]

    def per(self, units: float) -> str:
        """Shared out among so many units of work."""
        return ", ".join(f"{name} {all / units:.2f} s" for name, all in self.seconds.items())

    def _now(self) -> dict[str, float]:
        parts = {name: [psutil.Process(self.house.running[name].pid)] for name in ("app", "worker")}
        postmaster = (self.house.data / "postgres" / "postmaster.pid").read_text().split()[0]
        server = psutil.Process(int(postmaster))
        parts["database"] = [server, *server.children()]
        return {name: sum(map(_cpu, processes)) for name, processes in parts.items()}


def percentile(values: Sequence[float], share: int) -> float:
    """The value below which so many of a hundred lie."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def head() -> str:
    """The head of the table."""
    return (
        "| what | times | p50 ms | p95 ms | CPU of the app, ms each |\n"
        "| --- | --- | --- | --- | --- |"
    )


def machine() -> str:
    """What this was measured on, and what else was running then."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} when it began"
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
