"""A training run: pairs in, an adapter (or a model) and a report out, in a directory of its own.

OUTPUT/
  data/           what was pulled, with its images, and the table that the trainer reads
  checkpoints/    what an interrupted run goes on from
  adapter/        the result, as peft loads it; with `lora: null`
  model/          the result, as transformers loads it
  run.json        what this directory is a run of
  report.json     what came of it
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from iterdpo.config import Config, read_config
from iterdpo.fitting import fit, make_trainer
from iterdpo.greedy import greedy_facts, greedy_texts, prompts_of, verdict
from iterdpo.models import dtype_of
from iterdpo.preparation import Prepared, prepare
from iterdpo.refusals import ConfigRefusal, TrainingRefusal
from iterdpo.register import adapter_hash, register, require_free
from iterdpo.report import REPORT, config_facts, training_facts, versions, write_json
from iterdpo.reporters import require_reporters
from iterdpo.schedule import batch_of, steps_of
from iterdpo.state import begin, started

ADAPTER = "adapter"
MODEL = "model"

Say = Callable[[str], None]


def run(path: Path, *, check: bool = False, register_after: bool = False, say: Say) -> None:
    """Train as the configuration file says; check: everything up to the first step, no more.

    register_after: make the adapter known to the studio as a policy. A run that was finished
    earlier is only registered. Raises TrainingRefusal, and Interrupted after a signal.
    """
    config = read_config(path)
    if register_after and config.lora is None:
        raise ConfigRefusal(
            "lora: null trains a whole model, and --register is for adapters. Run it without "
            f"--register; then serve the model: iterdpo worker --vllm {config.output / MODEL}"
        )
    require_reporters(config.training.report_to)
    finished = (config.output / REPORT).is_file()
    if finished and not (check or register_after):
        raise TrainingRefusal(
            f"{config.output} holds a finished run. Name another output, or add --register."
        )
    if finished and not check:
        _register(config, say)
        return
    config.output.mkdir(parents=True, exist_ok=True)
    state = PartialState()
    say = say if state.is_main_process else _silent
    # With several devices the first process pulls; the others read what it brought.
    with state.main_process_first():
        again = started(config.output) or not state.is_main_process
        prepared = prepare(config, again=again, say=say)
    pairs = prepared.facts["pairs"]
    batch = batch_of(config, pairs)
    steps = config.training.max_steps or steps_of(config, pairs, batch)
    say(f"{steps} steps of {batch} pairs, learning rate {config.learning_rate:g}.")
    if register_after:
        require_free(config)
    if check:
        say("Nothing was trained: --check.")
        return
    if _train(config, prepared, say) and register_after:
        _register(config, say)


def _train(config: Config, prepared: Prepared, say: Say) -> bool:
    """Train and write the result and report. False in the processes that help the first one."""
    begin(config.output, config, prepared.facts["hash"])
    trainer = make_trainer(config, prepared, say)
    prompts = prompts_of(prepared.table if prepared.held_out is None else prepared.held_out)
    # Here it is the base model, also in a run that goes on: fit loads the checkpoint.
    before = greedy_texts(trainer, prompts)
    began = time.monotonic()
    fit(trainer, config, say)
    seconds = time.monotonic() - began
    if prepared.held_out is not None:
        trainer.evaluate()
    greedy = greedy_facts(
        prompts,
        before,
        greedy_texts(trainer, prompts),
        of="train" if prepared.held_out is None else "held_out",
    )
    result = _save(trainer, config)
    if not trainer.is_world_process_zero():
        return False
    report = {
        "model": {
            "name": config.model,
            "revision": config.revision,
            "template_hash": prepared.renderer.template_hash,
        },
        **_result_facts(config, result),
        "data": prepared.facts,
        "training": training_facts(trainer.state.log_history, trainer.state.global_step)
        | {"seconds": round(seconds, 1)},
        "greedy": greedy,
        "config": config_facts(config),
        "versions": versions(),
    }
    write_json(config.output / REPORT, report)
    say(verdict(greedy, config))
    say(f"The {result.name} is in {result}, the report in {config.output / REPORT}.")
    return True


def _save(trainer: Any, config: Config) -> Path:
    """Write the adapter, or the whole model in the dtype that it is served in."""
    if config.lora is None:
        trainer.model.to(getattr(torch, dtype_of(config)))
    result = config.output / (MODEL if config.lora is None else ADAPTER)
    trainer.save_model(str(result))
    return result


def _result_facts(config: Config, result: Path) -> dict[str, Any]:
    if config.lora is None:
        return {"trained_model": {"path": str(result)}}
    return {"adapter": {"path": str(result), "sha256": adapter_hash(result)}}


def _register(config: Config, say: Say) -> None:
    policy = register(config, config.output / ADAPTER)
    say(f"Registered the policy {policy['name']}, round {policy['round']}.")


def _silent(_text: str) -> None:
    """What the other processes of a run say."""
