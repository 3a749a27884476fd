"""Logging in and out, and what the cookie is."""

from starlette.testclient import TestClient

from tests.http.conftest import World


def test_who_is_not_logged_in_is_led_to_the_log_in_page_and_back(visitor: TestClient) -> None:
    answer = visitor.get("/account?done=name")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/account%3Fdone%3Dname"


def test_pages(owner: TestClient, admin: TestClient, trainer: TestClient, world: World) -> None:
    for client, path in ((owner, "/account"), (admin, "/people"), (trainer, "/tokens")):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
    assert owner.get("/nothing").status_code == 404
