"""vLLM on this machine, started and supervised by the worker."""

from worker.vllm.engine import VllmEngine, vllm_engine
from worker.vllm.server import Launch, State, VllmServer

__all__ = ["Launch", "State", "VllmEngine", "VllmServer", "vllm_engine"]
