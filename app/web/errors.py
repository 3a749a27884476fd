"""Refusals and failures as HTTP: a page, a fragment for htmx, or problem+json (RFC 9457)."""

import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from app.disk import is_full
from app.domain.messages import Message
from app.refusals import Conflict, Forbidden, Invalid, LoginRequired, NotFound, Outdated, Refusal
from app.web.pages import is_htmx, local_path, render, translated

log = structlog.get_logger("errors")

_STATUS: dict[type[Refusal], int] = {
    LoginRequired: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, for the user. faults: (field, message) each. outdated: look afresh."""

    status: int
    detail: Message
    faults: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None
    outdated: bool = False

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


def install(app: FastAPI, *, recognise: Callable[[Request], Awaitable[None]]) -> None:
    """Answer refusals, wrong requests and database failures in the form that the request wants.

    recognise: authenticates requests that matched no route, so that a page shows the right
        navigation.
    """
    app.state.recognise = recognise
    for kind in (Refusal, RequestValidationError, HTTPException, DBAPIError, PoolTimeout):
        app.add_exception_handler(kind, _answer)


class Faults:
    """ASGI: answers unexpected errors with a 500 in the form that the request wants.

    Starlette's own handler is outside all other middleware: its answer would lack the security
    headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. What breaks after the answer has begun can only end the connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Event) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as exception:
            if started:
                raise
            # The request of the route has read the form, which cannot be read twice.
            request = scope["state"].get("route_request") or Request(scope, receive)
            response = await _answer(request, exception)
            await response(scope, receive, send)


