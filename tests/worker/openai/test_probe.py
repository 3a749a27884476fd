"""What check() finds out about a server, and what it says when it is not usable."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.worker.openai.scripted import Answer, scripted
from worker.engine import EngineError
from worker.openai.connection import Connection
from worker.openai.probe import Server, probe

PREFIX = "The capital of France is the beautiful old city of Par"


def found(
    reply: Callable[[dict[str, Any]], tuple[object, int]],
    *,
    models: object = None,
    status: int = 200,
    model: str = "",
) -> Server:
    """The result of a probe of a server that is not vLLM unless `models` says so."""

    async def handle(path: str, body: dict[str, Any], answer: Answer) -> None:
        if path == "/v1/models":
            listed = {"data": [{"id": "m"}]} if models is None else models
            await answer.json(listed, status)
        elif path == "/v1/chat/completions":
            said, code = reply(body)
            await answer.json(said, code)
        else:
            await answer.json({}, 404)

    async def scenario() -> Server:
        async with scripted(handle) as server:
            connection = Connection(server.url)
            try:
                return await probe(connection, model=model)
            finally:
                await connection.aclose()

    return asyncio.run(scenario())


def tokens(body: dict[str, Any], *, honest: bool, reply: str = "") -> tuple[object, int]:
    """A server that counts a token for each word and five for opening or closing a turn."""
    messages = body["messages"]
    count = 0
    for message in messages:
        content = message["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        count += len(text.split()) + 5
    # Going on from a last message of the assistant is all that opens no other turn.
    if not (honest and body["continue_final_message"]):
        count += 5
    choices = [{"message": {"content": reply}}]
    return {"choices": choices, "usage": {"prompt_tokens": count}}, 200


def text(reply: str) -> Callable[[dict[str, Any]], tuple[object, int]]:
    return lambda body: ({"choices": [{"message": {"content": reply}}]}, 200)


def test_a_server_that_shows_its_prompt_proves_it() -> None:
    server = found(lambda body: ({"prompt_text": f"<assistant>{PREFIX}"}, 200))
    assert server.proof == "prompt"
    assert len(server.template_hash) == 64


def test_a_prompt_that_is_closed_is_refused() -> None:
    with pytest.raises(EngineError, match="does not continue a text") as refused:
        found(lambda body: ({"prompt_text": f"{PREFIX}<|im_end|>\n<assistant>"}, 200))
    assert not refused.value.temporary


def test_the_length_of_the_prompt_proves_it() -> None:
    assert found(lambda body: tokens(body, honest=True)).proof == "length"


def test_a_prompt_that_is_too_long_was_closed() -> None:
    with pytest.raises(EngineError, match="does not continue a text"):
        found(lambda body: tokens(body, honest=False, reply="The capital of France"))


def test_the_rest_of_a_word_proves_it() -> None:
    assert found(text("is.")).proof == "text"


@pytest.mark.parametrize("reply", ["The capital of France is Paris.", " Paris", PREFIX + "is"])
def test_a_second_answer_is_refused(reply: str) -> None:
    with pytest.raises(EngineError, match="does not continue a text"):
        found(text(reply))


def test_nothing_proven_is_said_and_not_refused() -> None:
    server = found(text("noise"))
    assert (server.proof, server.extended, server.generates) == ("", False, False)


@pytest.mark.parametrize(
    ("models", "status", "model", "words", "temporary"),
    [
        ({"error": "Unauthorized"}, 401, "", "refuses the key", False),
        ({}, 503, "", "not ready", True),
        ({"detail": "Not Found"}, 404, "", "no OpenAI-compatible model server", False),
        ([], 200, "", "no OpenAI-compatible model server", False),
        ({"data": [{"id": "a"}, {"id": "b"}]}, 200, "", "choose one of “a”, “b”", False),
        ({"data": [{"id": "a"}]}, 200, "c", "has no model “c”; it has “a”", False),
    ],
)
def test_a_server_that_is_not_usable(
    models: object, status: int, model: str, words: str, temporary: bool
) -> None:
    with pytest.raises(EngineError, match=words) as refused:
        found(text(""), models=models, status=status, model=model)
    assert refused.value.temporary is temporary


def test_nobody_there() -> None:
    async def scenario() -> None:
        connection = Connection("http://127.0.0.1:9/v1")
        with pytest.raises(EngineError, match="No model server answers at http"):
            await probe(connection)
        await connection.aclose()

    asyncio.run(scenario())


def test_a_model_with_adapters_is_chosen_by_itself() -> None:
    models = {"data": [{"id": "base"}, {"id": "round-1", "parent": "base", "root": "/adapter"}]}
    assert found(text("is"), models=models).model == "base"
    server = found(text("is"), models=models, model="round-1")
    assert (server.model, server.parent, server.root) == ("round-1", "base", "/adapter")


def test_a_server_that_takes_no_last_message_of_the_assistant() -> None:
    said = {"error": {"message": "The last message must be the user's"}}
    with pytest.raises(EngineError, match=r"does not take a text to continue: .*the user's"):
        found(lambda body: (said, 400))
