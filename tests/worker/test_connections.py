"""What slow, endless and too many connections cost everybody else, over real sockets."""

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from app.cli import connections
from app.cli.connections import Connection
from tests.worker.conftest import Site

COUNT = 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules with a second for the twenty that a real client has."""
    for name in ("HEAD_S", "BODY_S"):
        monkeypatch.setattr(connections, name, 1.0)


@pytest.fixture
def opened(site: Site) -> Iterator[ExitStack]:
    with ExitStack() as sockets:
        yield sockets


def connect(site: Site, sockets: ExitStack, sent: bytes = b"") -> socket.socket:
    url = httpx.URL(site.base_url)
    one = sockets.enter_context(socket.create_connection((url.host, url.port), timeout=10))
    one.sendall(sent)
    return one


def answers(sockets: list[socket.socket], *, within_s: float) -> list[bytes]:
    """The first bytes of the answer to each, once the server has ended the connection."""
    found: dict[socket.socket, bytes] = {}
    deadline = time.monotonic() + within_s
    with selectors.DefaultSelector() as ready:
        for one in sockets:
            ready.register(one, selectors.EVENT_READ, one)
        while len(found) < len(sockets):
            assert time.monotonic() < deadline, f"only {len(found)} were ended"
            for key, _ in ready.select(0.1):
                one = key.data
                found[one] = one.recv(4096)
                ready.unregister(one)
    return [found[one] for one in sockets]


HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        HEAD + b"X-Slow: ",
        HEAD + b"Content-Length: 99\r\n\r\nna",
    ],
    ids=["nothing", "a line", "a head", "a body"],
)
def test_two_hundred_that_never_finish_are_ended_and_hold_nobody_up(
    site: Site, opened: ExitStack, sent: bytes
) -> None:
    slow = [connect(site, opened, sent) for _ in range(COUNT)]
    waits = []
    for _ in range(20):
        began = time.monotonic()
        assert site.browser.get("/account").status_code == 200
        waits.append(time.monotonic() - began)
    assert sorted(waits)[10] < 0.3
    assert {answer[:12] for answer in answers(slow, within_s=10)} == {b"HTTP/1.1 408"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\nX-Slow: ", HEAD + b"Content-Length: 9999\r\n\r\n"]
)
def test_a_byte_now_and_then_does_not_keep_a_connection(
    site: Site, opened: ExitStack, start: bytes
) -> None:
    slow = connect(site, opened, start)
    began = time.monotonic()
    slow.settimeout(0.2)
    while time.monotonic() - began < 8:
        try:
            slow.sendall(b"a")
            if answer := slow.recv(100):
                break
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.usefixtures("impatient")
def test_a_body_that_comes_fast_enough_may_take_long(site: Site, opened: ExitStack) -> None:
    body = b"name=" + b"x" * 3000
    one = connect(site, opened, HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode())
    for at in range(0, len(body), 300):
        one.sendall(body[at : at + 300])
        time.sleep(0.3)
    assert one.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.usefixtures("impatient")
def test_a_connection_at_rest_between_requests_is_not_told_to_hurry(
    site: Site, opened: ExitStack
) -> None:
    one = connect(site, opened, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.recv(4096).startswith(b"HTTP/1.1 200")
    time.sleep(2)
    one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.recv(4096).startswith(b"HTTP/1.1 200")
    one.sendall(b"GET /healthz HTT")
    assert answers([one], within_s=5)[0].startswith(b"HTTP/1.1 408")


def test_a_head_without_an_end_is_refused(site: Site, opened: ExitStack) -> None:
    one = connect(site, opened, b"GET / HTTP/1.1\r\nX-Long: ")
    answer = b""
    for _ in range(10_000):
        try:
            one.sendall(b"a" * 10_000)
        except OSError:
            break
    else:
        raise AssertionError("a hundred megabytes were taken")
    one.settimeout(5)
    try:
        answer = one.recv(100)
    except ConnectionResetError:
        return
    assert answer.startswith(b"HTTP/1.1 431")


def test_too_many_connections_are_refused_and_the_others_served(
    site: Site, opened: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert site.browser.get("/healthz").status_code == 200
    site.server.config.limit_concurrency = 50
    monkeypatch.setattr(Connection, "_said_at", -1e9)
    held = [connect(site, opened) for _ in range(40)]
    site.studio.until(lambda: len(site.server.server_state.connections) >= 40)
    late = [connect(site, opened, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(100)]
    refused = answers(late[20:], within_s=10)
    assert {answer[:12] for answer in refused} <= {b"HTTP/1.1 503", b""}
    assert b"HTTP/1.1 503" in {answer[:12] for answer in refused}
    assert site.browser.get("/healthz").status_code == 200, "who was there stays served"
    for one in held:
        one.close()
    site.studio.until(lambda: len(site.server.server_state.connections) < 40)
    assert httpx.get(f"{site.base_url}/healthz").status_code == 200
    said = [one for one in caplog.records if "too many connections" in one.getMessage()]
    assert len(said) == 1
    assert "LimitNOFILE" in said[0].getMessage()
