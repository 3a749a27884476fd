"""A page that follows a regeneration over HTTP, through broken connections and of its own will."""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Reader:
    """What one reader was told, checked as it comes: each text once, and in order.

    faults: where that did not hold. connections: how often it has come (back).
    """

    client: httpx.AsyncClient
    address: str
    rng: random.Random
    text: str = ""
    segments: list[tuple[int, int]] = field(default_factory=list)
    state: str = ""
    error: str | None = None
    ended: bool = False
    connections: int = 0
    faults: list[str] = field(default_factory=list)
    _after: str = ""

    async def follow(self) -> None:
        """Read until told that it has ended; come back after whatever broke."""
        while not self.ended:
            try:
                await self._connect()
            except httpx.HTTPError:
                await asyncio.sleep(0.2)

    async def _connect(self) -> None:
        query = {"after": self._after} if self._after else {}
        # Now and then the reader goes away by itself, as a reload does.
        leave_after = self.rng.choice((3, 10, 30, 10_000, 10_000))
        self.connections += 1
        async with self.client.stream("GET", self.address, params=query) as answer:
            if answer.status_code == 204:
                self.ended = True
                return
            answer.raise_for_status()
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif event.get("event"):
                    self._take(event["event"], event["id"], json.loads(event["data"]))
                    event = {}
                    leave_after -= 1
                    if self.ended or leave_after <= 0:
                        return

    def _take(self, kind: str, event_id: str, data: dict[str, Any]) -> None:
        self._after = event_id
        if kind == "tok":
            if data["start"] != len(self.text):
                self.faults.append(f"text at {data['start']}, expected at {len(self.text)}")
            self.text += data["text"]
        elif kind == "seg":
            cut = self.segments[-1][1] if self.segments else 0
            if data["start"] != cut or data["end"] > len(self.text):
                self.faults.append(f"segment {data['start']}-{data['end']} after {cut}")
            self.segments.append((data["start"], data["end"]))
        elif kind == "state":
            self.state, self.error = data["state"], data["error"]
        elif kind == "done":
            self.ended = True
