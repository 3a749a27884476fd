"""HTTP to one model server: requests, streams that end when they are left, plain errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from worker.openai.events import Events, NoEventsError
from worker.openai.failures import broken, refusal, silent
from worker.openai.idle_timeout import Silence
from worker.openai.malformed import no_answer, no_stream, too_much

_CONNECT_S = 5.0
_WRITE_S = 60.0
_CALL_S = 30.0
# uvicorn, in front of vLLM, closes a connection that was idle for 5 s.
_IDLE_S = 4.0
# Of one answer that is no stream. The head of a prompt with many images as token ids is below 2 MB.
_MOST_BYTES = 16 * 2**20
# Of an answer that is shown to people.
_SHOWN_BYTES = 65_536
# After the last text, for the usage, [DONE] and the end of the connection.
_LAST_S = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may write nothing, in seconds. Bytes that are no text do not count.

    first_s: before the first text, for its queue; a_token_s: as well, for each token of the prompt
    that it must read, reading_s at most. next_s: between two pieces of text.
    """

    first_s: float = 60.0
    a_token_s: float = 0.005
    reading_s: float = 180.0
    next_s: float = 60.0

    def before_text(self, tokens: float) -> float:
        """Seconds that the first text may take after a prompt of that many tokens."""
        return self.first_s + min(tokens * self.a_token_s, self.reading_s)


class StreamProgress(Protocol):
    """How far the reader of a stream is."""

    @property
    def length(self) -> int:
        """Code points of text."""
        ...

    @property
    def over(self) -> bool:
        """All of the text has come."""
        ...


class Connection:
    """A pool of connections to the server at `url` (with or without /v1 at its end)."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.patience = patience or Patience()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(_CALL_S, connect=_CONNECT_S, write=_WRITE_S),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_S),
            # The address is an admin's: no proxy of the environment stands before it.
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close all connections; streams that are open break."""
        await self._client.aclose()

    async def get(self, path: str) -> httpx.Response:
        """The answer whatever its status. Raises EngineError when there is none."""
        return await self._call("GET", path)

    async def post(self, path: str, body: object) -> httpx.Response:
        """The same for a JSON body."""
        return await self._call("POST", path, content=orjson.dumps(body))

    async def json(self, path: str, content: bytes, *, model: str) -> dict[str, Any]:
        """The JSON object that a JSON body is answered with. Raises EngineError, or CacheMiss."""
        answer = await self._call("POST", path, content=content)
        if answer.status_code != 200:
            raise refusal(answer.status_code, answer.content, model=model)
        return object_in(path, answer.content)

    @asynccontextmanager
    async def stream(
        self, path: str, content: bytes, *, model: str, progress: StreamProgress, tokens: float
    ) -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """Post a JSON body; yields the events of the answer, those that arrive together as one
        list.

        progress: how far the caller has read them.
        tokens: about how many the prompt has.

        Leaving the context closes the connection, which makes the server stop. Raises EngineError,
        or CacheMiss.
        """
        clock = asyncio.get_running_loop()
        until = clock.time() + self.patience.before_text(tokens)
        request = self._client.build_request(
            "POST",
            path,
            content=content,
            timeout=httpx.Timeout(None, connect=_CONNECT_S, write=_WRITE_S),
        )
        try:
            async with asyncio.timeout_at(until):
                response = await self._send(request)
        except TimeoutError as error:
            raise silent(begun=False) from error
        try:
            if response.status_code != 200:
                raise refusal(response.status_code, await _beginning(response), model=model)
            yield self._events(response, progress, until)
        finally:
            await response.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx.RemoteProtocolError:
            # The server closed the idle connection as we took it: nothing has begun.
            pass
        except httpx.HTTPError as error:
            raise broken(error, begun=False) from error
        try:
            return await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise broken(error, begun=False) from error

    async def _events(
        self, response: httpx.Response, progress: StreamProgress, until: float
    ) -> AsyncIterator[list[bytes]]:
        """until: when the first text must have come, by the clock of the loop."""
        clock = asyncio.get_running_loop()
        events = Events()
        portions = response.aiter_raw()
        length, over = 0, False
        silence = Silence()
        try:
            while True:
                try:
                    with silence.at_most(max(0.0, until - clock.time())):
                        portion = await anext(portions, None)
                except TimeoutError as error:
                    if over:
                        return
                    raise silent(begun=length > 0) from error
                except httpx.HTTPError as error:
                    raise broken(error, begun=length > 0) from error
                if portion is None:
                    events.close()
                    return
                if found := events.feed(portion):
                    yield found
                if progress.over and not over:
                    over, until = True, clock.time() + _LAST_S
                elif progress.length > length:
                    until = clock.time() + self.patience.next_s
                length = progress.length
        except NoEventsError as error:
            raise no_stream(error.beginning + await _beginning(portions)) from error
        finally:
            silence.close()

    async def _call(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """The whole answer, within limits of time and size."""
        request = self._client.build_request(method, path, content=content)
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(_CALL_S):
                response = await self._client.send(request, stream=True)
                body = bytearray()
                async for portion in response.aiter_raw():
                    body += portion
                    if len(body) > _MOST_BYTES:
                        raise too_much(path, _MOST_BYTES)
        except httpx.HTTPError as error:
            raise broken(error, begun=False) from error
        except TimeoutError as error:
            raise silent(begun=False) from error
        finally:
            if response is not None:
                await response.aclose()
        return httpx.Response(response.status_code, content=bytes(body))


async def _beginning(source: httpx.Response | AsyncIterator[bytes]) -> bytes:
    """As much of an answer as is worth telling; what does not come soon is left out."""
    body = b""
    portions = source.aiter_raw() if isinstance(source, httpx.Response) else source
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_LAST_S):
            async for portion in portions:
                body += portion
                if len(body) >= _SHOWN_BYTES:
                    break
    return body


def object_in(path: str, content: bytes) -> dict[str, Any]:
    """The JSON object that a call to `path` was answered with. Raises EngineError."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise no_answer(path, content)
    return parsed
