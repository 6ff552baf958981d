"""What of a connection's bytes the system has not taken yet, and whether it still moves. Pure."""

import math
from typing import Final

WRITABLE_BYTES: Final = 64 << 10
"""While more lies unwritten, no delta is begun: what changes meanwhile is one delta later."""


class Writing:
    """The bytes of one connection. One that takes nothing for `patience_s`, while something lies unwritten, is to be
    given up; one that takes them slowly is not.
    """

    __slots__ = ("_emitted_bytes", "_patience_s", "_written_bytes", "due_s", "unwritten_bytes")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._emitted_bytes = self._written_bytes = 0
        self.unwritten_bytes = 0
        self.due_s = math.inf
        """When the connection is to be given up, if nothing is taken before."""

    @property
    def has_room(self) -> bool:
        """Whether a delta may be begun."""
        return self.unwritten_bytes < WRITABLE_BYTES

    def writes(self, size_bytes: int) -> None:
        """So many bytes go to the client."""
        self._emitted_bytes += size_bytes

    def lies(self, size_bytes: int, now_s: float) -> None:
        """So many of all bytes lie unwritten now. To be told after each write that leaves any, when none are left, and
        before it is asked whether the time is over.
        """
        written_bytes = self._emitted_bytes - size_bytes
        has_moved = written_bytes > self._written_bytes
        self.unwritten_bytes, self._written_bytes = size_bytes, written_bytes
        if not size_bytes:
            self.due_s = math.inf
        elif has_moved or self.due_s == math.inf:
            self.due_s = now_s + self._patience_s
