"""Answers that are not chat completions: a separate sentence for each kind.

None of them is worth another attempt by itself: TCP does not garble text, so the server or a proxy
before it wrote this, and would write it again after the kept text.
"""

import html
import re

import orjson

from app.domain.messages import Message
from worker.engine import EngineError, Failure
from worker.openai.failures import message_of, said_in_stream

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(rb"\s*(<!doctype|<html|<\?xml|<head|<body)", re.IGNORECASE)
_SHOWN = 80


def no_stream(body: bytes) -> EngineError:
    """An answer with status 200 that is not an event stream. body: its beginning, or all of it."""
    if _PAGE.match(body):
        title = _TITLE.search(body.decode(errors="replace"))
        return _malformed(
            Message(
                "A web page answered instead of the model server: “%(title)s”. Is there a "
                "proxy in front of it? The text so far is kept. Tell your admin.",
                title=_short(html.unescape(title[1])) if title else _quoted(body),
            )
        )
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict) and (error := error_in(parsed)) is not None:
        return said_in_stream(error)
    if isinstance(parsed, dict) and "choices" in parsed:
        return _malformed(
            Message(
                "The model server does not stream: it answered in one piece. The text so far "
                "is kept. Tell your admin."
            )
        )
    return _malformed(
        Message(
            "The model server's answer is not an event stream. It begins with “%(beginning)s”. "
            "The text so far is kept. Tell your admin.",
            beginning=_quoted(body),
        )
    )


def error_in(chunk: dict[str, object]) -> object:
    """The error that a chunk or an answer holds, in any of the forms that servers use, or None."""
    if chunk.get("error"):
        return chunk["error"]
    return chunk if chunk.get("object") == "error" else None


def line_too_long(limit: int) -> EngineError:
    """One event is longer than any piece of text."""
    return _malformed(
        Message(
            "The model server sent a line of more than %(limit)s MB without an end. The text "
            "so far is kept. Tell your admin.",
            limit=limit // 2**20,
        )
    )


def no_utf8() -> EngineError:
    """Bytes that are no text."""
    return _malformed(
        Message(
            "The model server sent bytes that are not UTF-8 text. The text so far is kept. "
            "Tell your admin."
        )
    )


def no_json(event: bytes) -> EngineError:
    """An event that is text, but not JSON."""
    return _malformed(
        Message(
            "The model server sent an event that is not JSON: “%(beginning)s”. The text so far "
            "is kept. Tell your admin.",
            beginning=_quoted(event),
        )
    )


def another_form(event: bytes, place: str) -> EngineError:
    """JSON in which a place (a field's name) holds a value of the wrong type."""
    return _malformed(
        Message(
            "The model server sent JSON that is not a chat completion: “%(place)s” is wrong in "
            "“%(beginning)s”. The text so far is kept. Tell your admin.",
            place=place,
            beginning=_quoted(event),
        )
    )


def no_choice() -> EngineError:
    """The stream came to its end, and no chunk in it had a choice."""
    return _malformed(
        Message(
            "The model server's answer contains no text: none of its chunks has “choices”. The "
            "text so far is kept. Tell your admin."
        )
    )


def no_reason() -> EngineError:
    """The stream came to its end, and it is not known whether the text did."""
    return _malformed(
        Message(
            "The model server ended the text without a “finish_reason”, so it is not known "
            "whether the text is complete. The text so far is kept. Retry to continue from "
            "there; if it happens again, tell your admin."
        )
    )


def too_much(path: str, limit: int) -> EngineError:
    """An answer in one piece that is longer than any that is asked for."""
    return _malformed(
        Message(
            "The model server's answer to %(path)s is longer than %(limit)s MB. Tell your admin.",
            path=path,
            limit=limit // 2**20,
        )
    )


def no_answer(path: str, body: bytes) -> EngineError:
    """A call whose answer is not the JSON that it must be."""
    if _PAGE.match(body):
        return no_stream(body)
    return _malformed(
        Message(
            "The model server's answer to %(path)s is not the expected JSON: “%(said)s”. Tell "
            "your admin.",
            path=path,
            said=_short(message_of(body)),
        )
    )


def _malformed(message: Message) -> EngineError:
    return EngineError(message, temporary=False, reason=Failure.MALFORMED)


def _quoted(data: bytes) -> str:
    return _short(data[: 8 * _SHOWN].decode(errors="replace"))


def _short(said: str) -> str:
    line = " ".join("".join(one if one.isprintable() else " " for one in said).split())
    return line if len(line) <= _SHOWN else line[:_SHOWN].rstrip() + " …"
