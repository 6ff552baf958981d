"""What may wait in one place: so many things, and so many bytes of them.

Up to half of it is for anybody. Beyond that nobody may hold more than an eighth: one user's flood takes half at most,
and everybody else goes on in the other half.
"""

import sys
from collections.abc import Callable
from typing import Final

SHARES = 8


class Budget:
    """Counts what waits. `most` things and `most_bytes` at once; a single thing is let in whatever its size."""

    __slots__ = ("count", "most", "most_bytes", "size_bytes")

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.count = 0
        self.size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether there is room for nobody."""
        return self.count >= self.most or self.size_bytes >= self.most_bytes

    @property
    def is_half_full(self) -> bool:
        """Whether shares hold."""
        return 2 * self.count >= self.most or 2 * self.size_bytes >= self.most_bytes

    def refuses(self, own_count: int, own_bytes: int) -> bool:
        """Whether there is no room for one more of somebody who holds so much already."""
        if 2 * self.count < self.most and 2 * self.size_bytes < self.most_bytes:
            return False
        return self.is_full or own_count * SHARES >= self.most or own_bytes * SHARES >= self.most_bytes

    def add(self, size_bytes: int) -> None:
        """One more waits."""
        self.count += 1
        self.size_bytes += size_bytes

    def remove(self, size_bytes: int) -> None:
        """One that waited does not any more."""
        self.count -= 1
        self.size_bytes -= size_bytes


text_bytes: Final[Callable[[str], int]] = sys.getsizeof
"""What a text takes in memory; about as much on its way to a store, and never less by more than a third."""
