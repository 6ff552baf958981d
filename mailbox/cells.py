"""What a mailbox is made of in the store, as typed cells, and its index' kinds. Keys and bytes are hbase_schema's.

Every cell names the epoch and the version of the mutation that wrote it (an index cell: of each state in it), so that
a reader can tell by the fence whether it counts.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.devices import Devices
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.fence import Fence
from rowbox.mailbox.group import Former, Group, Membership, Told
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.people.block import Block
from rowbox.mailbox.people.contact import Contact
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.reactions import Reaction, Tally
from rowbox.mailbox.receipts import MemberMarks, ReceiptMarks
from rowbox.mailbox.revocation import Revocation
from rowbox.mailbox.two_states import IndexCell, Kind


class ChangeKind(IntEnum):
    """What a log entry tells of. Numbers are stored: never reuse one."""

    MESSAGE = 1
    READ_MARK = 2
    EXPIRY = 3
    """Retention took messages that a conversation's state told of: its snippet's, or unread ones. Names no message."""
    EDIT = 4
    """Its author gave a message another text."""
    UNSEND = 5
    """Its author took a message back."""
    REACTION = 6
    """Somebody reacted to a message, in another way than before or not any more."""
    GROUP = 7
    """An event of a group of which the row shows nothing but that it is known. Names no message."""
    RECEIPT = 8
    """The other one's devices have, or he has read, more of a conversation: the new mark."""
    ACCOUNT = 9
    """Something of the user himself changed: his profile, devices, contacts, whom he blocks. Names no conversation and
    no message."""
    SETTINGS = 10
    """The user has set a conversation in another way for himself. Names no message."""
    TTL = 12
    """For how long messages of a conversation last was set anew. Names no message."""


def brings_message(kind: ChangeKind | int) -> bool:
    """Whether a change of this kind shows a message: a new one, or one that changed."""
    return kind in BRINGS_MESSAGE


BRINGS_MESSAGE: Final = frozenset({ChangeKind.MESSAGE, ChangeKind.EDIT, ChangeKind.UNSEND, ChangeKind.REACTION})
"""The kinds of changes whose messageId is of a message that is new, or is shown in another way."""


CONVERSATION = Kind(b"c", Conversation, ID_BYTES, "conversation")
"""A conversation's state, by its id. A mailbox keeps these in an index of their own: lists and deltas go by it."""
REVOCATION = Kind(b"t", Revocation, 0, "revocation")
"""Which of the user's tokens are revoked."""
MEMBERSHIP = Kind(b"s", Membership, ID_BYTES, "membership")
"""What a member knows of a group beside its messages, by its conversationId."""
GROUP = Kind(b"g", Group, 0, "group")
"""In a group's row: the group."""
FORMER = Kind(b"x", Former, ID_BYTES, "former")
"""In a group's row: who was in it once, by person_key."""
RECEIPTS = Kind(b"w", ReceiptMarks, ID_BYTES, "receipts")
"""The marks of both sides of a conversation, by its id. What clients see of them is shown with the conversation."""
MEMBER_MARKS = Kind(b"r", MemberMarks, ID_BYTES, "member_marks")
"""In a group's row: what each member has and has read, by person_key. Nobody is shown it unless he asks."""
DEVICES = Kind(b"v", Devices, 0, "devices")
"""The user's devices: those signed in, and those signed out, which are refused."""
PROFILE = Kind(b"p", Profile, 0, "profile")
"""Who the user is. Where a mailbox has none, nobody has made the user known."""
OWN = Kind(b"o", OwnSettings, ID_BYTES, "own_settings")
"""How the user has set a conversation for himself, by its id. Clients are shown it with the conversation."""
BLOCK = Kind(b"b", Block, ID_BYTES, "block")
"""Whom the user has ever blocked, by person_key."""
TTL = Kind(b"e", Ttl, ID_BYTES, "ttl")
"""For how long the messages of a conversation last, by its id. Under an id without one there is no message with an end,
also under a hidden one."""
CONTACT = Kind(b"k", Contact, ID_BYTES, "contact")
"""Who is or was a contact of the user, by person_key."""
KINDS: dict[bytes, Kind[Any]] = {
    kind.letter: kind
    for kind in (
        CONVERSATION,
        REVOCATION,
        MEMBERSHIP,
        GROUP,
        FORMER,
        RECEIPTS,
        MEMBER_MARKS,
        DEVICES,
        PROFILE,
        OWN,
        BLOCK,
        TTL,
        CONTACT,
    )
}
"""All kinds of index cells that this Rowbox knows. What they have in common, which is all about fences, is two_states'.

A letter that ever stood here is never given to another kind; `f` is the fence's.
"""
ACCOUNT_KINDS: Final[tuple[Kind[Any], ...]] = (PROFILE, DEVICES, BLOCK, CONTACT)
"""Kinds of the user's account whose states say with which version they came: `created_version`."""


