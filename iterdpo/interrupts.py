"""Ctrl+C and SIGTERM during training: a checkpoint after the step that is running, then the end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback


class SaveAndStop(TrainerCallback):  # type: ignore[misc] # transformers marks no module as typed
    """Asks the trainer to save and stop once a signal has come; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """After each step, when all that a checkpoint holds is in a known state."""
        if self.asked:
            control.should_save = control.should_training_stop = True
        return control

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are caught while this lasts."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
