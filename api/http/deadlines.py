"""Many waits that are all equally long, under one timer: a timer of its own costs each some 0.7 KB and 10 us."""

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Deadlines(Generic[_T]):
    """Calls `expire(item)` for each item that is not stopped within `after_s` of its start. Items are hashable."""

    def __init__(self, after_s: float, expire: Callable[[_T], None]) -> None:
        self._after_s = after_s
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._due: dict[_T, float] = {}
        """In the order in which they end, because all are equally long."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self, item: _T) -> None:
        """Begins an item's time, or begins it anew."""
        self._due.pop(item, None)
        self._due[item] = self._loop.time() + self._after_s
        if self._timer is None:
            self._timer = self._loop.call_later(self._after_s, self._end)

    def stop(self, item: _T) -> None:
        """Forgets an item; one that is unknown, too."""
        self._due.pop(item, None)

    def close(self) -> None:
        """Forgets all of them."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        now = self._loop.time()
        over = list(takewhile(lambda item: self._due[item] <= now, self._due))
        for item in over:
            del self._due[item]
        first = next(iter(self._due), None)
        self._timer = None if first is None else self._loop.call_at(self._due[first], self._end)
        for item in over:
            self._expire(item)
