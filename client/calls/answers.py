"""The types of the server's answers. Times are integer microseconds since the epoch. Unknown fields are ignored."""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from rowbox.client.calls.errors import (
    SIGNED_OUT,
    UNEXPECTED_ANSWER,
    AccessDenied,
    CallFailed,
    OutcomeUnknown,
    Refused,
)

_T = TypeVar("_T")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors of msgspec for bytes that are no JSON or no text, or that hold too many nested brackets."""
_PASSING_REFUSALS: Final = frozenset({408, 425})
"""Request Timeout and Too Early: a proxy sends them about one try, so another try of the same request may succeed."""
_MOST_DIGITS: Final = 9
"""The most digits of Retry-After that are read. More would be longer than anybody waits, and Python refuses to convert
thousands of digits."""


class Sent(Struct, rename="camel", kw_only=True, frozen=True):
    """A message that is stored, as it stands in its sender's mailbox."""

    message_id: str
    conversation_id: str
    sent_timestamp: int
    last_updated_timestamp: int
    pending_recipients: int
    """Recipients whose mailbox does not show the message yet. Their copy is as durable as the sender's, and will
    come."""
    duplicate: bool
    """Whether an earlier try with this clientMessageId had sent the message."""


class ReadMark(Struct, rename="camel", kw_only=True, frozen=True):
    """The state of a conversation after `mark_read`, whether the mark moved or stood there already."""

    conversation_id: str
    unread_count: int
    """Exact to 999, then 1000."""
    last_updated_timestamp: int


class ChangedMessage(Struct, rename="camel", kw_only=True, frozen=True):
    """What became of a message that the user edited, took back or reacted to."""

    message_id: str
    last_updated_timestamp: int
    changed: bool
    """False: it was so already, maybe by an earlier try of the same call."""


class Reaction(Struct, rename="camel", kw_only=True, frozen=True):
    """One emoji of those with which users react to a message."""

    emoji: str
    count: int
    """How many users react with it."""
    users: tuple[str, ...]
    """Who they are: the first five, in order."""
    mine: bool
    """Whether the mailbox's user is one of them."""


Role: TypeAlias = Literal["owner", "admin", "member"]
LastSeen: TypeAlias = Literal["everyone", "contacts", "nobody"]
Admitted: TypeAlias = Literal["everyone", "contacts"]


class GroupSettings(Struct, rename="camel", kw_only=True, frozen=True):
    """What members of a group may do who are no admins, and what those who join see."""

    who_can_send: Literal["all", "admins"] = "all"
    who_can_add: Literal["all", "admins"] = "admins"
    who_can_edit_info: Literal["all", "admins"] = "admins"
    history: Literal["none", "recent"] = "none"
    """What those who join see of before: nothing, or the newest 100 messages written since this was set."""


class GroupMember(Struct, rename="camel", kw_only=True, frozen=True):
    """One who is in a group."""

    user_id: str
    role: Role
    joined_timestamp: int


class PushShown(Struct, rename="camel", kw_only=True, frozen=True):
    """Where a device is told of new messages, without what is secret of it."""

    kind: str
    host: str
    confirmed: bool
    """False: it is a webhook that has not given its code back yet."""


class Device(Struct, rename="camel", kw_only=True, frozen=True):
    """A device of the user that is signed in. Times are microseconds since the epoch."""

    device_id: str
    name: str
    platform: str
    created_timestamp: int
    last_seen_timestamp: int
    """When it last registered, connected, or came back with a token."""
    current: bool
    """Whether it is this client's."""
    push: PushShown | None = None
    """Where it is told of new messages while nobody is looking; None: nowhere."""


class Devices(Struct, rename="camel", kw_only=True, frozen=True):
    """The devices of the user that are signed in, the one that was seen last first."""

    devices: list[Device]
    push_key: str | None = None


class SignedOutDevices(Struct, rename="camel", kw_only=True, frozen=True):
    """Who was signed in until a sign-out."""

    device_ids: list[str]


