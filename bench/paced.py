"""A model server that only keeps time: what the way around it costs shows when it costs nothing.

    python -m bench.paced --first-ms 20 --per-s 30

Answers like vLLM, a token at a time, `--per-s` of them a second for each stream after `--first-ms`;
with --silent nothing ever comes. Prints its address.
"""

import argparse
import asyncio
from typing import Any

from tests.worker.openai.scripted import Answer, scripted

# A paragraph now and then, so that segments come.
_PARAGRAPH = 40
_END = "\n\n"


def main() -> None:
    """Serve until killed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--first-ms", type=float, default=20)
    words.add_argument("--per-s", type=float, default=30)
    words.add_argument("--silent", action="store_true")
    asked = words.parse_args()
    asyncio.run(serve(Pace(asked.first_ms / 1000, asked.per_s, asked.silent)))


async def serve(pace: "Pace") -> None:
    """Listen on a free port."""
    async with scripted(pace.handle) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


class Pace:
    """When what is sent."""

    def __init__(self, first_s: float, per_s: float, silent: bool) -> None:
        self.first_s = first_s
        self.per_s = per_s
        self.silent = silent

    async def handle(self, path: str, body: dict[str, Any], answer: Answer) -> None:
        """What a worker and a direct client ask for."""
        if path == "/v1/models":
            await answer.json({"data": [{"id": "paced", "owned_by": "vllm"}]})
        elif path == "/inference/v1/abort_requests":
            await answer.json({})
        elif path != "/v1/chat/completions":
            await answer.json({"detail": "not here"}, 404)
        elif not body.get("stream"):
            said = {"index": 0, "message": {"content": "is"}, "finish_reason": "length"}
            await answer.json({"choices": [said], "prompt_text": body["messages"][-1]["content"]})
        else:
            await self._stream(body, answer)

    async def _stream(self, body: dict[str, Any], answer: Answer) -> None:
        clock = asyncio.get_running_loop()
        began = clock.time()
        await answer.begin()
        if self.silent:
            await asyncio.Event().wait()
        shown = {"prompt_text": body["messages"][-1]["content"]}
        count = int(body.get("max_tokens") or 1000)
        for number in range(count):
            await asyncio.sleep(began + self.first_s + number / self.per_s - clock.time())
            word = f" word{number}"
            if number % _PARAGRAPH == _PARAGRAPH - 1:
                word = _END
            await answer.event(shown | _event(word, last=number == count - 1))
            shown = {}
        usage = {"prompt_tokens": 1000, "completion_tokens": count}
        await answer.event({"choices": [], "usage": usage})
        await answer.event("[DONE]")
        await answer.end()


def _event(word: str, *, last: bool) -> dict[str, Any]:
    entry = {"token": word, "bytes": list(word.encode()), "logprob": -0.5}
    choice = {
        "index": 0,
        "delta": {"content": word},
        "logprobs": {"content": [entry]},
        "finish_reason": "length" if last else None,
    }
    return {"id": "chatcmpl-paced", "choices": [choice]}


if __name__ == "__main__":
    main()
