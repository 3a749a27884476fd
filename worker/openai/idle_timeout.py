"""Idle time-outs for a task that waits a thousand times a minute."""

import asyncio
from types import TracebackType
from typing import Self


class Silence:
    """Ends a wait of the current task that lasts too long, with TimeoutError; see asyncio.timeout.

    asyncio.timeout makes a timer for each wait: a tenth of what a token costs. Here one timer
    serves all waits of a stream: it checks whether the current wait is over, and sets itself again.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._clock = asyncio.get_running_loop()
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._cancelling = 0

    def at_most(self, wait_s: float) -> Self:
        """Enter it around a wait of at most that many seconds."""
        self._until = self._clock.time() + wait_s
        if self._timer is None or self._timer.when() > self._until:
            self._look_at(self._until)
        return self

    def close(self) -> None:
        """No wait will come any more."""
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> None:
        self._cancelling = self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._until = None
        if (
            self._over
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            # Nobody else has cancelled it meanwhile.
            raise TimeoutError from error

    def _look_at(self, when: float) -> None:
        self.close()
        self._timer = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._clock.time() < self._until:
            self._look_at(self._until)
        else:
            self._over = True
            self._task.cancel()
