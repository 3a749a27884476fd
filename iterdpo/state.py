"""What an output directory is a run of: kept from its first step on, so that no other run goes on
from its checkpoints."""

import json
from pathlib import Path
from typing import Any

from iterdpo.config import Config
from iterdpo.refusals import TrainingRefusal
from iterdpo.report import write_json

STATE = "run.json"
# What may change between the parts of a run without changing what it learns.
_FREE = frozenset({"save_steps", "log_steps", "attention", "report_to"})


def started(output: Path) -> bool:
    """Whether a run has begun to train there."""
    return (output / STATE).is_file()


def begin(output: Path, config: Config, digest: str) -> None:
    """Note what is trained here. Raises TrainingRefusal when it was something else."""
    facts = _facts(config, digest)
    path = output / STATE
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name in facts if facts[name] != known.get(name)]
        if other:
            raise TrainingRefusal(
                f"{output} holds a run with other {', '.join(other)}. Name another output, or "
                "remove the directory."
            )
    else:
        write_json(path, facts)


def _facts(config: Config, digest: str) -> dict[str, Any]:
    training = config.training.model_dump(mode="json")
    return {
        "model": config.model,
        "revision": config.revision,
        "data": digest,
        "lora": None if config.lora is None else config.lora.model_dump(mode="json"),
        "training": {name: value for name, value in training.items() if name not in _FREE}
        | {"learning_rate": config.learning_rate},
    }
