"""Checks of single values, each error with the field's name."""

import json
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from app.domain.messages import Message
from app.samples.importing.incoming import MAX_METADATA, MAX_TITLE, id_error, text_error

MAX_TAG = 200


class FieldError(Exception):
    """What is wrong with a row. field: as the file calls it; None for the row as a whole."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = Message.of(message)


def text_of(field: str, value: object, **limit: int) -> str:
    """The value, which must be a text that can be kept. limit: of its characters."""
    if not isinstance(value, str):
        raise FieldError(
            field, Message("A text is needed here, not %(kind)s.", kind=kind_of(value))
        )
    if message := text_error(value, **limit):
        raise FieldError(field, message)
    return value


def optional_text(field: str, value: object) -> str:
    """The same; "" where there is none."""
    return "" if value is None else text_of(field, value)


def id_of(field: str, value: object) -> str:
    """A text or a whole number as an id."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FieldError(field, "An id is a string or a whole number.")
    if message := id_error(str(value)):
        raise FieldError(field, message)
    return text_of(field, str(value))


def title_of(field: str, value: object) -> str | None:
    """A title; None where there is none."""
    if value is None or value == "":
        return None
    return text_of(field, value, limit=MAX_TITLE)


def length_of(field: str, value: object) -> int | None:
    """A number of words; None where there is none."""
    if value is None:
        return None
    # A column of a table that lacks some values holds its whole numbers as floats.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10_000_000:
        raise FieldError(field, "A whole number of words, above 0, is needed.")
    return value


def metadata_of(given: object, others: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept beside the sample: the object under "metadata", and the other columns.

    Bytes are left out: they are no text, and no image that anything shows.
    """
    given = given or {}
    if not isinstance(given, dict):
        raise FieldError("metadata", "A JSON object is needed.")
    _check_tags(others.get("tags"))
    kept = {name: value for name, value in others.items() if not _is_binary(value)}
    merged = {**kept, **given}
    try:
        # The keys and texts in it are stored as JSON, so they meet the rules of any text.
        written = json.dumps(merged, ensure_ascii=False, allow_nan=False, default=_plain)
    except (ValueError, TypeError):
        raise FieldError("metadata", "A number in it is too large.") from None
    if message := text_error(written.replace("\\u0000", "\0"), limit=MAX_METADATA):
        raise FieldError("metadata", message)
    return dict(json.loads(written))


def kind_of(value: object) -> Message:
    """What a value is, in words."""
    kinds = {
        type(None): Message("null"),
        bool: Message("true or false"),
        list: Message("a list"),
        dict: Message("an object"),
        bytes: Message("binary data"),
    }
    return kinds.get(type(value), Message("a number"))


def _is_binary(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_binary, value.values()))
    if isinstance(value, list):
        return any(map(_is_binary, value))
    return isinstance(value, bytes)


def _plain(value: object) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


def _check_tags(tags: object) -> None:
    """Tags are kept with the metadata, and pairs are filtered by them."""
    tags = tags or []
    if not isinstance(tags, list) or not all(map(_is_tag, tags)):
        raise FieldError(
            "tags", Message("A list of texts of up to %(most)s characters is needed.", most=MAX_TAG)
        )


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TAG and not text_error(value)
