"""The throttle of log-ins behind one address: who is kept waiting, and who is not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import devices, service, throttle
from app.main import create_app
from app.models import LoginDevice, LoginFailure, Role, User, now
from app.security import DEVICE_COOKIE, SESSION_COOKIE, digest
from app.settings import Settings
from tests.http.conftest import BROWSER, Browse

PASSWORD = "correct horse battery"


def account(db: Session, name: str) -> User:
    invitation = service.add_user(db, name=name, role=Role.ANNOTATOR)
    service.set_password(db, user_id=invitation.user_id, password=PASSWORD)
    db.commit()
    return db.get_one(User, invitation.user_id)


@pytest.fixture
def anna(db: Session) -> User:
    return account(db, "anna")


def enter(client: TestClient, name: str, password: str, **headers: str) -> int:
    data = {"name": name, "password": password}
    return client.post("/login", data=data, headers=headers).status_code


def guess(db: Session, address: str, name: str = "somebody") -> None:
    """Two hundred wrong log-ins, each as the throttle counts it."""
    for number in range(200):
        throttle.count(db, name=f"{name}{number}", address=address, at=now())
    db.commit()


def test_others_behind_the_address_do_not_lock_out_a_browser_that_has_logged_in(
    browse: Browse, anna: User, db: Session
) -> None:
    known, fresh = browse(None), browse(None)
    assert enter(known, "anna", PASSWORD) == 303
    known.post("/logout")
    guess(db, "testclient")
    assert enter(fresh, "anna", PASSWORD) == 429
    assert enter(known, "Anna", PASSWORD) == 303


def test_a_known_browser_is_slowed_down_by_its_own_failures(browse: Browse, anna: User) -> None:
    known = browse(None)
    enter(known, "anna", PASSWORD)
    for _ in range(throttle.FREE_PER_NAME):
        assert enter(known, "anna", "wrong") == 401
    assert enter(known, "anna", PASSWORD) == 429
    assert enter(browse(None), "anna", PASSWORD) == 303


def test_a_known_browser_is_known_for_its_own_accounts_alone(
    browse: Browse, anna: User, db: Session
) -> None:
    account(db, "boris")
    account(db, "carla")
    shared = browse(None)
    for name in ("anna", "boris"):
        assert enter(shared, name, PASSWORD) == 303
        shared.post("/logout")
    guess(db, "testclient")
    for name, status in (("anna", 303), ("boris", 303), ("carla", 429)):
        assert enter(shared, name, PASSWORD) == status


def test_a_made_up_or_forgotten_browser_is_like_any_other(
    browse: Browse, anna: User, db: Session
) -> None:
    known, liar = browse(None), browse(None)
    enter(known, "anna", PASSWORD)
    liar.cookies.set(DEVICE_COOKIE, "x" * 43, domain="testserver.local")
    guess(db, "testclient")
    assert enter(liar, "anna", PASSWORD) == 429
    db.execute(update(LoginDevice).values(last_used_at=now() - timedelta(days=401)))
    db.commit()
    known.post("/logout")
    assert enter(known, "anna", PASSWORD) == 429


def test_the_browser_chooses_no_secret_itself(browse: Browse, anna: User, db: Session) -> None:
    liar = browse(None)
    liar.cookies.set(DEVICE_COOKIE, "chosen", domain="testserver.local")
    enter(liar, "anna", PASSWORD)
    assert db.scalars(select(LoginDevice.secret_hash)).one() != digest("chosen")


def test_what_a_browser_keeps_lets_nobody_in(browse: Browse, anna: User, db: Session) -> None:
    known = browse(None)
    answer = known.post("/login", data={"name": "anna", "password": PASSWORD})
    cookie = next(
        value for value in answer.headers.get_list("set-cookie") if DEVICE_COOKIE in value
    )
    assert "Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax" in cookie
    secret = known.cookies[DEVICE_COOKIE]
    kept = db.scalars(select(LoginDevice.secret_hash)).one()
    assert (kept, secret.encode() in kept) == (digest(secret), False)
    known.cookies.delete(SESSION_COOKIE)
    assert known.get("/account").status_code == 303


def test_whoever_accepts_an_invitation_is_known_from_then_on(browse: Browse, db: Session) -> None:
    invitation = service.add_user(db, name="dora", role=Role.ANNOTATOR)
    db.commit()
    client = browse(None)
    form = {"password": PASSWORD, "repeated": PASSWORD}
    assert client.post(f"/invitation/{invitation.secret}", data=form).status_code == 303
    client.post("/logout")
    guess(db, "testclient")
    assert enter(client, "dora", PASSWORD) == 303


def test_an_account_has_only_so_many_known_browsers(anna: User, db: Session) -> None:
    first = devices.remember(db, user_id=anna.id, secret=None)
    for _ in range(devices.MOST_PER_USER):
        devices.remember(db, user_id=anna.id, secret=None)
    count = db.scalar(select(func.count()).select_from(LoginDevice))
    assert count == devices.MOST_PER_USER
    assert devices.known(db, name="anna", secret=first) is None


@pytest.fixture
def proxied(app: FastAPI, settings: Settings) -> Iterator[FastAPI]:
    """The app behind proxies at 10.0.0.0/24, over the test's transaction."""
    behind = create_app(settings.model_copy(update={"trusted_proxies": "10.0.0.0/24,192.0.2.1"}))
    with TestClient(behind):
        behind.state.sessions = app.state.sessions
        yield behind


