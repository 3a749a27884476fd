"""Answers that are no chat completion: a sentence each, one failure, nothing of them kept.

A real server on a socket sends them to a real worker; the annotator's row is what is looked at.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.models import Regeneration, RunState
from tests.worker.conftest import Studio, lecture, until
from tests.worker.openai.rounds import image, play
from tests.worker.openai.scripted import Answer, scripted
from worker.engine import EngineError
from worker.openai import OpenAIEngine, Patience
from worker.openai.events import MOST_BYTES

CHAT = "/v1/chat/completions"
GOOD = "These words came whole. "
Chat = Callable[[dict[str, Any], Answer], Coroutine[None, None, None]]


def lesser(chat: Chat) -> Callable[[str, dict[str, Any], Answer], Coroutine[None, None, None]]:
    """A server that is not vLLM and passes the probe; what it is asked for then is the test's."""

    async def handle(path: str, body: dict[str, Any], answer: Answer) -> None:
        if path == "/v1/models":
            await answer.json({"data": [{"id": "lecturer"}]})
        elif path == CHAT and body.get("stream"):
            await chat(body, answer)
        elif path == CHAT:
            await answer.json({"choices": [{"message": {"content": "is."}}]})
        else:
            await answer.json({}, 404)

    return handle


def content(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def after_good(*events: bytes) -> Chat:
    """A stream that begins well and goes on with these bytes."""

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        await answer.event(content(GOOD))
        # The text before it is read on its own.
        await asyncio.sleep(0.05)
        for event in events:
            await answer.send(event)
        await answer.event("[DONE]")
        await answer.end()

    return chat


def whole(body: bytes) -> Chat:
    async def chat(_: dict[str, Any], answer: Answer) -> None:
        await answer.whole(body)

    return chat


def data(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def written_by(
    studio: Studio,
    chat: Chat,
    *,
    patience: Patience | None = None,
    state: RunState = RunState.FAILED,
) -> tuple[Regeneration, str, int]:
    """The run after a correction, its text, and how often the server was asked for text."""
    found: list[tuple[Regeneration, str, int]] = []

    async def scenario() -> None:
        async with scripted(lesser(chat)) as server:
            engine = OpenAIEngine(server.url, images=image, patience=patience)
            try:
                async with studio.worker(engine):
                    run = studio.correct(2, " the ", " this ")
                    await until(studio.is_now(run, state))
                    asked = sum(bool(one.get("stream")) for one in server.bodies(CHAT))
                    found.append((studio.run(run), studio.written(run), asked))
            finally:
                await engine.aclose()

    play(scenario)
    return found[0]


PAGE = b"<!DOCTYPE html>\n<html><head><title>502 &amp; all that</title></head><body>x</body></html>"


@pytest.mark.parametrize(
    ("chat", "words", "kept"),
    [
        (after_good(b"data: {'content': 1}\n\n"), "an event that is not JSON: “{'content'", GOOD),
        (after_good(data([1, 2])), "“chunk” is wrong in “[1, 2]”", GOOD),
        (after_good(data("text")), "“chunk” is wrong", GOOD),
        (after_good(data({"choices": "text"})), "“choices” is wrong", GOOD),
        (after_good(data({"choices": [None]})), "“choices” is wrong", GOOD),
        (after_good(data({"choices": [{"delta": "x"}]})), "“delta” is wrong", GOOD),
        (
            after_good(data({"choices": [{"delta": {"content": ["x"]}}]})),
            "“content” is wrong",
            GOOD,
        ),
        (
            after_good(data({"choices": [{"delta": {"content": "x"}, "logprobs": [1]}]})),
            "“logprobs” is wrong",
            GOOD,
        ),
        (after_good(data({"choices": [], "usage": 7})), "“usage” is wrong", GOOD),
        (after_good(b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n'), "UTF-8", GOOD),
        (
            after_good(data({"error": {"message": "No.", "code": 400}})),
            "refuses this text: N",
            GOOD,
        ),
        (
            after_good(data({"object": "error", "message": "No such thing.", "code": 404})),
            "refuses this text: No such thing.",
            GOOD,
        ),
        (after_good(), "without a “finish_reason”", GOOD),
        (whole(data({"choices": []}) + b"data: [DONE]\n\n"), "none of its chunks has “ch", ""),
        (whole(data({"id": "x"}) + b"data: [DONE]\n\n"), "none of its chunks has “choices”", ""),
        (whole(b""), "none of its chunks has “choices”", ""),
        (whole(PAGE), "A web page answered instead of the model server: “502 & all that”", ""),
        (whole(b"<html>no title"), "A web page answered instead of the model", ""),
        (whole(json.dumps(content("Hi", "stop"), indent=1).encode()), "does not stream", ""),
        (whole(b'{"error": {"message": "No.", "code": 422}}'), "refuses this text: No.", ""),
        (whole(b"Hello there"), "not an event stream. It begins with “Hello there”", ""),
    ],
)
def test_each_kind_is_one_failure_with_its_sentence(
    studio: Studio, chat: Chat, words: str, kept: str
) -> None:
    run, text, asked = written_by(studio, chat)
    assert run.error is not None
    assert words in run.error
    assert "crashed" not in run.error
    assert text == kept
    assert asked == 1


def test_a_delta_of_null_is_an_empty_one(studio: Studio) -> None:
    nothing = {"choices": [{"index": 0, "delta": None, "finish_reason": None}]}
    end = {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}
    run, text, _ = written_by(studio, after_good(data(nothing), data(end)), state=RunState.DONE)
    assert (text, run.stop_reason) == (GOOD, "stop")


def test_an_endless_line_is_bounded(studio: Studio) -> None:
    sent = 0

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        nonlocal sent
        await answer.begin()
        await answer.event(content(GOOD))
        await asyncio.sleep(0.05)
        await answer.send(b'data: {"choices": [{"delta": {"content": "')
        while True:
            await answer.send(b"x" * 65_536)
            sent += 65_536

    run, text, asked = written_by(studio, chat)
    assert "a line of more than 8 MB" in (run.error or "")
    assert (text, asked) == (GOOD, 1)
    # What lies in the sockets' buffers comes on top.
    assert sent < 2 * MOST_BYTES


@pytest.mark.parametrize("last", ["done", "end", "done and silence"])
def test_without_a_finish_reason_nothing_is_written_twice(studio: Studio, last: str) -> None:
    words = "A text that ends without a reason, and is the same each time."

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        for word in words.split():
            await answer.event(content(word + " "))
        if last != "end":
            await answer.event("[DONE]")
        if last == "done and silence":
            await asyncio.sleep(60)
        await answer.end()

    run, text, asked = written_by(studio, chat)
    assert "without a “finish_reason”" in (run.error or "")
    assert text == words + " "
    assert asked == 1


def test_after_the_reason_of_the_end_nobody_is_waited_for(studio: Studio) -> None:
    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        await answer.event(content(GOOD, "stop"))
        await answer.event("[DONE]")
        await asyncio.sleep(60)

    run, text, _ = written_by(studio, chat, state=RunState.DONE)
    assert (text, run.stop_reason) == (GOOD, "stop")


@pytest.mark.parametrize("again", [0, 1])
def test_a_server_that_stops_continuing_after_the_probe_is_not_believed(
    studio: Studio, again: int
) -> None:
    """It repeats what it was given, or begins its answer again."""
    beginning = "".join(lecture(8))

    async def chat(body: dict[str, Any], answer: Answer) -> None:
        given = body["messages"][-1]["content"]
        told = beginning if again else given
        await answer.begin()
        for at in range(0, len(told), 7):
            await answer.event(content(told[at : at + 7]))
        await answer.event(content(" And more.", "stop"))
        await answer.event("[DONE]")
        await answer.end()

    run, text, asked = written_by(studio, chat)
    assert "started the text again instead of continuing it" in (run.error or "")
    assert (text, run.written, asked) == ("", 0, 1)
    assert studio.segments(run.id) == []


def test_a_silent_server_is_left_in_time_however_often_it_pings(studio: Studio) -> None:
    async def chat(body: dict[str, Any], answer: Answer) -> None:
        await answer.begin()
        await answer.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        while True:
            await answer.send(b": ping\n\n")
            await asyncio.sleep(0.05)

    run, text, asked = written_by(
        studio, chat, patience=Patience(first_s=0.3, a_token_s=0, next_s=0.3)
    )
    assert "did not begin to write" in (run.error or "")
    assert (text, asked) == ("", 5)


def test_the_time_before_the_first_text_grows_with_the_prompt() -> None:
    patience = Patience()
    assert patience.before_text(100) == pytest.approx(60.5)
    assert patience.before_text(20_000) == pytest.approx(160)
    assert patience.before_text(10**7) == 240
    assert patience.next_s == 60


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PAGE, "A web page answered"),
        (b"[]", "/v1/chat/completions is not the expected JSON: “.*”"),
        (b"oops", "is not the expected JSON: “oops.”"),
        (b"x" * (17 * 2**20), "longer than 16 MB"),
    ],
)
def test_the_probe_is_answered_by_no_chat_completion(body: bytes, words: str) -> None:
    async def handle(path: str, _: dict[str, Any], answer: Answer) -> None:
        if path == "/v1/models":
            await answer.json({"data": [{"id": "lecturer"}]})
        else:
            await answer.whole(body)

    async def scenario() -> None:
        async with scripted(handle) as server:
            engine = OpenAIEngine(server.url, images=image)
            with pytest.raises(EngineError, match=words):
                await engine.check()
            await engine.aclose()

    play(scenario)