class Group(Struct, rename="camel", kw_only=True, frozen=True):
    """A group as its members see it."""

    conversation_id: str
    name: str
    settings: GroupSettings
    owner_id: str
    members: tuple[GroupMember, ...]
    """Who is longest in comes first."""
    version: int
    """Rises when the group's name, settings or members change."""


class ChangedGroup(Struct, rename="camel", kw_only=True, frozen=True):
    """What became of a group that was made or changed."""

    conversation_id: str
    version: int
    changed: bool
    """False: it was so already, maybe by an earlier try of the same call."""


class Report(Struct, rename="camel", kw_only=True, frozen=True):
    """Which message was reported, and why. Its text is that of the report."""

    conversation_id: str
    message_id: str
    sent_timestamp: int
    reason: str
    comment: str | None = None
    edited_timestamp: int | None = None
    unsent: bool = False
    """Whether it had been taken back."""


class GroupEvent(Struct, rename="camel", kw_only=True, frozen=True):
    """What a system message says."""

    type: str
    """created, added, removed, left, declined, renamed, settings, role, deleted, reported; more may come."""
    actor: str
    users: tuple[str, ...]
    """Whom it happened to; the first of many."""
    name: str | None = None
    """The group's name, where this gave it one."""
    role: str | None = None
    """The role that this gave: owner, admin or member. Whoever was the owner is an admin then."""
    owner: str | None = None
    """Where the owner has left: who is the owner now."""
    report: Report | None = None
    """Of a report: which message it is of."""


class Message(Struct, rename="camel", kw_only=True, frozen=True):
    """One user's copy of a message, as it is now: a change brings it again, with a greater last_updated_timestamp.

    Every participant sees a conversation ordered by (sent_timestamp, message_id).
    """

    message_id: str
    conversation_id: str
    sender_id: str
    participants: tuple[str, ...]
    message_content: str
    sent_timestamp: int
    last_updated_timestamp: int
    client_message_id: str | None = None
    edited_timestamp: int | None = None
    """When its author last edited it; None where that never was."""
    unsent: bool = False
    """Whether it was taken back, by its author or in a group by an admin: then it has no text."""
    unsent_by: str | None = None
    """Of a group's message that was taken back: who did that; None where it is not known."""
    expires_timestamp: int | None = None
    """When it disappears, the same in every copy; None: it does not. Whoever keeps messages drops it then, because
    nothing else tells of it."""
    reactions: tuple[Reaction, ...] = ()
    """By emoji, the one that was first used first."""

    kind: str | None = None
    """"system": nobody wrote it, `event` says what happened to a group, or what was reported."""
    event: GroupEvent | None = None

    @property
    def is_own(self) -> bool:
        """Whether the mailbox's user sent it: only a sender's own copy has the clientMessageId."""
        return self.client_message_id is not None


class Receipts(Struct, rename="camel", kw_only=True, frozen=True):
    """Up to where the other participant of a conversation of two has the user's messages, all before it included."""

    delivered_up_to: str
    """His devices have the messages up to this one."""
    read_up_to: str | None
    """He has read the messages up to this one; None: none."""


class MemberState(Struct, rename="camel", kw_only=True, frozen=True):
    """What another participant has of a message."""

    user_id: str
    state: str
    """One of "sent", "delivered", "read"."""
    read_timestamp: int | None
    """When he read it, to a few seconds; None where he has not, or where it is not known any more."""


class MessageReceipts(Struct, rename="camel", kw_only=True, frozen=True):
    """Who has a message, and who has read it."""

    message_id: str
    delivered_to: int
    read_by: int
    members: tuple[MemberState, ...]
    """The other participant; of a group who was in when it was sent and still is."""


class FetchedReceipts(Struct, rename="camel", kw_only=True, frozen=True):
    """Who has got and read messages, in the order in which they were asked for."""

    receipts: tuple[MessageReceipts, ...]
    as_of: int
    """When any of it last changed in the mailbox; 0: never."""


