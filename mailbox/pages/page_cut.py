"""Where a page of messages ends: after so many messages, or before it grows beyond 1 MiB.

A page that ends early is no fault by cursor and in a delta: the next one begins where it ended. By number the next one
begins at pageNumber x pageSize whatever this one held, so there an early end would skip messages, and is refused
(`narrower`). See docs/adr/0021-a-page-never-skips.md.
"""

from collections.abc import Sequence

from rowbox.mailbox.message import MessageCopy

PAGE_BYTES = 1 << 20
"""An answer's body, at most."""
TAIL_BYTES = 2_048
"""What stands in a body beside its messages: names, a token, and a cursor of 1,024 characters at most."""
ROOM_BYTES = PAGE_BYTES - TAIL_BYTES
"""What is left for messages and the commas between them. The largest message takes some 400,000 bytes."""

SMALLEST_BYTES = 200
"""Less than any message takes."""


class PageCut:
    """A page of at most `size` messages while it is filled, in the order of its list. One message is always taken."""

    __slots__ = ("copies", "has_more", "room_bytes", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.copies: list[MessageCopy] = []
        self.room_bytes = ROOM_BYTES
        self.has_more = False

    def take(self, copy: MessageCopy) -> bool:
        """Takes in the list's next message; False when the page ends before it: the list has more."""
        needed = len(copy.json) + 1
        if len(self.copies) == self.size or (needed > self.room_bytes and self.copies):
            self.has_more = True
            return False
        self.copies.append(copy)
        self.room_bytes -= needed
        return True

    def take_all(self, copies: Sequence[MessageCopy]) -> bool:
        """As `take` of each, which is slower; False when the page ends before the last."""
        fitting = copies[: self.size - len(self.copies)]
        needed = sum([len(copy.json) for copy in fitting]) + len(fitting)
        if needed > self.room_bytes:
            return all(map(self.take, copies))
        self.copies += fitting
        self.room_bytes -= needed
        self.has_more = len(fitting) < len(copies)
        return not self.has_more

    def is_full(self) -> bool:
        """Whether no message fits any more; whether the list has more is another question."""
        return len(self.copies) == self.size or self.room_bytes < SMALLEST_BYTES

    @property
    def is_short(self) -> bool:
        """Whether it ended for its bytes, with fewer than `size` messages."""
        return self.has_more and len(self.copies) < self.size


def narrower(number: int, size: int, fitting: int) -> tuple[int, int]:
    """The (pageNumber, pageSize) that begins where page `number` of `size` begins, and holds `fitting` at most.

    The largest such size: a page of it begins there only if it divides the messages before.
    """
    skipped = number * size
    fitting = next(count for count in range(fitting, 0, -1) if skipped % count == 0)
    return skipped // fitting, fitting
