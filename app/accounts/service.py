"""Adding people, their invitations, passwords, roles and preferences, and the tokens they use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.accounts import sessions
from app.database.notifications import RIGHTS, notify
from app.domain.messages import Message
from app.models import ApiToken, Role, User, now
from app.refusals import Conflict, Forbidden, Invalid, NotFound
from app.security import (
    SCOPES,
    TOKEN_PREFIX,
    Actor,
    digest,
    hash_password,
    hint,
    new_secret,
    password_matches,
)

INVITATION = timedelta(days=7)
LONGEST_TOKEN_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time secret for the link /invitation/SECRET; shown once, only its hash is kept."""

    user_id: int
    name: str
    secret: str
    expires_at: datetime


def add_user(
    db: Session,
    *,
    name: str,
    role: Role,
    display_name: str = "",
    actor_id: int | None = None,
    demo: bool = False,
) -> Invitation:
    """A new account, and the invitation with which its owner sets a password.

    actor_id: the admin who adds it, None on the command line. Raises Invalid, for a name that is
    taken too.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise Invalid("A name has 1 to 64 letters, digits, dots, dashes, underscores or @.", "name")
    user = User(
        name=name,
        display_name=_display_name(display_name) if display_name.strip() else name,
        role=role,
        demo=demo,
        # A server default would not be there yet where the new object is read.
        preferences={},
    )
    try:
        with db.begin_nested():
            db.add(user)
    except IntegrityError as error:
        raise Invalid(
            Message("An account named %(name)s already exists.", name=name), "name"
        ) from error
    audit.record(db, actor_id, "added_user", f"user:{user.id}", role=role.value)
    return _invite(db, user)


def invite(db: Session, *, user_id: int, actor_id: int | None = None) -> Invitation:
    """A new invitation; an older one stops working, a password goes on working until it is used.

    Raises NotFound, and Conflict for a disabled account.
    """
    user = _user(db, user_id)
    if user.disabled_at:
        raise Conflict(
            Message("The account %(name)s is disabled. Enable it first.", name=user.name)
        )
    audit.record(db, actor_id, "invited", f"user:{user.id}")
    return _invite(db, user)


def accept_invitation(
    db: Session, *, secret: str, password: str, hours: int, device: str | None = None
) -> sessions.LoggedIn:
    """Set the first or a new password, use up the invitation, end older log-ins, log in.

    Raises NotFound for a secret that is unknown, used or too old, Invalid for the password.
    """
    user = invited(db, secret=secret)
    _take_password(user, password)
    sessions.end_all(db, user_id=user.id)
    audit.record(db, user.id, "accepted_invitation", f"user:{user.id}")
    return sessions.start(db, user=user, hours=hours, device=device)


def invited(db: Session, *, secret: str) -> User:
    """Whom the secret invites; the row is locked. Raises NotFound."""
    user = db.scalar(
        select(User)
        .where(
            User.invitation_hash == digest(secret),
            User.invitation_expires_at > now(),
            User.disabled_at.is_(None),
        )
        .with_for_update()
    )
    if user is None:
        raise NotFound(
            "This invitation is not valid. It was used, was replaced by a newer one, or has "
            "expired. Ask an admin for a new one."
        )
    return user


def set_password(db: Session, *, user_id: int, password: str, actor_id: int | None = None) -> None:
    """Give the account a password (command line, demo); ends all its log-ins. Raises Invalid."""
    _take_password(_user(db, user_id), password)
    sessions.end_all(db, user_id=user_id)
    audit.record(db, actor_id, "set_password", f"user:{user_id}")


def change_password(db: Session, *, actor: Actor, old: str, new: str, repeated: str) -> None:
    """Change the own password; ends the other log-ins. Raises Invalid, naming the field."""
    user = _user(db, actor.id)
    if not password_matches(user.password_hash, old):
        raise Invalid("The current password is wrong.", "old_password")
    if new != repeated:
        raise Invalid("The new passwords do not match.", "repeated")
    _take_password(user, new)
    sessions.end_all(db, user_id=actor.id, but=actor.session_id)
    audit.record(db, actor.id, "set_password", f"user:{actor.id}")


def rename(db: Session, *, actor: Actor, display_name: str) -> None:
    """Change the name that others see. Raises Invalid."""
    _user(db, actor.id).display_name = _display_name(display_name)


def set_preferences(db: Session, *, actor: Actor, changes: dict[str, str | int | bool]) -> None:
    """Merge these preferences into the account's; others stay as they are."""
    db.execute(
        update(User)
        .where(User.id == actor.id)
        .values(preferences=User.preferences.op("||")(literal(changes, JSONB)))
    )


