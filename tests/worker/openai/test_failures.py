"""What servers say when they refuse, and what the annotator reads."""

import json

import pytest

from worker.engine import EngineError
from worker.openai.failures import CacheMiss, message_of, refusal


def said(message: str, code: int = 400) -> bytes:
    return json.dumps(
        {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "words", "temporary"),
    [
        (401, b'{"error":"Unauthorized"}', "refuses the worker's key", False),
        (
            404,
            said("The model `x` does not exist. Valid aliases: tiny.", 404),
            "does not have the model “lecturer”",
            False,
        ),
        (429, b"", "too busy", True),
        (500, said("EngineCore encountered an issue.", 500), "EngineCore encountered", True),
        (502, b"<html>Bad Gateway</html>", "HTTP 502", True),
        (503, b"", "HTTP 503", True),
        (
            400,
            said(
                "This model's maximum context length is 16384 tokens. However, your prompt "
                "contains at least 16385 input tokens, which exceeds this limit"
            ),
            "limit of 16384 tokens",
            False,
        ),
        (
            400,
            b'{"error":{"code":400,"message":"the request exceeds the available context size"}}',
            "exceed the model's limit",
            False,
        ),
        (400, said("Failed to load image: cannot identify image file"), "cannot identify", False),
        (422, b'{"detail":[{"loc":["body"],"msg":"bad"}]}', "refuses this text", False),
    ],
)
def test_a_refusal_is_a_sentence(status: int, body: bytes, words: str, temporary: bool) -> None:
    refused = refusal(status, body, model="lecturer")
    assert isinstance(refused, EngineError)
    assert words in refused.message
    assert refused.message[-1] in ".!?"
    assert refused.temporary is temporary


def test_a_cache_miss_is_no_error() -> None:
    body = said("Cache miss for image at index 0 but data is not provided.")
    assert isinstance(refusal(400, body, model="m"), CacheMiss)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "nothing."),
        (b"plain words", "plain words."),
        (b'{"message": "in\\n two lines."}', "in two lines."),
        (b'{"detail": "no"}', "no."),
        (b"x" * 400, "x" * 300 + " …"),
        (b"\xff\xfe", "��."),
    ],
)
def test_what_is_said_is_one_line(body: bytes, message: str) -> None:
    assert message_of(body) == message
