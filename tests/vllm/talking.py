"""Continuations of the tests, asked from a server and read to their end."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from app.domain.certainty import Token
from app.domain.prompts import ChatPrompt
from tests.vllm.conftest import IMAGES
from worker.openai import Ask, OpenAIEngine, Sampling, Usage


@dataclass(frozen=True)
class Told:
    """A continuation: its text, why it ended, what it cost, each token's certainty."""

    text: str
    stop_reason: str | None
    usage: Usage
    tokens: tuple[Token, ...]
    first_s: float


def ask(
    prefix: str,
    *,
    images: int = 0,
    instruction: str = "Describe the slides.",
    stop: tuple[str, ...] = (),
    seed: int | None = 1,
    logit_bias: dict[str, float] | None = None,
    priority: int = 0,
    request_id: str = "test",
    **options: float,
) -> Ask:
    """A request for some tokens after `prefix`."""
    return Ask(
        ChatPrompt("", tuple(IMAGES)[:images], instruction, prefix),
        Sampling({"max_tokens": 16, **options}, stop, seed, logit_bias),
        request_id=request_id,
        priority=priority,
    )


async def tell(engine: OpenAIEngine, what: Ask, *, by_ids: bool = False) -> Told:
    """Read it to its end."""
    began = time.perf_counter()
    first_s = 0.0
    text = ""
    tokens: tuple[Token, ...] = ()
    async with aclosing(engine.ask(what, by_ids=by_ids)) as deltas:
        async for delta in deltas:
            first_s = first_s or time.perf_counter() - began
            text += delta.text
            tokens += delta.tokens
    assert delta.usage is not None
    return Told(text, delta.stop_reason, delta.usage, tokens, first_s)


@asynccontextmanager
async def engine_at(url: str, model: str = "tiny") -> AsyncIterator[OpenAIEngine]:
    """An engine of the test's own, which has sent no image yet."""
    engine = OpenAIEngine(url, images=IMAGES.__getitem__, model=model)
    try:
        yield engine
    finally:
        await engine.aclose()
