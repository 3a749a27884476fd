"""A wire between a client and the server that remembers what the server said, byte for byte."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# uvicorn sends an event as one chunk of its own.
_EVENT = re.compile(rb"data: (\{.*\})\r?\n")


@dataclass
class Wire:
    """Where to talk to the server, and all that it has said there."""

    url: str
    said: bytearray

    def logprobs(self, request_id: str) -> list[tuple[bytes, float]]:
        """The bytes and the log-probability of each token that it sent for a request."""
        events: list[dict[str, Any]] = [json.loads(event) for event in _EVENT.findall(self.said)]
        return [
            (bytes(token["bytes"]), token["logprob"])
            for event in events
            if request_id in str(event.get("id") or event.get("request_id"))
            for choice in event.get("choices") or ()
            for token in (choice.get("logprobs") or {}).get("content") or ()
        ]


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A wire to the server at `url`."""
    address = urlsplit(url)
    said = bytearray()

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray
    ) -> None:
        try:
            while data := await reader.read(65_536):
                record.extend(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(carry(reader, there[1], bytearray()), carry(there[0], writer, said))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Wire(f"http://127.0.0.1:{port}", said)
    finally:
        server.close()
