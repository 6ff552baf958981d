"""The newest messages of one conversation, kept ready to be sent.

A window holds EVERY message of its conversation with a messageId greater than `floor`, ascending; ZERO_ID as floor
means that it reaches back to the first one. It may be filled from below by a read that ran while messages came in:
what sorts above the floor was added meanwhile, and what sorted at or below it, or had to leave again, is counted in
`missed`, which makes the fill void.
"""

from bisect import bisect_left
from collections.abc import Sequence

from rowbox.mailbox.conversation import NEVER, Unread, unread_of
from rowbox.mailbox.ids import ZERO_ID, is_quiet
from rowbox.mailbox.message import MessageCopy

COPY_OVERHEAD_BYTES = 200
"""A MessageCopy beside its JSON: the tuple, two bytes objects, an int, a place in the list (sys.getsizeof)."""


def _by_id(copy: MessageCopy) -> bytes:
    return copy.message_id


def copy_bytes(copy: MessageCopy) -> int:
    """How many bytes a copy takes in memory."""
    return len(copy.json) + COPY_OVERHEAD_BYTES


def _is_there(copy: MessageCopy, horizon: int, now_us: int) -> bool:
    return copy.came > horizon and not 0 < copy.expires_us <= now_us


class Window:
    """The newest messages of one conversation.

    It keeps itself within `limit` messages and `limit_bytes`, but for one message.

    Not thread-safe.
    """

    __slots__ = ("copies", "first_end", "first_version", "floor", "limit", "limit_bytes", "missed", "size_bytes")

    def __init__(self, floor: bytes, limit: int, limit_bytes: int) -> None:
        self.copies: list[MessageCopy] = []
        self.floor = floor
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.missed = 0
        self.size_bytes = 0
        self.first_version = NEVER
        """No copy here came with a lower one: messages that came late sort among older ones, and expire after them."""
        self.first_end = NEVER
        """No copy here that has an end of its own ends earlier."""

    def restore(self, copies: list[MessageCopy]) -> None:
        """Takes in what another window with the same floor held. To be called of a new window only."""
        self.copies = copies
        self.size_bytes = sum(map(copy_bytes, copies))
        self._note_first()
        self._trim()

    def add(self, copy: MessageCopy) -> None:
        """Takes in a message that the conversation just got."""
        if copy.message_id <= self.floor:
            self.missed += 1
            return
        if not self.copies or copy.message_id > self.copies[-1].message_id:
            self.copies.append(copy)
        else:
            self.copies.insert(bisect_left(self.copies, copy.message_id, key=_by_id), copy)
        self.size_bytes += copy_bytes(copy)
        self.first_version = min(self.first_version, copy.came)
        if copy.expires_us:
            self.first_end = min(self.first_end, copy.expires_us)
        self._trim()

    def replace(self, copy: MessageCopy) -> None:
        """Takes in what a message of the conversation was changed to."""
        if copy.message_id <= self.floor:
            self.missed += 1  # a read under way may have the message as it was
            return
        place = bisect_left(self.copies, copy.message_id, key=_by_id)
        if place < len(self.copies) and self.copies[place].message_id == copy.message_id:
            self.size_bytes += copy_bytes(copy) - copy_bytes(self.copies[place])
            self.copies[place] = copy
            self._trim()

    def fill(self, older: Sequence[MessageCopy], floor: bytes, missed_before: int) -> bool:
        """Extends the window downwards to `floor` by `older` (ascending; all there is between); False when void.

        `missed_before` is `missed` as it was when the read of `older` began.
        """
        if self.missed != missed_before or floor >= self.floor:
            return False
        fresh = [copy for copy in older if copy.message_id <= self.floor]
        self.copies[:0] = fresh
        self.size_bytes += sum(map(copy_bytes, fresh))
        self._note_first()
        self.floor = floor
        self._trim()
        return True

    def newest(self, below: bytes | None, count: int) -> list[MessageCopy]:
        """The `count` newest messages under `below`, newest first; fewer where `floor` comes before."""
        end = len(self.copies) if below is None else bisect_left(self.copies, below, key=_by_id)
        return self.copies[max(0, end - count) : end][::-1]

    @property
    def is_whole(self) -> bool:
        """Whether the conversation has no message that is not here."""
        return self.floor == ZERO_ID

    @property
    def room(self) -> int:
        """How many messages may still be added below: none where the bytes are used up."""
        return self.limit - len(self.copies) if self.size_bytes < self.limit_bytes else 0

    def get(self, message_id: bytes) -> MessageCopy | None:
        """The copy of a message; None where the window does not hold it."""
        place = bisect_left(self.copies, message_id, key=_by_id)
        if place < len(self.copies) and self.copies[place].message_id == message_id:
            return self.copies[place]
        return None

    def covers(self, message_id: bytes) -> bool:
        """Whether a message with this id would be here if the conversation had it."""
        return message_id > self.floor

    def unread_above(self, message_id: bytes, horizon: int, now_us: int, *, is_group: bool = False) -> Unread:
        """The messages that sort after `message_id` and are there at `horizon`, which is that of `now_us`; of a group
        those that are not quiet.

        To be asked of ids from `floor` on.
        """
        start = bisect_left(self.copies, message_id + b"\x00", key=_by_id)
        behind = [copy for copy in self.copies[start:] if _is_there(copy, horizon, now_us)]
        if is_group:
            behind = [copy for copy in behind if not is_quiet(copy.message_id)]
        return unread_of([(copy.came, copy.expires_us) for copy in behind])

    def drop_expired(self, horizon: int, now_us: int) -> None:
        """Forgets the messages that have ended: retention has taken them by `horizon`, or they end by `now_us`."""
        if self.first_version <= horizon or self.first_end <= now_us:
            self.copies = [copy for copy in self.copies if _is_there(copy, horizon, now_us)]
            self.size_bytes = sum(map(copy_bytes, self.copies))
            self._note_first()

    def _note_first(self) -> None:
        self.first_version = min((copy.came for copy in self.copies), default=NEVER)
        self.first_end = min((copy.expires_us for copy in self.copies if copy.expires_us), default=NEVER)

    def _trim(self) -> None:
        while len(self.copies) > self.limit or (self.size_bytes > self.limit_bytes and len(self.copies) > 1):
            gone = self.copies.pop(0)
            self.floor = gone.message_id
            self.missed += 1  # a read under way may be older than what leaves: filled under it, the window had a hole
            self.size_bytes -= copy_bytes(gone)
