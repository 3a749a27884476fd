"""Queries for the pages about people and tokens."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.demo import DEMO_ACCOUNTS, DemoAccount
from app.models import ApiToken, LoginSession, Membership, Role, User, now
from app.refusals import NotFound
from app.security import Actor


@dataclass(frozen=True, slots=True)
class PersonView:
    """An account. state: active, invited (no password yet) or disabled.

    invited_until: when an open invitation ends. projects: how many it is a member of.
    """

    id: int
    name: str
    display_name: str
    role: Role
    state: str
    invited_until: datetime | None
    projects: int
    last_login_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenView:
    """An API token. owner: the account's name. works: neither revoked nor expired."""

    id: int
    name: str
    owner: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    works: bool


def people(db: Session) -> tuple[PersonView, ...]:
    """All accounts, by name. last_login_at: of the log-ins still open, None when none is."""
    rows = db.execute(_PEOPLE.order_by(func.lower(User.name)))
    return tuple(_person(*row) for row in rows)


def person(db: Session, *, user_id: int) -> PersonView:
    """One account. Raises NotFound."""
    row = db.execute(_PEOPLE.where(User.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such account.")
    return _person(*row)


def tokens(db: Session, *, actor: Actor) -> tuple[TokenView, ...]:
    """The actor's tokens, everybody's for an admin; the newest first."""
    query = (
        select(ApiToken, User.name)
        .join(User, User.id == ApiToken.user_id)
        .order_by(ApiToken.revoked_at.isnot(None), ApiToken.id.desc())
    )
    if not actor.is_admin:
        query = query.where(ApiToken.user_id == actor.id)
    at = now()
    return tuple(
        TokenView(
            id=token.id,
            name=token.name,
            owner=owner,
            hint=token.hint,
            scopes=tuple(token.scopes),
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            works=token.revoked_at is None and (token.expires_at is None or token.expires_at > at),
        )
        for token, owner in db.execute(query)
    )


def demo_accounts(db: Session) -> tuple[DemoAccount, ...]:
    """The demo accounts that can log in now."""
    names = set(db.scalars(select(User.name).where(User.demo, User.disabled_at.is_(None))).all())
    return tuple(account for account in DEMO_ACCOUNTS if account.name in names)


_PEOPLE = select(
    User,
    select(func.count()).where(Membership.user_id == User.id).correlate(User).scalar_subquery(),
    select(func.max(LoginSession.created_at))
    .where(LoginSession.user_id == User.id)
    .correlate(User)
    .scalar_subquery(),
)


def _person(user: User, projects: int, last_login_at: datetime | None) -> PersonView:
    until = user.invitation_expires_at
    return PersonView(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        role=user.role,
        state=_state(user),
        invited_until=until if until and until > now() else None,
        projects=projects,
        last_login_at=last_login_at,
        created_at=user.created_at,
    )


def _state(user: User) -> str:
    if user.disabled_at:
        return "disabled"
    return "active" if user.password_hash else "invited"
