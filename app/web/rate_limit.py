"""The rate limit of the API: requests per minute and token, reported in every answer.

A request with an accepted token counts for that token, every other one for the client's address.
Only accepted tokens are remembered, so made-up ones neither have windows of their own nor displace
others. Each app process counts separately.

The headers are those of the IETF's draft "RateLimit header fields for HTTP"
(draft-ietf-httpapi-ratelimit-headers): RateLimit-Policy states the quota, RateLimit the requests
that remain (r) and the seconds until the quota resets (t).
"""

import ipaddress
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import orjson
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.security import digest

WINDOW_S = 60
# Where the request's state says that its token was let in (app/web/dependencies.py).
LET_IN = "token_let_in"
_PATH = "/api/v1/"
_FREE = frozenset({"/api/v1/openapi.json", "/api/v1/docs"})
_NAME = "requests"
# Cap tracked addresses, so that one client cannot exhaust memory.
_MANY = 10_000
# Of the IANA's registry of problem types, by the same draft.
_PROBLEM = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class Left(NamedTuple):
    """requests: how many remain; negative: this one was refused. reset_s: seconds to the reset."""

    requests: int
    reset_s: int


class Windows:
    """Requests of each sender in its minute; `most` limits the number of senders, if set."""

    def __init__(self, quota: int, clock: Callable[[], float], most: int | None = None) -> None:
        self.quota = quota
        self.clock = clock
        self.most = most
        # (when the window began, requests in it); what ends first stands first.
        self._windows: dict[str, tuple[float, int]] = {}

    def __contains__(self, sender: str) -> bool:
        """Whether it has ever been counted, as far as is remembered."""
        return sender in self._windows

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, sender: str) -> Left:
        """Count one request."""
        now = self.clock()
        began, count = self._windows.get(sender, (-math.inf, 0))
        if now - began >= WINDOW_S:
            self._windows.pop(sender, None)
            began, count = now, 0
            if self.most is not None and len(self._windows) >= self.most:
                del self._windows[next(iter(self._windows))]
        self._windows[sender] = (began, count + 1)
        return Left(self.quota - count - 1, WINDOW_S - math.floor(now - began))

    def give_back(self, sender: str) -> None:
        """Take back one that was counted for the wrong sender."""
        began, count = self._windows.get(sender, (0.0, 0))
        if count > 1:
            self._windows[sender] = (began, count - 1)
        else:
            self.forget(sender)

    def forget(self, sender: str) -> None:
        """Remember it no more."""
        self._windows.pop(sender, None)


class RateLimit:
    """ASGI: counts requests to the API and refuses with 429 what goes beyond the quota.

    A token that is known is refused for its own requests alone. One that is not, by a process that
    has not seen it yet, is looked at only while its address has requests left: else whoever
    makes tokens up would have the database search for each.
    """

    def __init__(
        self, app: ASGIApp, quota: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self.quota = quota
        # By what the database keeps of them, so there are no more than rows there.
        self.tokens = Windows(quota, clock)
        self.addresses = Windows(quota, clock, _MANY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(_PATH) or path in _FREE:
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        token, address = _token(scope), _address(scope)
        known = token in self.tokens
        left = self.tokens.count(token) if known else self.addresses.count(address)

        async def with_headers(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                if not known and state.get(LET_IN):
                    self.addresses.give_back(address)
                    left = self.tokens.count(token)
                elif known and message["status"] == 401:
                    # It has been revoked, or has expired.
                    self.tokens.forget(token)
                    left = self.addresses.count(address)
                message["headers"] = [*message["headers"], *self._headers(left)]
            await send(message)

        refused = left.requests < 0
        served = _refusal(path, known=known, reset_s=left.reset_s) if refused else self.app
        await served(scope, receive, with_headers)

    def _headers(self, left: Left) -> list[tuple[bytes, bytes]]:
        told = f'"{_NAME}";r={max(0, left.requests)};t={left.reset_s}'
        policy = f'"{_NAME}";q={self.quota};w={WINDOW_S}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", told.encode())]


def _token(scope: Scope) -> str:
    """Of the token, what the database keeps of it: a secret is kept nowhere in the clear."""
    _scheme, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
    return digest(token).hex()


def _address(scope: Scope) -> str:
    """The client's address; of IPv6 the network, since each client has one of its own."""
    address = str((scope.get("client") or [""])[0])
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if known.version == 4:
        return address
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known.packed, 64), strict=False))


def _refusal(path: str, *, known: bool, reset_s: int) -> Response:
    who = (
        "This token has used up its requests."
        if known
        else "Too many requests without a good token came from this address."
    )
    problem = {
        "type": _PROBLEM,
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"{who} Go on in {reset_s} s.",
        "instance": path,
        "violated-policies": [_NAME],
    }
    return Response(
        orjson.dumps(problem),
        429,
        {"Retry-After": str(reset_s)},
        media_type="application/problem+json",
    )
