"""Two apps on one data directory: both work, whichever ends first; or one message says why not."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.factories import add_user
from tests.support.studio import START_S, Studio, studio


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Studio]:
    with studio(tmp_path / "data") as made:
        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(house: Studio, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
        env=house.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("it does not answer")


def test_two_apps_at_once_share_the_database_and_outlive_each_other(house: Studio) -> None:
    ports = [free_port(), free_port()]
    apps = [serve(house, port) for port in ports]
    try:
        for port, app in zip(ports, apps, strict=True):
            wait_for(port, app)
        with house.sessions.begin() as db:
            user = add_user(db)
        cookie = {"iterdpo_session": house.log_in(user)}
        for port in ports:
            page = httpx.get(f"http://127.0.0.1:{port}/account", cookies=cookie, timeout=30)
            assert page.status_code == 200
        # A log-out at one is a log-out at the other.
        httpx.post(f"http://127.0.0.1:{ports[0]}/logout", cookies=cookie, timeout=30)
        page = httpx.get(f"http://127.0.0.1:{ports[1]}/account", cookies=cookie, timeout=30)
        assert page.status_code == 303
        apps[0].kill()
        apps[0].wait(60)
        page = httpx.get(f"http://127.0.0.1:{ports[1]}/login", timeout=30)
        assert page.status_code == 200
    finally:
        for app in apps:
            app.terminate()
            app.communicate(timeout=60)


def test_a_second_app_on_the_same_port_says_so_in_one_message(house: Studio) -> None:
    house.start("app")
    second = serve(house, house.port)
    said, _ = second.communicate(timeout=START_S)
    assert second.returncode == 1
    assert f"Port {house.port} on 127.0.0.1 cannot be used" in said
    assert "Is IterDPO Studio running already?" in said
    assert "Traceback" not in said
    assert httpx.get(f"{house.url}/readyz", timeout=30).status_code == 200
