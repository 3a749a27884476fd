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
                "A web page answered instead of the model server: “%(title)s”. Is a proxy before "
                "it? What is written is kept. Tell your admin.",
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
                "The model server does not stream: it answered in one piece. What is written is "
                "kept. Tell your admin."
            )
        )
    return _malformed(
        Message(
            "The model server's answer is no event stream. It begins “%(beginning)s”. What is "
            "written is kept. Tell your admin.",
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
            "The model server sent a line of more than %(limit)s MB without an end. What is "
            "written is kept. Tell your admin.",
            limit=limit // 2**20,
        )
    )


def no_utf8() -> EngineError:
    """Bytes that are no text."""
    return _malformed(
        Message(
            "The model server sent bytes that are not UTF-8 text. What is written is kept. Tell "
            "your admin."
        )
    )


def no_json(event: bytes) -> EngineError:
    """An event that is text, but not JSON."""
    return _malformed(
        Message(
            "The model server sent an event that is not JSON: “%(beginning)s”. What is written is "
            "kept. Tell your admin.",
            beginning=_quoted(event),
        )
    )


def another_form(event: bytes, place: str) -> EngineError:
    """JSON in which a place (a field's name) holds a value of the wrong type."""
    return _malformed(
        Message(
            "The model server sent JSON of another form than a chat completion has: “%(place)s” "
            "is not what it must be in “%(beginning)s”. What is written is kept. Tell your admin.",
            place=place,
            beginning=_quoted(event),
        )
    )


def no_choice() -> EngineError:
    """The stream came to its end, and no chunk in it had a choice."""
    return _malformed(
        Message(
            "The model server's answer has no text in it: none of its chunks has “choices”. What "
            "is written is kept. Tell your admin."
        )
    )


def no_reason() -> EngineError:
    """The stream came to its end, and it is not known whether the text did."""
    return _malformed(
        Message(
            "The model server ended the text without a “finish_reason”: whether the text is "
            "complete is not known. What is written is kept. Retry to go on from there; if it "
            "happens again, tell your admin."
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
            "The model server's answer to %(path)s is not the JSON that it must be: “%(said)s”. "
            "Tell your admin.",
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
