"""The API's rate limit: told in every answer, counted for each token, and over after a minute."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.web import rate_limit
from app.web.rate_limit import LET_IN, RateLimit, Windows


class Clock:
    """Seconds as the test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    """The tokens that it lets in."""

    def __init__(self) -> None:
        self.good = {"one", "two"}

    def answer(self, request: Request) -> PlainTextResponse:
        """Let a good token in, as app/web/dependencies.py does."""
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.good:
            return PlainTextResponse("no", 401)
        setattr(request.state, LET_IN, True)
        return PlainTextResponse("ok")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def limit(clock: Clock, door: Door) -> RateLimit:
    paths = ("/api/v1/pairs", "/api/v1/docs", "/queue")
    return RateLimit(Starlette(routes=[Route(path, door.answer) for path in paths]), 2, clock)


@pytest.fixture
def client(limit: RateLimit) -> TestClient:
    return TestClient(limit)


def bearer(token: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def pull(client: TestClient, token: object, times: int = 1) -> list[int]:
    """The statuses of so many requests with a token."""
    return [client.get("/api/v1/pairs", headers=bearer(token)).status_code for _ in range(times)]


def test_every_answer_says_what_is_left(client: TestClient, clock: Clock) -> None:
    first = client.get("/api/v1/pairs", headers=bearer("one"))
    clock.now = 12.5
    second = client.get("/api/v1/pairs", headers=bearer("one"))
    assert first.headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert first.headers["ratelimit"] == '"requests";r=1;t=60'
    assert second.headers["ratelimit"] == '"requests";r=0;t=48'


def test_who_has_none_left_is_told_when_to_go_on(client: TestClient, clock: Clock) -> None:
    assert pull(client, "one", 3) == [200, 200, 429]
    refused = client.get("/api/v1/pairs", headers=bearer("one"))
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert "This token" in refused.json()["detail"]
    clock.now = 60.0
    assert pull(client, "one") == [200]


def test_each_token_has_its_own(client: TestClient) -> None:
    for token in ("one", "two"):
        assert pull(client, token, 3) == [200, 200, 429]


def test_a_token_is_the_same_however_its_header_is_written(client: TestClient, door: Door) -> None:
    door.good |= {"  one", "bearer one"}
    headers = ("Bearer one", "Bearer   one", "bearer one", "Bearer one")
    answers = [client.get("/api/v1/pairs", headers={"Authorization": one}) for one in headers]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]


def test_made_up_tokens_count_for_the_address_they_come_from(client: TestClient) -> None:
    assert [pull(client, number)[0] for number in range(4)] == [401, 401, 429, 429]
    assert client.get("/api/v1/pairs").status_code == 429
    refused = client.get("/api/v1/pairs", headers=bearer("x")).json()
    assert "from this address" in refused["detail"]


def test_made_up_tokens_take_nothing_from_a_token_that_is_known(client: TestClient) -> None:
    assert pull(client, "one") == [200]
    pull(client, "made up", 9)
    assert pull(client, "one", 2) == [200, 429]


def test_a_token_takes_nothing_from_its_address(client: TestClient) -> None:
    pull(client, "one", 9)
    assert pull(client, "two", 3) == [200, 200, 429]
    assert pull(client, "made up", 3) == [401, 401, 429]


def test_a_token_that_is_no_longer_good_counts_for_its_address(
    client: TestClient, door: Door
) -> None:
    pull(client, "one", 1)
    door.good.clear()
    assert pull(client, "one", 4) == [401, 401, 429, 429]


def test_an_ipv6_client_is_its_whole_network(limit: RateLimit) -> None:
    codes = [
        pull(TestClient(limit, client=(f"2001:db8::{last}", 1)), "made up")[0]
        for last in ("1", "2", "3")
    ]
    assert codes == [401, 401, 429]
    assert pull(TestClient(limit, client=("2001:db8:0:1::1", 1)), "made up") == [401]


def test_pages_and_the_description_are_not_counted(client: TestClient) -> None:
    for path in ("/queue", "/api/v1/docs"):
        answers = [client.get(path, headers=bearer("one")) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers


def test_many_addresses_neither_fill_the_memory_nor_give_a_token_its_minute_anew(
    clock: Clock, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_MANY", 3)
    limit = RateLimit(Starlette(routes=[Route("/api/v1/pairs", door.answer)]), 2, clock)
    assert pull(TestClient(limit), "one", 3) == [200, 200, 429]
    for number in range(20):
        clock.now = number
        assert pull(TestClient(limit, client=(f"192.0.2.{number}", 1)), number) == [401]
        assert len(limit.addresses) <= 3
    # The latest are still counted.
    latest = TestClient(limit, client=("192.0.2.19", 1))
    assert pull(latest, "x", 2) == [401, 429]
    assert pull(TestClient(limit), "one") == [429]


def test_what_was_counted_for_the_wrong_sender_is_given_back(clock: Clock) -> None:
    windows = Windows(5, clock)
    for sender in ("a", "a", "b"):
        windows.count(sender)
    for _ in range(2):
        windows.give_back("a")
    assert "a" not in windows
    assert windows.count("b").requests == 3


# (972.07 + 60) - 972.07 is a little more than 60 in floating point.
@pytest.mark.parametrize("began", [0.0, 972.0684650150214, 1e9 + 0.1])
def test_a_minute_is_told_as_sixty_seconds_at_most(clock: Clock, began: float) -> None:
    clock.now = began
    windows = Windows(5, clock)
    assert windows.count("a").reset_s == 60
    clock.now = began + 0.5
    assert windows.count("a").reset_s == 60
    clock.now = began + 59.5
    assert windows.count("a").reset_s == 1
    clock.now = began + 60.5
    assert windows.count("a") == (4, 60)
