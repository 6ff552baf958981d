"""The timestamps of store calls: real time in milliseconds, strictly rising over all calls of the process."""

from collections.abc import Callable

NowUs = Callable[[], int]
"""The wall clock, in microseconds since the epoch."""


class StoreClock:
    """T = max(now, last T + 1). One for each process: two would give one millisecond twice."""

    def __init__(self, now_us: NowUs) -> None:
        self._now_us = now_us
        self._last_ms = 0

    def next_ms(self) -> int:
        """The timestamp of the next call."""
        self._last_ms = max(self._now_us() // 1000, self._last_ms + 1)
        return self._last_ms
