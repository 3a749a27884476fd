"""Snapshots built by real workers, and what becomes of them when a process dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select, text

from app.models import Project, Snapshot, SnapshotState
from app.settings import ROOT
from tests.support.snapshots import Vault, vault

LEASE_S = 1.5


@dataclass
class House:
    """A vault with worker processes, each of which ends with the test."""

    kept: Vault
    url: str
    data: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        """A worker."""
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.url,
            "ITERDPO_DATA": str(self.data),
            "ITERDPO_LEASE_S": str(LEASE_S),
        } | settings
        command = [sys.executable, "-m", "worker"]
        with self.log(len(self.workers)).open("wb") as log:
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        self.workers.append(worker)
        return worker

    def create(self) -> subprocess.Popen[bytes]:
        """The command that makes a snapshot named "by hand" and waits for it."""
        with self.kept.sessions() as db:
            project = db.get_one(Project, self.kept.project_id).name
        words = [sys.executable, "-m", "app.cli", "snapshot", "create", project, "by-hand"]
        environment = os.environ | {"DATABASE_URL": self.url, "ITERDPO_DATA": str(self.data)}
        command = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        self.workers.append(command)
        return command

    def log(self, number: int) -> Path:
        """What the worker that was started as that one (0-based) has said."""
        return self.data / f"worker-{number}.log"

    def builder(self, worker: subprocess.Popen[bytes]) -> psutil.Process:
        """The process that a worker has begun to build in, once it holds the snapshot."""
        found: list[psutil.Process] = []

        def look() -> bool:
            with suppress(psutil.NoSuchProcess):
                found[:] = [
                    child
                    for child in psutil.Process(worker.pid).children()
                    if "worker.snapshot_process" in child.cmdline()
                ]
            return bool(found)

        self.until(look)
        return found[0]

    def is_now(self, snapshot_id: int, state: SnapshotState) -> Callable[[], bool]:
        """Whether a snapshot is in that state, asked again at each call."""
        return lambda: self.kept.row(snapshot_id).state is state

    def is_begun(self) -> bool:
        """Whether there is a snapshot that somebody builds."""
        with self.kept.sessions() as db:
            building = Snapshot.state == SnapshotState.BUILDING
            return db.scalar(select(Snapshot.id).where(building)) is not None

    def until(self, holds: Callable[[], bool], *, within_s: float = 60) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.02)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Meanwhile builders wait for a table, with their leases renewed."""
        with self.kept.sessions.begin() as db:
            db.execute(text("LOCK TABLE sample_images IN ACCESS EXCLUSIVE MODE"))
            yield

    @contextmanager
    def out_of_reach(self) -> Iterator[None]:
        """Meanwhile no builder can take a snapshot."""
        with self.kept.sessions.begin() as db:
            db.execute(text("LOCK TABLE snapshots IN SHARE ROW EXCLUSIVE MODE"))
            yield


@pytest.fixture
def house(committed_database: str, tmp_path: Path) -> Iterator[House]:
    with vault(committed_database, tmp_path) as kept:
        made = House(kept, committed_database, tmp_path)
        kept.fill(2)
        yield made
        for worker in made.workers:
            children: list[psutil.Process] = []
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(worker.pid).children()
            worker.kill()
            worker.wait()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


def test_a_worker_builds_it_though_its_engine_is_away(house: House) -> None:
    snapshot_id = house.kept.ask()
    house.start(ITERDPO_ENGINE="openai", ITERDPO_ENGINE_URL="http://127.0.0.1:9")
    house.until(house.is_now(snapshot_id, SnapshotState.READY))
    row = house.kept.row(snapshot_id)
    assert (row.counts or {})["pairs"] == 4
    assert (row.attempt, row.failures) == (1, 0)
    assert house.kept.archive(row).is_file()


def test_a_killed_builder_is_replaced(house: House) -> None:
    snapshot_id = house.kept.ask()
    with house.held_up():
        worker = house.start()
        builder = house.builder(worker)
        house.until(house.is_now(snapshot_id, SnapshotState.BUILDING))
        builder.kill()
    house.until(house.is_now(snapshot_id, SnapshotState.READY))
    row = house.kept.row(snapshot_id)
    assert (row.attempt, row.failures) == (2, 1)
    left = [path.name for path in (house.kept.store.root / str(snapshot_id)).iterdir()]
    assert [name for name in left if name.isdecimal()] == ["2"]


def test_a_builder_killed_before_it_takes_anything_is_replaced(house: House) -> None:
    snapshot_id = house.kept.ask()
    with house.out_of_reach():
        house.builder(house.start()).kill()
    house.until(house.is_now(snapshot_id, SnapshotState.READY))
    row = house.kept.row(snapshot_id)
    assert (row.attempt, row.failures) == (1, 1)


def test_a_builder_dies_with_its_worker_and_gives_back(house: House) -> None:
    snapshot_id = house.kept.ask()
    with house.held_up():
        worker = house.start()
        builder = house.builder(worker)
        house.until(house.is_now(snapshot_id, SnapshotState.BUILDING))
        worker.kill()
        worker.wait()
    house.until(lambda: not builder.is_running())
    assert house.kept.row(snapshot_id).state is SnapshotState.QUEUED
    house.start()
    house.until(house.is_now(snapshot_id, SnapshotState.READY))
    assert house.kept.row(snapshot_id).failures == 0


def test_a_worker_that_stops_gives_back_what_it_builds(house: House) -> None:
    snapshot_id = house.kept.ask()
    with house.held_up():
        worker = house.start()
        house.builder(worker)
        house.until(house.is_now(snapshot_id, SnapshotState.BUILDING))
        worker.terminate()
        # It tells its builder before it says so.
        house.until(lambda: "stopping" in house.log(0).read_text())
    assert worker.wait(60) == 0
    assert house.kept.row(snapshot_id).state is SnapshotState.QUEUED


def test_a_command_that_is_interrupted_leaves_it_to_a_worker(house: House) -> None:
    with house.held_up():
        command = house.create()
        house.until(house.is_begun)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode == 130, said
    assert b"It stays in the queue" in said
    assert b"Traceback" not in said
    assert house.kept.row(1).state is SnapshotState.QUEUED
    house.start()
    house.until(house.is_now(1, SnapshotState.READY))
    assert house.kept.row(1).failures == 0


def test_a_zombie_changes_nothing(house: House) -> None:
    snapshot_id = house.kept.ask()
    with house.held_up():
        first = house.start()
        zombie = house.builder(first)
        house.until(house.is_now(snapshot_id, SnapshotState.BUILDING))
        zombie.send_signal(signal.SIGSTOP)
        house.start()
        house.until(lambda: house.kept.row(snapshot_id).attempt == 2)
    house.until(house.is_now(snapshot_id, SnapshotState.READY))
    ready = house.kept.row(snapshot_id)
    with suppress(psutil.NoSuchProcess):
        zombie.send_signal(signal.SIGCONT)
    house.until(lambda: not zombie.is_running() or zombie.status() == psutil.STATUS_ZOMBIE)
    now = house.kept.row(snapshot_id)
    assert (now.attempt, now.content_hash, now.finished_at) == (
        ready.attempt,
        ready.content_hash,
        ready.finished_at,
    )
    names = {path.name for path in (house.kept.store.root / str(snapshot_id)).iterdir()}
    assert str(ready.attempt) in names
    assert "1" not in names
