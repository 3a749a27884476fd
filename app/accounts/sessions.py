"""Logging in and out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import audit
from app.accounts import devices, throttle
from app.database.notifications import RIGHTS, notify
from app.domain.messages import Message
from app.models import LoginSession, User, now
from app.security import (
    PASSWORD_MAX,
    digest,
    hash_password,
    needs_new_hash,
    new_secret,
    password_matches,
)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A fresh log-in. token, device: the cookies' values; the database has only their hashes."""

    user_id: int
    token: str
    device: str
    preferences: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no log-in, for the user. wait_s: seconds until the next try, 0 for at once."""

    message: Message
    wait_s: int = 0


def log_in(
    db: Session, *, name: str, password: str, address: str, hours: int, device: str | None = None
) -> LoggedIn | Refused:
    """A log-in for that many hours, if the password is right and the throttle allows a try.

    Refused is a value and no exception, because the failure must be committed. Unknown names,
    disabled accounts and wrong passwords read the same and take the same time. device: what the
    browser has kept of an earlier log-in.
    """
    at = now()
    name = "".join(c if c.isprintable() else "�" for c in name.strip()[:64]).lower()
    device_id = devices.known(db, name=name, secret=device)
    address = throttle.browser(device_id) if device_id else throttle.source(address)
    wait_s = throttle.seconds_to_wait(db, name=name, address=address, at=at)
    if wait_s:
        return Refused(_try_again(wait_s), wait_s)
    user = db.scalar(select(User).where(func.lower(User.name) == name, User.disabled_at.is_(None)))
    if not password_matches(user.password_hash if user else None, password) or user is None:
        throttle.count(db, name=name, address=address, at=at)
        audit.record(db, None, "login_refused", f"user:{user.id if user else 'unknown'}")
        return Refused(Message("The name or the password is wrong."))
    throttle.forgive(db, name=name, address=address)
    if needs_new_hash(user.password_hash or "") and len(password) <= PASSWORD_MAX:
        user.password_hash = hash_password(password)
    return start(db, user=user, hours=hours, device=device)


def start(db: Session, *, user: User, hours: int, device: str | None = None) -> LoggedIn:
    """A log-in for a user who has proved who it is; forgets log-ins that are over."""
    at = now()
    db.execute(delete(LoginSession).where(LoginSession.expires_at < at))
    token = new_secret()
    db.add(
        LoginSession(
            user_id=user.id, token_hash=digest(token), expires_at=at + timedelta(hours=hours)
        )
    )
    audit.record(db, user.id, "logged_in", f"user:{user.id}")
    db.flush()
    kept = devices.remember(db, user_id=user.id, secret=device)
    return LoggedIn(user.id, token, kept, user.preferences)


def log_out(db: Session, *, user_id: int, session_id: int | None) -> None:
    """End this log-in; others of the same user go on."""
    db.execute(delete(LoginSession).where(LoginSession.id == session_id))
    audit.record(db, user_id, "logged_out", f"user:{user_id}")
    notify(db, RIGHTS)


def end_all(db: Session, *, user_id: int, but: int | None = None) -> None:
    """End every log-in of the user, except session `but`."""
    db.execute(
        delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.id != (but or 0))
    )
    notify(db, RIGHTS)


def _try_again(seconds: int) -> Message:
    if seconds == 1:
        return Message("Too many failed log-ins. Please try again in 1 second.")
    if seconds < 120:
        return Message(
            "Too many failed log-ins. Please try again in %(seconds)s seconds.", seconds=seconds
        )
    minutes = -(-seconds // 60)
    return Message(
        "Too many failed log-ins. Please try again in %(minutes)s minutes.", minutes=minutes
    )
