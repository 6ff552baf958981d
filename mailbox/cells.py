"""What a mailbox is made of in the store, as typed cells, and its index' kinds. Keys and bytes are hbase_schema's.

Every cell names the epoch and the version of the mutation that wrote it (an index cell: of each state in it), so that
a reader can tell by the fence whether it counts.
"""

from enum import IntEnum
from typing import Any

import msgspec

from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import Fence
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Revocation
from rowbox.mailbox.two_states import IndexCell, Kind


class ChangeKind(IntEnum):
    """What a log entry tells of. Numbers are stored: never reuse one."""

    MESSAGE = 1
    READ_MARK = 2
    EXPIRY = 3
    """Retention took messages that a conversation's state told of: its snippet's, or unread ones. Names no message."""


CONVERSATION = Kind(b"c", Conversation, ID_BYTES, "conversation")
"""A conversation's state, by its id. A mailbox keeps these in an index of their own: lists and deltas go by it."""
REVOCATION = Kind(b"t", Revocation, 0, "revocation")
"""Which of the user's tokens are revoked."""
KINDS: dict[bytes, Kind[Any]] = {kind.letter: kind for kind in (CONVERSATION, REVOCATION)}
"""All kinds of index cells that this Rowbox knows. What they have in common, which is all about fences, is two_states'.

A letter that ever stood here is never given to another kind; `f` is the fence's.
"""


class FenceCell(msgspec.Struct, frozen=True, gc=False):
    """The fence list, in the cell of the epoch that claimed the row with it: no IndexCell, two_states says why."""

    epoch: int
    fence: Fence


class MessageCell(msgspec.Struct, frozen=True, gc=False):
    """One copy of a message. Only the sender's own copy has a `client_message_id`."""

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
        """The userIds to which the message still goes: all participants but its sender."""
        return tuple(user for user in self.message.participants if user != self.message.sender_id)


Cell = IndexCell[Any] | FenceCell | MessageCell | LogCell | DedupeCell | OutboxCell
