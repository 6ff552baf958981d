"""Which conversations of a mailbox tell of something that has ended, found without looking at the others.

A heap of (version, conversationId). Each conversation whose state can end stands in it, at a version that is not above
its `ends_after`. As a rule that only rises while messages and marks come, so nothing is written here then: an entry is
looked at when the horizon reaches it, and goes up to where its conversation's state ends by that time. Where a message
comes with an end of its own that is earlier, its conversation stands here once more. `first` is the lowest entry: below
it nothing has ended, and to ask that is all that a fetch does while it is so.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from rowbox.mailbox.conversation import NEVER

_VERSION_BYTES = 8
_LEAST = -(1 << 62)
"""What ends by itself may stand here below 0: a retention may be longer than the time since 1970."""


def _entry(version: int, conversation_id: bytes) -> bytes:
    return (version - _LEAST).to_bytes(_VERSION_BYTES, "big") + conversation_id


def _version_of(entry: bytes) -> int:
    return int.from_bytes(entry[:_VERSION_BYTES], "big") + _LEAST


class Endings:
    """The heap of one mailbox's conversations that can end."""

    __slots__ = ("_heap", "first")

    def __init__(self) -> None:
        self._heap: list[bytes] = []
        self.first = NEVER

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, conversation_id: bytes, ends_after: int) -> None:
        """Takes in a conversation that was not here, had nothing that could end, or ends earlier now."""
        heappush(self._heap, _entry(ends_after, conversation_id))
        self.first = min(self.first, ends_after)

    def extend(self, endings: Iterable[tuple[int, bytes]]) -> None:
        """Takes in many (ends_after, conversationId), of conversations that were not here."""
        heap = self._heap
        for ends_after, conversation_id in endings:
            heappush(heap, _entry(ends_after, conversation_id))
        self.first = _version_of(heap[0]) if heap else NEVER

    def ended(self, horizon: int, ends_after: Callable[[bytes], int], most: int) -> list[bytes]:
        """Conversations that have ended at `horizon`, looked for in at most `most` entries.

        None has ended where none is found and `first` is above `horizon` then; else there may be more. What has ended
        stays here until its state says so. `ends_after` tells how a conversation's state stands now.
        """
        found: dict[bytes, int] = {}
        for _ in range(most):
            if self.first > horizon:
                break
            conversation_id = self._pop()
            ends = ends_after(conversation_id)
            if ends <= horizon:
                found[conversation_id] = ends
            elif ends != NEVER:
                self.add(conversation_id, ends)
        for conversation_id, ends in found.items():
            self.add(conversation_id, ends)
        return list(found)

    def _pop(self) -> bytes:
        """The conversation of the lowest entry, which may stand here twice: it could not end for a time, or ends
        earlier than it did.
        """
        entry = heappop(self._heap)
        while self._heap and self._heap[0] == entry:
            heappop(self._heap)
        self.first = _version_of(self._heap[0]) if self._heap else NEVER
        return entry[_VERSION_BYTES:]
