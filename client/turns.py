"""One at a time for each recipient, in the order of the calls.

Without it a message whose first try failed would be stored after the one that was sent next, and a chat would read
backwards.
"""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """A queue for each key that somebody waits for or holds; the others take no room."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    def of(self, key: str) -> asyncio.Lock:
        """Held by one at a time, first come first served (asyncio's locks are fair). It lives while it is in use."""
        return self._locks.setdefault(key, asyncio.Lock())
