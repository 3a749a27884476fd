"""Browsers that follow streams, in a process of their own: what they cost is not measured.

    python -m bench.readers < a line of JSON: {"base": …, "cookie": …, "addresses": [ … ]}

Prints a line once all of them have been told something; reads on until it is killed.
"""

import asyncio
import json
import sys

import httpx

from app.security import SESSION_COOKIE


async def read() -> None:
    """Follow all of them."""
    asked = json.loads(sys.stdin.readline())
    counts = dict.fromkeys(asked["addresses"], 0)
    async with httpx.AsyncClient(
        base_url=asked["base"],
        cookies={SESSION_COOKIE: asked["cookie"]},
        timeout=60,
        limits=httpx.Limits(max_connections=None),
    ) as client:

        async def follow(address: str) -> None:
            async with client.stream("GET", address) as answer:
                async for portion in answer.aiter_raw():
                    counts[address] += len(portion)

        tasks = [asyncio.create_task(follow(address)) for address in counts]
        while not all(counts.values()):
            await asyncio.sleep(0.05)
        print("all", flush=True)
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(read())
