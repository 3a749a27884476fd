"""Logs are events with keys, on stderr; every line of a request carries its id. Never content."""

import logging
import secrets
import sys
import time
from typing import Any, TextIO

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MASKED = "…"


def configure(*, json: bool, level: str) -> None:
    """Send our events and those of the libraries to stderr, as JSON lines or as coloured text."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
        if json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Said better by our own line for each request, or with the content of statements in it.
    for name in ("uvicorn.access", "httpx", "httpx2", "httpcore", "PIL", "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


class _Handler(logging.StreamHandler[TextIO]):
    """Loses a line that cannot be written (a full disk, a closed pipe), never what it is about."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the library's name)
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class RequestLog:
    """ASGI: gives each request an id (X-Request-Id of the answer) and logs one line when it ends.

    The path is logged without its query, and without the token of an invitation.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = structlog.get_logger("request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = secrets.token_hex(6)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            await self.app(scope, receive, with_id)
        finally:
            actor = scope["state"].get("actor")
            path = _path(scope)
            # Health checks come every few seconds and would be most of the log.
            say = self.log.debug if path in ("/healthz", "/readyz") else self.log.info
            say(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                ms=round((time.perf_counter() - start) * 1000, 1),
                **({"user": actor.id} if actor else {}),
            )


def _path(scope: Scope) -> str:
    path: str = scope["path"][:300]
    token = scope.get("path_params", {}).get("token")
    return path.replace(token, _MASKED) if token else path


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
