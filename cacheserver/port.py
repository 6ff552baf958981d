"""The port through which `api/` reaches the owner of users: an Owner, or over HBase the Node that has one at times.

Only values pass it. The caller has parsed and authorised them. Answers hold items that are encoded as JSON already, so
that nothing is encoded twice on its way. Every method may raise the errors of rowbox.mailbox.errors that are named
under it, and always HandoverInProgress, StoreUnavailable, Overloaded (all retryable), and TokenRevoked. Cancelling a
call stops the waiting and nothing else: a mutation that was begun is finished.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from rowbox.mailbox.account.deeds import AccountDeed
from rowbox.mailbox.group import GroupSettings
from rowbox.mailbox.groups.requests import Deed, GroupAnswer, GroupRequest, GroupView
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.receipts import MemberReceipt
from rowbox.mailbox.revocation import Bearer


class Quota(msgspec.Struct, frozen=True, array_like=True):
    """What is left of a user's token bucket: whole requests, and seconds until it is full again."""

    remaining: int
    reset_s: int


class Routed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which router sent a write, and in which of its turns: what it sent in one turn is begun in that order or not."""

    router: int
    turn: int


class Send(msgspec.Struct, frozen=True, array_like=True):
    """One message to send. `recipient_id` may be the sender: then it is one copy in one mailbox.

    `entropy` gives the random bits of the messageId, so that whoever asks a second time, because the first answer was
    lost, knows the message for its own; 0: the owner draws them.
    """

    sender_id: str
    recipient_id: str
    content: str
    client_message_id: str
    bearer: Bearer | None = None
    """What is known of the token that the request came with; None: it came with none that can be revoked."""
    routed: Routed | None = None
    entropy: int = 0
    conversation_id: bytes | None = None
    """Where the message goes, in place of a recipient, who is "" then: a group, or a conversation of two."""


class SendResult(msgspec.Struct, frozen=True, array_like=True):
    """What became of a send. Ids are bytes, timestamps microseconds.

    `pending_recipients` counts the participants whose mailbox does not show the message yet; `duplicate` says that an
    earlier request with this clientMessageId had applied it.
    """

    message_id: bytes
    conversation_id: bytes
    sent_timestamp: int
    last_updated_timestamp: int
    pending_recipients: int
    duplicate: bool
    quota: Quota | None = None


class MarkRead(msgspec.Struct, frozen=True, array_like=True):
    """A request to mark a conversation as read, up to and including a message."""

    user_id: str
    conversation_id: bytes
    message_id: bytes
    bearer: Bearer | None = None
    routed: Routed | None = None


class MarkReadResult(msgspec.Struct, frozen=True, array_like=True):
    """The conversation after a MarkRead. `unread_count` is exact to 999; 1000 says "more"; the timestamp is in us."""

    conversation_id: bytes
    unread_count: int
    last_updated_timestamp: int
    quota: Quota | None = None


class ChangeMessage(msgspec.Struct, frozen=True, array_like=True):
    """A change of a message by its author: `content` is its new text; None takes the message back (unsend)."""

    user_id: str
    conversation_id: bytes
    message_id: bytes
    content: str | None
    bearer: Bearer | None = None
    routed: Routed | None = None


class React(msgspec.Struct, frozen=True, array_like=True):
    """A user's reaction to a message, his own or another's: one emoji; "" takes back what he had."""

    user_id: str
    conversation_id: bytes
    message_id: bytes
    emoji: str
    bearer: Bearer | None = None
    routed: Routed | None = None


class ChangeResult(msgspec.Struct, frozen=True, array_like=True):
    """The message after a ChangeMessage or a React: its version in the mailbox of the user who asked. `changed`: False
    where it was so before.

    It may have been an earlier try of the same request that changed it.
    """

    message_id: bytes
    last_updated_timestamp: int
    changed: bool
    quota: Quota | None = None


class SetTtl(msgspec.Struct, frozen=True, array_like=True):
    """For how long messages of a conversation last that are sent from now on, in milliseconds; 0: until retention ends
    them.
    """

    user_id: str
    conversation_id: bytes
    ttl_ms: int
    bearer: Bearer | None = None
    routed: Routed | None = None


class TtlResult(msgspec.Struct, frozen=True, array_like=True):
    """The conversation after a SetTtl: its version in the mailbox of the user who asked, or the group's version.
    `changed`: False where it was so before, maybe by an earlier try of the same request.
    """

    conversation_id: bytes
    last_updated_timestamp: int
    changed: bool
    quota: Quota | None = None


class Create(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A new group of the user and of `members`, under a name of his own for it."""

    client_group_id: str
    name: str
    members: tuple[str, ...]
    settings: GroupSettings


