"""Route dependencies: the request's transaction, and the authenticated user."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, get_origin

from anyio import CancelScope
from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.domain.messages import Message
from app.models import ApiToken, LoginSession, Role, User, now, table_of
from app.refusals import Forbidden, Invalid, LoginRequired
from app.security import SESSION_COOKIE, TOKEN_PREFIX, Actor, digest
from app.web.rate_limit import LET_IN
from app.web.rights import claimed

# Ids are bigints: what does not fit is no id (errors.py answers 404 for a path that is wrong).
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]

_user, _login, _token = table_of(User).c, table_of(LoginSession).c, table_of(ApiToken).c
_ACTOR_COLUMNS = (
    _user.id.label("user_id"),
    _user.name.label("user_name"),
    _user.display_name,
    _user.role,
    _user.preferences,
)
# Built once: to write a statement costs SQLAlchemy as much as to run it (0.4 ms of each request).
_BY_SESSION = (
    select(_login.id, _login.expires_at, *_ACTOR_COLUMNS)
    .join(table_of(User), _user.id == _login.user_id)
    .where(
        _login.token_hash == bindparam("token_hash"),
        _login.expires_at > bindparam("at"),
        _user.disabled_at.is_(None),
    )
)
_BY_TOKEN = (
    select(_token.id, _token.scopes, _token.last_used_at, *_ACTOR_COLUMNS)
    .join(table_of(User), _user.id == _token.user_id)
    .where(
        _token.token_hash == bindparam("token_hash"),
        _token.revoked_at.is_(None),
        _token.expires_at.is_(None) | (_token.expires_at > bindparam("at")),
        _user.disabled_at.is_(None),
    )
)
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="An API token, made on the Tokens page."
)


async def get_session(request: Request) -> AsyncIterator[Session]:
    """The one transaction of the request: committed before the first byte leaves, or rolled back.

    Requests wait here, on the event loop, for one of fewer slots than the pool has connections.
    Waiting for a connection inside a thread instead would deadlock under load: those that hold the
    connections need threads to go on, and all threads would be waiting for connections.
    """
    if request.method == "POST":
        # For errors.py: a page about a failure gives back the text that the form brought.
        request.state.route_request = request
    async with request.app.state.slots:
        session: Session = request.app.state.sessions()
        try:
            yield session
        except BaseException:
            # Shielded: a request that is cancelled gives its connection back all the same.
            with CancelScope(shield=True):
                await run_in_threadpool(session.close)
            raise
        await run_in_threadpool(_commit, session)


SessionDep = Annotated[Session, Depends(get_session, scope="function")]


@asynccontextmanager
async def briefly(request: Request) -> AsyncIterator[Session]:
    """A transaction of its own, over before the request goes on: for what must be known before a
    body is read or something is waited for, which must not hold a slot of the database meanwhile.
    """
    async with asynccontextmanager(get_session)(request) as db:
        yield db


async def recognise(request: Request) -> None:
    """The user, for error pages of addresses that no route serves: no dependency has run then."""
    if SESSION_COOKIE in request.cookies:
        async with briefly(request) as db:
            await run_in_threadpool(optional_user, request, db)


def optional_user(request: Request, db: SessionDep) -> Actor | None:
    """The user logged in by the session cookie; None when nobody is."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    at = now()
    row = db.execute(_BY_SESSION, {"token_hash": digest(token), "at": at}).one_or_none()
    if row is None:
        return None
    actor = _actor(row, session_id=row.id)
    _renew(request, db, row.id, row.expires_at, at)
    request.state.actor = actor
    claimed(request, actor)
    return actor


# Coroutines where nothing blocks: a function costs each request the way to a thread and back.
async def current_user(actor: Annotated[Actor | None, Depends(optional_user)]) -> Actor:
    """The user logged in. Raises LoginRequired."""
    if actor is None:
        raise LoginRequired
    return actor


async def admin_user(actor: Annotated[Actor, Depends(current_user)]) -> Actor:
    """The admin logged in. Raises LoginRequired or Forbidden."""
    if not actor.is_admin:
        raise Forbidden("Only an admin can do this.")
    return actor


OptionalUser = Annotated[Actor | None, Depends(optional_user)]
CurrentUser = Annotated[Actor, Depends(current_user)]
AdminUser = Annotated[Actor, Depends(admin_user)]


