"""The API's rate limit: told in every answer, counted for each token, and over after a minute."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import ratelimit
from app.ratelimit import RateLimit


class Clock:
    """Seconds as the test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> TestClient:
    paths = ("/api/v1/pairs", "/api/v1/docs", "/queue")
    app = Starlette(routes=[Route(path, lambda _: PlainTextResponse("ok")) for path in paths])
    return TestClient(RateLimit(app, quota=2, clock=clock))


def test_every_answer_says_what_is_left(client: TestClient, clock: Clock) -> None:
    first = client.get("/api/v1/pairs")
    clock.now = 12.5
    second = client.get("/api/v1/pairs")
    assert first.headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert first.headers["ratelimit"] == '"requests";r=1;t=60'
    assert second.headers["ratelimit"] == '"requests";r=0;t=48'


def test_who_has_none_left_is_told_when_to_go_on(client: TestClient, clock: Clock) -> None:
    assert [client.get("/api/v1/pairs").status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/api/v1/pairs")
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("#quota-exceeded")
    clock.now = 60.0
    assert client.get("/api/v1/pairs").status_code == 200


def test_each_token_has_its_own(client: TestClient) -> None:
    for token in ("one", "two"):
        header = {"Authorization": f"Bearer {token}"}
        codes = [client.get("/api/v1/pairs", headers=header).status_code for _ in range(3)]
        assert codes == [200, 200, 429]


def test_pages_and_the_description_are_not_counted(client: TestClient) -> None:
    for path in ("/queue", "/api/v1/docs"):
        answers = [client.get(path) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers


def test_made_up_tokens_do_not_fill_the_memory(
    client: TestClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratelimit, "_MANY", 3)
    limit = client.app
    assert isinstance(limit, RateLimit)
    for number in range(20):
        clock.now = number
        client.get("/api/v1/pairs", headers={"Authorization": f"Bearer {number}"})
        assert len(limit._windows) <= 3
    # The latest are still counted.
    for left in (0, 0):
        answer = client.get("/api/v1/pairs", headers={"Authorization": "Bearer 19"})
        assert f"r={left};" in answer.headers["ratelimit"]
    assert answer.status_code == 429
