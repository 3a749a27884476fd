"""The host names that this site answers to, and the base address of its links."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import orjson
from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings

# Load balancers and containers ask for these by whatever address they reach the app.
_BY_ANY_NAME = frozenset({"/healthz", "/readyz", "/metrics"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Hosts:
    """ASGI: with a public address, refuses requests for every other host with 421."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.public = settings.public_url
        self.allowed = _names(settings.public_url) if settings.public_url else frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if (
            scope["type"] == "http"
            and self.public
            and scope["path"] not in _BY_ANY_NAME
            and Headers(scope=scope).get("host", "").lower() not in self.allowed
        ):
            await self._refusal(scope["path"])(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, path: str) -> Response:
        message = (
            f"This studio answers at {self.public} only, and the request named another host. Open "
            f"that address. A proxy before the studio must pass on the Host that users type."
        )
        if not path.startswith("/api/"):
            return PlainTextResponse(message, 421)
        problem = {
            "type": "about:blank",
            "title": "Misdirected Request",
            "status": 421,
            "detail": message,
            "instance": path,
        }
        return Response(orjson.dumps(problem), 421, media_type="application/problem+json")


def base_url(request: Request) -> str:
    """The address that links to this site begin with, without a slash at its end.

    It is the public address. Without one it is what the request names as its host, if that is this
    machine: a loopback name, or the address that the server listens on. For any other host, which
    the sender may have made up, it is the address at which the request arrived.
    """
    settings: Settings = request.app.state.settings
    if settings.public_url:
        return settings.public_url
    scheme = request.scope["scheme"]
    host = request.headers.get("host", "").lower()
    listens_on, port = request.scope.get("server") or (settings.host, settings.port)
    if _is_own(host, {settings.host.lower(), str(listens_on).lower()}):
        return f"{scheme}://{host}"
    name = f"[{listens_on}]" if ":" in listens_on else listens_on
    return f"{scheme}://{name}" + ("" if port == _DEFAULT_PORTS.get(scheme) else f":{port}")


def _names(url: str) -> frozenset[str]:
    """What a Host header says for this address: browsers leave the usual port out."""
    parts = urlsplit(url)
    netloc, usual = parts.netloc.lower(), _DEFAULT_PORTS.get(parts.scheme)
    if parts.port is None:
        return frozenset({netloc, f"{netloc}:{usual}"})
    bare = netloc.rpartition(":")[0]
    return frozenset({netloc, bare}) if parts.port == usual else frozenset({netloc})


def _is_own(host: str, own: set[str]) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 (raises ValueError for what is no port)
    except ValueError:
        return False
    name = parts.hostname or ""
    if parts.netloc != host or parts.username is not None or not name:
        return False
    try:
        loopback = ip_address(name).is_loopback
    except ValueError:
        loopback = name == "localhost" or name.endswith(".localhost")
    return loopback or name in own
