"""Adapter fingerprints: the hash of what a model reads from a directory in PEFT's form."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from app.refusals import Invalid

CONFIG = "adapter_config.json"
# The first that is there is what vLLM loads.
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter as its files say it. base_model and revision: of the model it was trained on."""

    sha256: str
    base_model: str
    revision: str
    rank: int | None


def read_adapter(directory: Path) -> AdapterFiles:
    """The adapter in a directory; raises Invalid (field "adapter") when there is none."""
    try:
        config = json.loads((directory / CONFIG).read_bytes())
    except OSError as error:
        raise Invalid(
            f"{directory} holds no adapter: {CONFIG} cannot be read ({error.strerror}).", "adapter"
        ) from error
    except ValueError as error:
        raise Invalid(f"{directory / CONFIG} is no JSON.", "adapter") from error
    if not isinstance(config, dict):
        raise Invalid(f"{directory / CONFIG} is no JSON object.", "adapter")
    rank = config.get("r")
    return AdapterFiles(
        sha256=adapter_hash(directory),
        base_model=str(config.get("base_model_name_or_path") or ""),
        revision=str(config.get("revision") or ""),
        rank=rank if isinstance(rank, int) else None,
    )


def adapter_hash(directory: Path) -> str:
    """SHA-256 (hex) over the configuration and the weights, each after its name and size.

    What else lies there (an optimizer's state, a README) changes nothing that the model writes.
    Raises Invalid (field "adapter") when a file is missing or cannot be read.
    """
    weights = next((name for name in WEIGHTS if (directory / name).is_file()), None)
    if weights is None:
        raise Invalid(f"{directory} holds no adapter: there is no {WEIGHTS[0]}.", "adapter")
    found = hashlib.sha256()
    try:
        for name in (CONFIG, weights):
            with (directory / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
                found.update(f"{name} {file.tell()} {digest.hexdigest()}\n".encode())
    except OSError as error:
        raise Invalid(
            f"The adapter {directory} cannot be read: {error.strerror}.", "adapter"
        ) from error
    return found.hexdigest()
