"""What clients get of a mailbox: the one shape of a message and of a conversation, as JSON.

Every answer that shows one holds it as it is encoded here: it is encoded once for each copy (message.py) and once for
each state (conversation.py), is kept as bytes, and is joined into whatever carries it. openapi.json is made of the same
types, and the tests decode every answer with them, strictly. See docs/adr/0036-one-representation.md.

The order of the fields is the order in the JSON. A field that only some have comes last and is UNSET in the others.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.mailbox.group import EventType, Role
from rowbox.mailbox.ids import CLIENT_MESSAGE_ID_PATTERN, ID_PATTERN, USER_ID_PATTERN

encode = msgspec.json.Encoder().encode
"""For JSON that stays in memory. Not orjson's: its bytes keep the 4 KiB that they were written in (3.13, measured)."""

Id: TypeAlias = Annotated[
    str, Meta(examples=["0192f5a0c0de7abc8123456789abcdef"], extra_json_schema={"pattern": ID_PATTERN})
]
UserId: TypeAlias = Annotated[
    str, Meta(description="A user.", examples=["bob"], extra_json_schema={"pattern": USER_ID_PATTERN})
]
ClientMessageId: TypeAlias = Annotated[
    str,
    Meta(
        description="Chosen by the sender, once per message: the same id again is the same message.",
        examples=["5f0c2c1e-7d0b-4a53-9b1f-0c6a1f7f0b11"],
        extra_json_schema={"pattern": CLIENT_MESSAGE_ID_PATTERN},
    ),
]
Timestamp: TypeAlias = Annotated[int, Meta(ge=0, description="Microseconds since the epoch.")]
SentTimestamp: TypeAlias = Annotated[
    Timestamp,
    Meta(description="When it was sent, in microseconds since the epoch: the same in every mailbox, and the order."),
]
Version: TypeAlias = Annotated[
    Timestamp,
    Meta(description="When it last changed in this mailbox, in microseconds since the epoch. It is not a token."),
]
MessageId: TypeAlias = Annotated[Id, Meta(description="The message, in every mailbox.")]
ConversationId: TypeAlias = Annotated[Id, Meta(description="The conversation: the same for all who are in it.")]
Participants: TypeAlias = Annotated[
    tuple[UserId, ...],
    Meta(
        description="All who are in the conversation, the user too; one where he writes to himself. Of a group its "
        "first five members; its messages name nobody here."
    ),
]
UnreadCount: TypeAlias = Annotated[
    int,
    Meta(ge=0, le=1000, description="Others' messages behind the mark that are still there: to 999, then 1000."),
]