async def _answer(request: Request, exception: Exception) -> Response:
    fault = _fault(request, exception)
    if fault.status >= 500:
        log.error("failed", path=request.url.path, status=fault.status, exc_info=exception)
    headers = dict(fault.headers or {})
    wanted = _wanted(request)
    if fault.status == 401:
        if wanted == "page" and request.method in ("GET", "HEAD"):
            return RedirectResponse(login_address(request), 303)
        # No HX-Redirect: it would throw away what is typed in the page. The page shows a notice.
        headers["X-Login"] = login_address(request)
        headers["WWW-Authenticate"] = "Bearer"
    if wanted == "problem":
        return _problem(request, fault, headers)
    context: dict[str, Any] = {
        "fault": fault,
        "login": headers.get("X-Login"),
        "request_id": getattr(request.state, "request_id", ""),
    }
    if wanted == "fragment":
        # By default beside what the form would have replaced: an editor must keep its text.
        # hx-status rules of the element come after these headers and win.
        headers |= {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
        return render(
            request, "errors/_refusal.html", context, status_code=fault.status, headers=headers
        )
    context["sent"] = await _sent(request)
    if context["sent"]:
        headers["Cache-Control"] = "no-store"
    if fault.status < 500 and not hasattr(request.state, "actor"):
        await request.app.state.recognise(request)
    return render(request, "errors/page.html", context, status_code=fault.status, headers=headers)


def login_address(request: Request) -> str:
    """The log-in page that leads back to where the user is."""
    if request.method == "GET" and not is_htmx(request):
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        # A fragment or a form has no page of its own: back to the page that holds it.
        page = request.headers.get("hx-current-url") or request.headers.get("referer") or "/"
        back = urlsplit(page).path or "/"
    return f"/login?next={quote(local_path(back))}"


def _fault(request: Request, exception: Exception) -> Fault:
    if isinstance(exception, Refusal):
        status = next(_STATUS[kind] for kind in type(exception).__mro__ if kind in _STATUS)
        field = getattr(exception, "field", None)
        faults = ((field, exception.message),) if field else getattr(exception, "faults", ())
        return Fault(status, exception.message, faults, outdated=isinstance(exception, Outdated))
    if isinstance(exception, RequestValidationError):
        return _validation_fault(exception)
    if isinstance(exception, HTTPException):
        detail = _PLAIN.get(exception.status_code) or Message(str(exception.detail))
        return Fault(exception.status_code, detail, headers=exception.headers)
    if _disk_is_full(request, exception):
        return Fault(507, _PLAIN[507], headers={"Retry-After": "60"})
    if isinstance(exception, (OperationalError, InterfaceError, PoolTimeout)):
        return Fault(503, _PLAIN[503], headers={"Retry-After": "5"})
    original = getattr(exception, "orig", None)
    if isinstance(original, psycopg.errors.NumericValueOutOfRange):
        return Fault(404, NotFound().message)
    if isinstance(original, psycopg.DataError) and "NUL" in str(original):
        return Fault(422, Message("The text contains a NUL character, which cannot be stored."))
    if isinstance(exception, UnicodeEncodeError):
        return Fault(422, Message("The text contains half a character (a lone surrogate)."))
    if isinstance(exception, OSError) and exception.errno in _NO_FILES:
        return Fault(503, _FILES, headers={"Retry-After": "60"})
    return Fault(500, _PLAIN[500])


def _disk_is_full(request: Request, exception: Exception) -> bool:
    """The database says so, or writing a file did; or it has ended because of it."""
    original = getattr(exception, "orig", None)
    if isinstance(original, psycopg.errors.DiskFull):
        return True
    if isinstance(exception, OSError):
        return exception.errno in (errno.ENOSPC, errno.EDQUOT)
    broken = isinstance(exception, OperationalError | InterfaceError)
    return broken and is_full(request.app.state.settings.data)


# A directory of the server that became read-only, was closed, or whose disk fails.
_NO_FILES = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_FILES = Message(
    "The server cannot read or write its files at the moment. Everything you saved before is "
    "safe. Tell your admin."
)
_PLAIN = {
    404: Message("There is nothing at this address."),
    405: Message("This address does not accept this kind of request."),
    413: Message("The request is too large."),
    500: Message(
        "Something went wrong on the server. The error is logged. Everything you saved is safe."
    ),
    507: Message(
        "The server's disk is full, so nothing was saved. Keep this page open: your text is kept "
        "in it. Save again when there is space."
    ),
    503: Message("The database does not respond at the moment. Try again in a few seconds."),
}


def _validation_fault(exception: RequestValidationError) -> Fault:
    faults = tuple(_named(error) for error in exception.errors())
    if any(error["loc"][:1] == ("path",) for error in exception.errors()):
        return Fault(404, _PLAIN[404])
    named = "; ".join(f"{field}: {message}" if field else message for field, message in faults)
    return Fault(422, Message("The request is not valid. %(named)s", named=named), faults)


def _named(error: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong, and in which field; "" for the body as a whole."""
    if error["type"] == "json_invalid":
        return "", f"What was sent is no JSON: {error['ctx']['error']} at {error['loc'][-1]}."
    if error["type"] == "model_attributes_type":
        return "", "A JSON object is needed, sent with Content-Type: application/json."
    return ".".join(str(part) for part in error["loc"][1:]), str(error["msg"])


def _wanted(request: Request) -> str:
    """Which form the answer takes: "problem", "fragment" or "page"."""
    if request.url.path.startswith("/api/"):
        return "problem"
    if is_htmx(request):
        return "fragment"
    headers = request.headers
    # Browsers name the destination to https and to this machine alone; elsewhere Accept tells.
    accepted = headers.get("accept", "")
    by_script = (
        headers.get("sec-fetch-dest") == "empty" or "json" in accepted or "event-stream" in accepted
    )
    if by_script or headers.get("content-type", "").startswith("application/json"):
        return "problem"
    return "page"


def _problem(request: Request, fault: Fault, headers: Mapping[str, str]) -> Response:
    # The pages' own scripts show it as it comes; what is written for the API is in English.
    api = request.url.path.startswith("/api/")
    detail = fault.detail if api else translated(request, fault.detail)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": fault.title,
        "status": fault.status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if fault.faults:
        body["errors"] = [{"field": field, "detail": text} for field, text in fault.faults]
    return Response(
        orjson.dumps(body), fault.status, dict(headers), media_type="application/problem+json"
    )


async def _sent(request: Request) -> list[tuple[str, str]]:
    """What a user typed into a form that was refused, so that its page can show it for copying.

    Only what the templates have a field of text for: never a password, and nothing unknown.
    """
    kind = request.headers.get("content-type", "")
    # An upload is not read for this: it may be large, and its sender nobody.
    if request.method == "GET" or not kind.startswith("application/x-www-form-urlencoded"):
        return []
    try:
        # Kept by the request since the route read it; a body nobody read is read here.
        form = await request.form()
    except (HTTPException, ClientDisconnect, RuntimeError):
        # The form itself is what is wrong, or its bytes are gone: there is no text to give back.
        return []
    typed = request.app.state.fields.texts
    return [
        (name, value)
        for name, value in form.multi_items()
        if isinstance(value, str) and value.strip() and name in typed
    ]
