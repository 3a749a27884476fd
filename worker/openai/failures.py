"""What a model server's refusals mean, in a sentence for the annotator."""

import re

import httpx
import orjson

from worker.engine import EngineError, Failure

_TELL = "Tell your admin."
_AGAIN = "What is written is kept."
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
        return EngineError(f"The model server refuses the worker's key. {_TELL}", temporary=False)
    if status == 404:
        return NotServedError(
            f"The model server does not have the model “{model}”, or is no such server. "
            f"It says: {said} {_TELL}",
            temporary=False,
        )
    if status in (408, 409, 425, 429):
        return EngineError(
            f"The model server has too much to do. {_AGAIN}", temporary=True, reason=Failure.BUSY
        )
    if status >= 500:
        return EngineError(
            f"The model server failed (HTTP {status}): {said} {_AGAIN}", temporary=True
        )
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        return too_long(said)
    return EngineError(
        f"The model server refuses this text (HTTP {status}): {said} {_TELL}", temporary=False
    )


def too_long(said: str) -> EngineError:
    """The prompt does not fit into the model."""
    found = _LIMIT.search(said)
    limit = f" of {next(filter(None, found.groups()))} tokens" if found else ""
    return EngineError(
        f"Images, instruction and text together are longer than the model's limit{limit}. {_TELL}",
        temporary=False,
        reason=Failure.TOO_LONG,
    )


def broken(error: httpx.HTTPError, *, begun: bool) -> EngineError:
    """The connection failed. begun: text had come already."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return EngineError(f"The model server does not answer. {_AGAIN}", temporary=True)
    if isinstance(error, httpx.TimeoutException):
        return silent(begun=begun)
    if begun:
        return EngineError(
            f"The connection to the model server broke in the middle of the text. {_AGAIN}",
            temporary=True,
        )
    return EngineError(f"The connection to the model server broke. {_AGAIN}", temporary=True)


def silent(*, begun: bool) -> EngineError:
    """The server holds the connection and says nothing."""
    when = "stopped writing in the middle of the text" if begun else "did not begin to write"
    return EngineError(f"The model server {when}. {_AGAIN}", temporary=True)


def said_in_stream(error: object) -> EngineError:
    """An error that came as an event, after the answer had begun."""
    code = error.get("code") if isinstance(error, dict) else None
    said = message_of(orjson.dumps({"error": error}))
    if isinstance(code, int) and 400 <= code < 500 and code not in (408, 429):
        return EngineError(f"The model server refuses this text: {said} {_TELL}", temporary=False)
    return EngineError(f"The model server failed: {said} {_AGAIN}", temporary=True)


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
