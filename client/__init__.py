"""A client of Rowbox's HTTP API, for asyncio: `from rowbox.client import Client`.

It knows the server by the contract of its HTTP API only (/docs of any server). It imports nothing of the server, and
the server imports nothing of it. Fields that a later server adds to its answers are ignored.

    async with Client("http://127.0.0.1:8080", token) as client:
        await client.send("bob", "hello")
        async for change in client.follow():
            ...
"""

from rowbox.client.calls.access import TokenSource
from rowbox.client.calls.answers import (
    BlockedUser,
    BlocksPage,
    ChangedBlock,
    ChangedConversation,
    ChangedGroup,
    ChangedMessage,
    ChangedUser,
    Changes,
    Conversation,
    ConversationPage,
    ConversationTtl,
    DeletedUser,
    Device,
    FetchedPresence,
    FetchedReceipts,
    FetchedUsers,
    Found,
    Group,
    GroupEvent,
    GroupMember,
    GroupSettings,
    HiddenMessage,
    HiddenPage,
    MemberState,
    Message,
    MessagePage,
    MessageReceipts,
    Presence,
    PushShown,
    Reaction,
    ReadMark,
    Receipts,
    Sent,
    User,
)
from rowbox.client.calls.errors import (
    CLIENT_CLOSED,
    CONNECTED_ELSEWHERE,
    DEDUPE_LIFE_OVER,
    NO_ANSWER,
    NO_TOKEN,
    SIGNED_OUT,
    UNEXPECTED_ANSWER,
    AccessDenied,
    CallFailed,
    ListReset,
    OutcomeUnknown,
    Refused,
)
from rowbox.client.calls.sends import new_client_message_id
from rowbox.client.client import Client
from rowbox.client.following.feed import OnPresence
from rowbox.client.following.follow import Change, Follow, NewMessage, Reset
from rowbox.client.following.follow_changes import FollowChanges
from rowbox.client.following.follow_conversations import ConversationChange, FollowConversations
from rowbox.client.following.polls import Connection, OnConnection

__all__ = [
    "CLIENT_CLOSED",
    "CONNECTED_ELSEWHERE",
    "DEDUPE_LIFE_OVER",
    "NO_ANSWER",
    "NO_TOKEN",
    "SIGNED_OUT",
    "UNEXPECTED_ANSWER",
    "AccessDenied",
    "BlockedUser",
    "BlocksPage",
    "CallFailed",
    "Change",
    "ChangedBlock",
    "ChangedConversation",
    "ChangedGroup",
    "ChangedMessage",
    "ChangedUser",
    "Changes",
    "Client",
    "Connection",
    "Conversation",
    "ConversationChange",
    "ConversationPage",
    "ConversationTtl",
    "DeletedUser",
    "Device",
    "FetchedPresence",
    "FetchedReceipts",
    "FetchedUsers",
    "Follow",
    "FollowChanges",
    "FollowConversations",
    "Found",
    "Group",
    "GroupEvent",
    "GroupMember",
    "GroupSettings",
    "HiddenMessage",
    "HiddenPage",
    "ListReset",
    "MemberState",
    "Message",
    "MessagePage",
    "MessageReceipts",
    "NewMessage",
    "OnConnection",
    "OnPresence",
    "OutcomeUnknown",
    "Presence",
    "PushShown",
    "Reaction",
    "ReadMark",
    "Receipts",
    "Refused",
    "Reset",
    "Sent",
    "TokenSource",
    "User",
    "new_client_message_id",
]
