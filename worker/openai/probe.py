"""Probes a server before the first job: what it is, and whether it continues a prefix.

The question that matters: does it continue the assistant's last message unchanged? Some servers
accept both flags and silently close the message all the same; every continuation would then be a
second answer. Three proofs, the strongest that the server allows:

1. vLLM shows the prompt it has made (return_prompt_text): its end is the prefix, or it is not.
2. The length of the prompt: closing a message and opening another costs tokens (Qwen 5, Llama 5),
   going on costs none. The prefix is measured as a part of the instruction.
3. What it writes after half a word: "Par" is continued with "is" only where it was left open.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from app.domain.prompts import ChatPrompt
from worker.engine import EngineError
from worker.openai.chat import PATH, Ask, chat_request
from worker.openai.connection import Connection, object_in
from worker.openai.failures import refusal
from worker.openai.sampling import Sampling

_INSTRUCTION = "Which city is the capital of France? Answer in one sentence.\n"
_PREFIX = "The capital of France is the beautiful old city of Par"
_REST = "is"


@dataclass(frozen=True, slots=True)
class Server:
    """What check() found.

    extended: it is vLLM and takes vLLM's own fields. aborts: by request id. generates: from token
    ids. proof: what shows that prefixes are continued, or "" when nothing could.
    """

    model: str
    root: str
    parent: str
    limit: int | None
    extended: bool
    aborts: bool
    generates: bool
    proof: str
    template_hash: str


async def probe(connection: Connection, *, model: str = "") -> Server:
    """Find out about the server at the other end.

    model: the name it must serve; "" for the only one it has. Raises EngineError in plain words.
    """
    entry = await _entry(connection, model)
    extended = entry.get("owned_by") == "vllm"
    aborts = generates = False
    if extended:
        aborts = (
            await connection.post("/inference/v1/abort_requests", {"request_ids": []})
        ).status_code == 200
        generates = (await connection.post("/inference/v1/generate", {})).status_code in (400, 422)
    name = str(entry["id"])
    proof, shown = await _proof(connection, name, extended=extended)
    limit = entry.get("max_model_len")
    return Server(
        model=name,
        root=str(entry.get("root") or name),
        parent=str(entry.get("parent") or ""),
        limit=limit if isinstance(limit, int) else None,
        extended=extended,
        aborts=aborts,
        generates=generates,
        proof=proof,
        template_hash=hashlib.sha256(shown.encode()).hexdigest() if shown else "",
    )


async def _entry(connection: Connection, model: str) -> dict[str, Any]:
    """The model's entry in /v1/models."""
    where = f"at {connection.url}"
    try:
        answer = await connection.get("/v1/models")
    except EngineError as error:
        raise EngineError(
            f"No model server answers {where}. Is the address right, and is it running?",
            temporary=True,
        ) from error
    if answer.status_code in (401, 403):
        raise EngineError(
            f"The model server {where} refuses the key. Set the right one.", temporary=False
        )
    if answer.status_code >= 500:
        raise EngineError(
            f"The model server {where} is not ready (HTTP {answer.status_code}).", temporary=True
        )
    entries = _entries(answer)
    if not entries:
        raise EngineError(
            f"What answers {where} is no OpenAI-compatible model server "
            f"(GET /v1/models: HTTP {answer.status_code}).",
            temporary=False,
        )
    if not model:
        # vLLM lists its adapters after the model that they belong to.
        bases = [one for one in entries if not one.get("parent")]
        if len(bases) == 1:
            return bases[0]
        raise EngineError(
            f"The model server {where} has several models: choose one of {_names(bases)}.",
            temporary=False,
        )
    for one in entries:
        if one["id"] == model:
            return one
    raise EngineError(
        f"The model server {where} has no model “{model}”; it has {_names(entries)}.",
        temporary=False,
    )


def _entries(answer: httpx.Response) -> list[dict[str, Any]]:
    try:
        said = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return []
    listed = said.get("data") if isinstance(said, dict) else None
    if answer.status_code != 200 or not isinstance(listed, list):
        return []
    return [one for one in listed if isinstance(one, dict) and one.get("id")]


def _names(entries: list[dict[str, Any]]) -> str:
    return ", ".join(f"“{one['id']}”" for one in entries)


async def _proof(connection: Connection, model: str, *, extended: bool) -> tuple[str, str]:
    """How it is known that prefixes are continued ("": it is not), and the prompt as shown.

    Raises EngineError when the server closes them.
    """
    said = await _answer(connection, model, _INSTRUCTION, _PREFIX, extended=extended)
    shown = said.get("prompt_text")
    if isinstance(shown, str):
        if shown.endswith(_PREFIX):
            return "prompt", shown
        raise _ignored(connection)
    overhead = await _overhead(connection, model, said)
    if overhead == 0:
        return "length", ""
    text = _text(said)
    if text.startswith(_REST):
        return "text", ""
    if overhead is not None and overhead >= 2:
        raise _ignored(connection)
    if text.lstrip().startswith(("The ", "Paris", _PREFIX)):
        raise _ignored(connection)
    return "", ""


async def _overhead(connection: Connection, model: str, said: dict[str, Any]) -> int | None:
    """How many tokens more the prompt has than with the prefix in the instruction; None if unknown.

    The same text in another place: 0 where it is continued. One more or less proves nothing, a
    tokenizer may join the prefix to what stands before it.
    """
    with_prefix = _prompt_tokens(said)
    if with_prefix is None:
        return None
    inside = _prompt_tokens(await _answer(connection, model, _INSTRUCTION + _PREFIX, ""))
    return None if inside is None else with_prefix - inside


async def _answer(
    connection: Connection, model: str, instruction: str, prefix: str, *, extended: bool = False
) -> dict[str, Any]:
    ask = Ask(
        ChatPrompt(system="", images=(), instruction=instruction, prefix=prefix),
        Sampling({"temperature": 0.0, "max_tokens": 4}),
        request_id=f"probe-{hashlib.sha256(prefix.encode()).hexdigest()[:8]}",
        certainty=False,
    )
    body = chat_request(ask, model=model, urls={}, extended=extended)
    del body["stream"], body["stream_options"]
    answer = await connection.post(PATH, body)
    if answer.status_code == 200:
        return object_in(PATH, answer.content)
    refused = refusal(answer.status_code, answer.content, model=model)
    if isinstance(refused, EngineError):
        raise EngineError(
            f"The model server at {connection.url} does not take a text to continue: "
            f"{refused.message}",
            temporary=refused.temporary,
        )
    raise refused


def _text(said: dict[str, Any]) -> str:
    try:
        return str(said["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        return ""


def _prompt_tokens(said: dict[str, Any]) -> int | None:
    usage = said.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and tokens > 0 else None


def _ignored(connection: Connection) -> EngineError:
    return EngineError(
        f"The model server at {connection.url} does not continue a text that has begun: it ignores "
        "continue_final_message, or its chat template closes the text, and writes a second answer. "
        "Use a server with assistant prefill (vLLM, SGLang, llama.cpp), or another chat template.",
        temporary=False,
    )
