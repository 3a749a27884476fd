"""vLLM on this machine, started and supervised by the worker."""

from worker.vllm.engine import VllmEngine, vllm_engine
from worker.vllm.server import Launch, State, VllmServer, find_program

__all__ = ["Launch", "State", "VllmEngine", "VllmServer", "find_program", "vllm_engine"]
