"""What a stream says: text, certainty with its places, the reason of the end, the cost."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.certainty import Token
from worker.engine import EngineError
from worker.openai import ModelDelta, Usage
from worker.openai.deltas import Reader


def chunk(text: str | None = None, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}}
    return json.dumps({"id": "x", "choices": [choice | {"finish_reason": reason} | more]}).encode()


def logprobs(*tokens: tuple[bytes | str, float]) -> dict[str, Any]:
    entries = []
    for token, value in tokens:
        raw = token.encode() if isinstance(token, str) else token
        shown = raw.decode(errors="replace")
        entries.append({"token": shown, "logprob": value, "bytes": list(raw)})
    return {"content": entries}


def read(*events: bytes, stop: tuple[str, ...] = ()) -> list[ModelDelta]:
    reader = Reader(stop=stop)
    found = []
    for event in events:
        reader.take(event)
        delta = reader.delta()
        if delta is not None:
            found.append(delta)
    return found


def test_the_last_delta_says_why_and_what_it_cost() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 96},
    }
    found = read(
        chunk(""),
        chunk("Hello"),
        chunk(" you", "length"),
        json.dumps({"id": "x", "choices": [], "usage": usage}).encode(),
        b"[DONE]",
    )
    assert [delta.text for delta in found] == ["Hello", " you", ""]
    assert [delta.stop_reason for delta in found] == [None, None, "length"]
    assert found[-1].usage == Usage(prompt=100, cached=96, completion=2)


def test_a_server_need_not_say_what_was_cached() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": None}
    found = read(
        chunk("a", "stop"), json.dumps({"choices": [], "usage": usage}).encode(), b"[DONE]"
    )
    assert found[-1].usage == Usage(prompt=7, cached=None, completion=1)


def test_tokens_have_their_places_in_the_text() -> None:
    found = read(
        chunk("The", logprobs=logprobs(("The", -0.5))),
        chunk(" 第三页", logprobs=logprobs((" 第", -1.0), ("三页", -2.0))),
        chunk("", "stop", logprobs=logprobs(("<|im_end|>", -0.1))),
        b"[DONE]",
    )
    tokens = [token for delta in found for token in delta.tokens]
    assert tokens == [Token(0, 3, -0.5), Token(3, 5, -1.0), Token(5, 7, -2.0)]


def test_tokens_wait_for_text_that_is_held_back() -> None:
    """vLLM keeps text back that may be the beginning of a stop string; its tokens come at once."""
    found = read(
        chunk("", logprobs=logprobs(("ab", -1.0))),
        chunk("a", logprobs=logprobs(("cd", -2.0))),
        chunk("bc", logprobs=logprobs(("ST", -3.0))),
        chunk("d", "stop", stop_reason="ST", logprobs=logprobs(("OP", -4.0))),
        b"[DONE]",
        stop=("STOP",),
    )
    assert [(delta.text, delta.tokens) for delta in found] == [
        ("a", ()),
        ("bc", (Token(0, 2, -1.0),)),
        ("d", (Token(2, 4, -2.0),)),
        ("", ()),
    ]


def test_tokens_that_share_a_character_overlap_in_it() -> None:
    emoji = "🙂".encode()
    found = read(
        chunk("", logprobs=logprobs((b"a" + emoji[:2], -1.0))),
        chunk("a🙂!", logprobs=logprobs((emoji[2:], -2.0), ("!", -3.0))),
    )
    assert found[0].tokens == (Token(0, 2, -1.0), Token(1, 2, -2.0), Token(2, 3, -3.0))


def test_tokens_that_do_not_agree_with_the_text_are_left_out() -> None:
    masked = {"content": [{"token": "token_id:17", "logprob": -1.0, "bytes": None}]}
    found = read(chunk("Hello you and", logprobs=masked), chunk(" me", logprobs=masked))
    assert [delta.tokens for delta in found] == [(), ()]


def test_a_token_without_its_probability_is_left_out() -> None:
    unknown = {"token": " you", "logprob": None, "bytes": list(b" you")}
    said = logprobs(("Hello", -1.0))["content"] + [unknown] + logprobs((".", 0.0))["content"]
    found = read(chunk("Hello you.", logprobs={"content": said}))
    assert found[0].tokens == (Token(0, 5, -1.0), Token(9, 10, 0.0))


@given(st.text(max_size=40), st.data())
def test_tokens_cover_the_text_however_it_is_cut(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=10)) | {0, len(raw)})
    pieces = [raw[begin:end] for begin, end in pairwise(cuts)]
    reader = Reader()
    tokens: list[Token] = []
    shown = 0
    for at, piece in enumerate(pieces):
        # As a server does: only whole characters leave.
        ready = len(b"".join(pieces[: at + 1]).decode(errors="ignore"))
        reader.take(chunk(text[shown:ready], logprobs=logprobs((piece, -float(at)))))
        shown = ready
        delta = reader.delta()
        tokens += delta.tokens if delta else ()
    assert [token.logprob for token in tokens] == [-float(at) for at in range(len(pieces))]
    covered = {place for token in tokens for place in range(token.start, token.end)}
    assert covered == set(range(len(text)))


@pytest.mark.parametrize(
    ("choice", "stop", "reason"),
    [
        ({"stop_reason": None}, (), "stop"),
        ({}, (), "stop"),
        ({"stop_reason": None}, ("###",), "stop"),
        ({"stop_reason": 151645}, ("###",), "stop"),
        ({"stop_reason": "###"}, ("###",), "stop string"),
        ({"matched_stop": 151645}, ("###",), "stop"),
        ({"matched_stop": "###"}, ("###",), "stop string"),
        # A server that does not say which: not to be taken for the end of the output.
        ({}, ("###",), "stop string"),
    ],
)
def test_only_the_model_itself_ends_the_output(
    choice: dict[str, Any], stop: tuple[str, ...], reason: str
) -> None:
    assert read(chunk("a", "stop", **choice), b"[DONE]", stop=stop)[-1].stop_reason == reason


def test_a_prompt_that_does_not_end_in_the_prefix_is_refused() -> None:
    reader = Reader(prefix="## Slide 1\n\n")
    good = {"id": "x", "choices": [], "prompt_text": "assistant\n## Slide 1\n\n"}
    reader.take(json.dumps(good).encode())
    closed = {"id": "x", "choices": [], "prompt_text": "## Slide 1\n\n<|im_end|>\nassistant\n"}
    with pytest.raises(EngineError, match="chat template") as refused:
        reader.take(json.dumps(closed).encode())
    assert not refused.value.temporary


def test_an_abort_is_no_end() -> None:
    with pytest.raises(EngineError) as broke:
        read(chunk("a", "abort"))
    assert broke.value.temporary


def test_thoughts_that_are_split_off_are_refused() -> None:
    event = {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}}]}
    with pytest.raises(EngineError, match="reasoning parser"):
        read(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        ({"message": "The engine died", "code": 500}, True),
        ({"message": "No such image", "code": 400}, False),
        ("out of memory", True),
    ],
)
def test_an_error_in_the_stream(error: object, temporary: bool) -> None:
    with pytest.raises(EngineError) as failed:
        read(json.dumps({"error": error}).encode())
    assert failed.value.temporary is temporary


def test_generate_streams_read_alike() -> None:
    event = {
        "request_id": "generate-tokens-q",
        "choices": [
            {
                "index": 0,
                "text": "Hello you",
                "token_ids": [5, 9, 2],
                "finish_reason": "stop",
                "stop_reason": None,
                "logprobs": logprobs(("Hello", -1.0), (" you", -2.0), ("<|im_end|>", -0.1)),
            }
        ],
    }
    reader = Reader()
    reader.take(json.dumps(event).encode())
    reader.take(b"[DONE]")
    delta = reader.delta()
    assert delta == ModelDelta("Hello you", "stop", (Token(0, 5, -1.0), Token(5, 9, -2.0)))
    written = reader.written()
    assert written is not None
    assert (written.text, [*written.ids], [*written.ends]) == ("Hello you", [5, 9], [5, 9])
