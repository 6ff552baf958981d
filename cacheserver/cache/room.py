"""How mailboxes share the memory of the cache: how much each counts, and which one has to go.

A mailbox of more than an eighth of the limit is large. All large mailboxes together get half of the limit: when they
need more, the least recently used of them goes, but the last one stays, however large it is. Against the small ones
large mailboxes count as half of the limit at most. So a mailbox that is larger than the cache is kept between two
requests like any other, evicts no small one from the other half, and is not read anew for each request. The cache
exceeds its limit by what that one mailbox has beyond the half.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

LARGE_SHARE = 8
LARGE_PART = 2
"""A mailbox is large above limit / LARGE_SHARE; all large mailboxes together get limit / LARGE_PART."""

_Key = TypeVar("_Key")


class Room(Generic[_Key]):
    """Keeps the sizes in bytes of what is in memory, by key, and says what has to go."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._large_from = limit_bytes // LARGE_SHARE
        self._part = limit_bytes // LARGE_PART
        self._large: OrderedDict[_Key, int] = OrderedDict()
        """The sizes of the large keys, the least recently used key first."""
        self._large_bytes = 0
        self.size_bytes = 0

    def note(self, key: _Key, before: int, size: int) -> bool:
        """Notes that `key` had `before` bytes and has `size` now; 0: it is not in memory. Whether it is large."""
        self.size_bytes += size - before
        is_large = size > self._large_from
        if is_large or key in self._large:
            self._large_bytes += (size if is_large else 0) - self._large.pop(key, 0)
            if is_large:
                self._large[key] = size
        return is_large

    def use(self, key: _Key) -> None:
        """Makes a large `key` the most recently used one; does nothing with any other."""
        if key in self._large:
            self._large.move_to_end(key)

    @property
    def is_full(self) -> bool:
        """Whether something has to leave the memory: the least recently used key of all, or `large_to_go`."""
        return self.size_bytes - self._large_bytes + min(self._large_bytes, self._part) > self.limit_bytes

    @property
    def large_to_go(self) -> list[_Key]:
        """The large keys that have to go, the least recently used first; never the most recently used one."""
        over, found = self._large_bytes - self._part, []
        for key, size in list(self._large.items())[:-1]:
            if over <= 0:
                break
            found.append(key)
            over -= size
        return found
