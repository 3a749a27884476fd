"""A scripted server that adapters are loaded into, as vLLM answers."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.worker.openai.scripted import Answer

CHAT = "/v1/chat/completions"
LOAD = "/v1/load_lora_adapter"


@dataclass
class Adapting:
    """A server with adapters. refusal: (status, body) for the next loads. hold: texts end late."""

    loaded: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, object] | None = None
    template: str = "…assistant\n"
    hold: asyncio.Event | None = None
    broken: bool = False

    async def __call__(self, path: str, body: dict[str, Any], answer: Answer) -> None:
        """Answer as vLLM does."""
        if path == "/v1/models":
            base = {"id": "lecturer", "owned_by": "vllm", "root": "/m", "max_model_len": 4096}
            more = [
                {"id": name, "root": where, "parent": "lecturer"}
                for name, where in self.loaded.items()
            ]
            await answer.json({"data": [base, *more]})
        elif path == LOAD:
            await self._load(body, answer)
        elif path == CHAT and body.get("stream"):
            await self._write(body, answer)
        elif path == CHAT:
            shown = self.template + str(body["messages"][-1]["content"])
            await answer.json({"choices": [], "prompt_text": shown})
        else:
            await answer.json({"error": "not found"}, 404)

    async def _load(self, body: dict[str, Any], answer: Answer) -> None:
        if self.refusal is not None:
            await answer.json(self.refusal[1], self.refusal[0])
        elif body["lora_name"] in self.loaded:
            said = f"The lora adapter '{body['lora_name']}' has already been loaded. If you want"
            await answer.json({"error": {"message": said, "code": 400}}, 400)
        else:
            self.loaded[body["lora_name"]] = body["lora_path"]
            await answer.json("Success")

    async def _write(self, body: dict[str, Any], answer: Answer) -> None:
        model = body["model"]
        if model != "lecturer" and model not in self.loaded:
            await answer.json({"error": {"message": f"The model `{model}` does not exist."}}, 404)
            return
        await answer.begin()
        await answer.event({"choices": [{"delta": {"content": f"By {model}."}}]})
        if self.broken:
            self.broken = False
            return
        if self.hold is not None:
            await self.hold.wait()
        await answer.event({"choices": [{"delta": {"content": " End."}, "finish_reason": "stop"}]})
        await answer.event("[DONE]")
        await answer.end()
