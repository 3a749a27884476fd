"""The engine for vLLM and any other OpenAI-compatible server with assistant prefill."""

from worker.openai.chat import Ask
from worker.openai.connection import Patience
from worker.openai.deltas import ModelDelta, Usage
from worker.openai.engine import OpenAIEngine
from worker.openai.images import ImageFile, ImageSource
from worker.openai.sampling import Sampling

__all__ = [
    "Ask",
    "ImageFile",
    "ImageSource",
    "ModelDelta",
    "OpenAIEngine",
    "Patience",
    "Sampling",
    "Usage",
]
