"""One streamed request, from sending it to its end, and its abort when it is left early."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from worker.engine import EngineError
from worker.openai.connection import Connection
from worker.openai.deltas import ModelDelta, Reader

_ABORT = "/inference/v1/abort_requests"
_ABORT_S = 5.0


class Exchange:
    """Reads streams from a connection and aborts those that nobody reads to their end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._aborts: set[asyncio.Task[None]] = set()
        self._closed = False

    async def aclose(self) -> None:
        """Let the last aborts arrive; no more are sent."""
        self._closed = True
        if self._aborts:
            await asyncio.wait(self._aborts, timeout=_ABORT_S)

    async def read(
        self,
        path: str,
        content: bytes,
        reader: Reader,
        *,
        model: str,
        tokens: float,
        abort_id: str | None,
    ) -> AsyncGenerator[ModelDelta, None]:
        """Post a body and give what comes back, as often as something comes.

        Leaving it early closes the connection, by which the server stops. tokens: of the prompt,
        about, which the server reads before it writes. abort_id: the request's id where the server
        aborts by id, else None.
        Raises EngineError, and CacheMiss before the first delta.
        """
        try:
            stream = self.connection.stream(
                path, content, model=model, progress=reader, tokens=tokens
            )
            async with stream as portions:
                async for events in portions:
                    for event in events:
                        reader.take(event)
                    delta = reader.delta()
                    if delta is not None:
                        yield delta
                    if reader.finished and not reader.stopped:
                        break
            # Some servers say why the text ended and send no [DONE], others the other way round.
            done = reader.finished
            reader.close()
            if not done and (delta := reader.delta()) is not None:
                yield delta
        finally:
            if not reader.finished and abort_id is not None and not self._closed:
                self._abort(reader.request_id or abort_id)

    def _abort(self, request_id: str) -> None:
        """Say it by id as well: a proxy may keep the closed connection to itself."""
        task = asyncio.create_task(self._post_abort(request_id))
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    async def _post_abort(self, request_id: str) -> None:
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(_ABORT_S):
                await self.connection.post(_ABORT, {"request_ids": [request_id]})
