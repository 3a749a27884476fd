"""Workers are killed, paused and told to stop, the database dies: no word is lost or doubled."""

import os
import signal
import subprocess
import threading
from datetime import datetime
from pathlib import Path

import psutil
import psycopg
import pytest

from app.models import RunState
from tests.worker.conftest import Studio, lecture

AFTER_3 = lecture(6)[3:]
# Slow enough to be met in the middle on a busy machine: seven seconds for the text.
WORDS_PER_S = 150


@pytest.fixture
def studio(studio: Studio) -> Studio:
    """The replay engine writes at such a speed that a text can be met half written."""
    studio.new_draft(lecture(6))
    studio.set_speed(WORDS_PER_S)
    return studio


def half_written(studio: Studio, run: int) -> None:
    """Wait until some of it is written, and not all."""
    studio.until(lambda: studio.run(run).written > 500)
    assert studio.run(run).state is RunState.RUNNING


def assert_whole(studio: Studio, run: int) -> None:
    """It came to its end, and every word is there once and in order."""
    studio.until(lambda: studio.run(run).finished_at is not None, within_s=60)
    assert studio.run(run).state is RunState.DONE
    assert studio.segments(run) == AFTER_3
    assert studio.written(run) == "".join(AFTER_3)


def process_of(studio: Studio, run: int) -> subprocess.Popen[bytes]:
    """The worker that holds it."""
    worker = studio.run(run).worker or ""
    return next(child for child in studio.children if worker.endswith(f":{child.pid}"))


def test_another_worker_goes_on_after_kill_9(studio: Studio) -> None:
    studio.spawn()
    run = studio.correct(3, "captivating realm", "wide field")
    half_written(studio, run)
    studio.children[0].kill()
    studio.spawn()
    assert_whole(studio, run)
    assert studio.run(run).attempt >= 2


def test_a_worker_that_was_paused_and_comes_back_changes_nothing(studio: Studio) -> None:
    studio.spawn()
    run = studio.correct(3, "captivating realm", "wide field")
    half_written(studio, run)
    paused = studio.children[0]
    paused.send_signal(signal.SIGSTOP)
    studio.spawn()
    studio.until(lambda: studio.run(run).attempt == 2, within_s=40)
    paused.send_signal(signal.SIGCONT)
    assert_whole(studio, run)
    # It has noticed, and is of use again.
    studio.children[1].kill()
    studio.new_draft(lecture(6))
    again = studio.correct(3, "captivating realm", "wide field")
    assert_whole(studio, again)
    assert process_of(studio, again) is paused


def test_sigterm_hands_on_at_once_and_ends_cleanly(studio: Studio) -> None:
    # Were it not handed on, the next worker would have to wait for the end of the lease.
    studio.spawn(lease_s=600)
    run = studio.correct(3, "captivating realm", "wide field")
    half_written(studio, run)
    studio.children[0].terminate()
    assert studio.children[0].wait(20) == 0
    row = studio.run(run)
    assert (row.state, row.failures) == (RunState.QUEUED, 0)
    assert studio.written(run) == "".join(AFTER_3)[: row.written]
    studio.spawn(lease_s=600)
    assert_whole(studio, run)


def test_sigterm_before_the_database_answers_ends_it_too(studio: Studio, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    child = studio.spawn_at(studio.url.replace("/test_", "/nowhere_"), log)
    studio.until(lambda: "database is gone" in log.read_text(), within_s=60)
    assert child.poll() is None
    child.terminate()
    assert child.wait(20) == 0


def test_streams_go_on_when_all_connections_die(studio: Studio) -> None:
    studio.spawn()
    run = studio.correct(3, "captivating realm", "wide field")
    half_written(studio, run)
    shut_out(studio, for_s=0.7)
    assert_whole(studio, run)
    # New work is still fetched, and fast: the worker listens again.
    studio.new_draft(lecture(6))
    assert_whole(studio, studio.correct(3, "captivating realm", "wide field"))


def test_a_database_that_is_killed_comes_back_to_a_text_that_goes_on(
    studio: Studio, server_url: str
) -> None:
    studio.spawn()
    run = studio.correct(3, "captivating realm", "wide field")
    half_written(studio, run)
    before = _started(server_url)
    with psycopg.connect(server_url) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).ppid()
    os.kill(postmaster, signal.SIGKILL)
    # Its children answer for a moment yet.
    studio.until(lambda: _started(server_url) not in (None, before), within_s=60)
    assert_whole(studio, run)


def test_many_texts_survive_a_storm(studio: Studio) -> None:
    runs = []
    for _ in range(8):
        studio.new_draft(lecture(6))
        runs.append(studio.correct(3, "captivating realm", "wide field"))
    for _ in range(2):
        studio.spawn()
    for blow in range(3):
        studio.until(lambda: any(studio.run(run).written for run in runs))
        threading.Event().wait(0.5)
        victim = studio.children.pop(0)
        victim.send_signal(signal.SIGKILL if blow % 2 else signal.SIGTERM)
        victim.wait(60)
        studio.spawn()
    for run in runs:
        assert_whole(studio, run)


def shut_out(studio: Studio, *, for_s: float) -> None:
    """No connection to the test's database lives, and none can be made, for so long."""
    name = studio.url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(studio.url.replace(f"/{name}", "/iterdpo"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        threading.Event().wait(for_s)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def _started(server_url: str) -> datetime | None:
    """When the server that answers was started; None while none does."""
    try:
        with psycopg.connect(server_url) as connection:
            row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    except psycopg.OperationalError:
        return None
    assert row is not None
    started: datetime = row[0]
    return started
