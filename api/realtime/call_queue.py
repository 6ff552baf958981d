"""The calls of one connection: how many at once, in which order they begin, and when one has to wait. Pure.

Calls begin only while less than UNWRITTEN_BYTES lie unwritten for this client; calls that read, which answer much, only
while what those under way may answer fits in as well. (One message may be larger than a page; such an answer holds up
those behind it, and there are never two at once.) So a client that asks much and reads nothing costs a bounded piece of
memory. A call that reads may be a poll that is held for long, so nothing else waits for it.

Calls of either sort begin in the order of their frames. So sends reach the owner in the order in which they were
written (P3).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from rowbox.api.http.operation import SOCKET_PAGE_BYTES
from rowbox.api.realtime.frames import Call

MAX_CALLS: Final = 32
"""Calls of one connection that have no reply yet, the waiting ones included."""
UNWRITTEN_BYTES: Final = 512 << 10
ANSWER_BYTES: Final = 1 << 10
"""What any other call answers, about."""
MEMBERS_BYTES: Final = 64 << 10
"""The members of a group."""
USERS_BYTES: Final = 64 << 10
"""Fifty users, each with the longest name and picture's address; or a page of blocks."""
_READS: Final[Mapping[str, int]] = {
    "fetchMessages": SOCKET_PAGE_BYTES,
    "fetchConversation": SOCKET_PAGE_BYTES,
    "fetchChanges": SOCKET_PAGE_BYTES,
    "fetchReceipts": SOCKET_PAGE_BYTES,
    "fetchGroup": MEMBERS_BYTES,
    "fetchUsers": USERS_BYTES,
    "fetchBlocks": USERS_BYTES,
    "fetchHidden": SOCKET_PAGE_BYTES,
}
"""What the calls that answer much may answer."""


class Begun(NamedTuple):
    """A call to begin now; its end is told with `number`."""

    number: int
    call: Call


class CallQueue:
    """The calls of one connection that have no reply yet."""

    __slots__ = ("_begun", "_expected_bytes", "_number", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Call] = []  # an empty deque takes 760 bytes of each idle connection
        self._begun: dict[int, tuple[int, int]] = {}
        """By number: the id for the reply, and the bytes of a page that it may have; 0: it has little."""
        self._expected_bytes = 0
        """Of all pages that were begun."""
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._begun)

    @property
    def wait(self) -> bool:
        """Whether any has not begun."""
        return bool(self._waiting)

    def add(self, call: Call) -> bool:
        """Takes a call in. False, and nothing is changed, where there are MAX_CALLS."""
        if len(self) >= MAX_CALLS:
            return False
        self._waiting.append(call)
        return True

    def begin(self, unwritten_bytes: int) -> list[Begun]:
        """The calls that begin now, in the order of their frames."""
        begun: list[Begun] = []
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            page_bytes = _READS.get(call.do, 0)
            expected_bytes = self._expected_bytes + page_bytes if page_bytes else ANSWER_BYTES
            if unwritten_bytes + expected_bytes > UNWRITTEN_BYTES:
                self._waiting.append(call)  # and so does each one of its sort behind it
                continue
            self._number += 1
            self._begun[self._number] = (call.id, page_bytes)
            self._expected_bytes += page_bytes
            begun.append(Begun(self._number, call))
        return begun

    def ended(self, number: int) -> int:
        """The call of this number has its answer. Returns the id for the reply."""
        call_id, size = self._begun.pop(number)
        self._expected_bytes -= size
        return call_id
