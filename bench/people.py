"""Annotators at work, in a process of their own: what they cost is not measured.

    python -m bench.people < a line of JSON: {"base": …, "people": [ … ], "seconds": …, …}

Each of the people has a cookie, a draft and a segment to begin with. Prints a line of JSON: how
long each kind of request took, in ms, and every save that was answered.
"""

import asyncio
import html
import itertools
import json
import random
import re
import sys
import time
from collections import defaultdict
from typing import Any

import httpx

from app.security import SESSION_COOKIE

_OWN = re.compile(r'data-own="([^"]*)"')
_RUN = re.compile(r'data-resume="([^"]*)" data-url="([^"]*)"')
_VERSION = re.compile(r'name="base_version" value="(\d+)"')


class Annotator:
    """Corrects one segment after another, and follows what is written after each."""

    def __init__(self, person: dict[str, Any], told: "Told", base: str) -> None:
        self.draft = person["draft"]
        self.segment = person["segment"]
        self.told = told
        # One for each of them: a pool of connections is searched from end to end for each request.
        self.client = httpx.AsyncClient(
            base_url=base,
            cookies={SESSION_COOKIE: person["cookie"]},
            headers={"Sec-Fetch-Site": "same-origin"},
            timeout=60,
            verify=False,  # noqa: S501 - there is no TLS, and no time to make 200 contexts for it
        )
        self.following: asyncio.Task[None] | None = None

    async def work(self, pause_s: float, until: float) -> None:
        """Begin somewhere within the first pause, as people do, and stop in time."""
        await asyncio.sleep(random.uniform(0, pause_s))
        for number in itertools.count(1):
            began = time.monotonic()
            if began > until:
                break
            await self.correct(number)
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        if self.following is not None:
            self.following.cancel()

    async def correct(self, number: int) -> None:
        """One segment: open it, type, save; the next one is the first that is written then."""
        here = f"/drafts/{self.draft}/segments/{self.segment}"
        opened = await self.ask("open the editor", "GET", f"{here}/editor")
        own, version = _OWN.search(opened.text), _VERSION.search(opened.text)
        if own is None or version is None:
            raise RuntimeError(f"{here} shows no editor:\n{opened.text[:2000]}")
        words = html.unescape(own[1]).rstrip("\n")
        for typed in (f"{words} Seen", f"{words} Seen {number}."):
            kept = {"text": typed, "typed_at_ms": time.time_ns() // 1_000_000}
            await self.ask("keep what is typed", "PUT", f"{here}/unsaved", json=kept)
            await self.ask("live comparison", "POST", f"{here}/diff", data={"text": typed})
        form = {"text": typed, "mode": "continue", "base_version": version[1]}
        answer = await self.ask("save", "PUT", f"{here}/correction", data=form)
        self.told.saved.append({"draft": self.draft, "segment": self.segment, "text": typed})
        run = _RUN.search(answer.text)
        if run is None:
            raise RuntimeError("The answer names no run.")
        first: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # What was written before ends by itself: it is superseded.
        self.following = asyncio.create_task(self.follow(f"{run[2]}/stream?after={run[1]}", first))
        self.segment = await first

    async def follow(self, address: str, first: asyncio.Future[int]) -> None:
        """Read a stream to its end; `first` becomes the id of the first segment in it."""
        began, kind, silent = time.perf_counter(), "", True
        async with self.client.stream("GET", address) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                    if kind == "tok" and silent:
                        self.told.took("first text after a save", began)
                        silent = False
                elif kind == "seg" and line.startswith("data: ") and not first.done():
                    first.set_result(json.loads(line[6:])["segment_id"])

    async def ask(self, what: str, method: str, address: str, **more: Any) -> httpx.Response:
        """A request of the page. Raises RuntimeError when it is refused."""
        began = time.perf_counter()
        headers = {"HX-Request": "true"}
        answer = await self.client.request(method, address, headers=headers, **more)
        self.told.took(what, began)
        if answer.status_code != 200:
            self.told.refused += 1
            raise RuntimeError(f"{method} {address}: {answer.status_code}\n{answer.text[:2000]}")
        return answer


class Told:
    """What all of them have seen."""

    def __init__(self) -> None:
        self.times_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.saved: list[dict[str, object]] = []
        self.refused = 0

    def took(self, what: str, began: float) -> None:
        """Note how long something took since `began`."""
        self.times_ms[what].append((time.perf_counter() - began) * 1000)


async def main() -> None:
    """Let them work; the first fault of any of them ends it all."""
    asked, told = json.loads(sys.stdin.readline()), Told()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for person in asked["people"]:
            annotator = Annotator(person, told, asked["base"])
            group.create_task(annotator.work(asked["pause_s"], began + asked["seconds"]))
    json.dump({**vars(told), "seconds": time.monotonic() - began}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
