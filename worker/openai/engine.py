"""The engine `openai`: continues texts on a server with the OpenAI-compatible chat API."""

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace

import orjson
import structlog

from app.domain.messages import Message
from app.domain.tokencount import text_tokens
from app.policies.loading import Adapter
from app.refusals import Refusal
from app.regenerations import Work
from worker.engine import AdapterError, EngineError, Failure, PolicyFacts
from worker.openai.adapters import load_adapter
from worker.openai.chat import PATH, Ask, chat_request
from worker.openai.connection import Connection, Patience
from worker.openai.deltas import LENGTH, ModelDelta, Reader
from worker.openai.failures import CacheMiss, NotServedError
from worker.openai.images import ImageSource, SentImages
from worker.openai.probe import Server, probe
from worker.openai.sampling import Sampling
from worker.openai.seam import Seam
from worker.openai.streamed_request import Exchange
from worker.openai.tokens import TokenPath, token_ids

# Beyond this a body is made in a thread, so that other streams go on meanwhile.
_LARGE = 65_536


class OpenAIEngine:
    """Any number of streams at once from one server; made on the event loop that it is used on.

    url: the server's, with or without /v1. model: the name it must serve, "" for the only one it
    has. images: gives an image by its SHA-256.
    """

    name = "openai"

    def __init__(
        self,
        url: str,
        *,
        images: ImageSource,
        model: str = "",
        api_key: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._connection = Connection(url, api_key=api_key, patience=patience)
        self._exchange = Exchange(self._connection)
        self._token_path = TokenPath(self._exchange)
        self._images = images
        self._model = model
        self._sent = SentImages()
        self._server: Server | None = None
        self._policy: PolicyFacts | None = None
        self._adapters: dict[str, Adapter] = {}
        self._probing = asyncio.Lock()
        self._log = structlog.get_logger("worker").bind(engine=self.name)

    @property
    def policy(self) -> PolicyFacts:
        """The model as check() found it.

        template_hash is that of a fixed prompt as the server's chat template renders it. It is a
        part of the name: with another template it is another policy.
        """
        return self._policy or PolicyFacts(name=self._model or self.name, engine=self.name)

    async def check(self) -> None:
        """Find out what the server is and that it continues prefixes. Raises EngineError."""
        self._server = self._policy = None
        server = await self._found()
        self._log.info(
            "model server found",
            url=self._connection.url,
            model=server.model,
            vllm=server.extended,
            token_ids=server.generates,
            prefill=server.proof or "not proven",
        )
        if not server.proof:
            self._log.warning(
                "nothing shows that the server continues a text that has begun: compare the first "
                "continuations with what stands before them",
                url=self._connection.url,
            )

    async def aclose(self) -> None:
        """Let the last aborts arrive and close the connections; open streams break."""
        await self._exchange.aclose()
        await self._connection.aclose()

    async def load(self, adapter: Adapter) -> str:
        """See worker.engine.TakesAdapters."""
        notice = await load_adapter(self._connection, adapter)
        self._adapters[adapter.served_name] = adapter
        return notice

    async def stream(self, work: Work) -> AsyncGenerator[ModelDelta, None]:
        """The text that follows work.prompt.prefix; see worker.engine.Engine.

        The last delta says why the text ended and what it cost. Read from the settings: what
        Sampling reads, "priority" (lower first), "certainty" (false: no log-probabilities) and
        "token_ids" (true: go on by token ids where the server offers that).
        """
        settings = work.settings
        ask = Ask(
            prompt=work.prompt,
            sampling=Sampling.of(
                settings, regeneration_id=work.regeneration_id, candidate=work.candidate
            ),
            request_id=_request_id(work),
            # Who has many texts being written waits for others here too.
            priority=_priority(settings.get("priority", 0)) + work.behind,
            certainty=settings.get("certainty") is not False,
            own=len(work.kept),
            beginnings=work.beginnings,
        )
        limit = ask.sampling.options.get("max_tokens")
        if work.kept and limit is not None:
            # A worker that died, or an annotator who had it wait, is no reason for a longer text.
            ask = replace(ask, written=await self._count(work.kept))
            if ask.written >= limit:
                yield ModelDelta("", LENGTH)
                return
        by_ids = settings.get("token_ids") is True
        async with aclosing(self.ask(ask, by_ids=by_ids, adapter=work.adapter)) as deltas:
            async for delta in deltas:
                yield delta

    async def _count(self, text: str) -> int:
        """The tokens of a text; where the server does not tell, at least as many by estimate."""
        server = await self._found()
        if server.extended:
            return len(await token_ids(self._connection, text, model=server.model))
        return math.ceil(text_tokens(text))

    async def ask(
        self, ask: Ask, *, by_ids: bool = False, adapter: str = ""
    ) -> AsyncGenerator[ModelDelta, None]:
        """One continuation, by messages or, where it is wanted and offered, by token ids.

        adapter: the served name of one that was loaded; "" for the model itself.
        """
        server = await self._found()
        if adapter:
            server = replace(server, model=adapter)
        ask = _fitted(ask, server)
        images = frozenset(ask.prompt.images)
        try:
            for again in (False, True):
                urls = await self._urls(images, server)
                chosen = self._token_path.stream if by_ids and server.generates else self._chat
                begun = False
                try:
                    async with aclosing(chosen(server, ask, urls)) as deltas:
                        async for delta in deltas:
                            if not begun:
                                begun = True
                                self._sent.sent(images)
                            yield delta
                except CacheMiss as miss:
                    self._sent.forget(images)
                    if again:
                        raise EngineError(
                            Message(
                                "The model server does not keep this sample's images: %(miss)s",
                                miss=miss,
                            ),
                            temporary=True,
                        ) from miss
                except NotServedError as error:
                    if not adapter:
                        raise
                    if again or adapter not in self._adapters:
                        # The worker looks at its policies anew before it goes on.
                        raise EngineError(
                            Message(
                                "The model server does not keep the adapter “%(adapter)s”.",
                                adapter=adapter,
                            ),
                            temporary=True,
                            reason=Failure.ADAPTER,
                        ) from error
                    await self._load_again(self._adapters[adapter])
                else:
                    return
        except EngineError:
            # It may be another one, or none, when it is asked the next time.
            self._server = None
            raise

    async def _load_again(self, adapter: Adapter) -> None:
        """A server that was restarted has neither the adapter nor any image."""
        self._log.info("adapter is loaded again", policy=adapter.name)
        self._sent.clear()
        try:
            await self.load(adapter)
        except AdapterError as error:
            del self._adapters[adapter.served_name]
            # The same: the text goes on with what was active before.
            raise EngineError(error.message, temporary=True, reason=Failure.ADAPTER) from error

    async def _chat(
        self, server: Server, ask: Ask, urls: Mapping[str, str | None]
    ) -> AsyncGenerator[ModelDelta, None]:
        body = chat_request(ask, model=server.model, urls=urls, extended=server.extended)
        if any(url is not None and len(url) > _LARGE for url in urls.values()):
            content = await asyncio.to_thread(orjson.dumps, body)
        else:
            content = orjson.dumps(body)
        prefix = ask.prompt.prefix
        seam = Seam(prefix, own=ask.own, beginnings=ask.beginnings)
        reader = Reader(prefix=prefix, stop=ask.sampling.stop, seam=seam)
        abort_id = f"chatcmpl-{ask.request_id}" if server.aborts else None
        stream = self._exchange.read(
            PATH, content, reader, model=server.model, tokens=ask.tokens, abort_id=abort_id
        )
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

    async def _found(self) -> Server:
        """The server, asked anew after a failure. Raises EngineError, also for another model."""
        if self._server is None:
            async with self._probing:
                if self._server is None:
                    server = await probe(self._connection, model=self._model)
                    policy = _policy(server, self.name)
                    if self._policy is not None and policy != self._policy:
                        raise EngineError(
                            Message(
                                "The model server now serves “%(name)s” instead of "
                                "“%(before)s”. Restart the worker.",
                                name=policy.name,
                                before=self._policy.name,
                            ),
                            temporary=True,
                        )
                    self._policy, self._server = policy, server
        return self._server

    async def _urls(self, images: frozenset[str], server: Server) -> dict[str, str | None]:
        """For each image its data URL, or None where the server has it."""
        missing = self._sent.missing(images) if server.extended else images
        urls: dict[str, str | None] = dict.fromkeys(images)
        if missing:
            try:
                # In a thread: they are megabytes.
                urls |= await asyncio.to_thread(
                    lambda: {sha256: self._images(sha256).url for sha256 in missing}
                )
            except (Refusal, OSError) as error:
                raise EngineError(
                    Message(
                        "An image of this sample cannot be read: %(error)s Tell your admin.",
                        error=error,
                    ),
                    temporary=False,
                    reason=Failure.IMAGE,
                ) from error
        return urls


def _policy(server: Server, engine: str) -> PolicyFacts:
    name = server.model
    if server.template_hash:
        name += f"@{server.template_hash[:8]}"
    return PolicyFacts(
        name=name,
        engine=engine,
        base_model=server.parent or server.root,
        served_name=server.model,
        adapter=server.root if server.parent else "",
        template_hash=server.template_hash,
    )


def _fitted(ask: Ask, server: Server) -> Ask:
    """max_tokens beyond the limit left out: vLLM then takes what is left, but refuses more."""
    wanted = ask.sampling.options.get("max_tokens")
    if wanted is None or server.limit is None or wanted < server.limit:
        return ask
    options = {name: value for name, value in ask.sampling.options.items() if name != "max_tokens"}
    return replace(ask, sampling=replace(ask.sampling, options=options))


def _request_id(work: Work) -> str:
    name = f"regeneration-{work.regeneration_id}-{work.attempt}"
    return name if work.candidate is None else f"{name}-{work.candidate}"


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise EngineError(
            "The project's generation setting “priority” must be a whole number. Tell your admin.",
            temporary=False,
        )
    return value