class Conversation(Struct, rename="camel", kw_only=True, frozen=True):
    """A conversation as one of its participants sees it."""

    conversation_id: str
    participants: tuple[str, ...]
    snippet: str | None
    """The first 100 characters of the newest message; None once that was unsent or retention has taken it."""
    last_updated_timestamp: int
    last_message_id: str
    last_sender_id: str | None
    """The sender of the newest message; None where a server stored the message that did not keep this yet."""
    last_sent_timestamp: int
    unread_count: int
    """Exact to 999, then 1000."""
    last_message_unsent: bool = False
    """Whether the newest message was taken back."""
    receipts: Receipts | None = None
    """What is known of the other participant of a conversation of two; None: nothing."""
    kind: str | None = None
    """"group" where it is one; what follows is there in groups only."""
    name: str | None = None
    member_count: int | None = None
    role: Role | None = None
    """The user's own in the group, or his last."""
    membership: str | None = None
    """in, left, removed or deleted: who is not in gets nothing more."""
    group_version: int | None = None
    muted_until: int = 0
    """Microseconds since the epoch: the user wants no call of its messages before this time, which may have passed."""
    archived: bool = False
    pinned: bool = False
    marked_unread: bool = False
    request: bool = False
    """Whether a stranger began it, and the user has not accepted it yet: it is in the list of requests alone."""
    deleted_up_to: int = 0
    """Where the user has deleted his copy: drop all messages of it whose `last_updated_timestamp` is not greater."""
    deleted: bool = False
    """Whether no message has come since: then it is in no list, and here only as a change."""
    snippet_expires_timestamp: int | None = None
    """When the newest message disappears: no snippet is to be shown from then on."""
    ttl_ms: int | None = None
    """For how long after their sending messages last that are sent now; None: they do not disappear."""


class ConversationTtl(Struct, rename="camel", kw_only=True, frozen=True):
    """A conversation for whose messages somebody said how long they last."""

    conversation_id: str
    last_updated_timestamp: int
    changed: bool
    """False: it was so already, maybe by an earlier try of the same call."""


class RequestsPage(Struct, rename="camel", kw_only=True, frozen=True):
    """Some of the conversations that wait to be accepted, the one with the newest message first."""

    conversations: tuple[Conversation, ...]
    next_cursor: str | None = None
    """Of the page behind it; None where there is none."""


class ChangedConversation(Struct, rename="camel", kw_only=True, frozen=True):
    """A conversation after its user has set it for himself, or deleted his copy."""

    conversation_id: str
    last_updated_timestamp: int
    changed: bool
    """False: it was so already, by an earlier try perhaps."""


class ChangedUser(Struct, rename="camel", kw_only=True, frozen=True):
    """A user's profile after a call that makes or changes it."""

    user_id: str
    last_updated_timestamp: int
    changed: bool
    """False: it was so already, by an earlier try perhaps."""


class DeletedUser(Struct, rename="camel", kw_only=True, frozen=True):
    """A user who is deleted, and how far the erasure of his mailbox is."""

    user_id: str
    last_updated_timestamp: int
    changed: bool
    """False: he was deleted before, by an earlier try perhaps."""
    state: str
    """"erasing", "sweeping" (all is removed, and will be looked for once more), or "erased"."""


class User(Struct, rename="camel", kw_only=True, frozen=True):
    """A user who is known. What follows `avatar` is there of oneself, and for administrators."""

    user_id: str
    name: str
    avatar: str
    """A picture's address, or empty."""
    attributes: dict[str, str] | None = None
    last_seen: str | None = None
    """Who is shown whether the user is online: `everyone` in a conversation of two with him, of these his
    `contacts` alone, or `nobody`."""
    messages_from: str | None = None
    """Whose first message begins a conversation that need not be accepted: that of `everyone`, or of his `contacts`."""
    group_adds: str | None = None
    """Who brings the user into groups: `everyone`, or his `contacts`."""
    created_timestamp: int | None = None
    last_updated_timestamp: int | None = None


class ChangedBlock(Struct, rename="camel", kw_only=True, frozen=True):
    """Whom the user blocks, or blocks no more, after a call that says so."""

    user_id: str
    last_updated_timestamp: int
    """Since when it is so; 0: it was never otherwise."""
    changed: bool
    """False: it was so already, by an earlier try perhaps."""


