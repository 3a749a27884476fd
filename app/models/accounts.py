"""Users, their log-ins and tokens, and the record of what they did."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.schema import Base, Row, text_enum


class Role(StrEnum):
    """What a user is here for."""

    ADMIN = "admin"
    ANNOTATOR = "annotator"
    TRAINER = "trainer"


class User(Row):
    """A person or a trainer's account. Without a password nobody can log in as it."""

    __tablename__ = "users"

    name: Mapped[str]
    display_name: Mapped[str]
    role: Mapped[Role] = mapped_column(text_enum(Role, "role"))
    password_hash: Mapped[str | None]
    invitation_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    invitation_expires_at: Mapped[datetime | None]
    demo: Mapped[bool] = mapped_column(server_default=text("false"))
    disabled_at: Mapped[datetime | None]
    preferences: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    __table_args__ = (
        Index("uq_users_lower_name", text("lower(name)"), unique=True),
        CheckConstraint("name ~ '^[A-Za-z0-9._@-]{1,64}$'", name="name_form"),
    )


class LoginSession(Row):
    """A logged-in browser; the cookie holds the token, the row its SHA-256."""

    __tablename__ = "login_sessions"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
    user: Mapped[User] = relationship(lazy="raise")


class LoginDevice(Row):
    """A browser in which the user has logged in; its cookie holds the secret, the row its SHA-256.

    Several users of one browser share the secret. It lets nobody in.
    """

    __tablename__ = "login_devices"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    last_used_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("secret_hash", "user_id"),)


class LoginFailure(Row):
    """A refused log-in, counted by the throttle. address: where from, or which known browser."""

    __tablename__ = "login_failures"

    name: Mapped[str]
    address: Mapped[str]

    __table_args__ = (Index("ix_login_failures_created_at", "created_at"),)


class ApiToken(Row):
    """A bearer token for scripts: hashed, scoped, expiring, revocable."""

    __tablename__ = "api_tokens"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    user: Mapped[User] = relationship(lazy="raise")


class AuditEvent(Base):
    """Who did what to which object; append-only."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[int | None]
    action: Mapped[str]
    object: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    __table_args__ = (Index("ix_audit_events_at", "at"),)