def addresses(db: Session) -> list[str]:
    return list(db.scalars(select(LoginFailure.address).order_by(LoginFailure.id)))


def at(app: FastAPI, address: str) -> TestClient:
    """A browser or a proxy that connects from that address."""
    return TestClient(app, headers=BROWSER, follow_redirects=False, client=(address, 5000))


def test_a_trusted_proxy_tells_where_a_log_in_comes_from(proxied: FastAPI, db: Session) -> None:
    proxy = at(proxied, "10.0.0.9")
    # The proxy adds the address at the end; what stands before is what the client sent.
    for told in ("203.0.113.5", "198.51.100.66, 203.0.113.6", "203.0.113.7, 192.0.2.1"):
        enter(proxy, "x", "wrong", **{"X-Forwarded-For": told})
    assert addresses(db) == ["203.0.113.5", "203.0.113.6", "203.0.113.7"]


def test_nobody_else_tells_where_a_log_in_comes_from(proxied: FastAPI, db: Session) -> None:
    for _ in range(2):
        enter(at(proxied, "127.0.0.1"), "x", "wrong", **{"X-Forwarded-For": "203.0.113.5"})
    enter(at(proxied, "10.0.1.9"), "x", "wrong", **{"X-Forwarded-For": "203.0.113.5"})
    assert addresses(db) == ["127.0.0.1", "127.0.0.1", "10.0.1.9"]


def test_without_trusted_proxies_this_machine_is_not_believed_either(
    app: FastAPI, db: Session
) -> None:
    for number in range(throttle.FREE_PER_NAME):
        client = at(app, "127.0.0.1")
        enter(client, "x", "wrong", **{"X-Forwarded-For": f"203.0.113.{number}"})
    assert set(addresses(db)) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("told", "secure"), [("https", True), ("http", False), ("javascript", False)]
)
def test_a_trusted_proxy_tells_the_scheme(
    proxied: FastAPI, anna: User, told: str, secure: bool
) -> None:
    answer = at(proxied, "10.0.0.9").post(
        "/login",
        data={"name": "anna", "password": PASSWORD},
        headers={"X-Forwarded-Proto": told},
    )
    assert answer.status_code == 303
    assert ("; Secure" in answer.headers["set-cookie"]) is secure


@pytest.mark.parametrize(
    ("proxies", "kept"),
    [("", ""), ("10.0.0.1", "10.0.0.1"), (" 10.0.0.0/8, ::1 ", "10.0.0.0/8,::1")],
)
def test_proxies_are_addresses_and_networks(proxies: str, kept: str) -> None:
    assert Settings(trusted_proxies=proxies).trusted_proxies == kept


@pytest.mark.parametrize("proxies", ["*", "proxy.internal", "10.0.0.1/8", "0.0.0.0/0", "::/0"])
def test_what_trusts_everybody_or_nobody_is_refused_at_start(proxies: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address|would trust every client"):
        Settings(trusted_proxies=proxies)
