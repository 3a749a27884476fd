"""What a series of measurements comes to."""

import os
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil


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

    def row(self) -> str:
        """A line of the table that head() begins."""
        cuts = statistics.quantiles(self.wall_ms, n=20, method="inclusive")
        return (
            f"| {self.name} | {len(self.wall_ms)} | {statistics.median(self.wall_ms):.1f} "
            f"| {cuts[18]:.1f} | {self.cpu_ms:.1f} |"
        )


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
