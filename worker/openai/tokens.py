"""Continuations by token ids, over /inference/v1/generate: exact to the token.

The prompt's head (system, images, instruction, open turn) is rendered by the server's own chat
template; the prefix follows as ids: those that the server itself has written, where it did, and
for the rest what its tokenizer says. Nothing is joined across the seam, so a prefix may begin with
a newline or end in blanks, and a passage of the server's own finds its cache again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from worker.openai.chat import LIMITS, PATH, Ask, chat_request
from worker.openai.connection import Connection
from worker.openai.deltas import ModelDelta, Reader
from worker.openai.malformed import no_answer
from worker.openai.probe import Server
from worker.openai.streamed_request import Exchange
from worker.openai.token_cache import Memory

GENERATE = "/inference/v1/generate"
_HEADS = 1024
# What the renderer adds for its own use, and what the server fills in by itself.
_NOT_SENT = ("output_kind", "skip_clone", "max_tokens", "seed")


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a prompt: one id for each image, and the sampling the server makes of it.

    tokens: how many it has once the images are in their places.
    """

    ids: tuple[int, ...]
    tokens: int
    sampling: Mapping[str, Any]


class TokenPath:
    """Continues by token ids; remembers heads and what was written after them."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._heads: OrderedDict[Hashable, Head] = OrderedDict()
        self._memory = Memory()

    async def stream(
        self, server: Server, ask: Ask, urls: Mapping[str, str | None]
    ) -> AsyncGenerator[ModelDelta, None]:
        """The text that follows ask.prompt.prefix. Raises EngineError and CacheMiss."""
        key = (server.model, replace(ask.prompt, prefix=""))
        head = await self._head(key, server, ask, urls)
        known = self._memory.known(key, ask.prompt.prefix)
        rest = await self._ids(server, ask.prompt.prefix[len(known.text) :])
        body = generate_request(
            ask, head=head, prefix=[*known.ids, *rest], model=server.model, urls=urls
        )
        content = await asyncio.to_thread(orjson.dumps, body)
        reader = Reader(stop=ask.sampling.stop)
        abort_id = f"generate-tokens-{ask.request_id}" if server.aborts else None
        stream = self._exchange.read(
            GENERATE,
            content,
            reader,
            model=server.model,
            tokens=ask.tokens,
            abort_id=abort_id,
        )
        try:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            written = reader.written()
            if written is not None:
                self._memory.remember(key, known, rest, ask.prompt.prefix, written)

    async def _head(
        self, key: Hashable, server: Server, ask: Ask, urls: Mapping[str, str | None]
    ) -> Head:
        """The rendered head; the server is asked once for each sample and sampling."""
        options = tuple(sorted(ask.sampling.options.items()))
        known = (key, options, ask.sampling.stop, ask.certainty)
        head = self._heads.get(known)
        if head is None:
            start = replace(ask, prompt=replace(ask.prompt, prefix=""), written=0)
            body = chat_request(start, model=server.model, urls=urls, extended=True)
            del body["stream"], body["stream_options"]
            body["mm_payload"] = "none"
            content = await asyncio.to_thread(orjson.dumps, body)
            said = await self._exchange.connection.json(
                f"{PATH}/render", content, model=server.model
            )
            head = self._heads[known] = read_head(said)
            while len(self._heads) > _HEADS:
                self._heads.popitem(last=False)
        self._heads.move_to_end(known)
        return head

    async def _ids(self, server: Server, text: str) -> list[int]:
        return await token_ids(self._exchange.connection, text, model=server.model)


async def token_ids(connection: Connection, text: str, *, model: str) -> list[int]:
    """A text as vLLM's own tokenizer encodes it. Raises EngineError."""
    if not text:
        return []
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    said = await connection.json("/tokenize", orjson.dumps(body), model=model)
    ids = said.get("tokens")
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise no_answer("/tokenize", orjson.dumps(said))
    return ids


def read_head(said: Mapping[str, Any]) -> Head:
    """What /v1/chat/completions/render answered, with one id in the place of each image.

    Raises EngineError for an answer of another form.
    """
    try:
        return _head_in(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_answer(f"{PATH}/render", orjson.dumps(said)) from error


def _head_in(said: Mapping[str, Any]) -> Head:
    ids: list[int] = said["token_ids"]
    features = said.get("features") or {}
    places = [
        (int(place["offset"]), int(place["length"]))
        for kind in (features.get("mm_placeholders") or {}).values()
        for place in kind
    ]
    short: list[int] = []
    at = 0
    for offset, length in sorted(places):
        short += ids[at : offset + 1]
        at = offset + length
    short += ids[at:]
    sampling = {
        name: value for name, value in said["sampling_params"].items() if name not in _NOT_SENT
    }
    return Head(tuple(short), len(ids), sampling)


def generate_request(
    ask: Ask, *, head: Head, prefix: list[int], model: str, urls: Mapping[str, str | None]
) -> dict[str, Any]:
    """The body for /inference/v1/generate."""
    sampling = dict(head.sampling)
    # Left out, the server takes what is left of its limit.
    sampling |= {name: value for name, value in ask.options.items() if name in LIMITS}
    if ask.sampling.seed is not None:
        sampling["seed"] = ask.sampling.seed
    if ask.sampling.logit_bias:
        sampling["logit_bias"] = dict(ask.sampling.logit_bias)
    if ask.certainty:
        sampling["logprobs"] = 0
    body: dict[str, Any] = {
        "model": model,
        "token_ids": [*head.ids, *prefix],
        "sampling_params": sampling,
        "stream": True,
        "stream_options": {"include_usage": True},
        "output_mode": "text",
        "request_id": ask.request_id,
        # Another one than 0 is refused where the server does not schedule by priority.
        "priority": ask.priority,
    }
    if ask.prompt.images:
        body["content_parts"] = [
            {"type": "image_url", "url": urls[sha256], "uuid": sha256}
            for sha256 in ask.prompt.images
        ]
    return body
