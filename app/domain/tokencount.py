"""How many tokens an image and a text take in a model's prompt, without loading the model."""

import math
from dataclasses import dataclass

from app.domain.prompts import Template

# A text's tokens are estimated from its length: Qwen counts 3 to 4 characters of English and 1.5
# to 1.8 of Chinese to a token ("Key Concepts" of its documentation); the smaller numbers here, so
# that a budget that holds by the estimate holds in truth.
ASCII_PER_TOKEN = 3.0
OTHER_PER_TOKEN = 1.5
# <|im_start|>, role, newline, <|im_end|>, newline for each turn, the default system text.
TURNS = 24


@dataclass(frozen=True, slots=True)
class Vision:
    """How a model family cuts images: a token for each square of `factor` pixels, after an image
    was scaled to between min_pixels and max_pixels. context: tokens the model can read at all."""

    factor: int
    min_pixels: int
    max_pixels: int
    context: int


# preprocessor_config.json and config.json (max_position_embeddings) of Qwen2.5-VL-7B-Instruct and
# Qwen3-VL-8B-Instruct: patches of 14 and 16 pixels, 2 x 2 of them merged to a token.
VISION = {
    Template.QWEN2_5_VL: Vision(28, 56 * 56, 16384 * 28 * 28, 128_000),
    Template.QWEN3_VL: Vision(32, 256 * 256, 4096 * 4096, 262_144),
}


def image_tokens(width: int, height: int, vision: Vision) -> int:
    """Tokens of an image with its two marks (transformers, image_processing_qwen2_vl.py,
    smart_resize: both sides rounded to the factor, the area brought between the limits)."""
    factor = vision.factor
    high = max(factor, round(height / factor) * factor)
    wide = max(factor, round(width / factor) * factor)
    if high * wide > vision.max_pixels:
        beta = math.sqrt(height * width / vision.max_pixels)
        high = max(factor, math.floor(height / beta / factor) * factor)
        wide = max(factor, math.floor(width / beta / factor) * factor)
    elif high * wide < vision.min_pixels:
        beta = math.sqrt(vision.min_pixels / (height * width))
        high = math.ceil(height * beta / factor) * factor
        wide = math.ceil(width * beta / factor) * factor
    return (high // factor) * (wide // factor) + 2


def text_tokens(text: str) -> float:
    """The estimate for a text; sums of parts are the estimate of the whole."""
    if text.isascii():
        return len(text) / ASCII_PER_TOKEN
    # Two bytes more for each Chinese character, one for an accented letter, three for an emoji.
    other = (len(text.encode("utf-8", "surrogatepass")) - len(text)) / 2
    return (len(text) - other) / ASCII_PER_TOKEN + other / OTHER_PER_TOKEN
