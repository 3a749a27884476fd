"""Imports done by real workers, and what becomes of them when a process dies."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from PIL import Image as Pillow
from sqlalchemy import func, select, text

from app.database.sessions import Sessions, make_engine, make_sessions
from app.models import Import, ImportState, Project, Sample
from app.samples.imports import service
from app.samples.imports.upload_store import UploadStore
from app.samples.uploads import Upload
from app.settings import ROOT
from tests.support.factories import add_project, add_user
from tests.support.imports import archive, lines, row

LEASE_S = 1.5
IMAGES = 60


@dataclass
class House:
    """An empty project, worker processes that end with the test, and what they import."""

    sessions: Sessions
    url: str
    data: Path
    project_id: int
    user_id: int
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def uploads(self) -> UploadStore:
        return UploadStore(self.data / "uploads")

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        """A worker."""
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.url,
            "ITERDPO_DATA": str(self.data),
            "ITERDPO_LEASE_S": str(LEASE_S),
        } | settings
        with (self.data / f"worker-{len(self.workers)}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "worker"], cwd=ROOT, env=environment, stderr=log
            )
        self.workers.append(worker)
        return worker

    def ask(self, content: bytes, name: str = "s.jsonl") -> int:
        """A waiting import of that file; its id."""
        file = self.data / "uploads" / "sent"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        upload = Upload(file=file, name=name, output=None, instruction="", policy="")
        with self.sessions.begin() as db:
            return service.request_import(
                db,
                uploads=self.uploads,
                project=db.get_one(Project, self.project_id),
                upload=upload,
                actor_id=self.user_id,
            ).id

    def row(self, import_id: int) -> Import:
        """The row as it is now."""
        with self.sessions() as db:
            return db.get_one(Import, import_id)

    def samples(self) -> int:
        """How many samples there are."""
        with self.sessions() as db:
            return db.scalar(select(func.count()).select_from(Sample)) or 0

    def is_now(self, import_id: int, state: ImportState) -> Callable[[], bool]:
        """Whether an import is in that state, asked again at each call."""
        return lambda: self.row(import_id).state is state

    def until(self, holds: Callable[[], bool], *, within_s: float = 90) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.02)

    def process(self, worker: subprocess.Popen[bytes]) -> psutil.Process:
        """The process that a worker has begun to import in."""
        found: list[psutil.Process] = []

        def look() -> bool:
            with suppress(psutil.NoSuchProcess):
                found[:] = [
                    child
                    for child in psutil.Process(worker.pid).children()
                    if "worker.import_process" in child.cmdline()
                ]
            return bool(found)

        self.until(look)
        return found[0]

    def originals(self) -> dict[str, int]:
        """The images in the store that are whole, with their inodes."""
        return {path.stem: path.stat().st_ino for path in (self.data / "images").glob("*/*.png")}

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Meanwhile no sample can be written, and leases are renewed."""
        with self.sessions.begin() as db:
            db.execute(text("LOCK TABLE samples IN EXCLUSIVE MODE"))
            yield


@pytest.fixture
def house(committed_database: str, tmp_path: Path) -> Iterator[House]:
    engine = make_engine(committed_database, pool=6)
    sessions = make_sessions(engine)
    with sessions.begin() as db:
        project_id, user_id = add_project(db).id, add_user(db).id
    made = House(sessions, committed_database, tmp_path, project_id, user_id)
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
    engine.dispose()


def noisy(folder: Path) -> bytes:
    """A zip archive of ten samples that show many images that take their time."""
    names = [f"{number}.png" for number in range(IMAGES)]
    files = {"s.jsonl": lines(*(row(number, images=names[number::10]) for number in range(10)))}
    for name in names:
        file = io.BytesIO()
        Pillow.effect_noise((1600, 900), 60).save(file, "PNG", compress_level=1)
        files[name] = file.getvalue()
    return archive(folder / "noisy.zip", files).read_bytes()


def test_a_worker_imports_though_its_engine_is_away(house: House) -> None:
    import_id = house.ask(lines(row(1), row(2)))
    house.start(ITERDPO_ENGINE="openai", ITERDPO_ENGINE_URL="http://127.0.0.1:9")
    house.until(house.is_now(import_id, ImportState.DONE))
    done = house.row(import_id)
    assert (done.report or {})["added"] == 2
    assert (done.attempt, done.failures, done.fraction, done.upload) == (1, 0, 1.0, None)
    assert list((house.data / "uploads" / "imports").iterdir()) == []


