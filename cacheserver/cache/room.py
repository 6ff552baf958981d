"""How the memory for mailboxes is shared: what counts, and who is in the way.

A mailbox of more than an eighth of the whole is large. Large ones together get half: when they need more, the least
recently used of them goes, and one always stays, however large it is. For the others a large one takes the half at
most. So a mailbox that is larger than the cache is kept between two requests like any other, evicts nobody from the
other half, and is not read anew for each request; the limit is exceeded by what one mailbox has beyond the half.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

LARGE_SHARE = 8
LARGE_PART = 2
"""Large is more than one in LARGE_SHARE of the limit; all large ones get one in LARGE_PART of it."""

_Key = TypeVar("_Key")


class Room(Generic[_Key]):
    """The sizes of what is in memory, by key."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._large_from = limit_bytes // LARGE_SHARE
        self._part = limit_bytes // LARGE_PART
        self._large: OrderedDict[_Key, int] = OrderedDict()
        """The least recently used one first."""
        self._large_bytes = 0
        self.size_bytes = 0

    def note(self, key: _Key, before: int, size: int) -> bool:
        """Something had `before` bytes and has `size` now; 0 is none. Whether it is large."""
        self.size_bytes += size - before
        is_large = size > self._large_from
        if is_large or key in self._large:
            self._large_bytes += (size if is_large else 0) - self._large.pop(key, 0)
            if is_large:
                self._large[key] = size
        return is_large

    def use(self, key: _Key) -> None:
        """It is the most recently used one now."""
        if key in self._large:
            self._large.move_to_end(key)

    @property
    def is_full(self) -> bool:
        """Whether somebody has to go: the least recently used one of all, or `large_to_go`."""
        return self.size_bytes - self._large_bytes + min(self._large_bytes, self._part) > self.limit_bytes

    @property
    def large_to_go(self) -> list[_Key]:
        """The large ones that are too many, the least recently used first; never the last one that was used."""
        over, found = self._large_bytes - self._part, []
        for key, size in list(self._large.items())[:-1]:
            if over <= 0:
                break
            found.append(key)
            over -= size
        return found
