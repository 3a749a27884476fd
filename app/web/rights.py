"""Ends a long answer when the right to it ends: log-out, disabling, removal, revocation, expiry.

A route checks access once. What is still being sent seconds later (events, a feed, a large file) is
checked again: every two seconds, and at once when a transaction notifies that rights have changed
(notifications.RIGHTS). One query checks all answers of a process.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import anyio
import structlog
from fastapi import Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database.notifications import RIGHTS, Hub
from app.models import Role, now
from app.security import Actor

LOOK_S = 2.0
# No answer goes on that has been sent for so long since its right was last seen.
LONGEST_S = 5.0
# A burst of changes is looked at together.
_PAUSE_S = 0.1
_EVENTS = b"text/event-stream"


@dataclass(frozen=True, slots=True)
class Claim:
    """What an answer rests on: a log-in or a token, the role, and a draft or projects.

    Nothing beside log-in and role: what every user of that role may see.
    """

    session_id: int | None
    token_id: int | None
    role: Role
    draft_id: int | None = None
    project_ids: tuple[int, ...] = ()


def claimed(request: Request, actor: Actor) -> None:
    """Note who the answer is for."""
    request.state.claim = Claim(actor.session_id, actor.token_id, actor.role)


def claim(
    request: Request, *, draft_id: int | None = None, project_ids: Sequence[int] = ()
) -> None:
    """Note what a long answer shows: whoever may no longer see that gets no more of the answer."""
    request.state.claim = replace(
        request.state.claim, draft_id=draft_id, project_ids=tuple(project_ids)
    )


class Right:
    """The right to one answer that is being sent.

    seen_at: when it was last confirmed (time.monotonic).
    scope: cancels the answer, even while it waits.
    """

    def __init__(self, claim: Claim, seen_at: float, scope: anyio.CancelScope) -> None:
        self.claim = claim
        self.seen_at = seen_at
        self.scope = scope
        self.ended = False

    def end(self) -> None:
        """It holds no longer."""
        self.ended = True
        self.scope.cancel()


class Rights:
    """The rights of the long answers of this process; use it as an async context."""

    def __init__(self, hub: Hub, sessions: Callable[[], Session]) -> None:
        self._hub = hub
        self._sessions = sessions
        self._limiter = anyio.CapacityLimiter(1)
        self._held: set[Right] = set()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._go_on_looking(), name="rights")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hold(self, right: Right) -> None:
        """Look at it from now on, until it is let go."""
        self._held.add(right)

    def let_go(self, right: Right) -> None:
        """Its answer has ended."""
        self._held.discard(right)

    async def confirm(self, right: Right) -> None:
        """Return once the right has been seen within the last seconds; forever, if it ends."""
        while time.monotonic() - right.seen_at >= LONGEST_S:
            # The database is away, or this process was stopped: nothing is sent on a guess.
            await self._looked.wait()

    async def _go_on_looking(self) -> None:
        async with self._hub.watch(RIGHTS) as watch:
            while True:
                await watch.wait(LOOK_S)
                if self._held:
                    await self._look([*self._held])
                await asyncio.sleep(_PAUSE_S)

    async def _look(self, rights: Sequence[Right]) -> None:
        began = time.monotonic()
        try:
            ended = await anyio.to_thread.run_sync(
                self._ended, [right.claim for right in rights], limiter=self._limiter
            )
        except SQLAlchemyError:
            # The hub says that the database is away.
            return
        for number, right in enumerate(rights):
            if number in ended:
                right.end()
            else:
                right.seen_at = began
        self._looked.set()
        self._looked = asyncio.Event()

    def _ended(self, claims: Sequence[Claim]) -> set[int]:
        """The places of the claims that hold no longer."""
        rows = [
            (number, one, project_id)
            for number, one in enumerate(claims)
            for project_id in one.project_ids or (None,)
        ]
        with self._sessions() as db:
            found = db.scalars(
                _ENDED,
                {
                    "at": now(),
                    "numbers": [number for number, _, _ in rows],
                    "sessions": [one.session_id for _, one, _ in rows],
                    "tokens": [one.token_id for _, one, _ in rows],
                    "roles": [one.role.value for _, one, _ in rows],
                    "drafts": [one.draft_id for _, one, _ in rows],
                    "projects": [project_id for _, _, project_id in rows],
                },
            )
            return set(found)


# The rules of app/access.py and app/web/dependencies.py, for many at once.
_ENDED = text(
    """
    SELECT claim.number
    FROM unnest(
        CAST(:numbers AS bigint[]), CAST(:sessions AS bigint[]), CAST(:tokens AS bigint[]),
        CAST(:roles AS text[]), CAST(:drafts AS bigint[]), CAST(:projects AS bigint[])
    ) AS claim (number, session_id, token_id, role, draft_id, project_id)
    LEFT JOIN login_sessions AS login ON login.id = claim.session_id AND login.expires_at > :at
    LEFT JOIN api_tokens AS token ON token.id = claim.token_id AND token.revoked_at IS NULL
        AND (token.expires_at IS NULL OR token.expires_at > :at)
    LEFT JOIN users ON users.id = coalesce(login.user_id, token.user_id)
        AND users.disabled_at IS NULL AND users.role = claim.role
    LEFT JOIN drafts ON drafts.id = claim.draft_id
    LEFT JOIN samples ON samples.id = drafts.sample_id
    LEFT JOIN memberships AS member ON member.user_id = users.id
        AND member.project_id = coalesce(claim.project_id, samples.project_id)
    WHERE users.id IS NULL
        OR users.role <> 'admin' AND (
            drafts.user_id <> users.id
            OR coalesce(claim.draft_id, claim.project_id) IS NOT NULL AND member.user_id IS NULL
        )
    """
)


class EndingWithRights:
    """ASGI: ends an answer when the right to it does, however long it is sent or waits.

    Events end as if there were no more, since the page asks again and hears why. Everything else is
    cut off, so that nobody takes a half for the whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = structlog.get_logger("rights")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # What changes something is answered at once, and may be what ends the right: a log-out.
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        began = time.monotonic()
        right: Right | None = None
        events = False
        cancelling = anyio.CancelScope()

        async def watched(message: Message) -> None:
            nonlocal right, events
            if message["type"] == "http.response.start":
                events = any(
                    name == b"content-type" and value.startswith(_EVENTS)
                    for name, value in message["headers"]
                )
            # A short answer costs a look at the clock.
            if right is None and "claim" in state and (events or time.monotonic() - began > LOOK_S):
                right = Right(state["claim"], began, cancelling)
                scope["app"].state.rights.hold(right)
            if right is not None:
                await scope["app"].state.rights.confirm(right)
            await send(message)

        try:
            with cancelling:
                await self.app(scope, receive, watched)
        finally:
            if right is not None:
                scope["app"].state.rights.let_go(right)
        if right is not None and right.ended:
            self.log.info("right ended", path=scope["path"])
            if events:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
