"""SIGSTOP of each process for longer than a lease: nothing is lost, written twice or left hanging.

By hand with a whole minute each: see docs/operations.md.
"""

import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from app.models import Chunk, Regeneration, RunState
from tests.crash.test_many_streams import corrected
from tests.support.factories import add_user
from tests.support.studio import Studio, studio

STOPPED_S = 6.0
LEASE_S = 2.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    settings = {"ITERDPO_LEASE_S": str(LEASE_S), "ITERDPO_REPLAY_WORDS_PER_S": "10"}
    with studio(tmp_path_factory.mktemp("stopped") / "data", **settings) as made:
        made.start("app")
        made.start("worker")
        yield made


def postmaster(house: Studio) -> psutil.Process:
    pid_file = house.data / "postgres" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().splitlines()[0]))


def processes(house: Studio, name: str) -> Sequence[psutil.Process]:
    if name in house.running:
        return [psutil.Process(house.running[name].pid)]
    server = postmaster(house)
    if name == "keeper":
        keeper = server.parent()
        assert keeper is not None
        return [keeper]
    return [server, *server.children()]


@pytest.mark.parametrize("name", ["app", "worker", "keeper", "database"])
def test_a_process_that_was_stopped_goes_on(house: Studio, name: str) -> None:
    with house.sessions.begin() as db:
        user = add_user(db)
        runs = [corrected(db, user)[1] for _ in range(3)]

    def states() -> list[RunState]:
        with house.sessions() as db:
            return list(db.scalars(select(Regeneration.state).where(Regeneration.id.in_(runs))))

    deadline = time.monotonic() + 60
    while RunState.RUNNING not in states():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    asked: list[int] = []

    def ask() -> None:
        asked.append(httpx.get(f"{house.url}/healthz", timeout=60).status_code)

    stopped = processes(house, name)
    for process in stopped:
        process.suspend()
    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(STOPPED_S)
    for process in stopped:
        process.resume()
    asking.join(60)
    assert asked == [200], "what was asked meanwhile is answered in the end"
    with house.client(user) as browser:
        assert browser.get("/queue").status_code == 200
    deadline = time.monotonic() + 90
    while set(states()) != {RunState.DONE}:
        assert time.monotonic() < deadline, states()
        time.sleep(0.2)
    with house.sessions() as db:
        for run in db.scalars(select(Regeneration).where(Regeneration.id.in_(runs))):
            assert run.error is None
            parts = select(func.sum(func.length(Chunk.text)), func.count(Chunk.start.distinct()))
            length, starts = db.execute(parts.where(Chunk.regeneration_id == run.id)).one()
            count = db.scalar(
                select(func.count()).select_from(Chunk).where(Chunk.regeneration_id == run.id)
            )
            assert (length, starts) == (run.written, count), "a gap, or something twice"
