"""Which messages of a mailbox an index takes in next: the newest first, over all conversations. Pure."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from rowbox.hbase_schema import keys
from rowbox.mailbox.ids import ID_BYTES


class Part(NamedTuple):
    """The messages of a conversation from one of them on, downwards. Of two parts the one with newer ones sorts first.

    `inverted`: no message of it is newer than that of this id, inverted.
    """

    inverted: bytes
    start: bytes
    """The qualifier where it begins."""
    stop: bytes


class Build:
    """What of a mailbox is not in its index yet."""

    def __init__(self, positions: Iterable[bytes]) -> None:
        """`positions`: of each conversation its newest messageId and, behind that, its own id."""
        self._parts = [
            Part(keys.invert(one[:ID_BYTES]), *keys.message_range(one[ID_BYTES:], None, None)) for one in positions
        ]
        heapify(self._parts)

    @property
    def is_over(self) -> bool:
        """Whether all is in the index."""
        return not self._parts

    def next(self) -> Part:
        """Takes out the part that may have the newest message. IndexError where it is over."""
        return heappop(self._parts)

    def put(self, part: Part) -> None:
        """Has a part come again."""
        heappush(self._parts, part)

    @staticmethod
    def rest(part: Part, following: bytes) -> Part:
        """What is left of a part from a qualifier on."""
        return Part(following[ID_BYTES : 2 * ID_BYTES], following, part.stop)
