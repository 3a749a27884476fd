"""The report of a run: what was trained on what, how it went, and with which versions."""

import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from iterdpo.checks import Checked, Good
from iterdpo.config import Config

REPORT = "report.json"
_PACKAGES = (
    "iterdpo-studio",
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "tokenizers",
)


def data_facts(
    checked: Checked, *, source: str, used: Sequence[Good], held_out: Sequence[Good], digest: str
) -> dict[str, Any]:
    """What the rows are. hash: of the rows that were trained on."""
    tokens = sorted(it.tokens for it in used)
    return {
        "source": source,
        "pairs": len(used),
        "held_out": len(held_out),
        "last_segments": sum(it.row.ends_output for it in used),
        "mid_document": sum(not it.row.ends_output for it in used),
        "with_images": sum(bool(it.row.images) for it in used),
        "images": len({sha256 for it in used for sha256 in it.row.images}),
        "on_policy": sum(it.row.on_policy for it in used),
        "tokens": {"longest": tokens[-1], "median": tokens[len(tokens) // 2], "all": sum(tokens)},
        "boundary_shifted": checked.shifted,
        "left_out": {reason: list(ids) for reason, ids in checked.left_out.items()},
        "hash": digest,
    }


def training_facts(history: Sequence[Mapping[str, Any]], steps: int) -> dict[str, Any]:
    """How it went, from the trainer's log: loss, reward accuracy and margin (of SFT the token
    accuracy), first and last."""
    logs = [entry for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if "eval_loss" in entry]
    facts: dict[str, Any] = {"steps": steps, "history": [_figures(entry) for entry in logs]}
    if logs:
        facts |= {"first": _figures(logs[0]), "last": _figures(logs[-1])}
    if evaluated:
        facts["held_out"] = _figures(evaluated[-1], "eval_")
    return facts


def versions() -> dict[str, str]:
    """Of what matters for the result; GPUs by their names."""
    known = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    for index in range(torch.cuda.device_count()):
        known[f"gpu{index}"] = torch.cuda.get_device_name(index)
    return known


def config_facts(config: Config) -> dict[str, Any]:
    """The configuration, defaults filled in. It holds no token: only where one is found."""
    return config.model_dump(mode="json", by_alias=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.write("\n")
    Path(name).chmod(0o644)
    Path(name).replace(path)


def _figures(entry: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    names = {
        "step": "step",
        "epoch": "epoch",
        f"{prefix}loss": "loss",
        f"{prefix}rewards/accuracies": "reward_accuracy",
        f"{prefix}rewards/margins": "reward_margin",
        f"{prefix}mean_token_accuracy": "token_accuracy",
        "grad_norm": "gradient_norm",
        "learning_rate": "learning_rate",
    }
    return {short: float(entry[name]) for name, short in names.items() if name in entry}
