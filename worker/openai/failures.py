"""What a model server's refusals mean, in a sentence for the annotator."""

import re

import httpx
import orjson

from app.domain.messages import Message
from worker.engine import EngineError, Failure

_LIMIT = re.compile(r"maximum (?:context|model) length (?:is|of) (\d+)|max_model_len[= ]+(\d+)")
_TOO_LONG = re.compile(
    r"maximum (context|model) length|context (length|window|size)|too (long|many tokens)"
    r"|max_model_len|exceed\w* (the )?(available )?context",
    re.IGNORECASE,
)
_CACHE_MISS = "Cache miss for image"
_SHOWN = 300


class CacheMiss(Exception):  # noqa: N818 - not an error: the server asks for the bytes
    """The server does not have an image whose bytes were left out."""


class NotServedError(EngineError):
    """The server does not have the model: an adapter, after its restart."""


def refusal(status: int, body: bytes, *, model: str) -> EngineError | CacheMiss:
    """The answer to a request that the server did not take. body: what it said, in any form."""
    said = message_of(body)
    if status == 400 and _CACHE_MISS in said:
        return CacheMiss(said)
    if status in (401, 403):
        return EngineError(
            "The model server refuses the worker's key. Tell your admin.", temporary=False
        )
    if status == 404:
        return NotServedError(
            Message(
                "The model server does not have the model “%(model)s”, or it is not a model "
                "server. It says: %(said)s Tell your admin.",
                model=model,
                said=said,
            ),
            temporary=False,
        )
    if status in (408, 409, 425, 429):
        return EngineError(
            "The model server is too busy. The text so far is kept.",
            temporary=True,
            reason=Failure.BUSY,
        )
    if status >= 500:
        return EngineError(
            Message(
                "The model server failed (HTTP %(status)s): %(said)s The text so far is kept.",
                status=status,
                said=said,
            ),
            temporary=True,
        )
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        return too_long(said)
    return EngineError(
        Message(
            "The model server refuses this text (HTTP %(status)s): %(said)s Tell your admin.",
            status=status,
            said=said,
        ),
        temporary=False,
    )


def too_long(said: str) -> EngineError:
    """The prompt does not fit into the model."""
    found = _LIMIT.search(said)
    message = Message(
        "The images, the instruction and the text together exceed the model's limit. Tell your "
        "admin."
    )
    if found:
        message = Message(
            "The images, the instruction and the text together exceed the model's limit of "
            "%(limit)s tokens. Tell your admin.",
            limit=next(filter(None, found.groups())),
        )
    return EngineError(
        message,
        temporary=False,
        reason=Failure.TOO_LONG,
    )


def broken(error: httpx.HTTPError, *, begun: bool) -> EngineError:
    """The connection failed. begun: text had come already."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return EngineError(
            "The model server does not answer. The text so far is kept.", temporary=True
        )
    if isinstance(error, httpx.TimeoutException):
        return silent(begun=begun)
    if begun:
        return EngineError(
            "The connection to the model server broke in the middle of the text. The text so "
            "far is kept.",
            temporary=True,
        )
    return EngineError(
        "The connection to the model server broke. The text so far is kept.", temporary=True
    )


def silent(*, begun: bool) -> EngineError:
    """The server holds the connection and says nothing."""
    message = Message("The model server did not begin to write. The text so far is kept.")
    if begun:
        message = Message(
            "The model server stopped writing in the middle of the text. The text so far is kept."
        )
    # A server that is away as a whole does not answer the check either, and that costs nothing.
    return EngineError(message, temporary=True, counts=True)


def said_in_stream(error: object) -> EngineError:
    """An error that came as an event, after the answer had begun."""
    code = error.get("code") if isinstance(error, dict) else None
    said = message_of(orjson.dumps({"error": error}))
    if isinstance(code, int) and 400 <= code < 500 and code not in (408, 429):
        return EngineError(
            Message("The model server refuses this text: %(said)s Tell your admin.", said=said),
            temporary=False,
        )
    return EngineError(
        Message("The model server failed: %(said)s The text so far is kept.", said=said),
        temporary=True,
    )


def message_of(body: bytes) -> str:
    """The sentence in an error's body, in one line that ends in a full stop."""
    said: object = None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = body.decode(errors="replace")
    else:
        for key in ("error", "detail", "message"):
            if isinstance(parsed, dict) and key in parsed:
                parsed = parsed[key]
        said = parsed
        if isinstance(parsed, dict):
            said = parsed.get("message", parsed)
    line = " ".join(str(said).split())
    if len(line) > _SHOWN:
        line = line[:_SHOWN].rstrip() + " …"
    if not line:
        return "nothing."
    return line if line[-1] in ".!?…" else f"{line}."
