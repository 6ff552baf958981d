"""What can be asked over a link: each call with its types, its lane, and whether it writes. No call is named elsewhere.

A link knows calls by their specs alone, so a room above may have calls of its own. The name is the format (frames.py):
it is never reused for a call of other types, and fields are only added, at the end, with defaults (docs/formats.md).
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from rowbox.cacheserver.port import (
    AccountResult,
    AskPresence,
    BlocksShown,
    ChangeAccount,
    Changed,
    ChangeGroup,
    ChangeMessage,
    ChangeResult,
    Changes,
    ContactsShown,
    DevicesResult,
    FetchBlocks,
    FetchChanges,
    FetchContacts,
    FetchConversations,
    FetchDevices,
    FetchGroup,
    FetchHidden,
    FetchMessages,
    FetchReceipts,
    FetchRequests,
    FetchUsers,
    Follow,
    Found,
    GroupResult,
    GroupShown,
    HiddenPage,
    Locate,
    Located,
    Lost,
    MarkRead,
    MarkReadResult,
    Page,
    PresenceTerms,
    ProvenToken,
    React,
    ReceiptsResult,
    RegisterDevice,
    Report,
    ReportResult,
    RequestsShown,
    Search,
    Send,
    SendResult,
    SetPush,
    SetTtl,
    SignOut,
    SignOutResult,
    TtlResult,
    UsersShown,
)
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Lane(StrEnum):
    """What has credit of its own: calls of one lane never take the room of another's.

    Were deliveries and requests in one lane, two owners whose lanes are full of sends that wait for each other's
    deliveries would wait for ever.
    """

    REQUESTS = "requests"
    WAITS = "waits"
    DELIVERIES = "deliveries"
    MOVES = "moves"
    GROUPS = "groups"
    """Calls that wait for deliveries, and for which requests wait."""
    RECEIPTS = "receipts"
    """Calls for which nobody waits, and which may take their time: those of a group are gathered."""
    CONTROL = "control"


@dataclass(frozen=True, eq=False)
class CallSpec(Generic[Asked, Answered]):
    """One call. `writes`: where its answer is lost, nobody knows whether it was done."""

    name: str
    asks: type[Asked]
    answers: type[Answered]
    lane: Lane
    writes: bool
    asked_of: "msgspec.msgpack.Decoder[Asked]" = field(init=False, repr=False)
    """Decodes the body of a call; msgspec.ValidationError or DecodeError."""
    answer_of: "msgspec.msgpack.Decoder[Answered]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked_of", msgspec.msgpack.Decoder(self.asks))
        object.__setattr__(self, "answer_of", msgspec.msgpack.Decoder(self.answers))


class SendStatus(msgspec.Struct, frozen=True, array_like=True):
    """The arguments of MailboxPort.send_status."""

    user_id: str
    client_message_id: str
    bearer: Bearer | None = None


class Deliver(msgspec.Struct, frozen=True, array_like=True):
    """Messages on their way into a recipient's mailbox. Done twice it is done once: a message is known by its id."""

    user_id: str
    messages: tuple[Message, ...]


class FollowOver(msgspec.Struct, frozen=True, array_like=True):
    """A following of this number, which no other one of the link has or had."""

    number: int
    follow: Follow


class Unfollow(msgspec.Struct, frozen=True, array_like=True):
    """Followings that are told nothing more."""

    numbers: tuple[int, ...]


class Heads(msgspec.Struct, frozen=True, array_like=True):
    """Users who are followed over this link: which heads do they have?"""

    user_ids: tuple[str, ...]


class HeadsNow(msgspec.Struct, frozen=True, array_like=True):
    """The tokens of the heads, in the order that was asked; None of a user who is not followed over this link."""

    heads: tuple[str | None, ...]


TOLD = "told"
"""The kind of the Push that tells followers: a Told."""


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What all followers of a link are to be told in one turn of the loop: of a user once, the newest."""

    changed: tuple[tuple[str, Changed], ...] = ()
    lost: tuple[tuple[int, Lost], ...] = ()
    """By the numbers of the followings."""


class DeliverToMany(msgspec.Struct, frozen=True, array_like=True):
    """The same messages on their way into the mailboxes of several recipients: a group's events, as a rule."""

    users: tuple[str, ...]
    messages: tuple[Message, ...]


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """How a delivery to one of many ended: how many messages are durable, or the error, as it travels."""

    count: int
    kinds: tuple[str, ...] = ()
    message: str = ""
    fields: dict[str, Any] = {}


