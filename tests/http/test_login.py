"""Logging in and out, and what keeps guessers away."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service, sessions, throttle
from app.models import AuditEvent, LoginFailure, LoginSession, Role, User, now
from app.security import SESSION_COOKIE, session_cookie
from app.settings import Settings
from app.web.pages import local_path
from tests.http.conftest import Browse, World, log_in

PASSWORD = "correct horse battery"
WRONG = "The name or the password is wrong."


@pytest.fixture
def user(db: Session) -> User:
    """A user with a password."""
    invitation = service.add_user(db, name="Berta", role=Role.ANNOTATOR)
    service.set_password(db, user_id=invitation.user_id, password=PASSWORD)
    db.commit()
    return db.get_one(User, invitation.user_id)


def enter(client: TestClient, name: str, password: str, back: str = "/account") -> tuple[int, str]:
    answer = client.post("/login", data={"name": name, "password": password, "next": back})
    return answer.status_code, answer.text


def test_the_right_password_logs_in_and_leads_back(visitor: TestClient, user: User) -> None:
    answer = visitor.post(
        "/login", data={"name": "berta", "password": PASSWORD, "next": "/account?done=name"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=name")
    assert "Your name has been changed." in visitor.get("/account?done=name").text


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(
    visitor: TestClient, user: User
) -> None:
    answer = visitor.post("/login", data={"name": "berta", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "; HttpOnly; SameSite=Lax" in cookie
    assert "; Path=/;" in cookie
    assert "Max-Age=1209600" in cookie
    assert "Secure" not in cookie


@pytest.mark.parametrize(
    ("public_url", "https", "secure"),
    [
        (None, False, False),
        (None, True, True),
        ("https://studio.example", False, True),
        ("http://studio.example", True, False),
    ],
)
def test_the_cookie_is_secure_where_users_come_by_https(
    public_url: str | None, https: bool, secure: bool
) -> None:
    cookie = session_cookie(Settings(public_url=public_url), "token", https=https)
    assert cookie.endswith("; Secure") is secure


def test_the_database_never_holds_the_cookie(visitor: TestClient, user: User, db: Session) -> None:
    enter(visitor, "berta", PASSWORD)
    token = visitor.cookies[SESSION_COOKIE]
    kept = db.scalars(select(LoginSession.token_hash)).one()
    assert len(token) == 43
    assert token.encode() not in kept
    assert len(kept) == 32


@pytest.mark.parametrize("name", ["berta", "nobody", "nul\0byte", "", "x" * 5000])
def test_unknown_names_and_wrong_passwords_read_the_same(
    visitor: TestClient, user: User, name: str
) -> None:
    status, text = enter(visitor, name, "wrong")
    assert status == 401
    assert WRONG in text
    assert SESSION_COOKIE not in visitor.cookies


def test_a_disabled_account_cannot_log_in(visitor: TestClient, user: User, db: Session) -> None:
    service.disable(db, user_id=user.id)
    db.commit()
    assert enter(visitor, "berta", PASSWORD)[0] == 401


def test_disabling_ends_the_log_in_at_once(owner: TestClient, world: World, db: Session) -> None:
    assert owner.get("/account").status_code == 200
    service.disable(db, user_id=world.owner.id)
    db.commit()
    assert owner.get("/account").status_code == 303


def test_a_guesser_has_to_wait_and_is_told_how_long(visitor: TestClient, user: User) -> None:
    for _ in range(throttle.FREE_PER_NAME):
        assert enter(visitor, "berta", "wrong")[0] == 401
    answer = visitor.post("/login", data={"name": "Berta", "password": PASSWORD})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= throttle.FIRST_WAIT_S
    assert "Please try again in" in answer.text
    assert SESSION_COOKIE not in visitor.cookies


def test_the_wait_ends_and_doubles_with_each_further_failure(db: Session) -> None:
    at = now()
    for _ in range(throttle.FREE_PER_NAME):
        throttle.count(db, name="n", address="a", at=at)
    waits = []
    for _ in range(9):
        wait = throttle.seconds_to_wait(db, name="n", address="a", at=at)
        waits.append(wait)
        at += timedelta(seconds=wait)
        assert throttle.seconds_to_wait(db, name="n", address="a", at=at) == 0
        throttle.count(db, name="n", address="a", at=at)
    assert waits == [10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_one_address_cannot_try_many_names(db: Session) -> None:
    at = now()
    for number in range(throttle.FREE_PER_ADDRESS):
        throttle.count(db, name=f"name{number}", address="a", at=at)
    assert throttle.seconds_to_wait(db, name="fresh", address="a", at=at) > 0
    assert throttle.seconds_to_wait(db, name="fresh", address="b", at=at) == 0


def test_another_address_is_not_locked_out(db: Session) -> None:
    for _ in range(20):
        throttle.count(db, name="n", address="attacker", at=now())
    assert throttle.seconds_to_wait(db, name="n", address="owner", at=now()) == 0


def test_the_right_password_forgives_earlier_failures(
    visitor: TestClient, user: User, db: Session
) -> None:
    for _ in range(3):
        enter(visitor, "berta", "wrong")
    enter(visitor, "berta", PASSWORD)
    assert db.scalar(select(func.count()).select_from(LoginFailure)) == 0


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
    ],
)
def test_an_ipv6_user_is_one_source_whatever_address_of_the_network(
    host: str | None, source: str
) -> None:
    assert throttle.source(host) == source


def test_an_expired_log_in_leads_to_the_log_in_page(expired: TestClient) -> None:
    answer = expired.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/account")


def test_use_prolongs_the_log_in_and_the_cookie(
    owner: TestClient, db: Session, world: World
) -> None:
    assert "set-cookie" not in owner.get("/account").headers
    db.execute(update(LoginSession).values(expires_at=now() + timedelta(days=2)))
    db.commit()
    answer = owner.get("/account")
    assert answer.headers["set-cookie"].startswith(
        f"{SESSION_COOKIE}={owner.cookies[SESSION_COOKIE]}; Max-Age=1209600"
    )
    ends = db.scalars(select(LoginSession.expires_at)).one()
    assert ends > now() + timedelta(days=13)


def test_log_out_ends_this_log_in_only(
    owner: TestClient, browse: Browse, world: World, db: Session
) -> None:
    phone = browse(world.owner)
    stolen = owner.cookies[SESSION_COOKIE]
    answer = owner.post("/logout")
    assert answer.headers["location"] == "/login"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    owner.cookies.set(SESSION_COOKIE, stolen, domain="testserver.local")
    assert owner.get("/account").status_code == 303
    assert phone.get("/account").status_code == 200


def test_logging_out_twice_is_no_error(visitor: TestClient) -> None:
    assert visitor.post("/logout").status_code == 303


def test_who_is_logged_in_skips_the_log_in_page(owner: TestClient) -> None:
    answer = owner.get("/login?next=/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/ok\\..\\x",
    "",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_log_in_never_leads_to_another_site(visitor: TestClient, user: User, target: str) -> None:
    answer = visitor.post("/login", data={"name": "berta", "password": PASSWORD, "next": target})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_local_paths_keep_their_query() -> None:
    assert local_path("/drafts/4?x=1&y=2#s5") == "/drafts/4?x=1&y=2#s5"


def test_the_log_in_page_shows_the_demo_accounts_of_a_demonstration(
    visitor: TestClient, db: Session
) -> None:
    assert "demo-annotator" not in visitor.get("/login").text
    service.add_user(db, name="anna", role=Role.ANNOTATOR, demo=True)
    db.commit()
    assert "demo-annotator" in visitor.get("/login").text


def test_log_ins_and_refusals_are_recorded(visitor: TestClient, user: User, db: Session) -> None:
    enter(visitor, "berta", "wrong")
    enter(visitor, "berta", PASSWORD)
    actions = db.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions[-2:] == ["login_refused", "logged_in"]


def test_a_log_in_forgets_those_that_are_over(db: Session, user: User) -> None:
    log_in(db, user, ends_in=timedelta(days=-1))
    sessions.start(db, user=user, hours=1)
    assert db.scalar(select(func.count()).select_from(LoginSession)) == 1
