"""The embedded server: any path, any end of any process, and nothing left behind."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from app.database.postgres import ServerError, database_url, embedded, running_url, tool
from app.settings import Settings

# As under a terminal, even where the tests run in the background and inherit an ignored SIGINT.
HOLD = """
import signal, sys, time
from pathlib import Path
from app.database.postgres import embedded
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; whatever a failed test left running in it is ended."""
    place = tmp_path / "data"
    yield place
    for process in servers(place):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts processes that use a server until their standard input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def servers(data: Path) -> list[psutil.Process]:
    """Every process that works in the cluster or keeps it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(data / "postgres") or str(data / "run") in " ".join(
                process.cmdline()
            ):
                found.append(process)
    return found


def postmaster(data: Path) -> psutil.Process:
    return psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def keep_row(url: str, text: str) -> None:
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE IF NOT EXISTS kept (body text)")
        db.execute("INSERT INTO kept VALUES (%s)", [text])


def rows(url: str) -> list[str]:
    with psycopg.connect(url) as db:
        return [body for (body,) in db.execute("SELECT body FROM kept ORDER BY body")]


@pytest.mark.parametrize(
    "name", ["with space", "quote ' and \" and %41", "数据", "x" * 120 + "/" + "y" * 120]
)
def test_any_data_path_works_and_keeps_its_rows(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    with embedded(data) as url:
        keep_row(url, "字")
        assert running_url(data) == url
    assert running_url(data) is None
    assert servers(data) == []
    assert not Path(url.partition("host=")[2].partition("&")[0].replace("%2F", "/")).exists()
    with embedded(data) as url:
        assert rows(url) == ["字"]


def test_the_server_is_utf8_durable_and_reached_by_no_network(data: Path) -> None:
    with embedded(data) as url, psycopg.connect(url) as db:
        shown = {
            name: db.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in ("server_encoding", "listen_addresses", "fsync", "synchronous_commit")
        }
        assert shown == {
            "server_encoding": ("UTF8",),
            "listen_addresses": ("",),
            "fsync": ("on",),
            "synchronous_commit": ("on",),
        }
        superuser = db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert superuser.fetchone() == (False,)
        sockets = Path(url.partition("host=")[2].partition("&")[0].replace("%2F", "/"))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700


def test_closed_parent_directories_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded(closed / "data") as url:
        keep_row(url, "a")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_the_last_user_to_leave_stops_the_server(
    data: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    first = hold(data)
    with embedded(data) as url:
        pid = postmaster(data).pid
        first.communicate("")
        assert first.returncode == 0
        keep_row(url, "after the starter left")
        assert postmaster(data).pid == pid
    assert servers(data) == []


def test_two_first_starts_at_once_make_one_server(data: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    lines = [process.stdout.readline() for process in processes if process.stdout]
    assert len(set(lines)) == 1
    assert lines[0].startswith("postgresql://")
    for process in processes:
        process.communicate("")
        assert process.returncode == 0
    assert servers(data) == []


def test_a_killed_user_leaves_no_server_behind(
    data: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = hold(data)
    process.kill()
    until(lambda: servers(data) == [])
    with embedded(data):
        log = (data / "logs" / "postgresql.log").read_text()
    assert "not properly shut down" not in log


def test_a_killed_server_comes_back_with_every_committed_row(data: Path) -> None:
    with embedded(data) as url:
        keep_row(url, "committed")
        killed = postmaster(data)
        killed.kill()
        until(lambda: not killed.is_running())
        until(lambda: running_url(data) is not None)
        assert rows(url) == ["committed"]
    assert servers(data) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_keeper_takes_the_server_down_cleanly(
    data: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    hold(data)
    server = postmaster(data)
    psutil.Process(server.ppid()).kill()
    until(lambda: servers(data) == [])
    with embedded(data) as url:
        keep_row(url, "again")


def test_everything_killed_at_once_recovers(
    data: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = hold(data)
    url = running_url(data)
    assert url is not None
    keep_row(url, "committed")
    for victim in [*servers(data), psutil.Process(process.pid)]:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    process.wait()
    with embedded(data) as url:
        assert rows(url) == ["committed"]


def test_a_keeper_that_ends_while_its_server_is_awaited_is_replaced(data: Path) -> None:
    with embedded(data) as url:
        keep_row(url, "kept")
    holder = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'r+'); "
        "fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); time.sleep(1)"
    )
    dying = subprocess.Popen(
        [sys.executable, "-c", holder, str(data / "run" / "keeper.lock")], stdout=subprocess.PIPE
    )
    assert dying.stdout is not None
    assert dying.stdout.readline() == b"held\n"
    with dying, embedded(data) as url:
        assert rows(url) == ["kept"]


def test_a_stale_pid_that_another_program_has_now_is_forgotten(data: Path) -> None:
    with embedded(data):
        written = (data / "postgres" / "postmaster.pid").read_text().splitlines()
    stale = data / "postgres" / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *written[1:]]) + "\n")
    with embedded(data) as url:
        keep_row(url, "started")


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(
    data: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    process = hold(data)
    with embedded(data) as url:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
        keep_row(url, "still here")


def test_a_broken_cluster_is_a_message_with_the_log(data: Path) -> None:
    with embedded(data):
        pass
    (data / "postgres" / "PG_VERSION").write_text("7\n")
    with pytest.raises(ServerError, match=r"(?s)did not start.*version"), embedded(data):
        pass
    assert servers(data) == []


def test_a_data_directory_that_is_a_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot be used"), embedded(tmp_path / "file"):
        pass


def test_a_configured_database_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.example/iterdpo")
    with database_url(Settings(data=tmp_path)) as url:
        assert url == "postgresql://somebody@db.example/iterdpo"
    assert list(tmp_path.iterdir()) == []


def test_the_tools_are_those_of_version_18() -> None:
    for name in ("psql", "pg_dump", "pg_restore"):
        done = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=True)
        assert " 18." in done.stdout
    with pytest.raises(FileNotFoundError):
        tool("no-such-program")
