"""The rate limit of the API: so many requests a minute for each token, told in every answer.

The headers are those of the IETF's draft "RateLimit header fields for HTTP"
(draft-ietf-httpapi-ratelimit-headers): RateLimit-Policy says what is granted, RateLimit what is
left of it (r) and in how many seconds it is granted anew (t). Each app process counts for itself.
"""

import math
import time
from collections.abc import Callable
from hashlib import sha256

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WINDOW_S = 60
_PATH = "/api/v1/"
_FREE = frozenset({"/api/v1/openapi.json", "/api/v1/docs"})
_NAME = "requests"
# Windows are kept of so many senders. Whoever makes tokens up must not fill the memory.
_MANY = 10_000
# Of the IANA's registry of problem types, by the same draft.
_PROBLEM = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class RateLimit:
    """ASGI: counts requests to the API, by token or by address without one; refuses with 429."""

    def __init__(
        self, app: ASGIApp, quota: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self.quota = quota
        self.clock = clock
        # (when the window ends, requests in it), by who sends them; what ends first stands first.
        self._windows: dict[str, tuple[float, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(_PATH) or path in _FREE:
            await self.app(scope, receive, send)
            return
        left, reset_s = self._count(_sender(scope))
        headers = [
            (b"ratelimit-policy", f'"{_NAME}";q={self.quota};w={WINDOW_S}'.encode()),
            (b"ratelimit", f'"{_NAME}";r={max(0, left)};t={reset_s}'.encode()),
        ]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        served = self.app if left >= 0 else _refusal(path, reset_s)
        await served(scope, receive, with_headers)

    def _count(self, sender: str) -> tuple[int, int]:
        """How many requests are left after this one (negative: none was), and for how long."""
        now = self.clock()
        end, count = self._windows.get(sender, (0.0, 0))
        if end <= now:
            self._windows.pop(sender, None)
            end, count = now + WINDOW_S, 0
            if len(self._windows) >= _MANY:
                del self._windows[next(iter(self._windows))]
        self._windows[sender] = (end, count + 1)
        return self.quota - count - 1, math.ceil(end - now)


def _sender(scope: Scope) -> str:
    token = Headers(scope=scope).get("authorization")
    # Not the token itself: a secret is kept nowhere in the clear.
    return sha256(token.encode()).hexdigest() if token else str((scope.get("client") or [""])[0])


def _refusal(path: str, reset_s: int) -> Response:
    problem = {
        "type": _PROBLEM,
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"This token has used up its requests. Go on in {reset_s} s.",
        "instance": path,
        "violated-policies": [_NAME],
    }
    return Response(
        orjson.dumps(problem),
        429,
        {"Retry-After": str(reset_s)},
        media_type="application/problem+json",
    )