class BlockedUser(Struct, rename="camel", kw_only=True, frozen=True):
    """Somebody whom the user blocks."""

    user_id: str
    since_timestamp: int


class BlocksPage(Struct, rename="camel", kw_only=True, frozen=True):
    """Some of those whom the user blocks, by their userIds. `has_more`: there are others behind the last one."""

    blocks: tuple[BlockedUser, ...]
    has_more: bool


class Reported(Struct, rename="camel", kw_only=True, frozen=True):
    """Messages that are reported: `message_ids` are the reports, in the conversation with whoever takes them."""

    conversation_id: str
    message_ids: tuple[str, ...]
    duplicate: bool
    """All of it was reported before, by a first try perhaps."""


class HiddenMessage(Struct, rename="camel", kw_only=True, frozen=True):
    """What was kept at one time of a message that is hidden: of one message there are several, where something was done
    to it.
    """

    message_id: str
    conversation_id: str
    sender_id: str
    """Who sent the message."""
    message_content: str
    sent_timestamp: int
    hidden_timestamp: int
    """When it came into the mailbox."""
    edited_timestamp: int | None = None
    unsent: bool = False
    reactions: tuple[Reaction, ...] = ()


class HiddenPage(Struct, rename="camel", kw_only=True, frozen=True):
    """Some of what is hidden from a user. `next_cursor` is None on the last page."""

    messages: tuple[HiddenMessage, ...]
    next_cursor: str | None


class ChangedContact(Struct, rename="camel", kw_only=True, frozen=True):
    """Who is a contact of the user, or is none any more, after a call that says so."""

    user_id: str
    last_updated_timestamp: int
    """Since when it is so; 0: he never was a contact."""
    changed: bool
    """False: it was so already, by an earlier try perhaps."""


class Contact(Struct, rename="camel", kw_only=True, frozen=True):
    """A contact of the user. `alias`: what the user calls him."""

    user_id: str
    since_timestamp: int
    last_updated_timestamp: int
    alias: str | None = None
    favourite: bool = False


class ContactsPage(Struct, rename="camel", kw_only=True, frozen=True):
    """Some of the user's contacts, by their userIds. `has_more`: there are others behind the last one."""

    contacts: tuple[Contact, ...]
    has_more: bool


class FetchedUsers(Struct, rename="camel", kw_only=True, frozen=True):
    """Those who are known of the users who were asked for, in that order."""

    users: tuple[User, ...]


class Presence(Struct, rename="camel", kw_only=True, frozen=True):
    """When a user was active last."""

    online: bool
    last_seen: int | None = None
    """In microseconds since 1970; None while he is online."""


class FetchedPresence(Struct, rename="camel", kw_only=True, frozen=True):
    """The presence of the users who were asked for, by userId. None: it is not known, or not shown."""

    users: dict[str, Presence | None]


class Noted(Struct, rename="camel", kw_only=True, frozen=True):
    """It was noted that a user is active."""

    user_id: str


class Page(Struct, rename="camel", kw_only=True, frozen=True):
    """What every page has beside its items. Each has a token, because the client asks for no page by its number."""

    is_delta_update: bool
    last_updated_timestamp: str
    """The token of the page: opaque text, to be given back as it is."""
    has_more: bool
    next_cursor: str | None
    reset_reason: str | None
    retry_after_ms: int | None = None


class MessagePage(Page, rename="camel", kw_only=True, frozen=True):
    """Messages, the newest first. In a delta the one that came first is first."""

    items: tuple[Message, ...] = msgspec.field(name="messages")


class Found(Struct, rename="camel", kw_only=True, frozen=True):
    """What a search found, the newest first."""

    messages: tuple[Message, ...]
    next_cursor: str | None
    """Of the page behind it; None: there is none. A page may be short, or empty, and still have one."""
    complete: bool
    """False: the server's index of the mailbox is still being made, the newest messages first. Search again soon."""
    last_updated_timestamp: int
    """The version of the mailbox that was searched. It is no token."""


class ConversationPage(Page, rename="camel", kw_only=True, frozen=True):
    """Conversations, the one with the newest message first."""

    items: tuple[Conversation, ...] = msgspec.field(name="conversations")


