"""What is asked of a group's row, by the owner of the user who asks, and what it answers.

The order of the fields is a format: owners send these to one another (docs/formats.md).
"""

from typing import TypeAlias

import msgspec

from rowbox.mailbox.group import GroupSettings, Member, Role
from rowbox.mailbox.receipts import MemberReceipt


class Standpoint(msgspec.Struct, frozen=True, array_like=True):
    """Who asks, and what his own row had of the group when his owner accepted the request: `chain`, and the version of
    the join by which he was in. `accepted_us` is when that was, in microseconds.
    """

    user_id: str
    joined: int
    chain: int
    accepted_us: int


class NewGroup(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A group to be made. `members` does not name the creator. `creation` is a hash of all that was asked for."""

    conversation_id: bytes
    creator_id: str
    name: str
    members: tuple[str, ...]
    settings: GroupSettings
    creation: bytes
    most_members: int
    entropy: int


class GroupSend(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A message to a group. `entropy`: 62 random bits for the messageId."""

    conversation_id: bytes
    by: Standpoint
    content: str
    client_message_id: str
    payload_hash: bytes
    entropy: int


class Add(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Users are added as members."""

    users: tuple[str, ...]
    most_members: int


class Remove(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A member is removed by another one."""

    user_id: str


class Leave(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Who asks leaves."""


class SetRole(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A member gets another role. Who makes another one the owner is an admin from then on."""

    user_id: str
    role: Role


class Update(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The group gets another name, other settings, another ttl. None: as it was; `settings` leave the ttl as it was."""

    name: str | None
    settings: GroupSettings | None
    ttl_ms: int | None = None


class Delete(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The group ends for all its members, who keep their copies."""


Deed: TypeAlias = Add | Remove | Leave | SetRole | Update | Delete


class GroupChange(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A change of a group."""

    conversation_id: bytes
    by: Standpoint
    deed: Deed
    entropy: int


class ViewGroup(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A look at a group by one of its members."""

    conversation_id: bytes
    user_id: str


class MessageChange(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A change of a message of a group: another text, or None to take it back. `entropy`: as of a GroupSend."""

    conversation_id: bytes
    by: Standpoint
    message_id: bytes
    content: str | None
    entropy: int


class MessageReaction(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """How a member reacts to a message of a group; "": he takes back what he had. Else as MessageChange."""

    conversation_id: bytes
    by: Standpoint
    message_id: bytes
    emoji: str
    entropy: int


class ViewReceipts(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Who has got and read messages of a group, which `user_id` wrote, one of its members."""

    conversation_id: bytes
    user_id: str
    message_ids: tuple[bytes, ...]


class Gone(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A member was deleted: he is out, whichever join he is in by. `entropy`: as of a GroupSend."""

    conversation_id: bytes
    user_id: str
    entropy: int


GroupRequest: TypeAlias = (
    NewGroup | GroupSend | GroupChange | ViewGroup | MessageChange | MessageReaction | ViewReceipts | Gone
)


class GroupSent(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What became of a GroupSend: the message's id, and how many members are not known to have it yet."""

    message_id: bytes
    version: int
    pending: int
    duplicate: bool


class GroupChanged(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What became of a NewGroup or a GroupChange: the group's version after it. Of a MessageChange or a
    MessageReaction: the version of the message's last change.

    `changed` is False where it was so before. `event_id` is the id of the event that tells of it, b"" where there is
    none; `pending` says how many members have not been told yet.
    """

    version: int
    changed: bool
    pending: int = 0
    event_id: bytes = b""


class GroupView(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A group as its members see it."""

    version: int
    name: str
    settings: GroupSettings
    members: tuple[Member, ...]


class GroupReceipts(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What members have of the messages that were asked for, in their order, and when any of it last changed.

    Of each message it is the members who were in when it was sent and still are, but for its author.
    """

    of_messages: tuple[tuple[MemberReceipt, ...], ...]
    as_of: int


GroupAnswer: TypeAlias = GroupSent | GroupChanged | GroupView | GroupReceipts
