"""Middleware around every route: security headers, timing, and the CSRF check.

Plain ASGI, so that streams pass through untouched.
"""

import time
from urllib.parse import urlsplit

import orjson
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import REQUESTS, STREAMS
from app.security import SESSION_COOKIE, session_cookie
from app.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_EVENTS = b"text/event-stream; charset=utf-8"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Timing:
    """ASGI: measures each request by its route, never by its address, and counts open streams."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0
        streams = False

        async def watched(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                if (b"content-type", _EVENTS) in message["headers"]:
                    streams = True
                    STREAMS.inc()
                    _observe(scope, status, began)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if streams:
                STREAMS.dec()
            else:
                _observe(scope, status or 500, began)


def _observe(scope: Scope, status: int, began: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    seconds = time.perf_counter() - began
    REQUESTS.labels(method, _template(scope), f"{status // 100}xx").observe(seconds)


def _template(scope: Scope) -> str:
    """The whole path of the route that was found, by its function.

    The route itself knows only its own router's part of it, and plain ones are not in the scope.
    """
    state = scope["app"].state
    if not hasattr(state, "route_templates"):
        state.route_templates = {
            id(context.endpoint): context.path
            for context in iter_route_contexts(scope["app"].routes)
        }
    found: str = state.route_templates.get(id(scope.get("endpoint")), "none")
    return found


class SecurityHeaders:
    """ASGI: puts the security headers on every answer, and the renewed session cookie when due."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.fixed = [
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]
        if (settings.public_url or "").startswith("https:"):
            self.fixed.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                headers = [*message["headers"], *(h for h in self.fixed if h[0] not in names)]
                if b"cache-control" not in names:
                    # The answer to a form may hold what was typed into it. A page that was opened
                    # may be kept: going back must show it again, with the text typed in it.
                    kept = b"private, no-cache" if scope["method"] in _SAFE else b"no-store"
                    headers.append((b"cache-control", kept))
                if state.get("renew_session") and b"set-cookie" not in names:
                    headers.append((b"set-cookie", self._renewed(scope)))
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, with_headers)

    def _renewed(self, scope: Scope) -> bytes:
        token = _cookie(Headers(scope=scope), SESSION_COOKIE)
        return session_cookie(self.settings, token, https=scope["scheme"] == "https").encode()


class CrossSite:
    """ASGI: refuses changes that another site's page made the browser ask for (CSRF).

    No tokens. The rule is Filippo Valsorda's ("Cross-Site Request Forgery", words.filippo.io/csrf,
    2025; net/http.CrossOriginProtection of Go 1.25) and in the OWASP CSRF cheat sheet as Fetch
    Metadata: Sec-Fetch-Site, which browsers set and pages cannot, must be same-origin or none;
    without it the Origin must name this host; a request with neither comes from no browser. A
    bearer token without a cookie proves by itself that the sender means it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        public = urlsplit(settings.public_url or "")
        self.own = f"{public.scheme}://{public.netloc}" if public.netloc else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 403."""
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._allowed(headers):
            await self.app(scope, receive, send)
        else:
            await _refusal(scope["path"])(scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        if headers.get("authorization", "").startswith("Bearer ") and "cookie" not in headers:
            return True
        origin = headers.get("origin")
        if origin and origin == self.own:
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        return origin is None or urlsplit(origin).netloc == headers.get("host")


def _cookie(headers: Headers, name: str) -> str:
    for part in headers.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _refusal(path: str) -> Response:
    message = (
        "This request came from another site and was refused. If you reach this site through "
        "a proxy, set ITERDPO_PUBLIC_URL to the address that you type."
    )
    if path.startswith("/api/"):
        problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": message}
        return Response(orjson.dumps(problem), 403, media_type="application/problem+json")
    return PlainTextResponse(message, 403)
