"""A group, as its own row, its members' rows and its events tell of it. Values only; mailbox/groups has the rules.

A group has a row of its own, which decides who is in and in which order everything happens. Each change of the group,
a message too, is an event of that row: a Message with a GroupPart. Versions in these values are the group's row's,
unless a field says otherwise.
"""

from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.ids import ID_BYTES, length_prefixed
from rowbox.mailbox.people.report import Reported
from rowbox.mailbox.reactions import Reaction

Role: TypeAlias = Literal["owner", "admin", "member"]
"""What a member may do. A group that is not deleted has one owner."""
EventType: TypeAlias = Literal[
    "created", "added", "removed", "left", "declined", "renamed", "settings", "role", "deleted", "reported"
]
"""What a system message tells of; all but `reported` are of groups. Texts are stored: each keeps its meaning."""

GROUP_PREFIX = "!g"
SENDS_KEPT_US = 3_600 * US_PER_S
"""A group's row knows a send for so long after all members have it: six times as long as what was accepted is let in,
because the clocks of two owners differ."""
FIRST_MEMBERS = 5
"""Of a group's members, named in each member's own list of conversations."""


class Standing(IntEnum):
    """Whether the user of a row takes part in a group, by what the row has heard. Numbers are stored."""

    IN = 1
    LEFT = 2
    REMOVED = 3
    DELETED = 4
    """There is no such group any more."""
    DECLINED = 5
    """The row did not take the user's join; the group's row removes him."""


class WhoMay(StrEnum):
    """Which members may do something in a group."""

    ALL = "all"
    ADMINS = "admins"


class History(StrEnum):
    """What those who join a group are given of what was written in it before."""

    NONE = "none"
    RECENT = "recent"
    """The newest messages of the time for which this has been so (mailbox/groups/joining.py)."""


class GroupSettings(msgspec.Struct, frozen=True, array_like=True):
    """What the members of a group may do who are no admins, what those who join are given, how long messages last.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    who_can_send: WhoMay = WhoMay.ALL
    who_can_add: WhoMay = WhoMay.ADMINS
    who_can_edit_info: WhoMay = WhoMay.ADMINS
    history: History = History.NONE
    ttl_ms: int = 0
    """For how long messages last that are sent from now on (mailbox/expiry); 0: until retention takes them."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One who is in. `joined` is the version of the join by which he is.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    user_id: str
    role: Role
    joined: int
    given_since: int = 0
    """As Join.given_since, of that join."""


class Group(msgspec.Struct, frozen=True, array_like=True):
    """The state of a group, in its own row: who is in, the earliest join first, and what it is called.

    `version` is that of the newest change of these, not of the newest message. `creation` is what the request that made
    the group asked for, as a hash. `members` is empty once `is_deleted`.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    name: str
    settings: GroupSettings
    members: tuple[Member, ...]
    creation: bytes
    is_deleted: bool = False
    history_since: int = 0
    """The version with which the setting `history` became RECENT; 0: it is NONE."""

    def member(self, user_id: str) -> Member | None:
        """The member of this name; None: he is not in."""
        return next((one for one in self.members if one.user_id == user_id), None)


class Former(msgspec.Struct, frozen=True, array_like=True):
    """In a group's row, of one who was in it: the version at which he left last, and the join by which he had been in.

    It stays when he joins again. The order of the fields is the format on disk: a new one comes last, with a default.
    """

    version: int
    epoch: int
    user_id: str
    left: int
    joined: int = 0
    """0: of a time when this was not kept."""
    standing: Standing = Standing.REMOVED
    """What became of him: never IN."""
    given_since: int = 0
    """As Join.given_since, of that join."""


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """In a member's row: what he has been told of a group, beside its messages.

    `version` and `epoch` are the row's own. `joined` is the version of the join by which he is in, or was in last.
    `group_version` is that of the Group that `name`, `member_count` and `first_members` are of. `chain` is the newest
    event that was taken without the conversation's state (which has a chain of its own): of a join that was declined,
    and of what came behind it; of a change of a message that this row does not have.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    standing: Standing
    joined: int
    role: Role
    group_version: int
    name: str
    member_count: int
    first_members: tuple[str, ...]
    chain: int = 0