class FenceCell(msgspec.Struct, frozen=True, gc=False):
    """The fence list, in the cell of the epoch that claimed the row with it: no IndexCell, two_states says why."""

    epoch: int
    fence: Fence


class MessageCell(msgspec.Struct, frozen=True, gc=False):
    """One copy of a message, as one mutation left it. Only the sender's own copy has a `client_message_id`.

    A message that is changed, or to which somebody reacts, gets another cell, of the change's version; the cell before
    is removed later. Of several cells of a message the one counts that is valid and has the highest version. Each of
    them tells with which version the message came into the mailbox: by that it expires, and a cell that is read by its
    key alone tells it too.
    """

    conversation_id: bytes
    message_id: bytes
    epoch: int
    version: int
    sender_id: str
    content: str
    client_message_id: str | None
    change: Change | None = None
    """What was done to the message last; None where it is as it was sent."""
    first_version: int = 0
    """The version with which the message came, where this is another cell than that one; else 0: it is `version`."""
    reactions: tuple[Reaction, ...] = ()
    """As `with_reaction` sorts them; none of a message that was taken back. In a member's row of a group: none."""
    told: Told | None = None
    """Of a group's system message: what it says."""
    tallies: tuple[Tally, ...] = ()
    """In a member's row of a group: what the member is shown of the reactions, which are in the group's row."""
    expires_us: int = 0
    """When the message ends, in all copies; 0: when retention takes it. The key tells it."""

    @property
    def is_unsent(self) -> bool:
        """Whether the message was taken back."""
        return self.change is not None and self.change.is_unsent

    @property
    def came(self) -> int:
        """The version with which the message came into the mailbox."""
        return self.first_version or self.version


class LogCell(msgspec.Struct, frozen=True, gc=False):
    """One change of the mailbox: of what kind, and which message (the new or changed one, or the new read mark).

    Of a kind that only a newer Rowbox knows there is its number, and both ids are empty.
    """

    version: int
    epoch: int
    kind: ChangeKind | int
    conversation_id: bytes
    message_id: bytes
    first_version: int = 0
    """Of a message that was changed, as in its MessageCell; else 0."""
    expires_us: int = 0
    """Of a message that has an end, as in its MessageCell; else 0."""


class DedupeCell(msgspec.Struct, frozen=True, gc=False):
    """What became of a send, under the hash of its clientMessageId."""

    client_id_hash: bytes
    epoch: int
    version: int
    message_id: bytes
    conversation_id: bytes
    payload_hash: bytes


class OutboxCell(msgspec.Struct, frozen=True, gc=False):
    """A sent message, a change of one or a reaction to one, that not every recipient is known to have.

    `message_id` is the message's as it was sent. All else goes under an id of its own, in the same form: the cell of
    its message may be there still, and a qualifier that was removed is never used again.
    """

    message_id: bytes
    epoch: int
    version: int
    message: Message

    @property
    def is_reminder(self) -> bool:
        """Whether it goes to nobody, and is there for a scan to find the row: something is to be done about it."""
        return not self.message.participants and self.message.group is None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The userIds to which the message still goes: all participants but its sender; all whom an event names."""
        if self.message.group is not None:
            return self.message.group.recipients
        return tuple(user for user in self.message.participants if user != self.message.sender_id)


Cell = IndexCell[Any] | FenceCell | MessageCell | LogCell | DedupeCell | OutboxCell
