"""Error responses in OpenAPI: each is a problem document (RFC 9457, app/web/errors.py)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_TEXT = {"type": "string"}
CONTENT: dict[str, Any] = {
    "application/problem+json": {
        "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": _TEXT,
                "title": _TEXT | {"description": "The status in words."},
                "status": {"type": "integer"},
                "detail": _TEXT | {"description": "What is wrong, as a sentence."},
                "instance": _TEXT | {"description": "The path that was asked for."},
                "request_id": _TEXT | {"description": "As in the server's log."},
                "errors": {
                    "type": "array",
                    "description": "With 422: what is wrong with which field.",
                    "items": {
                        "type": "object",
                        "required": ["field", "detail"],
                        "properties": {"field": _TEXT, "detail": _TEXT},
                    },
                },
            },
        }
    }
}
_WORDS = {
    401: "The token is missing, unknown, expired or revoked.",
    403: "The token lacks the scope.",
    422: "A parameter or a field is wrong; `errors` names it.",
    429: "Too many requests; Retry-After says when to go on.",
}


NOT_FOUND = MappingProxyType({404: "It does not exist, or not for this account."})


def refusals(more: Mapping[int, str] = MappingProxyType({})) -> dict[int | str, dict[str, Any]]:
    """The refusals that every operation has, and more: what else it refuses, by status."""
    return {
        status: {"description": words, "content": CONTENT}
        for status, words in sorted({**_WORDS, **more}.items())
    }
