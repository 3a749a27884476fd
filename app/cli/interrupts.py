"""Ctrl+C: at whatever moment it comes, the command ends with status 130 and no trace.

Python makes it a KeyboardInterrupt wherever the program happens to be. While modules load, and
when the work is done, nothing is there to clean up: the process ends at once. In between, what
cleans up after the interrupt may fail itself (a connection that was left in the middle of a query),
and the failure would be told instead of the interrupt; or the interrupt comes in a destructor,
where Python prints it and goes on. So the signal is remembered.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STATUS = 130
_AGAIN_S = 0.05


class _Signal:
    def __init__(self) -> None:
        self.came = False
        self.held = False


_signal = _Signal()


def leave_at_once() -> None:
    """From now on an interrupt ends the process: there is nothing to clean up."""
    _on_interrupt(_leave)


def clean_up_first() -> None:
    """From now on an interrupt is a KeyboardInterrupt, remembered in `came`."""
    _signal.came = False
    sys.unraisablehook = _unraisable
    _on_interrupt(_raise)


def came() -> bool:
    """True once an interrupt has come."""
    return _signal.came


@contextmanager
def held() -> Iterator[None]:
    """Let one interrupt wait until the end of the block, which must be short; a second does not."""
    before = _signal.came
    _signal.held = True
    try:
        yield
    finally:
        _signal.held = False
    if _signal.came and not before:
        raise KeyboardInterrupt


def _on_interrupt(act: Callable[[int, FrameType | None], None]) -> None:
    # A shell starts background jobs with SIGINT ignored, and they stay so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, act)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(STATUS)


def _raise(number: int, frame: FrameType | None) -> None:
    waits = _signal.held and not _signal.came
    _signal.came = True
    if not waits:
        raise KeyboardInterrupt


def _unraisable(lost: Any) -> None:
    """Python could not pass this exception on; an interrupt comes again a moment later."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)
