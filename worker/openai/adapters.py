"""Adapters into a running server, by the calls that vLLM and SGLang have for it."""

import asyncio
import re
from pathlib import Path

from app.domain.messages import Message
from app.policies.fingerprint import adapter_hash
from app.policies.loading import Adapter
from app.refusals import Invalid
from worker.engine import AdapterError, EngineError
from worker.openai.connection import Connection
from worker.openai.failures import message_of

PATH = "/v1/load_lora_adapter"

_FLAGS = (
    "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 (iterdpo worker --vllm "
    "MODEL --adapters does both)"
)
_LOADED = "has already been loaded"
# The sentences of vLLM 0.32.
_KNOWN: tuple[tuple[str, Message], ...] = (
    (
        r"LoRA is not enabled",
        Message("The model server does not accept adapters: %(flags)s.", flags=_FLAGS),
    ),
    (
        r"LoRA rank (?P<rank>\d+) is greater than max_lora_rank (?P<most>\d+)",
        Message(
            "The adapter's rank is %(rank)s, but the model server accepts ranks up to "
            "%(most)s. Start it with --max-lora-rank %(rank)s."
        ),
    ),
    (
        r"No adapter found for",
        Message(
            "The model server finds no adapter at %(path)s. The directory must have the same path "
            "on its machine, or in its container."
        ),
    ),
    (
        r"expected target modules|unsupported LoRA weight",
        Message(
            "The adapter changes parts that the served model does not have or that the server "
            "cannot adapt. It was trained on another model."
        ),
    ),
)


async def load_adapter(connection: Connection, adapter: Adapter) -> str:
    """Have the server load it, after a look at its files; an adapter it has already is fine.

    Returns what an admin should know, "" if nothing. Raises AdapterError when the server does not
    take it, and a temporary EngineError when it does not answer.
    """
    notice = await asyncio.to_thread(_checked, adapter)
    answer = await connection.post(
        PATH, {"lora_name": adapter.served_name, "lora_path": adapter.path}
    )
    if answer.status_code == 200:
        return notice
    said = message_of(answer.content)
    if answer.status_code == 400 and _LOADED in said:
        # Its name has the hash of its files in it: what was loaded under it is this adapter.
        return notice
    if answer.status_code in (404, 405) and "No adapter found" not in said:
        raise AdapterError(
            Message("The model server cannot load adapters while it runs: %(flags)s.", flags=_FLAGS)
        )
    if answer.status_code in (401, 403):
        raise AdapterError("The model server does not let the worker's key load adapters.")
    if answer.status_code in (408, 429, 502, 503, 504):
        raise EngineError(
            Message("The model server is not ready: %(said)s", said=said), temporary=True
        )
    raise AdapterError(plain(said, adapter))


def plain(said: str, adapter: Adapter) -> str:
    """What a server says about an adapter that it does not take, in plain words where known."""
    for pattern, words in _KNOWN:
        match = re.search(pattern, said)
        if match:
            return Message(words, **match.groupdict(), path=adapter.path)
    return Message("The model server refuses the adapter. It says: %(said)s", said=said)


def _checked(adapter: Adapter) -> str:
    """That the files are those that were added, as far as this machine shows them."""
    directory = Path(adapter.path)
    try:
        visible = directory.is_dir()
    except OSError:
        visible = False
    if not visible:
        return Message(
            "The worker cannot see %(path)s, so it cannot check that the files are those that "
            "were added.",
            path=adapter.path,
        )
    try:
        found = adapter_hash(directory)
    except Invalid as error:
        raise AdapterError(str(error)) from error
    if found != adapter.sha256:
        raise AdapterError(
            Message(
                "The files in %(path)s have changed since they were added as “%(name)s”. Add "
                "them as another policy, or restore the old files.",
                path=adapter.path,
                name=adapter.name,
            )
        )
    return ""
