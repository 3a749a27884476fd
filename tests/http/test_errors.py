"""How refusals and failures reach a page, a fragment and a program."""

from collections.abc import Iterator
from typing import Annotated

import psycopg
import pytest
from fastapi import Form
from pydantic import PostgresDsn
from sqlalchemy import text
from starlette.testclient import TestClient

from app.database.sessions import make_engine, make_sessions
from app.main import create_app
from app.models import User
from app.refusals import Conflict, Forbidden, Invalid, NotFound, Outdated
from app.settings import Settings
from app.web.dependencies import CurrentUser, Id, SessionDep
from tests.http.conftest import BROWSER, HTMX

TYPED = "\n  What I typed <b>for an hour</b>.\n"
REFUSALS = {
    "missing": NotFound("No such thing."),
    "forbidden": Forbidden("Not for you."),
    "moved": Outdated("Somebody was faster."),
    "impossible": Conflict("Nothing is left."),
    "wrong": Invalid("Too long.", "text"),
    "broken": ZeroDivisionError("secret detail"),
}
STATUS = {
    "missing": 404,
    "forbidden": 403,
    "moved": 409,
    "impossible": 409,
    "wrong": 422,
    "broken": 500,
}


@pytest.fixture(scope="module")
def client(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An app with routes that refuse and fail, over a table whose constraint waits for COMMIT."""
    settings = Settings(
        DATABASE_URL=PostgresDsn(database_url), data=tmp_path_factory.mktemp("data"), demo=True
    )
    app = create_app(settings)

    @app.api_route("/refuse/{why}", methods=["GET", "POST"])
    @app.api_route("/api/v1/refuse/{why}", methods=["GET", "POST"])
    def refuse(why: str, _db: SessionDep, text: Annotated[str, Form()] = "") -> None:
        raise REFUSALS[why]

    @app.get("/typed/{number}")
    @app.get("/api/v1/typed/{number}")
    def typed(number: Id, limit: int = 3) -> int:
        return number + limit

    @app.post("/own")
    def own(_actor: CurrentUser, text: Annotated[str, Form()] = "") -> None:
        raise AssertionError

    @app.post("/twins/{count}")
    def twins(count: int, db: SessionDep) -> dict[str, int]:
        for _ in range(count):
            db.execute(text("INSERT INTO twins VALUES (1)"))
        return {"inserted": count}

    @app.post("/nul")
    def nul(db: SessionDep) -> None:
        db.execute(text("SELECT :text"), {"text": "a\0b"})

    @app.post("/half")
    def half(db: SessionDep) -> None:
        db.execute(text("SELECT :text"), {"text": "a\ud800b"})

    @app.post("/large")
    def large(db: SessionDep) -> None:
        db.get(User, 2**70)

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE twins (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        with TestClient(app, headers=BROWSER, follow_redirects=False) as client:
            yield client
        connection.execute("DROP TABLE twins")


@pytest.mark.parametrize("why", REFUSALS)
def test_the_api_answers_with_a_problem(client: TestClient, why: str) -> None:
    answer = client.get(f"/api/v1/refuse/{why}")
    assert answer.status_code == STATUS[why]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == STATUS[why]
    assert problem["type"] == "about:blank"
    assert problem["instance"] == f"/api/v1/refuse/{why}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "secret detail" not in answer.text
    assert problem.get("errors") == (
        [{"field": "text", "detail": "Too long."}] if why == "wrong" else None
    )


@pytest.mark.parametrize("why", REFUSALS)
def test_a_page_is_answered_with_a_page(client: TestClient, why: str) -> None:
    answer = client.get(f"/refuse/{why}")
    assert answer.status_code == STATUS[why]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "</html>" in answer.text
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    if why == "broken":
        assert answer.headers["x-request-id"] in answer.text
    else:
        assert str(REFUSALS[why]) in answer.text


def test_only_what_has_changed_is_said_to_have(client: TestClient) -> None:
    words = "This has changed in the meantime"
    headed = {why: words in client.get(f"/refuse/{why}", headers=BROWSER).text for why in STATUS}
    assert [why for why, is_headed in headed.items() if is_headed] == ["moved"]


@pytest.mark.parametrize("why", REFUSALS)
def test_a_fragment_never_replaces_the_form_that_asked(client: TestClient, why: str) -> None:
    answer = client.post(f"/refuse/{why}", data={"text": TYPED}, headers=HTMX)
    assert answer.status_code == STATUS[why]
    assert answer.headers["hx-retarget"] == "#notice"
    assert answer.headers["hx-reswap"] == "innerHTML"
    assert 'role="alert"' in answer.text
    assert "<html" not in answer.text


@pytest.mark.parametrize("why", REFUSALS)
def test_the_page_of_a_refused_form_gives_the_text_back(client: TestClient, why: str) -> None:
    answer = client.post(f"/refuse/{why}", data={"text": TYPED, "password": "hunter2-secret"})
    assert answer.status_code == STATUS[why]
    assert ">\n\n  What I typed &lt;b&gt;for an hour&lt;/b&gt;.\n</textarea>" in answer.text
    assert "hunter2-secret" not in answer.text


def test_a_form_sent_after_the_log_in_ended_gives_the_text_back(client: TestClient) -> None:
    answer = client.post("/own", data={"text": TYPED}, headers={"Referer": "http://t/drafts/7?x=1"})
    assert answer.status_code == 401
    assert "What I typed" in answer.text
    assert answer.headers["x-login"] == "/login?next=/drafts/7"
    assert 'href="/login?next=/drafts/7"' in answer.text


def test_a_fragment_after_the_log_in_ended_leaves_the_page_alone(client: TestClient) -> None:
    current = {"HX-Current-URL": "http://testserver/drafts/7"}
    answer = client.post("/own", data={"text": TYPED}, headers=HTMX | current)
    assert answer.status_code == 401
    assert answer.headers["x-login"] == "/login?next=/drafts/7"
    assert "hx-redirect" not in answer.headers
    assert "hx-refresh" not in answer.headers


def test_a_script_of_the_page_is_answered_with_a_problem(client: TestClient) -> None:
    answer = client.post("/own", json={}, headers={"Accept": "*/*", "Sec-Fetch-Dest": "empty"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-login"].startswith("/login?next=")


@pytest.mark.parametrize("number", ["x", "0", "-1", str(2**63)])
def test_an_id_that_cannot_be_one_is_not_found(client: TestClient, number: str) -> None:
    assert client.get(f"/typed/{number}").status_code == 404
    assert client.get(f"/api/v1/typed/{number}").status_code == 404


def test_a_wrong_parameter_is_named(client: TestClient) -> None:
    answer = client.get("/api/v1/typed/4?limit=many")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"
    assert "limit" in client.get("/typed/4?limit=many").text


def test_a_failing_commit_is_no_success(client: TestClient, database_url: str) -> None:
    assert client.post("/twins/2").status_code == 500
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM twins").fetchone() == (0,)


def test_what_was_answered_is_committed(client: TestClient, database_url: str) -> None:
    answer = client.post("/twins/1")
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute("DELETE FROM twins RETURNING n").fetchall() == [(1,)]
    assert answer.json() == {"inserted": 1}


@pytest.mark.parametrize(("path", "status"), [("/nul", 422), ("/half", 422), ("/large", 404)])
def test_what_the_database_cannot_hold_is_no_failure_of_ours(
    client: TestClient, path: str, status: int
) -> None:
    assert client.post(path).status_code == status


def test_a_body_beyond_the_limit_is_refused(client: TestClient) -> None:
    answer = client.post("/refuse/wrong", content=b"x" * (8 * 2**20 + 1))
    assert answer.status_code == 413


def test_a_database_that_is_away_is_a_503_that_says_so(database_url: str) -> None:
    settings = Settings(DATABASE_URL=PostgresDsn(database_url), demo=True)
    app = create_app(settings)
    with TestClient(app, headers=BROWSER) as client:
        app.state.sessions = make_sessions(make_engine("postgresql://nobody@127.0.0.1:1/none"))
        client.cookies.set("iterdpo_session", "x")
        answer = client.get("/account")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "database does not respond" in answer.text


def test_an_address_that_does_not_exist_shows_the_way_on(
    owner: TestClient, admin: TestClient, expired: TestClient, visitor: TestClient
) -> None:
    for browser, places in ((owner, ["/"]), (admin, ["/queue", "/projects", "/people"])):
        page = browser.get("/no/such/place")
        assert page.status_code == 404
        assert all(f'<a href="{place}"' in page.text for place in places)
        assert 'action="/logout"' in page.text
        assert 'action="/logout"' in browser.get("/drafts/none").text
        assert 'action="/logout"' in browser.put("/queue").text
    for nobody in (expired, visitor):
        page = nobody.get("/no/such/place")
        assert (page.status_code, "/logout" in page.text) == (404, False)