class ChangeGroup(msgspec.Struct, frozen=True, array_like=True):
    """A change of a group by one of its members; or its creation, whose `conversation_id` is group_conversation_id."""

    user_id: str
    conversation_id: bytes
    deed: Create | Deed
    bearer: Bearer | None = None
    routed: Routed | None = None


class GroupResult(msgspec.Struct, frozen=True, array_like=True):
    """The group after a ChangeGroup. `changed`: False where it was so before; it may have been an earlier try.

    `pending` counts the members who have not been told yet.
    """

    conversation_id: bytes
    version: int
    changed: bool
    pending: int
    quota: Quota | None = None


class FetchGroup(msgspec.Struct, frozen=True, array_like=True):
    """What a group is, asked by one of its members."""

    user_id: str
    conversation_id: bytes
    bearer: Bearer | None = None


class GroupShown(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchGroup."""

    conversation_id: bytes
    view: GroupView
    quota: Quota | None = None


class ChangeAccount(msgspec.Struct, frozen=True, array_like=True):
    """Something to be done with a user's account."""

    user_id: str
    deed: AccountDeed
    bearer: Bearer | None = None
    routed: Routed | None = None


class AccountResult(msgspec.Struct, frozen=True, array_like=True):
    """What came of a ChangeAccount. `changed`: False where it was so before; it may have been an earlier try."""

    version: int
    changed: bool
    quota: Quota | None = None
    step: int = 0
    """As AccountChanged.step."""


MAX_USERS: Final = 50
"""Users who are asked about at once: for each of them a mailbox may have to be loaded."""


USERS_A_FETCH: Final = 5


class FetchUsers(msgspec.Struct, frozen=True, array_like=True):
    """Who some users are, asked by `user_id`: himself among them, or not. USERS_A_FETCH of them count as a fetch."""

    user_id: str
    users: tuple[str, ...]
    bearer: Bearer | None = None


class UsersShown(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchUsers, in its order: the profile of each, None of one who has none.

    The whole of it: what of it the caller may see, the caller's process decides.
    """

    profiles: tuple[Profile | None, ...]
    quota: Quota | None = None


MOST_PRESENCES: Final = 200
"""Users whose presence one question asks for, or one connection watches."""


class AskPresence(msgspec.Struct, frozen=True, array_like=True):
    """Who may be shown when `user_id` is online, and of whom of `users` he may be shown it.

    It costs a fetch, and another one for each USERS_A_FETCH of them.
    """

    user_id: str
    users: tuple[str, ...] = ()
    bearer: Bearer | None = None
    active_ms: int | None = None
    """For so long the user has not been active, as far as the asking process knows; None: it does not say."""


class PresenceTerms(msgspec.Struct, frozen=True, array_like=True):
    """The answer to an AskPresence. `hides`: nobody may be shown the user's presence.

    `sees` is in the order of the question: whether he may be shown that user's; None: nobody answers for that user now.
    `is_pushed`: the user has devices that are told of messages while he is not active, so this owner is to hear that he
    is (AskPresence.active_ms).
    """

    hides: bool
    sees: tuple[bool | None, ...] = ()
    quota: Quota | None = None
    is_pushed: bool = False


class FetchConversations(msgspec.Struct, frozen=True, array_like=True):
    """A page of conversations, or what changed since `token`. At most one of page_number > 0, token, cursor.

    Tokens and cursors are text that the owner gave and reads: only it knows which history its store is in.
    """

    user_id: str
    page_number: int = 0
    page_size: int = 20
    token: str | None = None
    cursor: str | None = None
    wait_ms: int = 0
    bearer: Bearer | None = None


class FetchMessages(msgspec.Struct, frozen=True, array_like=True):
    """A page of messages of one conversation, or of all (`conversation_id` None), or what came since `token`.

    `page_number` None is the first page of those that go on by cursor: it may end early. A page that was asked for by
    its number, 0 too, never ends early: PageTooLarge. Beside a token `page_number` says nothing.
    """

    user_id: str
    conversation_id: bytes | None = None
    page_number: int | None = None
    page_size: int = 50
    token: str | None = None
    cursor: str | None = None
    wait_ms: int = 0
    bearer: Bearer | None = None
    proves: bool = False
    """Whether the user's own client asks, so that its token, if a delta gave it, proves what it has (FetchChanges)."""
    max_bytes: int = PAGE_BYTES
    """The most bytes of the answer's body, but for one message."""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchConversations or a FetchMessages.

    `items` are JSON objects as the client gets them. `token` names the head of the mailbox as of this answer (the last
    change given, where a delta has more); None for pages by number. `reset_reason` says why a token, or a cursor, got
    a full first page.
    `retry_after_ms` is set when the server is draining and the client should come back after that time.
    """

    items: Sequence[bytes]
    is_delta: bool
    token: str | None
    has_more: bool = False
    next_cursor: str | None = None
    reset_reason: str | None = None
    retry_after_ms: int | None = None
    quota: Quota | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says no more than that nothing has changed."""
        return self.is_delta and not (self.items or self.has_more)


class FetchChanges(msgspec.Struct, frozen=True, array_like=True):
    """What changed in a mailbox since `token`: messages and conversations. Without a token: where to begin.

    `page_size` is the most messages of an answer, `max_bytes` the most bytes of its body, but for one change.
    """

    user_id: str
    token: str | None = None
    page_size: int = 100
    max_bytes: int = 262_144
    wait_ms: int = 0
    bearer: Bearer | None = None
    proves: bool = False
    """Whether the user's own client asks: a token that came from a delta proves that it has everything up to there, and
    the authors are told that it is delivered. Not for another user's token, and for whoever only passes tokens on."""


class Changes(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchChanges: what changed since its token, up to a version that `token` names.

    `messages` and `conversations` are JSON objects as the client gets them, each in its newest state, in the order of
    their changes. One that has changed again behind `token` is not here: it comes with a later answer. `has_more` says
    that there are changes behind `token`, `account` that something of the user himself changed.

    `is_delta` False: these are the newest conversations, no messages, and `token` is the mailbox's head. The client
    drops what it has. `next_cursor` is then FetchConversations' cursor behind them, None where there are no others, and
    `reset_reason` says why the request's token was not served. `retry_after_ms` is as in Page.
    """

    messages: Sequence[bytes]
    conversations: Sequence[bytes]
    account: bool
    is_delta: bool
    token: str
    has_more: bool = False
    reset_reason: str | None = None
    retry_after_ms: int | None = None
    quota: Quota | None = None
    next_cursor: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says no more than that nothing has changed."""
        return self.is_delta and not (self.messages or self.conversations or self.account or self.has_more)


class Follow(msgspec.Struct, frozen=True, array_like=True):
    """A wish to be told of each change of a mailbox that is shown, until it is taken back.

    `connection`: of the connection that it is for, where a device has one at a time (the device is the bearer's): a
    number that no other has (connection_number). 0: it shares the device with any others. `takes_place`: the connection
    has just begun, so those that the device had before are over. One that goes on (with another token, at another
    owner) ends nobody: it may be that of a client which is long gone.
    """

    user_id: str
    bearer: Bearer | None = None
    connection: int = 0
    takes_place: bool = False


_TIE_BITS: Final = 20


def connection_number(begun_ms: int, tie: int) -> int:
    """The number of a connection that has begun at this time of day. Some bits of `tie`, a random number, go in."""
    return begun_ms << _TIE_BITS | tie & ((1 << _TIE_BITS) - 1)


def begun_ms_of(connection: int) -> int:
    """When the connection of a number has begun, by the clock of its server."""
    return connection >> _TIE_BITS


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """A mailbox has a newer head. Both are tokens of FetchChanges: `prev` is that of the head of which was told before.

    `frame` is the body of a Changes: of what changed behind `prev`, up to `head`. So it holds for whoever has taken
    in all up to a version from `prev` on, and below `head`. Without it, or where it does not hold, what changed is to
    be asked for. It is one object for all who follow the user.
    """

    head: str
    prev: str
    frame: bytes | None = None


REVOKED: Final = "token_revoked"
SIGNED_OUT: Final = "signed_out"
REPLACED: Final = "replaced"
HANDED_OVER: Final = "handover_in_progress"
LINK_LOST: Final = "link_lost"


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """A following is told nothing now. Where `is_over`, nothing will be: its Following has ended.

    REVOKED: the token that came with it was revoked. SIGNED_OUT: its device was signed out, or all were. REPLACED: too
    many others follow the user, or its device has connected anew. HANDED_OVER: another owner tells of the user.
    LINK_LOST: there is no way to the owner. A router goes on with the next owner by itself: then `is_over` is False,
    and a Changed follows when it has found one.
    """

    reason: str
    retry_after_ms: int | None = None
    is_over: bool = True


Notify: TypeAlias = Callable[[Changed | Lost], None]
"""Is told, in the loop and without awaiting. It must neither raise nor take long: whoever tells is at work."""


class Following(Protocol):
    """What came of a Follow."""

    @property
    def head(self) -> str:
        """The newest head that is known: a token. It moves with what is told, before that is told."""
        ...

    def close(self) -> None:
        """Takes the wish back: nothing more is told. A second call does nothing."""
        ...


MAX_GROUP_RECEIPTS: Final = 10
"""Messages of a group that are asked for at once: of each of them 255 members may be named."""


class FetchReceipts(msgspec.Struct, frozen=True, array_like=True):
    """Who has got and read some of the user's own messages, of one conversation."""

    user_id: str
    conversation_id: bytes
    message_ids: tuple[bytes, ...]
    bearer: Bearer | None = None


class MessageReceipts(msgspec.Struct, frozen=True, array_like=True):
    """What the other participants have of a message."""

    message_id: bytes
    members: tuple[MemberReceipt, ...]


class ReceiptsResult(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchReceipts, in the order in which it was asked. `as_of`: when it last changed; 0: never."""

    receipts: tuple[MessageReceipts, ...]
    as_of: int
    quota: Quota | None = None


class Locate(msgspec.Struct, frozen=True, array_like=True):
    """Where clients reach the server that owns a mailbox: asked before a client opens a connection that lasts."""

    user_id: str
    bearer: Bearer | None = None


class Located(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a Locate: the owner's `server.public_url`; "": it has none, or is about to stop."""

    url: str
    quota: Quota | None = None


class Search(msgspec.Struct, frozen=True, array_like=True):
    """Messages of the user that have certain words, newest first: of a conversation, of a sender, and sent after and
    before times (microseconds, neither is included), where these are given.
    """

    user_id: str
    text: str
    """What was typed: mailbox/search/query.py reads it."""
    conversation_id: bytes | None = None
    sender_id: str | None = None
    after: int | None = None
    before: int | None = None
    page_size: int = 20
    cursor: str | None = None
    bearer: Bearer | None = None
    max_bytes: int = PAGE_BYTES
    """The most bytes of the answer's body, but for one message."""


class Found(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a Search. `messages` are JSON objects as the client gets them.

    `complete` False: the index of the mailbox is still being made, the newest messages first, and what it has not taken
    in yet is missing; soon the same search finds more. `as_of` is the version of the mailbox that was searched. A page
    may hold fewer messages than it may, also none, and still have a `next_cursor`.
    """

    messages: Sequence[bytes]
    complete: bool
    as_of: int
    next_cursor: str | None = None
    quota: Quota | None = None


class ProvenToken(msgspec.Struct, frozen=True, array_like=True):
    """The user's own client has everything up to `token`, which a Changes gave: where it says so and asks nothing."""

    user_id: str
    token: str
    bearer: Bearer | None = None


class RegisterDevice(msgspec.Struct, frozen=True, array_like=True):
    """A device of the user is signed in, or one that is gets another name."""

    user_id: str
    device_id: str
    name: str
    platform: str
    bearer: Bearer | None = None
    routed: Routed | None = None


class SetPush(msgspec.Struct, frozen=True, array_like=True):
    """A device of the user is told of new messages at `target`; None: nowhere. `code`: what a webhook gives back."""

    user_id: str
    device_id: str
    target: PushTarget | None
    code: bytes = b""
    bearer: Bearer | None = None
    routed: Routed | None = None


class SignOut(msgspec.Struct, frozen=True, array_like=True):
    """A device of the user is signed out; "": all are, and all tokens, but for those that name the device `spared`."""

    user_id: str
    device_id: str
    spared: str = ""
    bearer: Bearer | None = None
    routed: Routed | None = None


class FetchBlocks(msgspec.Struct, frozen=True, array_like=True):
    """Whom the user blocks: the first `most` of those whose userIds are greater than `after`."""

    user_id: str
    after: str
    most: int
    bearer: Bearer | None = None


class BlockShown(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who is blocked, since a time in microseconds."""

    user_id: str
    since_us: int


class BlocksShown(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchBlocks, by userId. `has_more`: behind these there are others."""

    blocks: tuple[BlockShown, ...]
    has_more: bool
    quota: Quota | None = None


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A user reports messages of others in a conversation of his: MOST_REPORTED at most; none: its newest ones."""

    user_id: str
    conversation_id: bytes
    message_ids: tuple[bytes, ...]
    reason: str
    comment: str = ""
    bearer: Bearer | None = None
    routed: Routed | None = None


class ReportResult(msgspec.Struct, frozen=True, array_like=True):
    """The messages by which messages were reported, in a conversation with whoever takes reports.

    `duplicate`: each of them was there before.
    """

    conversation_id: bytes
    message_ids: tuple[bytes, ...]
    duplicate: bool
    quota: Quota | None = None


class FetchHidden(msgspec.Struct, frozen=True, array_like=True):
    """What is kept hidden of those whom the user has ever blocked: `most` messages behind a place, of about `max_bytes`
    of text. For administrators: `bearer` is who looks; None: an operator.
    """

    user_id: str
    most: int
    max_bytes: int
    behind: tuple[bytes, bytes] | None = None
    """A conversation and a message of it, b"" for none, as a HiddenPage names them; None: from the beginning."""
    bearer: Bearer | None = None


class HiddenShown(msgspec.Struct, frozen=True, array_like=True):
    """What was kept of a hidden message with the version `hidden_us`: its text then, and what had been done to it."""

    message_id: bytes
    conversation_id: bytes
    sender_id: str
    content: str
    hidden_us: int
    change: Change | None = None
    reactions: tuple[Reaction, ...] = ()


class HiddenPage(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchHidden, by conversation, in each the newest message first, of each what was kept first.

    `next` is where the next page begins; None: there is no more. A page may hold fewer messages than it may, also none,
    and still have a `next`.
    """

    messages: tuple[HiddenShown, ...]
    next: tuple[bytes, bytes] | None = None
    quota: Quota | None = None


class FetchContacts(msgspec.Struct, frozen=True, array_like=True):
    """The user's contacts: the first `most` of those whose userIds are greater than `after`."""

    user_id: str
    after: str
    most: int
    bearer: Bearer | None = None


class ContactShown(msgspec.Struct, frozen=True, array_like=True):
    """A contact, since a time in microseconds; `version`: that of the newest change of what is kept of him."""

    user_id: str
    since_us: int
    version: int
    alias: str
    is_favourite: bool


class ContactsShown(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchContacts, by userId. `has_more`: behind these there are others."""

    contacts: tuple[ContactShown, ...]
    has_more: bool
    quota: Quota | None = None


class FetchRequests(msgspec.Struct, frozen=True, array_like=True):
    """The `most` newest of the conversations that wait to be accepted, below a place that an answer named."""

    user_id: str
    below: bytes | None
    most: int
    bearer: Bearer | None = None


class RequestsShown(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a FetchRequests: JSON objects as the client gets them. `following`: where others are below; None:
    there are none.
    """

    conversations: tuple[bytes, ...]
    following: bytes | None
    quota: Quota | None = None


class SignOutResult(msgspec.Struct, frozen=True, array_like=True):
    """The devices that were signed in until a SignOut. It may have been an earlier try that signed them out."""

    device_ids: tuple[str, ...]
    quota: Quota | None = None
    left: int = -1
    """Devices that are signed in now; -1: the owner is too old to say."""


class FetchDevices(msgspec.Struct, frozen=True, array_like=True):
    """Which devices of the user are signed in."""

    user_id: str
    bearer: Bearer | None = None


class PushShown(msgspec.Struct, frozen=True, array_like=True):
    """Where a device is told of new messages, as far as anybody is shown that: the address may be a secret."""

    kind: Literal["web", "webhook"]
    host: str
    is_confirmed: bool


class DeviceShown(msgspec.Struct, frozen=True, array_like=True):
    """A device that is signed in. Times are microseconds. `is_asking`: the request came from it."""

    device_id: str
    name: str
    platform: str
    created_us: int
    seen_us: int
    is_asking: bool
    push: PushShown | None = None


class DevicesResult(msgspec.Struct, frozen=True, array_like=True):
    """The devices that were asked for, the one that was seen last first: of a RegisterDevice or a SetPush that one.

    `server_key`: what a browser subscribes with; "": there is no Web Push.
    """

    devices: tuple[DeviceShown, ...]
    quota: Quota | None = None
    server_key: str = ""


class MailboxPort(Protocol):
    """Everything a client can ask of a mailbox."""

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """Asked before a write's body is read: RateLimited where it is known that the user may not write now.

        Takes nothing: the write itself is asked once more. HandoverInProgress as everywhere.
        """
        ...

    async def send(self, request: Send) -> SendResult:
        """Applies a send once, whatever is retried. ClientMessageIdReused, RateLimited, StoreOutcomeUnknown.

        The first message to somebody: UnknownUser, OwnerAway. To a conversation also UnknownConversation; to a group
        NotAMember, GroupDeleted, NotAllowed, MessageTooLarge.
        """
        ...

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        """What became of the user's own send, with `duplicate` False. UnknownClientMessageId, RateLimited."""
        ...

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        """Moves the read mark forward, never back. UnknownConversation, UnknownMessage, RateLimited."""
        ...

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        """Changes a message of the user; the copies of others follow, each behind the message.

        The same change again changes nothing. UnknownConversation, UnknownMessage, NotTheAuthor, MessageUnsent,
        TooLateToChange, RateLimited; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def react(self, request: React) -> ChangeResult:
        """Has a user react to a message; the copies of others follow, each behind the message.

        The same reaction again changes nothing. UnknownConversation, UnknownMessage, MessageUnsent, TooLateToChange,
        RateLimited; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        """Sets a conversation's ttl; the other's mailbox follows, behind what was sent before, as do those of members.

        The same ttl again changes nothing. UnknownConversation, RateLimited; of a group what `change_group` raises of a
        change of its settings; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        """Creates or changes a group; its members are told, each behind what was said before.

        What is so already is not changed. UnknownConversation, NotAMember, GroupDeleted, NotAllowed, UnknownMember,
        GroupFull, ClientGroupIdReused, GroupMoved, UnknownUser, OwnerAway, RateLimited; PeerTooOld where an owner does
        not know this call yet.
        """
        ...

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        """What a group is, and who is in. UnknownConversation, NotAMember, GroupDeleted, RateLimited, PeerTooOld."""
        ...

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        """Has a device signed in. SignedOut where it was signed out, TooManyDevices, RateLimited, PeerTooOld."""
        ...

    async def set_push(self, request: SetPush) -> DevicesResult:
        """Has a device told of new messages somewhere, or not any more. The same place again stays as it is.

        UnknownDevice, PushOff, RateLimited, PeerTooOld; BadRequest where nothing may be told there, and for a code that
        was not sent there.
        """
        ...

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """Signs out a device, or all. From the commit on, what comes from it is refused with SignedOut, and what waits
        or follows ends with that.

        UnknownDevice, RateLimited, StoreOutcomeUnknown, PeerTooOld.
        """
        ...

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        """The user's devices. RateLimited, PeerTooOld."""
        ...

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        """Makes a user known, changes his profile, or his list of contacts or of those whom he blocks, or deletes him.
        Whether the caller may, it knows.

        What is so already is not changed. UnknownUser, OwnerAway, UserExists, UserDeleted, TooManyBlocks,
        TooManyContacts; RateLimited; FeatureOff; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        """Whom a user blocks. RateLimited; PeerTooOld where the owner does not know this call yet."""
        ...

    async def report(self, request: Report) -> ReportResult:
        """Reports messages, each once however often it is asked for, as the user's mailbox has them at the first time.

        Who wrote them is told nothing. ReportsOff, FeatureOff, UnknownConversation, UnknownMessage, NotTheAuthor,
        RateLimited, StoreOutcomeUnknown; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        """What is hidden from a user, for whoever may see it: that, the caller knows. Each look is logged.

        RateLimited; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        """A user's contacts. RateLimited; PeerTooOld where the owner does not know this call yet."""
        ...

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        """A user's conversations that wait to be accepted, the one with the newest message first.

        RateLimited; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        """Who users are. RateLimited; PeerTooOld where an owner does not know this call yet."""
        ...

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        """Whose presence may be shown to whom. RateLimited; PeerTooOld where the owner does not know this call yet."""
        ...

    async def fetch_conversations(self, request: FetchConversations) -> Page:
        """A page of conversations. Where nothing is newer than `token`, the answer waits for up to `wait_ms`.

        RateLimited; BadRequest for a token or a cursor that nobody gave, and for another list's cursor.
        """
        ...

    async def fetch_messages(self, request: FetchMessages) -> Page:
        """A page of messages. Waits and raises as fetch_conversations; also UnknownConversation, PageTooLarge."""
        ...

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        """What changed in the mailbox. Where nothing is newer than `token`, the answer waits for up to `wait_ms`.

        RateLimited; BadRequest for a token that nobody gave; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def prove(self, request: ProvenToken) -> None:
        """Has authors told that what came up to a token is delivered, as `FetchChanges.proves` has.

        BadRequest for a token that nobody gave; PeerTooOld as fetch_changes.
        """
        ...

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """Has `notify` told of every shown change behind the head that the Following begins with.

        Told is a hint: it may say less than happened (one Changed for several changes) and twice the same, never
        nothing for good. So whoever pulls from its token when it is told, and once at the beginning, misses nothing.
        Overloaded; PeerTooOld as fetch_changes.
        """
        ...

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        """Who has got and read some of the user's own messages, as far as the user's mailbox was told.

        UnknownConversation, UnknownMessage, NotTheAuthor, RateLimited; PeerTooOld where the owner does not know this
        call yet.
        """
        ...

    async def locate(self, request: Locate) -> Located:
        """Where clients reach the server that owns the mailbox. It may be another one at any time: a hint, no more.

        RateLimited; PeerTooOld where the owner does not know this call yet.
        """
        ...

    async def search(self, request: Search) -> Found:
        """Messages that have certain words, as the mailbox has them now.

        UnknownConversation, RateLimited; BadRequest where nothing is looked for, and for another search's cursor;
        SearchOff where nobody can search, SearchUnavailable where nobody can now; PeerTooOld where the owner does not
        know this call yet.
        """
        ...

    def unready_reasons(self) -> Sequence[str]:
        """Why this server should get no traffic now; empty when it should. Reads only what is in memory."""
        ...

    def warnings(self) -> Sequence[str]:
        """What is wrong although this server should get traffic: a part of the store is away. Reads only memory."""
        ...

    def begin_drain(self) -> None:
        """Ends every wait: waiters are answered at once, and later requests do not wait. Refuses no request."""
        ...


class DeliveryPort(Protocol):
    """What brings messages into the mailboxes of their recipients."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> Awaitable[int]:
        """Brings messages into a user's mailbox, in order, each once however often it comes.

        The result is how many of them, counted from the first, are durable: one at least. Raises, at once or when it is
        awaited, what a write raises, and HandoverInProgress where this server cannot reach the user's owner.
        """
        ...


class GroupPort(Protocol):
    """What the owners of members ask of the owner of a group's row."""

    def ask_group(self, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        """Does what is asked of a group's row. Raises what GroupRow does, and what a write raises."""
        ...


class UserPort(Protocol):
    """What owners ask of the owner of a user whom one of their own is about to deal with."""

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        """The profile of a user, as it stands; None: he has none. Raises what a load raises, and HandoverInProgress
        where this server does not own the user.
        """
        ...

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        """Whether each of these users lets `watcher_id` be shown his presence; None of one whom nobody answers for.

        What the watcher's own row says of that, his owner has asked.
        """
        ...


class RevocationPort(Protocol):
    """What an operator can ask of the owner: that tokens are refused, over restarts and takeovers.

    Every method raises HandoverInProgress where this server is not the owner; the message says which one is.
    """

    async def revoke_user(self, user_id: str) -> int:
        """Has every token refused that was issued to the user until this returns. Returns the second before which."""
        ...

    async def revoke_id(self, token_id: str) -> None:
        """Has the token with this `jti` refused, by all servers of the store within a second. RevocationsFull."""
        ...
