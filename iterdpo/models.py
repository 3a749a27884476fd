"""The base model's processor and how its weights are loaded."""

from typing import Any

import torch
from transformers import AutoProcessor, ProcessorMixin

from iterdpo.config import Config
from iterdpo.refusals import TrainingRefusal


def load_processor(config: Config) -> Any:
    """The processor of the base model, with max_pixels. Raises TrainingRefusal."""
    try:
        processor = AutoProcessor.from_pretrained(config.model, revision=config.revision)
    except ImportError as error:
        raise TrainingRefusal(
            f"The processor of {config.model} lacks a package: {error}"
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingRefusal(f"There is no model {config.model} to be loaded: {error}") from error
    if not isinstance(processor, ProcessorMixin):
        raise TrainingRefusal(
            f"{config.model} takes no images. For a text model TRL appends end-of-turn to every "
            "row, also in the middle of a document: pairs need a vision-language model."
        )
    images = processor.image_processor
    if not (hasattr(images, "get_number_of_image_patches") and hasattr(images, "merge_size")):
        raise TrainingRefusal(
            f"{config.model} is of a family whose images cannot be counted here. Qwen2-VL, "
            "Qwen2.5-VL and Qwen3-VL can."
        )
    limit = config.training.max_pixels
    if limit is not None:
        size = images.size
        # Called an edge, counted in pixels (Qwen2VLImageProcessor.get_number_of_image_patches).
        longest = min(limit, size["longest_edge"])
        shortest = min(size["shortest_edge"], longest)
        images.size = {"shortest_edge": shortest, "longest_edge": longest}
    return processor


def image_tokens(processor: Any, width: int, height: int) -> int:
    """How many tokens an image of that size takes."""
    images = processor.image_processor
    patches = int(images.get_number_of_image_patches(height, width, {}))
    return patches // int(images.merge_size) ** 2


def dtype_of(config: Config) -> str:
    """What "auto" stands for on this machine."""
    if config.training.dtype != "auto":
        return config.training.dtype
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bfloat16" if capable else "float32"
