"""A bound on what may wait in one place: a number of things, and their bytes.

The first half of the budget is for anybody. Once half is taken, nobody gets more than an eighth of the whole: one
user's flood takes half at most, and everybody else goes on in the other half.
"""

import sys
from collections.abc import Callable
from typing import Final

SHARES = 8


class Budget:
    """Counts what waits: `most` things and `most_bytes` at once. A thing alone is let in whatever its size."""

    __slots__ = ("count", "most", "most_bytes", "size_bytes")

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.count = 0
        self.size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is let in, of anybody."""
        return self.count >= self.most or self.size_bytes >= self.most_bytes

    @property
    def is_half_full(self) -> bool:
        """Whether half is taken, so that nobody gets more than a share of one in SHARES."""
        return 2 * self.count >= self.most or 2 * self.size_bytes >= self.most_bytes

    def refuses(self, own_count: int, own_bytes: int) -> bool:
        """Whether there is no room for one more thing of somebody of whom so many things and bytes wait already."""
        if 2 * self.count < self.most and 2 * self.size_bytes < self.most_bytes:
            return False
        return self.is_full or own_count * SHARES >= self.most or own_bytes * SHARES >= self.most_bytes

    def add(self, size_bytes: int, count: int = 1) -> None:
        """Counts one more thing that waits, or one that stands for `count` of them."""
        self.count += count
        self.size_bytes += size_bytes

    def remove(self, size_bytes: int, count: int = 1) -> None:
        """Counts one thing less, of `size_bytes` and `count` as it was added with."""
        self.count -= count
        self.size_bytes -= size_bytes


text_bytes: Final[Callable[[str], int]] = sys.getsizeof
"""What a text takes in memory, in bytes: at least two thirds of what it takes on its way to a store."""