async def credentials_of(request: Request) -> HTTPAuthorizationCredentials | None:
    """The bearer token that a request brings, for token_user where no route asks for it."""
    return await _BEARER(request)


@cache
def token_user(scope: str) -> Callable[..., Actor]:
    """A dependency: the trainer or admin whose bearer token has this scope.

    Raises LoginRequired for a token that is missing, unknown, expired or revoked, Forbidden for
    one without the scope, Invalid for what the address says in vain. Cookies do not count here.
    """

    def actor_of_token(
        request: Request,
        db: SessionDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Actor:
        if credentials is None or not credentials.credentials.startswith(TOKEN_PREFIX):
            raise LoginRequired("Send an API token: Authorization: Bearer idp_…")
        at = now()
        secret = digest(credentials.credentials)
        row = db.execute(_BY_TOKEN, {"token_hash": secret, "at": at}).one_or_none()
        if row is None:
            raise LoginRequired("This API token is unknown, expired or revoked.")
        # For the rate limit, which counts what follows for this token.
        setattr(request.state, LET_IN, True)
        actor = _actor(row, token_id=row.id, scopes=frozenset(row.scopes))
        if scope not in actor.scopes:
            raise Forbidden(Message("This API token lacks the scope %(scope)s.", scope=scope))
        if actor.role is Role.ANNOTATOR:
            raise Forbidden("Annotators' accounts have no access to the API.")
        if row.last_used_at is None or at - row.last_used_at > timedelta(minutes=1):
            _touch_token(db, row.id, at)
        request.state.actor = actor
        claimed(request, actor)
        _check_query(request)
        return actor

    return actor_of_token


def _check_query(request: Request) -> None:
    """Raises Invalid for a name in the address that is no parameter of its route, for one without
    a value, and for a second value where one is taken: what is passed over may be a filter, and
    without it a script would get more than it meant."""
    route = request.scope["route"]
    several = {
        **{
            one.alias: get_origin(one.field_info.annotation) is Sequence
            for one in route.dependant.query_params
        },
        **{
            one["name"]: one["schema"]["type"] == "array"
            for one in (route.openapi_extra or {}).get("parameters", ())
        },
    }
    given = set()
    for name, value in request.query_params.multi_items():
        if name not in several:
            names = ", ".join(sorted(several)) or "none"
            raise Invalid(
                Message(
                    "%(name)s is not a parameter here. Parameters: %(names)s.",
                    name=name,
                    names=names,
                ),
                name,
            )
        if not value:
            raise Invalid(
                "The value is missing. Leave the parameter out if you do not need it.", name
            )
        if name in given and not several[name]:
            raise Invalid("It can be given only once.", name)
        given.add(name)


def _commit(session: Session) -> None:
    with session:
        session.commit()


def _actor(
    row: Row[*tuple[Any, ...]],
    *,
    session_id: int | None = None,
    token_id: int | None = None,
    scopes: frozenset[str] = frozenset(),
) -> Actor:
    return Actor(
        id=row.user_id,
        name=row.user_name,
        display_name=row.display_name,
        role=row.role,
        preferences=row.preferences,
        session_id=session_id,
        token_id=token_id,
        scopes=scopes,
    )


def _touch_token(db: Session, token_id: int, at: datetime) -> None:
    # Whoever finds the row taken leaves it: parallel downloads must not wait for each other.
    free = select(ApiToken.id).where(ApiToken.id == token_id).with_for_update(skip_locked=True)
    db.execute(update(ApiToken).where(ApiToken.id.in_(free)).values(last_used_at=at))


def _renew(
    request: Request, db: Session, session_id: int, expires_at: datetime, at: datetime
) -> None:
    """Extend the log-in, at most once per twentieth of its life.

    Also shortens it when it ends later than its life allows: a clock was ahead or the setting is
    lower now. The new cookie leaves by the headers' middleware (app/web/middleware.py): FastAPI
    drops a dependency's headers where the route returns a response of its own.
    """
    life = timedelta(hours=request.app.state.settings.session_hours)
    if life * 0.95 < expires_at - at <= life:
        return
    free = (
        select(LoginSession.id)
        .where(LoginSession.id == session_id)
        .with_for_update(skip_locked=True)
    )
    db.execute(update(LoginSession).where(LoginSession.id.in_(free)).values(expires_at=at + life))
    request.state.renew_session = True
