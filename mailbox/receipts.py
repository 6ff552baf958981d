"""Receipts: up to where somebody's devices have what was sent to him, and he has read it.

A receipt is a watermark, a messageId: it says the same of everything before it. So it is a state and no event: the
newest says all that those before it said, and of two the greater mark counts, whichever comes first. Losing one,
telling one twice or in another order does no harm, as long as the newest comes once.

    what a reader has read       is in his own row (Conversation.read_mark), and nowhere else decided
    what his devices have        is proven by the tokens that they come back with; no row keeps it
    what an author knows of it   is in the author's row: `delivered` and `read` of his ReceiptMarks
    what the author's row knows  is noted in the reader's: `told_read`, once that row has confirmed it

`told_read` is never above `read` of the other row, so what was not told is told again by whoever owns the reader's row
next. In a group the group's row is told, and keeps MemberMarks of each of its members; authors ask it.
docs/adr says why (receipts are watermarks); tests/model/receipts searches for a violation.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

MOST_MOVES: Final = 4
"""Of one member's read mark, of which a group's row knows when they were."""


class Receipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a reader's owner tells the author's row of a conversation, or the group's. A new field comes last.

    `delivered` is not below `read`; b"": nothing. `read_us`: when he read up to there; 0: nobody knows.
    """

    conversation_id: bytes
    reader_id: str
    delivered: bytes
    read: bytes = b""
    read_us: int = 0


class ReceiptMarks(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a row knows of the other one's marks, and what it has told of its own. b"": nothing.

    `shown` is the version of the newest change that clients see: of `delivered`, `read` and `read_us`. A change of
    `told_read` alone is none.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    delivered: bytes = b""
    read: bytes = b""
    read_us: int = 0
    shown: int = 0
    told_read: bytes = b""


NO_MARKS = ReceiptMarks(0, 0)


class MemberReceipt(msgspec.Struct, frozen=True, array_like=True):
    """What another participant has of a message. `read_us`: when he read it; 0: not, or not known any more."""

    user_id: str
    is_delivered: bool
    is_read: bool
    read_us: int = 0


class Move(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A read mark came to `up_to` at `at_us`; 0: nobody knows when."""

    up_to: bytes
    at_us: int


class MemberMarks(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """In a group's row: up to where one of its members has the group's messages and has read them. b"": nothing.

    `moves` are the newest of his read mark, the lowest first: the last one is where it is. `delivered` may be below.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    user_id: str
    delivered: bytes = b""
    moves: tuple[Move, ...] = ()

    @property
    def read(self) -> bytes:
        """Up to where he has read."""
        return self.moves[-1].up_to if self.moves else b""

    def with_receipt(self, receipt: Receipt) -> "MemberMarks":
        """The marks once more is told of him: the same ones where that is no news. In whichever order it comes."""
        delivered = max(self.delivered, receipt.delivered)
        moves = self.moves
        if receipt.read:
            known = {move.up_to: move.at_us for move in moves}
            before_us = known.get(receipt.read, 0)
            known[receipt.read] = receipt.read_us if _is_earlier(receipt.read_us, before_us) else before_us
            moves = tuple(Move(*one) for one in sorted(known.items())[-MOST_MOVES:])
        if (delivered, moves) == (self.delivered, self.moves):
            return self
        return replace(self, delivered=delivered, moves=moves)

    def of(self, message_id: bytes) -> MemberReceipt:
        """What he has of a message that he got. When he read it is known of those of the newest moves."""
        is_read = message_id <= self.read
        is_delivered = is_read or message_id <= self.delivered
        return MemberReceipt(self.user_id, is_delivered, is_read, self._read_us(message_id) if is_read else 0)

    def _read_us(self, message_id: bytes) -> int:
        place = sum(move.up_to < message_id for move in self.moves)
        is_older = not place and len(self.moves) == MOST_MOVES  # moves before these are forgotten: maybe one of them
        return 0 if is_older else self.moves[place].at_us


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The marks that an author sees. Of two, `joined` is what both say together, in whichever order they come."""

    delivered: bytes
    read: bytes
    read_us: int

    def joined(self, other: "Seen") -> "Seen":
        """The greater marks. Of one mark that was told with two times the earlier one counts: it was told first."""
        read, read_us = other.read, other.read_us
        if self.read > other.read or (self.read == other.read and _is_earlier(self.read_us, other.read_us)):
            read, read_us = self.read, self.read_us
        return Seen(max(self.delivered, other.delivered, read), read, read_us)


def seen_in(marks: ReceiptMarks | Receipt) -> Seen:
    """What the author sees by these marks, or is to see by a receipt."""
    return Seen(max(marks.delivered, marks.read), marks.read, marks.read_us)


def joined(one: Receipt, other: Receipt) -> Receipt:
    """What two receipts of one reader and conversation say together."""
    seen = seen_in(one).joined(seen_in(other))
    return Receipt(one.conversation_id, one.reader_id, seen.delivered, seen.read, seen.read_us)


def says_more(receipt: Receipt, told: Receipt) -> bool:
    """Whether a receipt has a greater mark than one that was told."""
    return receipt.delivered > told.delivered or receipt.read > told.read


def shown_versions(marks: Mapping[bytes, ReceiptMarks]) -> Iterator[tuple[bytes, int]]:
    """With which version clients were last shown something of the marks of each conversation."""
    return ((conversation_id, one.shown) for conversation_id, one in marks.items() if one.shown)


def _is_earlier(one_us: int, other_us: int) -> bool:
    return one_us > 0 and (one_us <= other_us or other_us == 0)
