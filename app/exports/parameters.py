"""Filters and gate as query parameters: parsed from addresses, and described for OpenAPI."""

from collections.abc import Collection, Iterable
from typing import Any

from fastapi import Request

from app.domain.corrections import Kind
from app.domain.filters import FILTERS, MANY, FilterError, PairFilter, parse
from app.domain.messages import Message
from app.domain.prompts import Template
from app.domain.quality import CHECKS, MIN_SHARE, NEVER_ALLOWED, Check, Gate, allow
from app.refusals import Invalid

_LARGEST = 2**31 - 1

_TYPES: dict[str, dict[str, Any]] = {
    "round": {"type": "integer", "minimum": 0},
    "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "on_policy": {"type": "boolean"},
    "reviewed": {"type": "boolean"},
    "since": {"type": "string", "format": "date"},
    "until": {"type": "string", "format": "date"},
    "min_position": {"type": "integer", "minimum": 0},
    "max_position": {"type": "integer", "minimum": 0},
    "min_edit": {"type": "integer", "minimum": 0},
    "max_edit": {"type": "integer", "minimum": 0},
    "newest_only": {"type": "boolean", "default": False},
    "limit_per_sample": {"type": "integer", "minimum": 1},
}
_EXAMPLES = {"project": "lectures", "tag": "term-2026", "language": "zh", "since": "2026-11-01"}


def filter_of(request: Request, *, besides: Collection[str] = ()) -> PairFilter:
    """The filter that the address spells. besides: what else may stand there.

    Raises Invalid, naming the field, for a name that is neither and for a value that is wrong: a
    mistyped filter must not give all pairs.
    """
    words = request.query_params.multi_items()
    try:
        return parse((name, value) for name, value in words if name not in besides)
    except FilterError as error:
        raise Invalid(error.message, error.field) from None


def shown(words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What the fields of a filter's form hold: of each filter its first value, as typed."""
    held = dict.fromkeys(FILTERS, "")
    for name, text in words:
        held[name] = held[name] or text
    return held


def gate_of(
    template: Template,
    allowed: Iterable[str],
    min_share: float = MIN_SHARE,
    max_tokens: int = 0,
) -> Gate:
    """The gate with these parameters. Raises Invalid, naming the field."""
    try:
        passes = allow(allowed)
        if passes & NEVER_ALLOWED:
            raise ValueError(
                Message(
                    "What these checks find is never exported: %(names)s.",
                    names=", ".join(sorted(passes & NEVER_ALLOWED)),
                )
            )
    except ValueError as error:
        raise Invalid(Message.of(error), "allow") from None
    if not 0 <= min_share <= 1:
        raise Invalid("It must be a share from 0 to 1.", "min_share")
    if not 0 <= max_tokens <= _LARGEST:
        raise Invalid("It must be a number of tokens. 0 means the model's limit.", "max_tokens")
    return Gate(template, passes, min_share, max_tokens)


def filter_parameters(*, required: str = "") -> list[dict[str, Any]]:
    """Every filter as an OpenAPI parameter. required: the name of the one that must be given."""
    return [_parameter(name, words, required) for name, words in FILTERS.items()]


def gate_words() -> str:
    """The checks and what each finds, for the API's description."""
    found = "; ".join(
        f"{check.value}: {CHECKS[check][1]}" for check in Check if check not in NEVER_ALLOWED
    )
    return f"Checks of the quality gate to skip. Repeatable. {found}"


def _parameter(name: str, words: str, required: str) -> dict[str, Any]:
    schema: dict[str, Any] = _TYPES.get(name, {"type": "string", "maxLength": 200})
    if name in MANY:
        schema = {"type": "array", "items": schema}
        words = f"{words} Repeatable: a pair must match one of the values."
    parameter = {
        "name": name,
        "in": "query",
        "required": name == required,
        "description": words,
        "schema": schema,
    }
    if name in _EXAMPLES:
        example: object = _EXAMPLES[name]
        parameter["example"] = [example] if name in MANY else example
    return parameter
