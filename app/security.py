"""Who acts, and the secrets that prove it: passwords, session tokens, API tokens, invitations."""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.messages import Message
from app.models import Role
from app.refusals import Invalid
from app.settings import Settings

SESSION_COOKIE = "iterdpo_session"
DEVICE_COOKIE = "iterdpo_device"
# The longest that browsers keep a cookie (RFC 6265bis, 5.5).
DEVICE_DAYS = 400
TOKEN_PREFIX = "idp_"  # noqa: S105 - a prefix by which leaked tokens are recognised, no secret
PASSWORD_MIN = 10
# Longer input only makes the server hash more; NIST SP 800-63B asks for at least 64.
PASSWORD_MAX = 256
SCOPES = {
    "pairs:read": Message("Read preference pairs and their images"),
    "projects:read": Message("Read projects, their samples and their progress"),
    "imports:write": Message("Import samples into projects"),
    "policies:read": Message("Read the list of models and adapters"),
    "policies:write": Message("Add trained adapters as policies"),
}

# OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, 2 passes, 1 lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
# Two at once: a burst of log-ins must not take the memory or the cores of people at work.
_HASHING = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Actor:
    """The user behind a request, by a log-in or by a token. scopes: empty for a log-in."""

    id: int
    name: str
    display_name: str
    role: Role
    preferences: dict[str, Any] = field(default_factory=dict)
    session_id: int | None = None
    token_id: int | None = None
    scopes: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Admins see every project and every draft."""
        return self.role is Role.ADMIN


def hash_password(password: str) -> str:
    """The Argon2id hash to keep. Raises Invalid when the password is too short or too long."""
    if len(password) < PASSWORD_MIN:
        raise Invalid(
            Message("A password needs at least %(least)s characters.", least=PASSWORD_MIN),
            "password",
        )
    if len(password) > PASSWORD_MAX:
        raise Invalid(
            Message("A password has at most %(most)s characters.", most=PASSWORD_MAX), "password"
        )
    with _HASHING:
        return _HASHER.hash(password)


def password_matches(password_hash: str | None, password: str) -> bool:
    """True when it is the password. Without a hash it takes as long and answers False."""
    with _HASHING:
        try:
            right = _HASHER.verify(password_hash or _decoy(), password[: PASSWORD_MAX + 1])
        except (VerificationError, InvalidHashError):
            return False
    return right and password_hash is not None


def needs_new_hash(password_hash: str) -> bool:
    """True when the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def new_secret() -> str:
    """32 random bytes as 43 URL-safe characters: a session, an invitation, the body of a token."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What the database keeps of a random secret: its SHA-256. (Random, so no slow hash is due.)"""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def hint(token: str) -> str:
    """What a token is recognised by in lists: its first and last characters."""
    return f"{token[: len(TOKEN_PREFIX) + 3]}…{token[-4:]}"


def session_cookie(settings: Settings, token: str, *, https: bool) -> str:
    """The Set-Cookie value of a log-in; an empty token takes the cookie away.

    https: the scheme of the request, which decides on Secure when no public_url is set.
    """
    age = settings.session_hours * 3600 if token else 0
    return _cookie(SESSION_COOKIE, token, age, secure=_is_secure(settings, https))


def device_cookie(settings: Settings, secret: str, *, https: bool) -> str:
    """The Set-Cookie value by which a browser shows that somebody has logged in there before."""
    return _cookie(DEVICE_COOKIE, secret, DEVICE_DAYS * 86_400, secure=_is_secure(settings, https))


def _is_secure(settings: Settings, https: bool) -> bool:
    return settings.public_url.startswith("https:") if settings.public_url else https


def _cookie(name: str, value: str, age_s: int, *, secure: bool) -> str:
    rules = f"Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
    return f"{name}={value}; {rules}"


@cache
def _decoy() -> str:
    # Made on first use: 20 ms that the start of the app need not pay.
    return _HASHER.hash(new_secret())
