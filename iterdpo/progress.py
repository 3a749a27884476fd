"""What a run says while it trains: a line for each log entry."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback


class Progress(TrainerCallback):  # type: ignore[misc] # transformers marks no module as typed
    """Says step and loss, and where two sides are compared reward accuracy and margin."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """The trainer has figures."""
        if not state.is_world_process_zero or "loss" not in logs:
            return
        told = f"step {state.global_step}/{state.max_steps}  loss {float(logs['loss']):.4f}"
        if "rewards/margins" in logs:
            told += (
                f"  accuracy {float(logs['rewards/accuracies']):.2f}"
                f"  margin {float(logs['rewards/margins']):+.4f}"
            )
        self._say(told)
