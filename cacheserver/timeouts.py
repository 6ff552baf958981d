"""The ends of many waits under one timer: with uvloop, one of its own costs each wait 0.66 KB and 10 us."""

import asyncio
import math
from collections.abc import Callable
from typing import Generic, TypeVar

STEP_S = 0.1
"""How much too late a wait may end; never too early."""

_T = TypeVar("_T")


class Timeouts(Generic[_T]):
    """Calls `expire(item)` for each item when its time is over, unless it was removed before. Items are hashable."""

    def __init__(self, expire: Callable[[_T], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, set[_T]] = {}
        """By the number of the step at whose beginning they are due."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_step = 0

    def add(self, item: _T, timeout_s: float) -> int:
        """Takes in an item; the answer is what `remove` wants to know."""
        step = math.ceil((self._loop.time() + timeout_s) / STEP_S)
        self._due.setdefault(step, set()).add(item)
        if self._timer is None or step < self._timer_step:
            self._set_timer(step)
        return step

    def remove(self, item: _T, step: int) -> None:
        """Forgets an item that was added; one that is due already, too."""
        due = self._due.get(step)
        if due is not None:
            due.discard(item)
            if not due:
                del self._due[step]

    def _set_timer(self, step: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_step = step
        self._timer = self._loop.call_at(step * STEP_S, self._end_step)

    def _end_step(self) -> None:
        self._timer = None
        for item in self._due.pop(self._timer_step, ()):
            self._expire(item)
        if self._due:
            self._set_timer(min(self._due))