class InGroup(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a conversation's state that only groups have.

    `chain` is the version of the newest event that the row has taken. `last_sender` is whose the newest message is, ""
    where there is none. The order of the fields is the format on disk.
    """

    chain: int
    last_sender: str


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a system message says, beside who did it (its sender). `users`: whom it happened to, the first of many.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    type: EventType
    users: tuple[str, ...] = ()
    name: str | None = None
    """The new name of the group, where it has one."""
    role: Role | None = None
    """Of an event that gives a role: which."""
    owner: str | None = None
    """Of an event by which the owner is out: who is the owner now."""
    report: Reported | None = None
    """Of a report: of which message it is; `users` names the sender of that. Its text is that of the message."""


class Join(msgspec.Struct, frozen=True, array_like=True):
    """How one user comes in. `after` is the version at which he left last; 0: he was never in.

    The order of the fields is the format on disk and on links: a new one comes last, with a default (docs/formats.md).
    """

    role: Role
    after: int
    given_since: int = 0
    """He is given messages of before his join, none of which is below this version; 0: he is given none."""


class Info(msgspec.Struct, frozen=True, array_like=True):
    """What members' lists show of a group after an event."""

    name: str
    member_count: int
    first_members: tuple[str, ...]
    ttl_ms: int = 0
    """As of GroupSettings."""


class Copied(msgspec.Struct, frozen=True, array_like=True):
    """A message of a group as its row has it, for a member's row that has lost it, or whose user has just joined.
    `version`: that of its event.

    The order of the fields is the format on links: a new one comes last, with a default (docs/formats.md).
    """

    message_id: bytes
    version: int
    sender_id: str
    content: str
    client_message_id: str
    changed: int
    """The version of its last change; 0: it is as it was sent."""
    is_unsent: bool
    told: Told | None
    reactions: tuple[Reaction, ...]
    unsent_by: str = ""
    """As Change.by."""
    expires_us: int = 0


class Resumed(msgspec.Struct, frozen=True, array_like=True):
    """What a group's row says to a member's row which was put back to an older state: how the user stood after an event
    (GroupPart.version) that the row had taken, and the newest messages of the time that he was in, the oldest first.

    `joined` is 0 where he was out; `standing` is not IN then. The order of the fields is the format on links.
    """

    standing: Standing
    joined: int
    role: Role
    group_version: int
    copies: tuple[Copied, ...]


class GroupPart(msgspec.Struct, frozen=True, array_like=True):
    """What makes a Message an event of a group: its place in the group's log, and what its members' rows make of it.

    `recipients` are those who were in when it was committed: who joins by it and who leaves by it too. `prev` is the
    version of the event before. A message of a member names his clientMessageId, for his own row.

    The order of the fields is the format on disk and on links: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    prev: int
    recipients: tuple[str, ...]
    client_message_id: str = ""
    payload_hash: bytes = b""
    told: Told | None = None
    """What happened; None: a member wrote a message."""
    info: Info | None = None
    """Where the Group changed."""
    joins: dict[str, Join] = {}
    leaves: dict[str, Standing] = {}
    roles: dict[str, Role] = {}
    """Of those whose role this event changes, beside those who join."""
    reactions: tuple[Reaction, ...] | None = None
    """Of an event that says how members react to a message: all who do, as `with_reaction` sorts them."""
    resumed: Resumed | None = None
    """Of what is no event of the log: what stands in place of all events up to `version`."""
    earlier: tuple[Copied, ...] = ()
    """Of an event by which somebody joins, as it is delivered to him: the newest messages of before it, the oldest
    first. The outbox does not hold them."""


def group_conversation_id(creator_id: str, client_group_id: str) -> bytes:
    """The conversationId of a group: by whom and under which name of his own it is created."""
    named = length_prefixed(creator_id) + length_prefixed(client_group_id)
    return blake2b(named, digest_size=ID_BYTES, person=b"rowbox-group").digest()


def group_name(conversation_id: bytes) -> str:
    """The name of a group's row, in the place of a userId, which never begins with an exclamation mark."""
    return GROUP_PREFIX + conversation_id.hex()


def is_group_name(name: str) -> bool:
    """Whether a row of this name is a group's."""
    return name.startswith(GROUP_PREFIX)


def conversation_of(name: str) -> bytes:
    """The conversationId of the group whose row has this name."""
    return bytes.fromhex(name[len(GROUP_PREFIX) :])


def person_key(user_id: str) -> bytes:
    """The key of a user's own cell in a group's row."""
    return blake2b(user_id.encode(), digest_size=ID_BYTES).digest()


def group_send_hash(sender_id: str, client_message_id: str) -> bytes:
    """The key of a member's send in the group's row: of a clientMessageId there is one for each sender."""
    named = length_prefixed(sender_id) + length_prefixed(client_message_id)
    return blake2b(named, digest_size=ID_BYTES).digest()
