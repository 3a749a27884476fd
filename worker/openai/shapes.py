"""The form of a chunk: a server's JSON is looked at before anything of it is believed."""

from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = (int, float)


def misplaced(chunk: Mapping[str, Any]) -> str | None:
    """The name of a field whose value is not of its type, or None. What is null is as if left out.

    Only fields that are read are looked at.
    """
    return next(_wrong(chunk), None)


def _wrong(chunk: Mapping[str, Any]) -> Iterator[str]:
    for name in ("id", "request_id", "prompt_text"):
        if not _is(chunk.get(name), str):
            yield name
    usage = chunk.get("usage")
    if usage is not None:
        yield from _wrong_usage(usage)
    choices = chunk.get("choices")
    if not _is(choices, list):
        yield "choices"
        return
    for choice in choices or ():
        if not isinstance(choice, dict):
            yield "choices"
            return
        yield from _wrong_choice(choice)


def _wrong_choice(choice: Mapping[str, Any]) -> Iterator[str]:
    delta = choice.get("delta")
    if not _is(delta, dict):
        yield "delta"
    elif delta and not _is(delta.get("content"), str):
        yield "content"
    if not _is(choice.get("text"), str):
        yield "text"
    if not _is(choice.get("index"), int):
        yield "index"
    if not _is(choice.get("finish_reason"), str):
        yield "finish_reason"
    if not _are(choice.get("token_ids"), int):
        yield "token_ids"
    logprobs = choice.get("logprobs")
    if not _is(logprobs, dict):
        yield "logprobs"
    elif logprobs:
        entries = logprobs.get("content")
        if not _are(entries, dict) or not all(map(_is_token, entries or ())):
            yield "logprobs"


def _is_token(entry: Mapping[str, Any]) -> bool:
    raw = entry.get("bytes")
    return (
        _is(entry.get("logprob"), _NUMBER)
        and _are(raw, int)
        and all(0 <= one < 256 for one in raw or ())
    )


def _wrong_usage(usage: Any) -> Iterator[str]:
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    if not isinstance(usage, dict) or not _is(details, dict):
        yield "usage"
        return
    counts = (
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        (details or {}).get("cached_tokens"),
    )
    if not all(_is(one, int) for one in counts):
        yield "usage"


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    return value is None or isinstance(value, kind)


def _are(values: object, kind: type) -> bool:
    return values is None or (
        isinstance(values, list) and all(isinstance(one, kind) for one in values)
    )