class Arrivals(msgspec.Struct, frozen=True, array_like=True):
    """How a DeliverToMany ended, for each of its users in their order."""

    of_users: tuple[Arrival, ...]


class AskGroup(msgspec.Struct, frozen=True, array_like=True):
    """What is asked of a group's row."""

    asked: GroupRequest


class GroupSays(msgspec.Struct, frozen=True, array_like=True):
    """What a group's row answers."""

    answer: GroupAnswer


class ProfileOf(msgspec.Struct, frozen=True, array_like=True):
    """A user whose profile is asked for."""

    user_id: str


class ProfileNow(msgspec.Struct, frozen=True, array_like=True):
    """The profile of a user; None: he has none."""

    profile: Profile | None


class ShowsPresence(msgspec.Struct, frozen=True, array_like=True):
    """Users of whom somebody wants to know whether they show him when they are online."""

    watcher_id: str
    users: tuple[str, ...]


class PresenceShows(msgspec.Struct, frozen=True, array_like=True):
    """Whether each of the users does, in the order of the question; None: nobody answers for him now."""

    shows: tuple[bool | None, ...]


class TakeReceipts(msgspec.Struct, frozen=True, array_like=True):
    """Receipts on their way into an author's mailbox. Done twice, or in another order, it comes to the same."""

    user_id: str
    receipts: tuple[Receipt, ...]


SEND = CallSpec("send", Send, SendResult, Lane.REQUESTS, writes=True)
SEND_TO = CallSpec("send_to", Send, SendResult, Lane.REQUESTS, writes=True)
"""A send to a conversation: a call of its own, because an older owner would not see where it goes."""
SEND_STATUS = CallSpec("send_status", SendStatus, SendResult, Lane.REQUESTS, writes=False)
CHANGE_MESSAGE = CallSpec("change_message", ChangeMessage, ChangeResult, Lane.REQUESTS, writes=True)
REACT = CallSpec("react", React, ChangeResult, Lane.REQUESTS, writes=True)
SET_TTL = CallSpec("set_ttl", SetTtl, TtlResult, Lane.REQUESTS, writes=True)
CHANGE_ACCOUNT = CallSpec("change_account", ChangeAccount, AccountResult, Lane.REQUESTS, writes=True)
FETCH_BLOCKS = CallSpec("fetch_blocks", FetchBlocks, BlocksShown, Lane.REQUESTS, writes=False)
REPORT = CallSpec("report", Report, ReportResult, Lane.REQUESTS, writes=True)
FETCH_HIDDEN = CallSpec("fetch_hidden", FetchHidden, HiddenPage, Lane.REQUESTS, writes=False)
FETCH_CONTACTS = CallSpec("fetch_contacts", FetchContacts, ContactsShown, Lane.REQUESTS, writes=False)
FETCH_REQUESTS = CallSpec("fetch_requests", FetchRequests, RequestsShown, Lane.REQUESTS, writes=False)
FETCH_USERS = CallSpec("fetch_users", FetchUsers, UsersShown, Lane.REQUESTS, writes=False)
CHANGE_GROUP = CallSpec("change_group", ChangeGroup, GroupResult, Lane.REQUESTS, writes=True)
FETCH_GROUP = CallSpec("fetch_group", FetchGroup, GroupShown, Lane.REQUESTS, writes=False)
MARK_READ = CallSpec("mark_read", MarkRead, MarkReadResult, Lane.REQUESTS, writes=True)
CONVERSATIONS = CallSpec("conversations", FetchConversations, Page, Lane.REQUESTS, writes=False)
MESSAGES = CallSpec("messages", FetchMessages, Page, Lane.REQUESTS, writes=False)
AWAIT_CONVERSATIONS = CallSpec("await_conversations", FetchConversations, Page, Lane.WAITS, writes=False)
AWAIT_MESSAGES = CallSpec("await_messages", FetchMessages, Page, Lane.WAITS, writes=False)
CHANGES = CallSpec("changes", FetchChanges, Changes, Lane.REQUESTS, writes=False)
AWAIT_CHANGES = CallSpec("await_changes", FetchChanges, Changes, Lane.WAITS, writes=False)
FOLLOW = CallSpec("follow", FollowOver, str, Lane.REQUESTS, writes=False)
"""Begins a following; what it is told comes as a Push of the kind TOLD. The answer is the token of the head."""
UNFOLLOW = CallSpec("unfollow", Unfollow, type(None), Lane.CONTROL, writes=False)
HEADS = CallSpec("heads", Heads, HeadsNow, Lane.CONTROL, writes=False)
PROVE = CallSpec("prove", ProvenToken, type(None), Lane.REQUESTS, writes=False)
RECEIPTS = CallSpec("receipts", FetchReceipts, ReceiptsResult, Lane.REQUESTS, writes=False)
LOCATE = CallSpec("locate", Locate, Located, Lane.REQUESTS, writes=False)
REGISTER_DEVICE = CallSpec("register_device", RegisterDevice, DevicesResult, Lane.REQUESTS, writes=True)
SET_PUSH = CallSpec("set_push", SetPush, DevicesResult, Lane.REQUESTS, writes=True)
SIGN_OUT = CallSpec("sign_out", SignOut, SignOutResult, Lane.REQUESTS, writes=True)
FETCH_DEVICES = CallSpec("fetch_devices", FetchDevices, DevicesResult, Lane.REQUESTS, writes=False)
SEARCH = CallSpec("search", Search, Found, Lane.REQUESTS, writes=False)
REVOKE_USER = CallSpec("revoke_user", str, int, Lane.CONTROL, writes=True)
REVOKE_ID = CallSpec("revoke_id", str, type(None), Lane.CONTROL, writes=True)
DELIVER = CallSpec("deliver", Deliver, int, Lane.DELIVERIES, writes=True)
DELIVER_TO_MANY = CallSpec("deliver_to_many", DeliverToMany, Arrivals, Lane.DELIVERIES, writes=True)
ASK_GROUP = CallSpec("ask_group", AskGroup, GroupSays, Lane.GROUPS, writes=True)
TAKE_RECEIPTS = CallSpec("take_receipts", TakeReceipts, int, Lane.RECEIPTS, writes=True)
PROFILE_OF = CallSpec("profile_of", ProfileOf, ProfileNow, Lane.CONTROL, writes=False)
"""Requests wait for it, and it waits for none: so not in their lane."""
PRESENCE_TERMS = CallSpec("presence_terms", AskPresence, PresenceTerms, Lane.REQUESTS, writes=False)
SHOWS_PRESENCE = CallSpec("shows_presence", ShowsPresence, PresenceShows, Lane.CONTROL, writes=False)
"""As PROFILE_OF."""
JUDGE = CallSpec("judge", Bearer, type(None), Lane.CONTROL, writes=False)
PING = CallSpec("ping", type(None), type(None), Lane.CONTROL, writes=False)
"""Does nothing. Every listener serves it."""


