"""Requests to /v1/chat/completions that continue the assistant's last message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.prompts import ChatPrompt, chat_messages
from app.domain.tokencount import text_tokens
from worker.openai.sampling import Sampling

PATH = "/v1/chat/completions"
# Of a whole continuation, however many attempts it takes.
LIMITS = ("max_tokens", "min_tokens")
# A slide of 1280 x 720 in Qwen2.5-VL.
_IMAGE_TOKENS = 1200


@dataclass(frozen=True, slots=True)
class Ask:
    """One continuation to ask for.

    priority: lower is served first. certainty: also ask for the log-probability of each token.
    written: so many tokens at the prompt's end were written for the same continuation before; they
    count in its limits. own: the same in code points. beginnings: how outputs of the same sample
    begin.
    """

    prompt: ChatPrompt
    sampling: Sampling
    request_id: str
    priority: int = 0
    certainty: bool = True
    written: int = 0
    own: int = 0
    beginnings: Sequence[str] = ()

    @property
    def tokens(self) -> float:
        """Those of the prompt by a rough estimate, for the time that reading them takes."""
        prompt = self.prompt
        texts = (prompt.system, prompt.instruction, prompt.prefix)
        return sum(map(text_tokens, texts)) + _IMAGE_TOKENS * len(prompt.images)

    @property
    def options(self) -> Mapping[str, float | int]:
        """The sampling's options, with what is left of the limits."""
        return {
            name: max(0, value - self.written) if name in LIMITS else value
            for name, value in self.sampling.options.items()
        }


def chat_request(
    ask: Ask, *, model: str, urls: Mapping[str, str | None], extended: bool
) -> dict[str, object]:
    """The body of the request; what is constant comes first, so that the server can reuse it.

    urls: for each image its data URL, or None where the server has the bytes under the uuid.
    extended: the server is vLLM and takes its own fields; others get what all of them know.
    """

    def image_part(sha256: str) -> dict[str, object]:
        url = urls[sha256]
        part: dict[str, object] = {
            "type": "image_url",
            "image_url": None if url is None else {"url": url},
        }
        return part | {"uuid": sha256} if extended else part

    body: dict[str, object] = {
        "model": model,
        "messages": chat_messages(ask.prompt, image_part),
        # Left to their defaults they close the prefix and open another turn, without a word.
        "add_generation_prompt": not ask.prompt.prefix,
        "continue_final_message": bool(ask.prompt.prefix),
        "stream": True,
        "stream_options": {"include_usage": True},
        **ask.options,
    }
    if ask.sampling.stop:
        body["stop"] = list(ask.sampling.stop)
    if ask.sampling.seed is not None:
        body["seed"] = ask.sampling.seed
    if ask.sampling.logit_bias:
        body["logit_bias"] = dict(ask.sampling.logit_bias)
    if ask.certainty:
        body["logprobs"] = True
    if extended:
        body |= {
            "request_id": ask.request_id,
            "priority": ask.priority,
            "return_prompt_text": True,
        }
    return body
