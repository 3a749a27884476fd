"""The prompt contract: what the server's model reads ends in exactly the prefix."""

import asyncio
import unicodedata
from typing import Any

import pytest

from app.domain.prompts import ChatPrompt, Template, render
from tests.vllm.conftest import IMAGES, Running
from tests.vllm.talking import ask, engine_at, tell
from worker.openai.chat import PATH, chat_request

PREFIXES = {
    "nothing": "",
    "a word": "Slide",
    "half a word": "The mo",
    "a sentence": "## Slide 1\n\nWelcome to the talk.",
    "a paragraph's end": "## Slide 1\n\nWelcome to the talk.\n\n",
    "one newline": "Welcome.\n",
    "four newlines": "Welcome.\n\n\n\n",
    "one blank": "Welcome to ",
    "three blanks": "Welcome to   ",
    "a tab": "| a |\t",
    "blanks and a newline": "Welcome.  \n",
    "a heading": "Welcome.\n\n## Slide 3\n",
    "a newline at its beginning": "\n## Slide 3\n",
    "newlines at its beginning": "\n\nWelcome",
    "a blank at its beginning": " Welcome",
    "blanks only": "  \n \t\n",
    "CRLF": "First line\r\nsecond line\r\n\r\n",
    "Chinese": "## 第三页\n\n我们来看下面的图表。",
    "an ideographic space": "我们来看　图表　",
    "emoji": "Growth 📈 family 👨‍👩‍👧‍👦 flag 🇩🇪",
    "no-break spaces": "30\u00a0% or 30\u202f%\u00a0",
    "zero width": "a\u200bb\u2060c\ufeff",
    "decomposed": "nai\u0308ve cafe\u0301 \u212b",
    "Jinja": "{{ messages[0] }} {% raw %} {# no #}",
    "HTML": '<p class="a">1 &lt; 2 &amp; 3</p><|not a token|>',
    "code": "```python\nprint(f'{x!r}')\n```\n",
    "the marker of transformers": "CONTINUE_FINAL_MESSAGE_TAG ",
    "a template's own words": "assistant\n<im_end>\nuser\n",
}


def shown(vllm: Running, prefix: str, images: int) -> tuple[str, list[int]]:
    """The prompt that the server makes of our request: its text and its ids."""
    what = ask(prefix, images=images, max_tokens=1)
    urls: dict[str, str | None] = {one: IMAGES[one].url for one in what.prompt.images}
    body = chat_request(what, model="tiny", urls=urls, extended=True)
    body |= {"stream": False, "return_token_ids": True}
    del body["stream_options"]
    said = post(vllm, PATH, body)
    return said["prompt_text"], said["prompt_token_ids"]


def post(vllm: Running, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = vllm.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def test_there_are_28_kinds_of_prefixes() -> None:
    assert len(set(PREFIXES.values())) == 28


@pytest.mark.parametrize("images", [0, 1, 16])
@pytest.mark.parametrize("kind", PREFIXES)
def test_the_rendered_prompt_ends_in_exactly_the_prefix(
    vllm: Running, kind: str, images: int
) -> None:
    prefix = PREFIXES[kind]
    text, ids = shown(vllm, prefix, images)
    expected = render(
        ChatPrompt("", tuple(IMAGES)[:images], "Describe the slides.", prefix), Template.QWEN2_5_VL
    )
    assert text == expected
    assert text.endswith(f"<|im_start|>assistant\n{prefix}")
    # The tokenizer normalises to NFC by itself, here and in training.
    decoded = post(vllm, "/detokenize", {"model": "tiny", "tokens": ids})["prompt"]
    assert decoded.endswith(unicodedata.normalize("NFC", f"assistant\n{prefix}"))


@pytest.mark.parametrize("images", [0, 1, 16])
def test_by_token_ids_each_prefix_has_its_own_ids_after_the_open_turn(
    vllm: Running, images: int
) -> None:
    """Also where as text it would melt into what stands before it."""
    _, head = shown(vllm, "", images)

    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            for prefix in PREFIXES.values():
                body = {"model": "tiny", "prompt": prefix, "add_special_tokens": False}
                own = post(vllm, "/tokenize", body)["tokens"] if prefix else []
                told = await tell(engine, ask(prefix, images=images, max_tokens=1), by_ids=True)
                assert told.usage.prompt == len(head) + len(own)

    asyncio.run(scenario())


@pytest.mark.parametrize("images", [0, 3])
def test_both_ways_write_the_same(vllm: Running, images: int) -> None:
    async def scenario() -> None:
        async with engine_at(vllm.url) as engine:
            for kind in ("nothing", "a sentence", "a paragraph's end", "Chinese", "emoji", "code"):
                what = ask(PREFIXES[kind], images=images, temperature=0)
                by_text = await tell(engine, what)
                by_ids = await tell(engine, what, by_ids=True)
                assert (by_ids.text, by_ids.usage.prompt) == (by_text.text, by_text.usage.prompt)

    asyncio.run(scenario())