class Whereabouts(Struct, rename="camel", kw_only=True, frozen=True):
    """Where to open a socket."""

    url: str


class Changes(Struct, rename="camel", kw_only=True, frozen=True):
    """What changed in a mailbox since a token. Each message and conversation is in its newest state.

    Of a message or a conversation that the program has, it keeps the one whose `last_updated_timestamp` is greater.
    """

    messages: tuple[Message, ...]
    """Those that came, in the order in which they came."""
    conversations: tuple[Conversation, ...]
    """Those that changed, the one that changed last last. Of a beginning the newest, newest first."""
    account: bool
    """Whether something of the user himself changed: profile, devices, settings."""
    is_delta_update: bool
    """False: a beginning. The program drops what it has, and reads its lists anew."""
    last_updated_timestamp: str
    """The token from which to go on: opaque text, to be given back as it is. "" from a follower that has none yet, in a
    cluster that is being upgraded: who goes on from that begins anew."""
    has_more: bool
    """Whether there are changes behind the token."""
    reset_reason: str | None
    """With a beginning, why the token was not served: "expired", "future", "restored" or "foreign"; None where no token
    was given."""
    next_cursor: str | None
    """With a beginning, the cursor for `client.conversations(cursor=...)`, which continues with older conversations;
    None where there are none."""
    retry_after_ms: int | None = None

    @property
    def items(self) -> tuple[Message | Conversation, ...]:
        """All that is in it."""
        return (*self.messages, *self.conversations)


class _Problem(Struct, rename="camel", kw_only=True, frozen=True):
    """An error's body (RFC 9457)."""

    code: str
    detail: str = ""
    request_id: str | None = None
    retry_after_ms: int | None = None


def decoded(status: int, body: bytes, retry_after: str | None, kind: type[_T]) -> _T:
    """The answer with this status and body, as `kind`. CallFailed for a problem, and for an answer that is not
    Rowbox's.

    `retry_after` is the header of that name. It is used where the body has no retryAfterMs.
    """
    return _read(status, lambda of: msgspec.json.decode(body, type=of), retry_after, kind)


def converted(status: int, body: object, kind: type[_T]) -> _T:
    """As `decoded`, of a reply over a socket, whose JSON is decoded already."""
    return _read(status, lambda of: msgspec.convert(body, of), None, kind)


def _read(status: int, read: Callable[[Any], Any], retry_after: str | None, kind: type[_T]) -> _T:
    if not 200 <= status < 300:
        raise _failure(status, read, retry_after)
    try:
        answer: _T = read(kind)
    except _UNREADABLE as error:
        raise OutcomeUnknown(
            f"{status}, but not as expected: {error}", code=UNEXPECTED_ANSWER, status=status
        ) from error
    return answer


def is_signed_out(body: bytes) -> bool:
    """Whether a 401 says that the user has signed out here: then a person has to sign in again, and no other token is
    asked for.
    """
    try:
        return msgspec.json.decode(body, type=_Problem).code == SIGNED_OUT
    except _UNREADABLE:
        return False


def _failure(status: int, read: Callable[[Any], Any], retry_after: str | None) -> CallFailed:
    try:
        problem: _Problem = read(_Problem)
    except _UNREADABLE:  # a proxy's error page
        is_redirect = 300 <= status < 400
        detail = "a redirect, not followed: give the URL that it leads to" if is_redirect else "not from Rowbox"
        problem = _Problem(code=UNEXPECTED_ANSWER, detail=detail)
    retry_after_ms = problem.retry_after_ms
    if retry_after_ms is None and retry_after is not None and retry_after.isdecimal():  # the other form is a date
        retry_after_ms = int(retry_after[:_MOST_DIGITS]) * 1000
    is_refusal = status < 500 and status not in _PASSING_REFUSALS
    kind = AccessDenied if status in {401, 403} else Refused if is_refusal else OutcomeUnknown
    return kind(
        f"{status} {problem.code}: {problem.detail}",
        code=problem.code,
        status=status,
        request_id=problem.request_id,
        retry_after_ms=retry_after_ms,
    )
