"""Log lines of which an outage would make thousands: one of each kind in EVERY_S, which says how many there were.

What is counted here is bounded by the kinds, which are the caller's: types of errors, never what somebody sent.
"""

from collections.abc import Callable, Hashable
from typing import Final

EVERY_S: Final = 10.0


class Rarely:
    """Whether another line of a kind is due: the first at once, then one in EVERY_S at most. `now_s` gives seconds."""

    def __init__(self, now_s: Callable[[], float], every_s: float = EVERY_S) -> None:
        self._now_s = now_s
        self._every_s = every_s
        self._said_at_s: dict[Hashable, float] = {}
        self._unsaid: dict[Hashable, int] = {}

    def count(self, kind: Hashable) -> int:
        """Counts one more event of a kind. Returns how many events the line to log now stands for; 0: log no line."""
        number, now_s = self._unsaid.get(kind, 0) + 1, self._now_s()
        if now_s - self._said_at_s.get(kind, float("-inf")) < self._every_s:
            self._unsaid[kind] = number
            return 0
        self._said_at_s[kind], self._unsaid[kind] = now_s, 0
        return number
