"""A clock that is set forward or back keeps nobody out, and lets nobody stay."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import sessions, throttle
from app.annotation.edits import unsaved
from app.models import LoginFailure, LoginSession, Segment, UnsavedEdit, now
from tests.http.conftest import World

LIFE = timedelta(days=14)


def set_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """As if the machine's clock showed another time from now on."""

    def jumped() -> datetime:
        return now() + by

    places = ("web.dependencies", "accounts.sessions", "accounts.devices")
    for place in (f"app.{name}.now" for name in places):
        monkeypatch.setattr(place, jumped)


def ends_in(db: Session) -> timedelta:
    db.expire_all()
    return db.scalars(select(LoginSession.expires_at)).one() - now()


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=30), timedelta(days=900)])
def test_a_log_in_goes_on_when_the_clock_is_set_back(
    owner: TestClient, db: Session, monkeypatch: pytest.MonkeyPatch, back: timedelta
) -> None:
    set_clock(monkeypatch, -back)
    assert owner.get("/account").status_code == 200
    assert ends_in(db) <= LIFE - back + timedelta(seconds=5)


def test_a_log_in_from_a_clock_that_was_ahead_ends_as_others_do(
    world: World, owner: TestClient, db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, timedelta(days=365))
    db.query(LoginSession).delete()
    login = sessions.start(db, user=world.owner, hours=14 * 24)
    db.commit()
    assert ends_in(db) > timedelta(days=370)
    monkeypatch.undo()
    owner.cookies.clear()
    owner.cookies.set("iterdpo_session", login.token, domain="testserver.local")
    assert owner.get("/account").status_code == 200
    assert timedelta(days=13) < ends_in(db) <= LIFE


def test_a_clock_set_back_locks_nobody_out(db: Session) -> None:
    at = now()
    for _ in range(200):
        throttle.count(db, name="n", address="a", at=at)
    assert throttle.seconds_to_wait(db, name="n", address="a", at=at) == throttle.LONGEST_WAIT_S
    back = at - timedelta(days=1)
    assert throttle.seconds_to_wait(db, name="n", address="a", at=back) == 0
    throttle.count(db, name="n", address="a", at=back)
    assert db.query(LoginFailure).count() == 1


def test_a_little_difference_between_two_hosts_lets_no_guesser_go_on(db: Session) -> None:
    at = now()
    for _ in range(throttle.FREE_PER_NAME):
        throttle.count(db, name="n", address="a", at=at + timedelta(seconds=30))
    assert throttle.seconds_to_wait(db, name="n", address="a", at=at) > 0


def test_a_browser_whose_clock_is_ahead_keeps_later_text_out_for_a_minute_at_most(
    db: Session, world: World
) -> None:
    ahead = int((now() + timedelta(days=1)).timestamp() * 1000)
    segment_id = db.scalars(select(Segment.id).where(Segment.sample_id == world.sample.id)).first()
    assert segment_id is not None
    kept = [
        unsaved.keep_unsaved(
            db, draft=world.draft, segment_id=segment_id, text=text, typed_at_ms=typed_at_ms
        )
        for text, typed_at_ms in (
            ("on the laptop", ahead),
            ("at the desk", int((now() + timedelta(seconds=61)).timestamp() * 1000)),
        )
    ]
    assert None not in kept
    db.expire_all()
    assert db.scalars(select(UnsavedEdit.text)).one() == "at the desk"
