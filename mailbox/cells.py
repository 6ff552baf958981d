"""What a mailbox is made of in the store, as typed cells. Keys and bytes are hbase_schema's.

Every cell names the epoch and the version of the mutation that wrote it (an index cell: of each state in it), so that
a reader can tell by the fence whether it counts.
"""

from enum import IntEnum

import msgspec

from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import Fence, Stamp
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Revocation


class ChangeKind(IntEnum):
    """What a log entry tells of. Numbers are stored: never reuse one."""

    MESSAGE = 1
    READ_MARK = 2
    EXPIRY = 3
    """Retention took messages that a conversation's state told of: its snippet's, or unread ones. Names no message."""


class IndexCell(msgspec.Struct, frozen=True, gc=False):
    """The state of a conversation after a mutation, and the one before that whole mutation.

    The second is what counts when the first turns out to be the late write of a replaced owner: the cell is
    overwritten in place within an epoch. None where no write can be late.
    """

    conversation_id: bytes
    epoch: int
    current: Conversation
    previous: Conversation | None


def states_of(cell: IndexCell) -> list[Conversation]:
    """Its one or two states, the current one first."""
    return [cell.current] if cell.previous is None else [cell.current, cell.previous]


class RevocationCell(msgspec.Struct, frozen=True, gc=False):
    """Which of the user's tokens are revoked, and which were before that mutation: two states, as of an IndexCell."""

    epoch: int
    current: Revocation
    previous: Revocation | None


class UnknownIndexCell(msgspec.Struct, frozen=True, gc=False):
    """An index cell of a kind that only a newer Rowbox knows, which owned the row before. Only its stamps are read.

    Its versions count for the row's head, or this owner would give them a second time. It is never removed.
    """

    kind: bytes
    """The first byte of its qualifier."""
    epoch: int
    current: Stamp
    previous: Stamp | None


class FenceCell(msgspec.Struct, frozen=True, gc=False):
    """The fence list, in the cell of the epoch that claimed the row with it."""

    epoch: int
    fence: Fence


class MessageCell(msgspec.Struct, frozen=True, gc=False):
    """One copy of a message. `client_message_id` only in its sender's own."""

    conversation_id: bytes
    message_id: bytes
    epoch: int
    version: int
    sender_id: str
    content: str
    client_message_id: str | None


class LogCell(msgspec.Struct, frozen=True, gc=False):
    """One change of the mailbox: of what kind, and which message (the new one, or the new read mark).

    Of a kind that only a newer Rowbox knows there is its number, and both ids are empty.
    """

    version: int
    epoch: int
    kind: ChangeKind | int
    conversation_id: bytes
    message_id: bytes


class DedupeCell(msgspec.Struct, frozen=True, gc=False):
    """What became of a send, under the hash of its clientMessageId."""

    client_id_hash: bytes
    epoch: int
    version: int
    message_id: bytes
    conversation_id: bytes
    payload_hash: bytes


class OutboxCell(msgspec.Struct, frozen=True, gc=False):
    """A sent message that not every recipient is known to have."""

    message_id: bytes
    epoch: int
    version: int
    message: Message

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it still goes to: everybody in it but its sender."""
        return tuple(user for user in self.message.participants if user != self.message.sender_id)


Cell = IndexCell | FenceCell | RevocationCell | MessageCell | LogCell | DedupeCell | OutboxCell
