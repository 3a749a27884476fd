"""The trainer itself, unmodified TRL: DPOTrainer, or SFTTrainer for `losses: {sft: 1}`; with an
adapter on the language model's linear layers, or on all of the language model's weights."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft import LoraConfig
from transformers import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import create_model_from_path

from iterdpo.config import Config
from iterdpo.dense import DenseDPOTrainer
from iterdpo.interrupts import SaveAndStop
from iterdpo.models import dtype_of
from iterdpo.preparation import Prepared
from iterdpo.progress import Progress
from iterdpo.refusals import Interrupted, TrainingRefusal
from iterdpo.schedule import at_once, batch_of

CHECKPOINTS = "checkpoints"
# The module of the vision tower in every Qwen-VL; it stays as it is.
VISION = "visual"


def make_trainer(config: Config, prepared: Prepared, say: Callable[[str], None]) -> Any:
    """A trainer, ready to start. Raises TrainingRefusal when the adapter finds no layer.

    SFT has a trainer of its own, for its mean is over all tokens of a step; DPOTrainer's loss "sft"
    takes it of each device batch, and reads the rejected side and the reference for nothing.
    """
    more: dict[str, Any] = {}
    if config.training.imitates:
        kind: Any = SFTTrainer
    else:
        kind = DPOTrainer if config.training.changed_weight == 1.0 else DenseDPOTrainer
        if config.lora is None:
            # With an adapter the reference is the model without it.
            more["ref_model"] = _model(config, dtype_of(config))
    trainer = kind(
        model=_trained_model(config),
        args=arguments(config, prepared.facts["pairs"]),
        train_dataset=prepared.table,
        eval_dataset=prepared.held_out,
        data_collator=prepared.collator,
        processing_class=prepared.renderer.processor,
        peft_config=_adapter(config),
        callbacks=[Progress(say)],
        **more,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def fit(trainer: Any, config: Config, say: Callable[[str], None]) -> None:
    """Train to the end, from the last checkpoint if there is one. Raises Interrupted."""
    checkpoints = config.output / CHECKPOINTS
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    if last is not None:
        say(f"Going on from {Path(last).name}.")
    stop = SaveAndStop()
    trainer.add_callback(stop)
    with stop.listening():
        trainer.train(resume_from_checkpoint=last)
    state = trainer.state
    if stop.asked and state.global_step < state.max_steps:
        raise Interrupted(
            f"Stopped after step {state.global_step} of {state.max_steps}; it is saved. "
            "The same command goes on from there."
        )


def arguments(config: Config, pairs: int) -> Any:
    """The configuration in TRL's words: an SFTConfig or a DPOConfig. Raises what schedule.batch_of
    raises."""
    training = config.training
    if training.imitates:
        return SFTConfig(**_shared(config, pairs), completion_only_loss=True)
    return DPOConfig(
        **_shared(config, pairs),
        beta=training.beta,
        loss_type=list(training.losses),
        loss_weights=list(training.losses.values()),
    )


def _shared(config: Config, pairs: int) -> dict[str, Any]:
    training = config.training
    return {
        "output_dir": str(config.output / CHECKPOINTS),
        # TRL's default of 1024 tokens would cut segments off behind the images, without an error.
        "max_length": None,
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": training.device_batch,
        "per_device_eval_batch_size": training.device_batch,
        "gradient_accumulation_steps": batch_of(config, pairs) // at_once(config),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "lr_scheduler_type": training.scheduler,
        # Below 1 it is a share of all steps.
        "warmup_steps": training.warmup,
        "bf16": dtype_of(config) == "bfloat16",
        "gradient_checkpointing": training.gradient_checkpointing,
        "save_steps": training.save_steps,
        "save_total_limit": 2,
        "logging_steps": training.log_steps,
        "logging_first_step": True,
        "seed": training.seed,
        "data_seed": training.seed,
        "report_to": training.report_to or "none",
        "disable_tqdm": True,
    }


def _adapter(config: Config) -> LoraConfig | None:
    if config.lora is None:
        return None
    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        target_modules=config.lora.targets,
        task_type="CAUSAL_LM",
    )


def _trained_model(config: Config) -> Any:
    if config.lora is None:
        # At 3e-6 a step is smaller than what bfloat16 can add to a weight: it would be lost.
        model = _model(config, "float32")
        for name, weight in model.named_parameters():
            weight.requires_grad_(VISION not in name.split("."))
        return model
    model = _model(config, dtype_of(config))
    wanted = re.compile(config.lora.targets)
    if not any(wanted.fullmatch(name) for name, _ in model.named_modules()):
        raise TrainingRefusal(f"lora.targets: no layer of {config.model} has such a name.")
    return model


def _model(config: Config, dtype: str) -> Any:
    options: dict[str, Any] = {"dtype": dtype, "revision": config.revision}
    if config.training.attention is not None:
        options["attn_implementation"] = config.training.attention
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        options["device_map"] = None
    return create_model_from_path(config.model, **options)
