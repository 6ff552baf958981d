"""One at a time for each recipient, in the order of the calls, and when the last one of these had its answer.

Without it a message whose first try failed would be stored after the one that was sent next, and a chat would read
backwards.
"""

import asyncio
import math
from weakref import WeakValueDictionary


class Turn(asyncio.Lock):
    """Held by one at a time, first come first served (asyncio's locks are fair)."""

    def __init__(self) -> None:
        super().__init__()
        self.answered_s = -math.inf
        """When one that held it succeeded last: how long the server has been away is counted from there."""


class Turns:
    """A turn for each key that somebody waits for or holds; the others take no room."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    def of(self, key: str) -> Turn:
        """The same one for as long as it is in use."""
        return self._locks.setdefault(key, Turn())
