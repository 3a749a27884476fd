"""By which names the app answers, and what its links begin with."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.http.conftest import BROWSER, Browse, World

PUBLIC = "https://studio.example"


@pytest.fixture(scope="module")
def behind(settings: Settings) -> Iterator[TestClient]:
    """The app with a public address."""
    app = create_app(settings.model_copy(update={"public_url": PUBLIC}))
    with TestClient(app, base_url=PUBLIC, headers=BROWSER, follow_redirects=False) as client:
        yield client


def link(admin: TestClient, world: World, host: str | None = None) -> str:
    """The link of a new invitation."""
    headers = {"Host": host} if host else {}
    page = admin.post(f"/people/{world.stranger.id}/invitation", headers=headers)
    assert page.status_code == 200, page.text
    found = re.search(r"(https?://[^\"\s<]*)/invitation/", page.text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "me@127.0.0.1", "127.0.0.1.evil.example", "a/b", "[::1"],
)
def test_an_invitation_never_leads_to_a_host_that_the_request_made_up(
    admin: TestClient, world: World, host: str
) -> None:
    assert link(admin, world, host) == "http://testserver"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9000", "localhost:8000", "studio.localhost", "[::1]:8000", "testserver:81"]
)
def test_a_link_begins_with_the_name_of_this_machine_that_the_user_typed(
    admin: TestClient, world: World, host: str
) -> None:
    assert link(admin, world, host) == f"http://{host}"


def test_no_page_repeats_a_host_that_the_request_made_up(admin: TestClient, world: World) -> None:
    for page in ("/queue", "/tokens", "/api/v1/docs", f"/projects/{world.project.id}/pairs"):
        answer = admin.get(page, headers={"Host": "evil.example"})
        assert (answer.status_code, "evil.example" in answer.text) == (200, False), page


def test_where_a_request_arrived_is_told_with_its_port(browse: Browse, world: World) -> None:
    client = browse(world.admin)
    client.base_url = "http://[2001:db8::7]:8000"
    (session,) = client.cookies.jar
    headers = {"Host": "gpu-box", "Cookie": f"{session.name}={session.value}"}
    page = client.post(f"/people/{world.stranger.id}/invitation", headers=headers)
    assert "http://[2001:db8::7]:8000/invitation/" in page.text


@pytest.mark.parametrize("host", ["studio.example", "STUDIO.example", "studio.example:443"])
def test_the_public_address_is_answered(behind: TestClient, host: str) -> None:
    assert behind.get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1:8000", "studio.example.evil", "studio.example:80", ""]
)
@pytest.mark.parametrize("path", ["/login", "/static/x/app.css", "/nothing"])
def test_with_a_public_address_other_hosts_are_refused(
    behind: TestClient, host: str, path: str
) -> None:
    answer = behind.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert f"answers at {PUBLIC} only" in answer.text
    assert "evil" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_script_is_refused_with_a_problem(behind: TestClient) -> None:
    answer = behind.get("/api/v1/pairs?project=x", headers={"Host": "127.0.0.1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (421, 421)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_under_any_name(behind: TestClient, path: str) -> None:
    assert behind.get(path, headers={"Host": "10.0.0.7:8000"}).status_code in (200, 503)


def test_metrics_ask_for_their_token_and_for_no_name(behind: TestClient) -> None:
    assert behind.get("/metrics", headers={"Host": "10.0.0.7:8000"}).status_code != 421


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://studio.example/", "https://studio.example"),
        ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
        ("", None),
    ],
)
def test_a_public_address_is_kept_without_its_slash(url: str, taken: str | None) -> None:
    assert Settings(public_url=url).public_url == taken


@pytest.mark.parametrize(
    "url", ["studio.example", "https://studio.example/app", "ftp://x", "https://me@x", "https://"]
)
def test_what_is_no_public_address_is_refused_at_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"like https://studio\.example"):
        Settings(public_url=url)
