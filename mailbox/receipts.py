"""Receipts of a conversation of two: up to where the other one's devices have what was sent to him, and he has read it.

A receipt is a watermark, a messageId: it says the same of everything before it. So it is a state and no event: the
newest says all that those before it said, and of two the greater mark counts, whichever comes first. Losing one,
telling one twice or in another order does no harm, as long as the newest comes once.

    what a reader has read       is in his own row (Conversation.read_mark), and nowhere else decided
    what his devices have        is proven by the tokens that they come back with; no row keeps it
    what an author knows of it   is in the author's row: `delivered` and `read` of his ReceiptMarks
    what the author's row knows  is noted in the reader's: `told_read`, once that row has confirmed it

`told_read` is never above `read` of the other row, so what was not told is told again by whoever owns the reader's row
next. docs/adr says why (receipts are watermarks); tests/model/receipts searches for a violation.
"""

from collections.abc import Iterator, Mapping

import msgspec


class Receipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a reader's owner tells the author's row of a conversation. A new field comes last, with a default.

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
