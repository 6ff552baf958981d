"""Decides where a page of messages ends: after `size` messages, or before its body grows beyond its most bytes.

A page that is asked for by cursor or as a delta may end early, because the next one begins where it ended. A numbered
page may not: the next one begins at pageNumber x pageSize, whatever this one held, so messages would be skipped. Such a
page is refused, and `narrower` gives one that fits. docs/adr/0021-a-page-never-skips.md has the reasons.
"""

from collections.abc import Sequence
from typing import Protocol

from rowbox.mailbox.message import MessageCopy

PAGE_BYTES = 1 << 20
"""The most bytes of an answer's body, where whoever asks does not want fewer."""
TAIL_BYTES = 2_048
"""The most bytes of a body beside its messages: names, a token, and a cursor of up to 1,024 characters."""
ROOM_BYTES = PAGE_BYTES - TAIL_BYTES
"""The bytes of such a body that are left for messages and the commas between them. The largest message takes some
400,000."""

SMALLEST_BYTES = 200
"""A number of bytes that is less than any message takes."""


class Cut(Protocol):
    """A page while it is filled with messages, in their order."""

    room_bytes: int
    has_more: bool
    """Whether the page has ended."""

    def take(self, copy: MessageCopy) -> bool:
        """Takes the next message. False where the page ends before it."""
        ...

    def take_all(self, copies: Sequence[MessageCopy]) -> bool:
        """Does `take` of each message. False where the page ends before the last."""
        ...


class PageCut:
    """A page while it is filled, in the order of its list: at most `size` messages, in a body of at most `max_bytes`.

    One message is always taken.
    """

    __slots__ = ("copies", "has_more", "room_bytes", "size")

    def __init__(self, size: int, max_bytes: int = PAGE_BYTES) -> None:
        self.size = size
        self.copies: list[MessageCopy] = []
        self.room_bytes = max_bytes - TAIL_BYTES
        self.has_more = False

    def take(self, copy: MessageCopy) -> bool:
        """Takes the list's next message into the page. False where the page ends before it: the list has more."""
        needed = len(copy.json) + 1
        if len(self.copies) == self.size or (needed > self.room_bytes and self.copies):
            self.has_more = True
            return False
        self.copies.append(copy)
        self.room_bytes -= needed
        return True

    def take_all(self, copies: Sequence[MessageCopy]) -> bool:
        """Does what `take` of each message would do, only faster. False where the page ends before the last."""
        fitting = copies[: self.size - len(self.copies)]
        needed = sum([len(copy.json) for copy in fitting]) + len(fitting)
        if needed > self.room_bytes:
            return all(map(self.take, copies))
        self.copies += fitting
        self.room_bytes -= needed
        self.has_more = len(fitting) < len(copies)
        return not self.has_more

    def is_full(self) -> bool:
        """Whether no further message can fit. This does not say whether the list has more."""
        return len(self.copies) == self.size or self.room_bytes < SMALLEST_BYTES

    @property
    def is_short(self) -> bool:
        """Whether the page ended with fewer than `size` messages because of its bytes."""
        return self.has_more and len(self.copies) < self.size


def narrower(number: int, size: int, fitting: int) -> tuple[int, int]:
    """The (pageNumber, pageSize) of a page that begins where page `number` of `size` begins, and holds at most
    `fitting` messages.

    It is the largest such size that divides the number of messages before the page, because only then does a page of
    that size begin there.
    """
    skipped = number * size
    fitting = next(count for count in range(fitting, 0, -1) if skipped % count == 0)
    return skipped // fitting, fitting
