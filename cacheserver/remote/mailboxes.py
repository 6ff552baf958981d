"""The mailboxes of another process: its MailboxPort over a link, and the handlers that serve one.

What MailboxPort answers without awaiting is answered here from what is known: a user's RateLimited until its time, and
what the other side publishes of itself (status.py). The caller's own drain is its own affair: its waits are called off
and answered here, as empty deltas with the tokens that they came with, which is true at any time.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from rowbox.cacheserver.port import (
    AccountResult,
    AskPresence,
    BlocksShown,
    ChangeAccount,
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
    Following,
    Found,
    GroupResult,
    GroupShown,
    HiddenPage,
    Locate,
    Located,
    MailboxPort,
    MarkRead,
    MarkReadResult,
    Notify,
    Page,
    PresenceTerms,
    ProvenToken,
    React,
    ReceiptsResult,
    RegisterDevice,
    Report,
    ReportResult,
    RequestsShown,
    RevocationPort,
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
from rowbox.cacheserver.remote.follows import RemoteFollows
from rowbox.cacheserver.remote.served_follows import ServedFollows
from rowbox.cacheserver.rpc import calls
from rowbox.cacheserver.rpc.calls import (
    Arrival,
    Arrivals,
    AskGroup,
    CallSpec,
    Deliver,
    DeliverToMany,
    FollowOver,
    GroupSays,
    Handlers,
    Inbound,
    PresenceShows,
    ProfileNow,
    ProfileOf,
    SendStatus,
    ShowsPresence,
    TakeReceipts,
)
from rowbox.cacheserver.rpc.failures import error_of, failure_of
from rowbox.cacheserver.rpc.link import Waiting
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.rpc.status import Status, status_of
from rowbox.mailbox.errors import LinkLost, PeerTooOld, RateLimited, RowboxError, UnknownCall
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

CheckRoute = Callable[[str, int], None]
"""Called with a user and the version of the map by which its request came here; raises NotTheOwner."""

DRAIN_SPREAD_MS: Final = 3_000
"""Clients of a draining server are told to come back after a random part of this."""
MOST_LIMITED: Final = 10_000
"""Users of whom it is remembered until when they may not write."""

OLD_PEER_RETRY_MS: Final = 10_000
"""After which a client asks again for a call that the owner is too old for: an upgrade takes its time."""

_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")
_Change = TypeVar("_Change", ChangeMessage, React, SetTtl, ChangeGroup, RegisterDevice, SetPush, SignOut)
_Fetch = TypeVar("_Fetch", FetchConversations, FetchMessages, FetchChanges)
_Fetched = TypeVar("_Fetched", Page, Changes)


class _OfUser(Protocol):
    """A request about the mailbox of one user."""

    @property
    def user_id(self) -> str: ...


_OfUserT = TypeVar("_OfUserT", bound=_OfUser)


class OwnerPort(Protocol):
    """What owners ask of one another."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> Awaitable[int]:
        """Brings messages into a recipient's mailbox: how many of them, from the first, are durable there."""
        ...

    def ask_group(self, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        """See GroupPort."""
        ...

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        """See UserPort."""
        ...

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        """See UserPort."""
        ...

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> Awaitable[int]:
        """Has an author's mailbox take in what readers have: how many of the receipts were news to it."""
        ...

    def judge(self, bearer: Bearer) -> Awaitable[None]:
        """TokenRevoked, by the row of the bearer's own user."""
        ...


def mailbox_calls(port: MailboxPort, check_route: CheckRoute | None = None) -> Handlers:
    """The handlers of a MailboxPort. Each asks `check_route` when it begins."""
    check = check_route if check_route is not None else _any_route
    handlers = Handlers()
    _add_writes(handlers, port, check)
    _add_reads(handlers, port, check)
    _add_follows(handlers, port, check)
    return handlers


def _add_writes(handlers: Handlers, port: MailboxPort, check: CheckRoute) -> None:
    def send(asked: Send, inbound: Inbound) -> Awaitable[SendResult]:
        check(asked.sender_id, inbound.map_version)
        return port.send(asked)

    def send_status(asked: SendStatus) -> Awaitable[SendResult]:
        return port.send_status(asked.user_id, asked.client_message_id, asked.bearer)

    handlers.add(calls.SEND, send)
    handlers.add(calls.SEND_TO, send)
    handlers.add(calls.SEND_STATUS, _checked(check, send_status))
    handlers.add(calls.MARK_READ, _checked(check, port.mark_read))
    handlers.add(calls.CHANGE_MESSAGE, _checked(check, port.change_message))
    handlers.add(calls.REACT, _checked(check, port.react))
    handlers.add(calls.SET_TTL, _checked(check, port.set_ttl))
    handlers.add(calls.CHANGE_GROUP, _checked(check, port.change_group))
    handlers.add(calls.REGISTER_DEVICE, _checked(check, port.register_device))
    handlers.add(calls.SET_PUSH, _checked(check, port.set_push))
    handlers.add(calls.SIGN_OUT, _checked(check, port.sign_out))
    handlers.add(calls.CHANGE_ACCOUNT, _checked(check, port.change_account))
    handlers.add(calls.REPORT, _checked(check, port.report))


def _add_reads(handlers: Handlers, port: MailboxPort, check: CheckRoute) -> None:
    handlers.add(calls.FETCH_GROUP, _checked(check, port.fetch_group))
    handlers.add(calls.FETCH_BLOCKS, _checked(check, port.fetch_blocks))
    handlers.add(calls.FETCH_HIDDEN, _checked(check, port.fetch_hidden))
    handlers.add(calls.FETCH_CONTACTS, _checked(check, port.fetch_contacts))
    handlers.add(calls.FETCH_REQUESTS, _checked(check, port.fetch_requests))
    handlers.add(calls.FETCH_USERS, _checked(check, port.fetch_users))
    handlers.add(calls.PRESENCE_TERMS, _checked(check, port.presence_terms))
    handlers.add(calls.CONVERSATIONS, _checked(check, port.fetch_conversations))
    handlers.add(calls.AWAIT_CONVERSATIONS, _checked(check, port.fetch_conversations))
    handlers.add(calls.MESSAGES, _checked(check, port.fetch_messages))
    handlers.add(calls.AWAIT_MESSAGES, _checked(check, port.fetch_messages))
    handlers.add(calls.CHANGES, _checked(check, port.fetch_changes))
    handlers.add(calls.AWAIT_CHANGES, _checked(check, port.fetch_changes))
    handlers.add(calls.RECEIPTS, _checked(check, port.fetch_receipts))
    handlers.add(calls.SEARCH, _checked(check, port.search))
    handlers.add(calls.PROVE, _checked(check, port.prove))
    handlers.add(calls.LOCATE, _checked(check, port.locate))
    handlers.add(calls.FETCH_DEVICES, _checked(check, port.fetch_devices))


def _checked(
    check: CheckRoute, answer: Callable[[_OfUserT], Awaitable[_Answered]]
) -> Callable[[_OfUserT, Inbound], Awaitable[_Answered]]:
    """The handler of a request of one user: it begins with the check of its way here."""

    def handle(asked: _OfUserT, inbound: Inbound) -> Awaitable[_Answered]:
        check(asked.user_id, inbound.map_version)
        return answer(asked)

    return handle


def _add_follows(handlers: Handlers, port: MailboxPort, check: CheckRoute) -> None:
    follows = ServedFollows(port)

    def follow(asked: FollowOver, inbound: Inbound) -> Awaitable[str]:
        check(asked.follow.user_id, inbound.map_version)
        return follows.follow(asked, inbound)

    handlers.add(calls.FOLLOW, follow)
    handlers.add(calls.UNFOLLOW, follows.unfollow)
    handlers.add(calls.HEADS, follows.heads)


def revocation_calls(port: RevocationPort) -> Handlers:
    """The handlers of a RevocationPort."""
    handlers = Handlers()
    handlers.add(calls.REVOKE_USER, lambda user_id, _: port.revoke_user(user_id))
    handlers.add(calls.REVOKE_ID, lambda token_id, _: port.revoke_id(token_id))
    return handlers


def owner_calls(port: OwnerPort) -> Handlers:
    """The handlers of what owners ask of one another."""
    handlers = Handlers()
    handlers.add(calls.DELIVER, lambda asked, _: port.deliver(asked.user_id, asked.messages))
    handlers.add(calls.DELIVER_TO_MANY, lambda asked, _: _deliver_to_many(port, asked))
    handlers.add(calls.ASK_GROUP, lambda asked, _: _ask_group(port, asked))
    handlers.add(calls.PROFILE_OF, lambda asked, _: _profile_of(port, asked))
    handlers.add(calls.SHOWS_PRESENCE, lambda asked, _: _shows_presence(port, asked))
    handlers.add(calls.TAKE_RECEIPTS, lambda asked, _: port.take_receipts(asked.user_id, asked.receipts))
    handlers.add(calls.JUDGE, lambda bearer, _: port.judge(bearer))
    return handlers


async def _ask_group(port: OwnerPort, asked: AskGroup) -> GroupSays:
    return GroupSays(await port.ask_group(asked.asked))


async def _profile_of(port: OwnerPort, asked: ProfileOf) -> ProfileNow:
    return ProfileNow(await port.profile_of(asked.user_id))


async def _shows_presence(port: OwnerPort, asked: ShowsPresence) -> PresenceShows:
    return PresenceShows(tuple(await port.shows_presence(asked.watcher_id, asked.users)))


async def _deliver_to_many(port: OwnerPort, asked: DeliverToMany) -> Arrivals:
    """Each recipient's delivery is begun in this turn, so that they go to the store together."""
    begun = [_begun(port, user_id, asked.messages) for user_id in asked.users]
    ended = await asyncio.gather(*begun, return_exceptions=True)
    return Arrivals(tuple(_arrival(one) for one in ended))


def _begun(port: OwnerPort, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
    try:
        return asyncio.ensure_future(port.deliver(user_id, messages))
    except RowboxError as error:
        failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        return failed


def _arrival(ended: int | BaseException) -> Arrival:
    if isinstance(ended, BaseException):
        failure = failure_of(ended)
        return Arrival(0, tuple(failure.kinds), failure.message, dict(failure.fields))
    return Arrival(ended)


def _any_route(user_id: str, map_version: int) -> None:
    """Where nobody goes by a map, every route is right."""


class RemoteMailboxes:
    """MailboxPort, RevocationPort and OwnerPort over the link to a peer.

    Beside the errors that the ports name there are LinkLost and, of what writes, StoreOutcomeUnknown (Peer.call).
    `timeout_s` is a call's time, beside what it asks to wait for; `map_version` is asked with each call.
    """

    def __init__(self, peer: Peer, *, timeout_s: float = 30.0, map_version: Callable[[], int] | None = None) -> None:
        self.peer = peer
        self._timeout_s = timeout_s
        self._map_version = map_version
        self._loop = asyncio.get_running_loop()
        self._limited: OrderedDict[str, float] = OrderedDict()
        self._parked: dict[Waiting[Page] | Waiting[Changes], None] = {}
        self._is_draining = False
        self._follows = RemoteFollows(peer, timeout_s, map_version)

    @property
    def is_up(self) -> bool:
        """Whether there is a link."""
        return self.peer.is_up

    async def close(self) -> None:
        """Ends the link. Whoever follows a mailbox over it is told so."""
        await self.peer.close()
        await self._follows.close()

    # ------------------------------------------------------------------ what awaits

    # A call is on its way before the first await.

    async def send(self, request: Send, *, timeout_s: float | None = None) -> SendResult:
        """See MailboxPort."""
        try:
            if request.conversation_id is not None:
                return await self._of_newer(self._call(calls.SEND_TO, request, timeout_s))
            return await self._call(calls.SEND, request, timeout_s)
        except RateLimited as error:
            self._remember(request.sender_id, error)
            raise

    async def change_group(self, request: ChangeGroup, *, timeout_s: float | None = None) -> GroupResult:
        """See MailboxPort."""
        return await self._change(calls.CHANGE_GROUP, request, timeout_s)

    async def fetch_group(self, request: FetchGroup, *, timeout_s: float | None = None) -> GroupShown:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_GROUP, request, timeout_s))

    async def change_account(self, request: ChangeAccount, *, timeout_s: float | None = None) -> AccountResult:
        """See MailboxPort."""
        try:
            return await self._of_newer(self._call(calls.CHANGE_ACCOUNT, request, timeout_s))
        except RateLimited as error:
            self._remember(request.user_id, error)
            raise

    async def fetch_blocks(self, request: FetchBlocks, *, timeout_s: float | None = None) -> BlocksShown:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_BLOCKS, request, timeout_s))

    async def report(self, request: Report, *, timeout_s: float | None = None) -> ReportResult:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.REPORT, request, timeout_s))

    async def fetch_hidden(self, request: FetchHidden, *, timeout_s: float | None = None) -> HiddenPage:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_HIDDEN, request, timeout_s))

    async def fetch_contacts(self, request: FetchContacts, *, timeout_s: float | None = None) -> ContactsShown:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_CONTACTS, request, timeout_s))

    async def fetch_requests(self, request: FetchRequests, *, timeout_s: float | None = None) -> RequestsShown:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_REQUESTS, request, timeout_s))

    async def fetch_users(self, request: FetchUsers, *, timeout_s: float | None = None) -> UsersShown:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_USERS, request, timeout_s))

    async def presence_terms(self, request: AskPresence, *, timeout_s: float | None = None) -> PresenceTerms:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.PRESENCE_TERMS, request, timeout_s))

    async def mark_read(self, request: MarkRead, *, timeout_s: float | None = None) -> MarkReadResult:
        """See MailboxPort."""
        try:
            return await self._call(calls.MARK_READ, request, timeout_s)
        except RateLimited as error:
            self._remember(request.user_id, error)
            raise

    async def change_message(self, request: ChangeMessage, *, timeout_s: float | None = None) -> ChangeResult:
        """See MailboxPort."""
        return await self._change(calls.CHANGE_MESSAGE, request, timeout_s)

    async def react(self, request: React, *, timeout_s: float | None = None) -> ChangeResult:
        """See MailboxPort."""
        return await self._change(calls.REACT, request, timeout_s)

    async def set_ttl(self, request: SetTtl, *, timeout_s: float | None = None) -> TtlResult:
        """See MailboxPort."""
        return await self._change(calls.SET_TTL, request, timeout_s)

    async def register_device(self, request: RegisterDevice, *, timeout_s: float | None = None) -> DevicesResult:
        """See MailboxPort."""
        return await self._change(calls.REGISTER_DEVICE, request, timeout_s)

    async def set_push(self, request: SetPush, *, timeout_s: float | None = None) -> DevicesResult:
        """See MailboxPort."""
        return await self._change(calls.SET_PUSH, request, timeout_s)

    async def sign_out(self, request: SignOut, *, timeout_s: float | None = None) -> SignOutResult:
        """See MailboxPort."""
        return await self._change(calls.SIGN_OUT, request, timeout_s)

    async def _change(self, spec: CallSpec[_Change, _Answered], request: _Change, timeout_s: float | None) -> _Answered:
        try:
            return await self._of_newer(self._call(spec, request, timeout_s))
        except RateLimited as error:
            self._remember(request.user_id, error)
            raise

    async def send_status(
        self, user_id: str, client_message_id: str, bearer: Bearer | None = None, *, timeout_s: float | None = None
    ) -> SendResult:
        """See MailboxPort."""
        return await self._call(calls.SEND_STATUS, SendStatus(user_id, client_message_id, bearer), timeout_s)

    async def fetch_conversations(self, request: FetchConversations, *, timeout_s: float | None = None) -> Page:
        """See MailboxPort."""
        return await self._fetch(_CONVERSATIONS, request, timeout_s)

    async def fetch_messages(self, request: FetchMessages, *, timeout_s: float | None = None) -> Page:
        """See MailboxPort."""
        return await self._fetch(_MESSAGES, request, timeout_s)

    async def fetch_changes(self, request: FetchChanges, *, timeout_s: float | None = None) -> Changes:
        """See MailboxPort."""
        return await self._of_newer(self._fetch(_CHANGES, request, timeout_s))

    async def prove(self, request: ProvenToken, *, timeout_s: float | None = None) -> None:
        """See MailboxPort."""
        await self._of_newer(self._call(calls.PROVE, request, timeout_s))

    async def fetch_receipts(self, request: FetchReceipts, *, timeout_s: float | None = None) -> ReceiptsResult:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.RECEIPTS, request, timeout_s))

    async def locate(self, request: Locate, *, timeout_s: float | None = None) -> Located:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.LOCATE, request, timeout_s))

    async def fetch_devices(self, request: FetchDevices, *, timeout_s: float | None = None) -> DevicesResult:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.FETCH_DEVICES, request, timeout_s))

    async def search(self, request: Search, *, timeout_s: float | None = None) -> Found:
        """See MailboxPort."""
        return await self._of_newer(self._call(calls.SEARCH, request, timeout_s))

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort. What follows over a lost link is over."""
        return await self._follows.follow(request, notify)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self._call(calls.REVOKE_USER, user_id, None)

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort."""
        await self._call(calls.REVOKE_ID, token_id, None)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """See OwnerPort."""
        return self._call(calls.DELIVER, Deliver(user_id, tuple(messages)), None)

    def deliver_to_many(
        self, users: Sequence[str], messages: Sequence[Message]
    ) -> "asyncio.Future[Sequence[int | RowboxError]]":
        """Does `deliver` for each of the users, in one call: what each gave or raised, in their order. PeerTooOld."""
        called = self._call(calls.DELIVER_TO_MANY, DeliverToMany(tuple(users), tuple(messages)), None)
        return self._loop.create_task(self._arrivals(called), name="deliver-to-many")

    async def _arrivals(self, called: Awaitable[Arrivals]) -> Sequence[int | RowboxError]:
        arrived = (await self._of_newer(called)).of_users
        return [error_of(one.kinds, one.message, one.fields) if one.kinds else one.count for one in arrived]

    async def ask_group(self, asked: GroupRequest) -> GroupAnswer:
        """See OwnerPort. PeerTooOld."""
        return (await self._of_newer(self._call(calls.ASK_GROUP, AskGroup(asked), None))).answer

    async def profile_of(self, user_id: str) -> Profile | None:
        """See OwnerPort. PeerTooOld."""
        return (await self._of_newer(self._call(calls.PROFILE_OF, ProfileOf(user_id), None))).profile

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See OwnerPort. PeerTooOld."""
        asked = ShowsPresence(watcher_id, tuple(users))
        return (await self._of_newer(self._call(calls.SHOWS_PRESENCE, asked, None))).shows

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """See OwnerPort. UnknownCall where the other process is older than receipts."""
        return self._call(calls.TAKE_RECEIPTS, TakeReceipts(user_id, tuple(receipts)), None)

    def judge(self, bearer: Bearer) -> "asyncio.Future[None]":
        """See OwnerPort."""
        return self._call(calls.JUDGE, bearer, None)

    def _call(
        self, spec: CallSpec[_Asked, _Answered], asked: _Asked, timeout_s: float | None, wait_s: float = 0.0
    ) -> Waiting[_Answered]:
        time_s = (self._timeout_s if timeout_s is None else timeout_s) + wait_s
        version = 0 if self._map_version is None else self._map_version()
        return self.peer.call(spec, asked, timeout_s=time_s, map_version=version)

    async def _of_newer(self, answer: Awaitable[_Answered]) -> _Answered:
        """The answer to a call that an older peer does not know. PeerTooOld."""
        try:
            return await answer
        except UnknownCall as error:
            raise PeerTooOld(f"{self.peer.endpoint}: {error}", retry_after_ms=OLD_PEER_RETRY_MS) from error

    async def _fetch(
        self, fetch: "_FetchSpecs[_Fetch, _Fetched]", request: _Fetch, timeout_s: float | None
    ) -> _Fetched:
        if not request.wait_ms:
            return await self._call(fetch.at_once, request, timeout_s)
        if self._is_draining:
            answer = await self._call(fetch.at_once, replace(request, wait_ms=0), timeout_s)
            return replace(answer, retry_after_ms=_retry_after_ms()) if answer.is_empty else answer
        waiting = self._call(fetch.waits, request, timeout_s, request.wait_ms / 1000)
        if request.token is None:
            return await waiting  # a first page, which is not waited for
        self._parked[waiting] = None
        try:
            return await waiting
        except _Drained:
            return fetch.nothing(request.token, _retry_after_ms())
        finally:
            self._parked.pop(waiting, None)

    # ------------------------------------------------------------------ what is known at once

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort. Only what an answer has told of is known."""
        until_s = self._limited.get(user_id)
        if until_s is None:
            return
        left_ms = round((until_s - self._loop.time()) * 1000)
        if left_ms <= 0:
            del self._limited[user_id]
            return
        raise RateLimited("too many requests of this user", retry_after_ms=left_ms)

    def _remember(self, user_id: str, error: RateLimited) -> None:
        if error.retry_after_ms:
            self._limited[user_id] = self._loop.time() + error.retry_after_ms / 1000
            self._limited.move_to_end(user_id)
            if len(self._limited) > MOST_LIMITED:
                self._limited.popitem(last=False)

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort: what the other process said of itself last."""
        if not self.peer.is_up:
            return ("no link to the process that owns the mailboxes",)
        return self._status.unready

    def warnings(self) -> Sequence[str]:
        """See MailboxPort: what the other process said of itself last."""
        return self._status.warnings if self.peer.is_up else ()

    @property
    def _status(self) -> Status:
        return status_of(self.peer.published)

    def begin_drain(self) -> None:
        """See MailboxPort. Only this process drains: its waits end, and those of others at the same owner go on."""
        self._is_draining = True
        parked, self._parked = self._parked, {}
        for waiting in parked:
            waiting.call_off(_Drained("this process ends"))


class _FetchSpecs(NamedTuple, Generic[_Fetch, _Fetched]):
    """A fetch as calls of a link: one that is answered at once, and one that may wait. `nothing` is the answer that
    nothing came after a token, with the milliseconds after which to come back.
    """

    at_once: CallSpec[_Fetch, _Fetched]
    waits: CallSpec[_Fetch, _Fetched]
    nothing: Callable[[str, int], _Fetched]


def _no_items(token: str, retry_after_ms: int) -> Page:
    return Page((), is_delta=True, token=token, retry_after_ms=retry_after_ms)


def _no_changes(token: str, retry_after_ms: int) -> Changes:
    return Changes((), (), account=False, is_delta=True, token=token, retry_after_ms=retry_after_ms)


_CONVERSATIONS: Final = _FetchSpecs(calls.CONVERSATIONS, calls.AWAIT_CONVERSATIONS, _no_items)
_MESSAGES: Final = _FetchSpecs(calls.MESSAGES, calls.AWAIT_MESSAGES, _no_items)
_CHANGES: Final = _FetchSpecs(calls.CHANGES, calls.AWAIT_CHANGES, _no_changes)


class _Drained(LinkLost):
    """A wait was called off because this process drains."""


def _retry_after_ms() -> int:
    return random.randrange(DRAIN_SPREAD_MS)