def test_an_import_after_kill_9_of_its_worker_does_no_image_twice(
    house: House, tmp_path: Path
) -> None:
    import_id = house.ask(noisy(tmp_path), "noisy.zip")
    worker = house.start()
    house.until(lambda: len(house.originals()) >= 10)
    process = house.process(worker)
    told = house.row(import_id)
    assert told.state is ImportState.RUNNING
    worker.kill()
    worker.wait()
    with suppress(psutil.NoSuchProcess):
        process.kill()
    kept = house.originals()
    assert 10 <= len(kept) < IMAGES
    assert house.samples() == 0
    house.start()
    house.until(house.is_now(import_id, ImportState.DONE))
    done = house.row(import_id)
    assert done.attempt == 2
    assert (done.report or {})["added"] == house.samples() == 10
    after = house.originals()
    assert len(after) == IMAGES
    # A file that is written again is another file.
    assert {name: after[name] for name in kept} == kept


def test_progress_is_told_while_an_import_runs(house: House, tmp_path: Path) -> None:
    import_id = house.ask(noisy(tmp_path), "noisy.zip")
    house.start()
    seen = []

    def ended() -> bool:
        found = house.row(import_id)
        if found.state is ImportState.RUNNING and found.fraction > 0:
            seen.append((found.fraction, found.images, found.seconds_left))
        return found.state is ImportState.DONE

    house.until(ended)
    assert seen
    assert seen == sorted(seen, key=lambda each: each[0])
    assert all(0 < fraction <= 1 and left is not None for fraction, _, left in seen)


def test_a_killed_process_is_replaced(house: House) -> None:
    import_id = house.ask(lines(row(1)))
    with house.held_up():
        process = house.process(house.start())
        house.until(house.is_now(import_id, ImportState.RUNNING))
        process.kill()
    house.until(house.is_now(import_id, ImportState.DONE))
    done = house.row(import_id)
    assert (done.attempt, done.failures, house.samples()) == (2, 1, 1)


def test_a_process_dies_with_its_worker_and_gives_back(house: House) -> None:
    import_id = house.ask(lines(row(1)))
    with house.held_up():
        worker = house.start()
        process = house.process(worker)
        house.until(house.is_now(import_id, ImportState.RUNNING))
        worker.kill()
        worker.wait()
    house.until(lambda: not process.is_running())
    given = house.row(import_id)
    assert (given.state, given.failures, house.samples()) == (ImportState.WAITING, 0, 0)
    assert house.uploads.files(given.upload or "").file.is_file()
    house.start()
    house.until(house.is_now(import_id, ImportState.DONE))
    assert house.samples() == 1


def test_a_worker_that_stops_gives_back_what_it_imports(house: House) -> None:
    import_id = house.ask(lines(row(1)))
    with house.held_up():
        worker = house.start()
        house.process(worker)
        house.until(house.is_now(import_id, ImportState.RUNNING))
        worker.terminate()
        house.until(lambda: house.row(import_id).state is ImportState.WAITING)
    assert worker.wait(60) == 0
    assert house.samples() == 0


def test_an_import_waits_while_the_command_line_imports_into_its_project(house: House) -> None:
    with house.sessions.begin() as db:
        key = func.hashtextextended(f"iterdpo import {house.project_id}", 0)
        db.execute(select(func.pg_advisory_xact_lock(key)))
        import_id = house.ask(lines(row(1)))
        house.start()
        house.until(lambda: house.row(import_id).attempt >= 1)
        house.until(house.is_now(import_id, ImportState.WAITING))
    house.until(house.is_now(import_id, ImportState.DONE))
    assert house.samples() == 1


def test_an_upload_that_is_gone_is_told_of(house: House) -> None:
    import_id = house.ask(lines(row(1)))
    house.uploads.drop(house.row(import_id).upload or "")
    house.start()
    house.until(house.is_now(import_id, ImportState.FAILED))
    assert "Send the file again" in (house.row(import_id).error or "")
