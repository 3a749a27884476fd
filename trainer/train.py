"""A training run: pairs in, an adapter and a report out, in a directory of its own.

OUTPUT/
  data/           what was pulled, with its images, and the table that the trainer reads
  checkpoints/    what an interrupted run goes on from
  adapter/        the result, as peft loads it
  run.json        what this directory is a run of
  report.json     what came of it
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import PartialState

from trainer.config import Config, read_config
from trainer.fitting import arguments, fit, make_trainer
from trainer.images import digest_of
from trainer.preparation import Prepared, prepare
from trainer.refusals import TrainingRefusal
from trainer.register import Policy, policy_of, register, require_free
from trainer.report import REPORT, config_facts, training_facts, versions, write_json
from trainer.state import begin, started

ADAPTER = "adapter"
_WEIGHTS = "adapter_model.safetensors"

Say = Callable[[str], None]


def run(path: Path, *, check: bool = False, register_after: bool = False, say: Say) -> None:
    """Train as the configuration file says; check: everything up to the first step, no more.

    register_after: make the adapter known to the studio as a policy. A run that was finished
    earlier is only registered. Raises TrainingRefusal, and Interrupted after a signal.
    """
    config = read_config(path)
    arguments(config)
    finished = (config.output / REPORT).is_file()
    if finished and not (check or register_after):
        raise TrainingRefusal(
            f"{config.output} holds a finished run. Name another output, or add --register."
        )
    if finished and not check:
        _register_finished(config, say)
        return
    config.output.mkdir(parents=True, exist_ok=True)
    state = PartialState()
    # With several devices the first process pulls; the others read what it brought.
    with state.main_process_first():
        again = started(config.output) or not state.is_main_process
        prepared = prepare(config, again=again, say=say if state.is_main_process else _silent)
    policy = None
    if register_after:
        policy = policy_of(config, config.output / ADAPTER, prepared.renderer.template_hash)
        require_free(config, policy)
    if check:
        say("Nothing was trained: --check.")
        return
    _train(config, prepared, policy, say)


def _train(config: Config, prepared: Prepared, policy: Policy | None, say: Say) -> None:
    begin(config.output, config, prepared.facts["hash"])
    trainer = make_trainer(config, prepared, say)
    began = time.monotonic()
    fit(trainer, config, say)
    seconds = time.monotonic() - began
    if prepared.held_out is not None:
        trainer.evaluate()
    adapter = config.output / ADAPTER
    trainer.save_model(str(adapter))
    if not trainer.is_world_process_zero():
        return
    report = {
        "model": {
            "name": config.model,
            "revision": config.revision,
            "template_hash": prepared.renderer.template_hash,
        },
        "adapter": {"path": str(adapter), "sha256": digest_of(adapter / _WEIGHTS)},
        "data": prepared.facts,
        "training": training_facts(trainer.state.log_history, trainer.state.global_step)
        | {"seconds": round(seconds, 1)},
        "config": config_facts(config),
        "versions": versions(),
    }
    write_json(config.output / REPORT, report)
    say(f"The adapter is in {adapter}, the report in {config.output / REPORT}.")
    if policy is not None:
        _register(config, policy, say)


def _register_finished(config: Config, say: Say) -> None:
    report: dict[str, Any] = json.loads((config.output / REPORT).read_text(encoding="utf-8"))
    _register(
        config, policy_of(config, config.output / ADAPTER, report["model"]["template_hash"]), say
    )


def _register(config: Config, policy: Policy, say: Say) -> None:
    register(config, policy)
    say(f"Registered the policy {policy.name}, round {policy.round}.")


def _silent(_text: str) -> None:
    """What the other processes of a run say."""
