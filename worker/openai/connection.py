"""HTTP to one model server: requests, streams that end when they are left, plain errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from worker.engine import EngineError
from worker.openai.events import Events
from worker.openai.failures import broken, refusal, silent
from worker.openai.silence import Silence

_CONNECT_S = 5.0
_WRITE_S = 60.0
_CALL_S = 30.0
# uvicorn, in front of vLLM, closes a connection that was idle for 5 s.
_IDLE_S = 4.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may be silent, in seconds.

    first_s: before the first text; it may have a queue. next_s: between two pieces of text.
    """

    first_s: float = 300.0
    next_s: float = 60.0


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
        return _object(answer.content)

    @asynccontextmanager
    async def stream(
        self, path: str, content: bytes, *, model: str
    ) -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """Post a JSON body; the events of the answer, as many at a time as arrive together.

        Leaving the context closes the connection, by which the server stops. Raises EngineError,
        or CacheMiss.
        """
        request = self._client.build_request(
            "POST",
            path,
            content=content,
            timeout=httpx.Timeout(None, connect=_CONNECT_S, write=_WRITE_S),
        )
        try:
            async with asyncio.timeout(self.patience.first_s):
                response = await self._send(request)
        except TimeoutError as error:
            raise silent(begun=False) from error
        try:
            if response.status_code != 200:
                raise refusal(response.status_code, await _body(response), model=model)
            yield self._events(response)
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

    async def _events(self, response: httpx.Response) -> AsyncIterator[list[bytes]]:
        events = Events()
        portions = response.aiter_raw()
        begun = False
        silence = Silence()
        try:
            while True:
                try:
                    with silence.at_most(self.patience.next_s if begun else self.patience.first_s):
                        portion = await anext(portions, None)
                except TimeoutError as error:
                    raise silent(begun=begun) from error
                except httpx.HTTPError as error:
                    raise broken(error, begun=begun) from error
                if portion is None:
                    return
                begun = True
                if found := events.feed(portion):
                    yield found
        finally:
            silence.close()

    async def _call(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        try:
            return await self._client.request(method, path, content=content)
        except httpx.HTTPError as error:
            raise broken(error, begun=False) from error


async def _body(response: httpx.Response) -> bytes:
    try:
        return await response.aread()
    except httpx.HTTPError:
        return b""


def _object(content: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise EngineError("The model server sent what is no JSON object.", temporary=True)
    return parsed