def change_role(db: Session, *, user_id: int, role: Role, actor: Actor) -> None:
    """Give the account another role. Raises Conflict for the admin's own."""
    if user_id == actor.id:
        raise Conflict("You cannot change your own role. Ask another admin.")
    _user(db, user_id).role = role
    notify(db, RIGHTS)
    audit.record(db, actor.id, "changed_role", f"user:{user_id}", role=role.value)


def disable(db: Session, *, user_id: int, actor: Actor | None = None) -> None:
    """Keep the account from logging in and its tokens from working; its work stays.

    An admin cannot disable the own account, so there is always one left. Raises Conflict.
    """
    if actor and user_id == actor.id:
        raise Conflict("You cannot disable your own account. Ask another admin.")
    user = _user(db, user_id)
    user.disabled_at = user.disabled_at or now()
    user.invitation_hash = user.invitation_expires_at = None
    sessions.end_all(db, user_id=user_id)
    audit.record(db, actor.id if actor else None, "disabled", f"user:{user_id}")


def enable(db: Session, *, user_id: int, actor: Actor | None = None) -> None:
    """Let a disabled account log in again, with the password it had."""
    _user(db, user_id).disabled_at = None
    audit.record(db, actor.id if actor else None, "enabled", f"user:{user_id}")


def create_token(
    db: Session,
    *,
    user_id: int,
    name: str,
    scopes: Sequence[str],
    days: int | None,
    actor_id: int | None = None,
) -> str:
    """A new API token of the account; this is the only time that it can be read.

    days: None for a token that does not expire. Raises Invalid, and Forbidden for annotators.
    """
    if _user(db, user_id).role is Role.ANNOTATOR:
        raise Forbidden("API tokens are for trainers and admins.")
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise Invalid("Give the token a name of at most 100 characters.", "name")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        names = ", ".join(SCOPES)
        raise Invalid(
            Message(
                "There is no scope named %(name)s. Choose from %(names)s.",
                name=unknown[0],
                names=names,
            )
            if unknown
            else Message("Choose at least one scope: %(names)s.", names=names),
            "scopes",
        )
    if days is not None and not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise Invalid(
            Message("A token expires after 1 to %(most)s days.", most=LONGEST_TOKEN_DAYS), "days"
        )
    secret = TOKEN_PREFIX + new_secret()
    token = ApiToken(
        user_id=user_id,
        name=name,
        token_hash=digest(secret),
        hint=hint(secret),
        scopes=sorted(set(scopes)),
        expires_at=now() + timedelta(days=days) if days else None,
    )
    db.add(token)
    db.flush()
    audit.record(db, actor_id or user_id, "created_token", f"token:{token.id}")
    return secret


def revoke_token(db: Session, *, token_id: int, actor: Actor) -> None:
    """Stop a token from working: the own, or as an admin anybody's. Raises NotFound."""
    token = db.get(ApiToken, token_id, with_for_update=True) if 0 < token_id < 2**63 else None
    if token is None or (token.user_id != actor.id and not actor.is_admin):
        raise NotFound("There is no such token, or it is not yours.")
    token.revoked_at = token.revoked_at or now()
    notify(db, RIGHTS)
    audit.record(db, actor.id, "revoked_token", f"token:{token.id}")


def _take_password(user: User, password: str) -> None:
    """An invitation that is still open ends: whoever holds it could set another one."""
    user.password_hash = hash_password(password)
    user.invitation_hash = user.invitation_expires_at = None


def _invite(db: Session, user: User) -> Invitation:
    secret, expires_at = new_secret(), now() + INVITATION
    user.invitation_hash, user.invitation_expires_at = digest(secret), expires_at
    db.flush()
    return Invitation(user.id, user.name, secret, expires_at)


def _user(db: Session, user_id: int) -> User:
    user = db.get(User, user_id, with_for_update=True) if 0 < user_id < 2**63 else None
    if user is None:
        raise NotFound("There is no such account.")
    return user


def _display_name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > 100 or not name.isprintable():
        raise Invalid("Enter a name of at most 100 characters.", "display_name")
    return name
