"""How many pairs make a step, so that a run has steps enough to learn something."""

import math
import os

from iterdpo.config import Config
from iterdpo.refusals import ConfigRefusal, TrainingRefusal

# LongWriter-V's batch: what is derived is never larger.
LARGEST = 64


def at_once(config: Config) -> int:
    """Pairs that all devices take at a time."""
    return config.training.device_batch * int(os.environ.get("WORLD_SIZE", "1"))


def batch_of(config: Config, pairs: int) -> int:
    """Pairs per step: as configured, or the largest power of two, times what the devices take at
    once, that gives `min_steps` steps. Raises ConfigRefusal for a batch that does not divide, and
    TrainingRefusal, with the number of steps, where there would be too few."""
    training, least = config.training, at_once(config)
    if training.effective_batch is not None:
        batch = training.effective_batch
        if batch % least:
            raise ConfigRefusal(
                f"training.effective_batch: {batch} is no multiple of {training.device_batch} "
                f"(device_batch) times {least // training.device_batch} devices"
            )
    else:
        batch = least
        while batch * 2 <= LARGEST and steps_of(config, pairs, batch * 2) >= training.min_steps:
            batch *= 2
    steps = steps_of(config, pairs, batch)
    if training.max_steps is None and steps < training.min_steps:
        epochs = math.ceil(training.min_steps / math.ceil(pairs / batch))
        raise TrainingRefusal(
            f"{training.epochs:g} epochs over {pairs} pairs, {batch} a step, are {steps} steps; "
            f"after fewer than {training.min_steps} a model may write as before. Collect more "
            f"pairs, or set training.epochs to {epochs}, a smaller effective_batch, or min_steps "
            f"to {steps}."
        )
    return batch


def steps_of(config: Config, pairs: int, batch: int) -> int:
    """Optimiser steps of the run without max_steps, as transformers counts them."""
    return math.ceil(config.training.epochs * math.ceil(pairs / batch))
