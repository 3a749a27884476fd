"""Known browsers: each browser in which an account has logged in has its own failure count.

Password guessing behind a shared address (an office, a proxy) must not lock out the people at work
there. It is the device cookie of OWASP ("Slow Down Online Guessing Attacks with Device Cookies")
with a random secret instead of a signature, because there is no server secret.
"""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.models import LoginDevice, User, now
from app.security import DEVICE_DAYS, digest, new_secret

# The longest unused of one account are forgotten first.
MOST_PER_USER = 100


def known(db: Session, *, name: str, secret: str | None) -> int | None:
    """The id of the device, if the account of that name (small letters) has logged in there.

    None: it is like any other browser.
    """
    if not secret:
        return None
    return db.scalar(
        select(LoginDevice.id)
        .join(User, User.id == LoginDevice.user_id)
        .where(
            LoginDevice.secret_hash == digest(secret),
            LoginDevice.last_used_at > now() - timedelta(days=DEVICE_DAYS),
            func.lower(User.name) == name,
        )
    )


def remember(db: Session, *, user_id: int, secret: str | None) -> str:
    """Note that the user has logged in there; the secret for the browser to keep.

    secret: what the browser has kept so far. Several people may use one browser.
    """
    if not secret or not db.scalar(
        select(LoginDevice.id).where(LoginDevice.secret_hash == digest(secret)).limit(1)
    ):
        # Only secrets made here are random for certain.
        secret = new_secret()
    at = now()
    noted = insert(LoginDevice).values(user_id=user_id, secret_hash=digest(secret), last_used_at=at)
    db.execute(
        noted.on_conflict_do_update(
            index_elements=["secret_hash", "user_id"], set_={"last_used_at": at}
        )
    )
    newest = (
        select(LoginDevice.id)
        .where(
            LoginDevice.user_id == user_id,
            LoginDevice.last_used_at > at - timedelta(days=DEVICE_DAYS),
        )
        .order_by(LoginDevice.last_used_at.desc())
        .limit(MOST_PER_USER)
    )
    db.execute(
        delete(LoginDevice).where(LoginDevice.user_id == user_id, LoginDevice.id.not_in(newest))
    )
    return secret
