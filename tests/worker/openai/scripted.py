"""A model server of a few lines whose every byte is the test's: what no real server can be made
to do when it is wanted, it does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


class Answer:
    """What a request is answered with, as it is asked for by the client."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def json(self, body: object, status: int = 200) -> None:
        """A whole answer."""
        await self.whole(json.dumps(body).encode(), status)

    async def whole(self, body: bytes, status: int = 200) -> None:
        """A whole answer of any bytes."""
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._writer.write(head.encode() + body)
        await self._writer.drain()

    async def begin(self) -> None:
        """The head of a stream."""
        self._writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        await self._writer.drain()

    async def send(self, portion: bytes) -> None:
        """Some bytes of a stream."""
        self._writer.write(f"{len(portion):x}\r\n".encode() + portion + b"\r\n")
        await self._writer.drain()

    async def event(self, body: object) -> None:
        """One event; a text is sent as it is."""
        data = body if isinstance(body, str) else json.dumps(body)
        await self.send(f"data: {data}\n\n".encode())

    async def end(self) -> None:
        """The end of a stream. Left out, the connection just breaks."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()


Handler = Callable[[str, dict[str, Any], Answer], Coroutine[None, None, None]]


@dataclass
class ScriptedServer:
    """Where it listens and what it was asked, in order. gone: requests that were left early."""

    url: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The bodies posted to a path."""
        return [body for asked, body in self.asked if asked == path]


@asynccontextmanager
async def scripted(handler: Handler) -> AsyncIterator[ScriptedServer]:
    """A server that answers each request (path, JSON body) by the handler; one per connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            path, body = await _request(reader)
            found.asked.append((path, body))
            answering = asyncio.create_task(handler(path, body, Answer(writer)))
            left = asyncio.create_task(reader.read(1))
            await asyncio.wait((answering, left), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                found.gone.append(path)
                answering.cancel()
            left.cancel()
            await asyncio.gather(answering, left, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            tasks.discard(task)

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found = ScriptedServer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = 0
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    body = await reader.readexactly(length) if length else b"{}"
    return head.split(" ")[1], json.loads(body)
