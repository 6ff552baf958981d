"""Lets messages to one recipient go one at a time, in the order of the calls, and remembers when the last one was sent.

Without it a message whose first try failed would be stored after the one that was sent next, and a chat would read
backwards.
"""

import asyncio
import math
from weakref import WeakValueDictionary


class Turn(asyncio.Lock):
    """The turn of one recipient. One message holds it at a time, first come first served (asyncio's locks are fair)."""

    def __init__(self) -> None:
        super().__init__()
        self.answered_s = -math.inf
        """When a message that held the turn was last sent. The patience of the next one counts from there."""


class Turns:
    """A turn for each key that somebody waits for or holds. Other keys take no memory."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    def of(self, key: str) -> Turn:
        """The turn of `key`. All callers get the same one while any of them keeps it."""
        return self._locks.setdefault(key, Turn())