class ServedLink(Protocol):
    """A link over which calls are served, for handlers that say something beside their answer."""

    def push(self, leave: Callable[[], bytes]) -> None:
        """Has a frame leave in this turn of the loop, or when the peer reads again: the one that `leave` gives then.

        b"" is none. Nothing leaves a link that is lost.
        """
        ...

    def at_end(self, ended: Callable[[], None]) -> None:
        """Has `ended` called once when the link is lost; at once where it is."""
        ...


class Inbound(NamedTuple):
    """What is known of a call beside what it asks. `incarnation` is the caller's, which it has proven to be.

    `link` is where it came from: None where that is no link.

    `map_version` is that of the map by which the caller chose this process; 0 where it goes by none. `timeout_s` is
    what was left of the caller's time when the call left it.
    """

    incarnation: str
    map_version: int
    timeout_s: float
    link: "ServedLink | None" = None


Handler = Callable[[Asked, Inbound], Answered | Awaitable[Answered]]
"""Serves a call. A value is answered in the same turn of the loop, an asyncio.Future by its callback. The coroutine of
an `async def` has made its first step when the next call begins; it gets a task if it waits then.

What it returns is cancelled when the caller calls the call off, its time is over, or the link is lost. That ends the
waiting: a handler whose mutation has begun lets it go on, as MailboxPort promises.
"""


class Handlers:
    """The calls that a listener serves."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[CallSpec[Any, Any], Handler[Any, Any]]] = {}

    def add(self, spec: CallSpec[Asked, Answered], handler: Handler[Asked, Answered]) -> None:
        """Has `handler` serve a call. ValueError where the call has one."""
        if spec.name in self._by_name:
            raise ValueError(f"{spec.name} is served already")
        self._by_name[spec.name] = spec, handler

    def merge(self, others: "Handlers") -> None:
        """Adds all of `others`. ValueError as `add`."""
        for spec, handler in others:
            self.add(spec, handler)

    def __iter__(self) -> Iterator[tuple[CallSpec[Any, Any], Handler[Any, Any]]]:
        return iter(self._by_name.values())

    def get(self, name: str) -> tuple[CallSpec[Any, Any], Handler[Any, Any]] | None:
        """The call of this name and who serves it; None: nobody does."""
        return self._by_name.get(name)