class Reaction(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """One emoji of those with which users react to a message."""

    emoji: Annotated[str, Meta(description="The emoji.", examples=["\U0001f44d"])]
    count: Annotated[int, Meta(ge=1, description="How many users react with it.")]
    users: Annotated[tuple[UserId, ...], Meta(description="Who they are: the first five, in order.")]
    mine: Annotated[bool, Meta(description="Whether the user of this mailbox is one of them.")]


class Report(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """Which message was reported, and why. Its text is the report's, as it was in the mailbox of whoever reports."""

    conversation_id: Annotated[Id, Meta(description="The conversation that the message is of.")]
    message_id: Annotated[Id, Meta(description="The message.")]
    sent_timestamp: Annotated[Timestamp, Meta(description="When the message was sent.")]
    reason: Annotated[str, Meta(description="Why it was reported, as the client named it.", examples=["harassment"])]
    comment: Annotated[str, Meta(description="What the user says about it.")] | UnsetType = UNSET
    edited_timestamp: Annotated[Timestamp, Meta(description="When the message was edited last.")] | UnsetType = UNSET
    unsent: Annotated[bool, Meta(description="True: it had been taken back, so there is no text.")] | UnsetType = UNSET


class Event(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """What a system message says."""

    type: Annotated[
        EventType,
        Meta(
            description="What happened. declined: somebody could not be added. More may come: show nothing for others."
        ),
    ]
    actor: Annotated[UserId, Meta(description="Who did it.")]
    users: Annotated[tuple[UserId, ...], Meta(description="Whom it happened to.")]
    name: Annotated[str, Meta(description="The group's name, where this gave it one.")] | UnsetType = UNSET
    role: (
        Annotated[Role, Meta(description="The role that this gave. Whoever was the owner is an admin then.")]
        | UnsetType
    ) = UNSET
    owner: Annotated[UserId, Meta(description="Where the owner has left: who is the owner now.")] | UnsetType = UNSET
    report: Annotated[Report, Meta(description="Of a report: of which message it is.")] | UnsetType = UNSET


class Message(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """One user's copy of a message."""

    message_id: MessageId
    conversation_id: ConversationId
    sender_id: Annotated[UserId, Meta(description="Who sent it.")]
    participants: Participants
    message_content: Annotated[str, Meta(description="The text, as it was sent or last edited.")]
    sent_timestamp: SentTimestamp
    last_updated_timestamp: Version
    client_message_id: Annotated[ClientMessageId, Meta(description="Only in the sender's own copy.")] | UnsetType = (
        UNSET
    )
    edited_timestamp: (
        Annotated[Timestamp, Meta(description="When its author last edited it, the same in every mailbox.")] | UnsetType
    ) = UNSET
    unsent: (
        Annotated[bool, Meta(description="True: it was taken back, by its author or in a group by an admin: no text.")]
        | UnsetType
    ) = UNSET
    reactions: (
        Annotated[tuple[Reaction, ...], Meta(description="By emoji, the one that was first used first.")] | UnsetType
    ) = UNSET
    kind: (
        Annotated[
            Literal["system"],
            Meta(
                description="Nobody wrote it: it says what happened to a group, has no text, and is never unread; or, "
                "with the event `reported`, what was reported, with the text of that."
            ),
        ]
        | UnsetType
    ) = UNSET
    event: Annotated[Event, Meta(description="Of a system message: what happened.")] | UnsetType = UNSET
    unsent_by: (
        Annotated[
            UserId, Meta(description="Of a group's message that was taken back: who did that, where it is known.")
        ]
        | UnsetType
    ) = UNSET
    expires_timestamp: (
        Annotated[
            Timestamp,
            Meta(description="When the message disappears, in every copy: drop it then. Missing: by retention alone."),
        ]
        | UnsetType
    ) = UNSET


class Receipts(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """What is known of the other participant of a conversation of two: each mark holds for all messages before it."""

    delivered_up_to: Annotated[Id, Meta(description="His devices have the user's messages up to this one.")]
    read_up_to: Annotated[
        Id | None, Meta(description="He has read the user's messages up to this one; null where he has read none.")
    ]


class Conversation(Struct, rename="camel", frozen=True, forbid_unknown_fields=True, gc=False):
    """A conversation as one of its participants sees it."""

    conversation_id: ConversationId
    participants: Participants
    snippet: Annotated[
        str | None,
        Meta(description="First 100 characters of the newest message; null once it was unsent or retention took it."),
    ]
    last_updated_timestamp: Version
    last_message_id: Annotated[Id, Meta(description="The newest message.")]
    last_sender_id: Annotated[
        UserId | None, Meta(description="Whose the newest message is; null where that was not kept yet.")
    ]
    last_sent_timestamp: Annotated[Timestamp, Meta(description="When the newest message was sent, in microseconds.")]
    unread_count: UnreadCount
    last_message_unsent: (
        Annotated[bool, Meta(description="True: the newest message was taken back, so there is no snippet.")]
        | UnsetType
    ) = UNSET
    receipts: (
        Annotated[Receipts, Meta(description="What the other one has and has read; missing while nothing is known.")]
        | UnsetType
    ) = UNSET
    kind: Annotated[Literal["group"], Meta(description="Only of a group.")] | UnsetType = UNSET
    name: Annotated[str, Meta(description="The group's name; it may be empty.")] | UnsetType = UNSET
    member_count: Annotated[int, Meta(ge=0, description="How many are in the group.")] | UnsetType = UNSET
    role: Annotated[Role, Meta(description="The user's own in the group, or his last.")] | UnsetType = UNSET
    membership: (
        Annotated[
            Literal["in", "left", "removed", "deleted"],
            Meta(description="Whether the user is in the group; who is not gets nothing more, and cannot send."),
        ]
        | UnsetType
    ) = UNSET
    group_version: (
        Annotated[int, Meta(ge=0, description="Rises when the group's name, settings or members change.")] | UnsetType
    ) = UNSET
    muted_until: (
        Annotated[
            Timestamp,
            Meta(description="The user wants no call of its messages before this time. It stays when that has passed."),
        ]
        | UnsetType
    ) = UNSET
    archived: Annotated[bool, Meta(description="True: the user has put it away.")] | UnsetType = UNSET
    pinned: (
        Annotated[bool, Meta(description="True: the user wants it above all others. The list's order is not changed.")]
        | UnsetType
    ) = UNSET
    marked_unread: (
        Annotated[bool, Meta(description="True: the user has marked it as unread, whatever its count is.")] | UnsetType
    ) = UNSET
    request: (
        Annotated[
            bool,
            Meta(
                description="True: a stranger began it, and the user has not accepted it yet. It is listed by "
                "fetchRequests alone; a page of what changed has it too."
            ),
        ]
        | UnsetType
    ) = UNSET
    deleted_up_to: (
        Annotated[
            Timestamp,
            Meta(
                description="The user has deleted his copy: drop all messages of it whose lastUpdatedTimestamp is not "
                "greater than this."
            ),
        ]
        | UnsetType
    ) = UNSET
    deleted: (
        Annotated[
            bool,
            Meta(
                description="True: and no message has come since, so it is in no list. Only what changed since a token "
                "has it: drop it."
            ),
        ]
        | UnsetType
    ) = UNSET
    snippet_expires_timestamp: (
        Annotated[
            Timestamp,
            Meta(description="When the newest message disappears: show no snippet from then on. Nothing else tells."),
        ]
        | UnsetType
    ) = UNSET
    ttl_ms: (
        Annotated[
            int,
            Meta(
                ge=0, description="For how long after their sending messages last; missing: until retention ends them."
            ),
        ]
        | UnsetType
    ) = UNSET
