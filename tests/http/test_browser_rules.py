"""The headers that every answer carries, and requests that another site has made."""

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from app.settings import Settings
from app.web.middleware import CrossSite, SecurityHeaders
from tests.http.conftest import HTMX

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
KINDS = {
    "page": ("GET", "/login", {}),
    "redirect": ("GET", "/account", {}),
    "not found": ("GET", "/nothing/here", {}),
    "wrong method": ("DELETE", "/login", {}),
    "fragment": ("GET", "/people", HTMX),
    "problem": ("GET", "/api/v1/nothing", {}),
    "json": ("GET", "/healthz", {}),
    "static": ("GET", "/static/x/css/base.css", {}),
    "cross-site": ("POST", "/login", {"Sec-Fetch-Site": "cross-site"}),
    "invalid": ("POST", "/preferences", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_has_the_security_headers(visitor: TestClient, kind: str) -> None:
    method, path, headers = KINDS[kind]
    answer = visitor.request(method, path, headers=headers)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "cache-control" in answer.headers
    assert len(answer.headers["x-request-id"]) == 12


def test_pages_can_be_gone_back_to_with_what_is_typed_in_them(owner: TestClient) -> None:
    assert owner.get("/account").headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(("public_url", "strict"), [("https://a.example", True), (None, False)])
def test_https_is_made_to_stay_where_the_site_has_it(public_url: str | None, strict: bool) -> None:
    headers = SecurityHeaders(Response(), Settings(public_url=public_url)).fixed
    assert (b"strict-transport-security" in dict(headers)) is strict


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://studio.example"}, True),
        ({"origin": "http://testserver"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://testserver.evil.example"}, False),
        ({"origin": "http://testserver:81"}, False),
        ({"origin": "null"}, False),
        ({}, True),
        ({"sec-fetch-site": "cross-site", "authorization": "Bearer idp_x"}, True),
        ({"sec-fetch-site": "cross-site", "authorization": "Bearer x", "cookie": "a=b"}, False),
        ({"sec-fetch-site": "cross-site", "authorization": "Basic x"}, False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_changes_are_taken_from_our_own_pages_only(
    method: str, headers: dict[str, str], allowed: bool
) -> None:
    guard = CrossSite(Response(status_code=204), Settings(public_url="https://studio.example"))
    answer = TestClient(guard).request(method, "/anything", headers=headers)
    assert answer.status_code == (204 if allowed else 403)


def test_another_site_cannot_log_the_user_out(owner: TestClient) -> None:
    answer = owner.post("/logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert owner.get("/account").status_code == 200


def test_another_site_may_link_to_us(owner: TestClient) -> None:
    assert owner.get("/account", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_the_refusal_of_the_api_is_a_problem(visitor: TestClient) -> None:
    answer = visitor.post("/api/v1/pairs", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 403


@pytest.mark.parametrize("encoding", ["br", "gzip", "identity"])
def test_pages_and_files_come_compressed_as_the_browser_takes_them(
    owner: TestClient, encoding: str
) -> None:
    page = owner.get("/account", headers={"Accept-Encoding": encoding})
    style = owner.get("/static/x/css/base.css", headers={"Accept-Encoding": encoding})
    expected = None if encoding == "identity" else encoding
    for answer, text in ((page, "</html>"), (style, "{")):
        assert answer.headers.get("content-encoding") == expected
        assert text in answer.text
        assert "Accept-Encoding" in answer.headers["vary"]


def test_static_files_are_kept_forever_under_their_hash_and_never_under_another(
    visitor: TestClient,
) -> None:
    address = visitor.get("/favicon.ico").headers["location"]
    good = visitor.get(address)
    assert good.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert good.headers["content-type"] == "image/svg+xml"
    old = visitor.get("/static/0123456789ab/favicon.svg")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("path", ["nothing.css", "../app/main.py", "%2e%2e/app/main.py", ".hidden"])
def test_nothing_outside_the_static_tree_is_served(visitor: TestClient, path: str) -> None:
    assert visitor.get(f"/static/x/{path}").status_code == 404


def test_the_page_says_its_language_and_theme(owner: TestClient) -> None:
    owner.cookies.set("theme", "dark")
    page = owner.get("/account").text
    assert '<html lang="en" data-theme="dark">' in page
    owner.cookies.set("theme", '"><script>')
    assert "data-theme=" not in owner.get("/account").text
