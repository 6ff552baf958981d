"""A model of a cluster as a router sees it: owners that say in which order they began what, links, a map that changes.

An owner's rules are those of the port and of DESIGN of grants: it begins a request only for a shard that the map which
it has applied gives it, that it is not just giving away, and while its lease holds; it asks the same again before it
answers. Frames of one link arrive in the order in which they were sent, each after a time of its own. A link that is
cut loses what is under way, or only its answers, and what was sent may still arrive.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple, TypeVar

from rowbox.cacheserver.port import (
    HANDED_OVER,
    LINK_LOST,
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
    Following,
    Found,
    GroupResult,
    GroupShown,
    HiddenPage,
    Locate,
    Located,
    Lost,
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
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Local, Targets
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import (
    HandoverInProgress,
    LeaseLapsed,
    LinkLost,
    NotTheOwner,
    RowboxError,
    StoreOutcomeUnknown,
    TokenRevoked,
)
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import ID_BYTES, entropy_of, message_id, shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

SHARDS = 4
PATIENCE_S = 5.0
_T = TypeVar("_T")


class Stored(NamedTuple):
    """A message in the mailbox of its sender."""

    client_message_id: str
    message_id: bytes


class Faults(NamedTuple):
    """How likely, of one write: that its outcome is unknown. How long frames and commits take at most, in seconds."""

    unknown: float = 0.0
    frame_s: float = 0.004
    commit_s: float = 0.006


class Told:
    """A following at a model: the head is how many messages the mailbox had when that was last told."""

    def __init__(self, user_id: str, notify: Notify, closed: "Callable[[Told], None]") -> None:
        self.user_id = user_id
        self._notify = notify
        self._closed = closed
        self.count = 0

    @property
    def head(self) -> str:
        return str(self.count)

    def tell(self, count: int) -> None:
        if count > self.count:
            changed = Changed(str(count), self.head)
            self.count = count
            self._notify(changed)

    def lose(self, reason: str) -> None:
        self._notify(Lost(reason))

    def close(self) -> None:
        self._closed(self)


class ModelOwner:
    """One incarnation. What it has committed is in the cluster's mailboxes, as in a store."""

    def __init__(self, cluster: "ModelCluster", incarnation: str) -> None:
        self._cluster = cluster
        self.incarnation = incarnation
        self.applied = empty_map(SHARDS)
        self.closed: set[int] = set()
        self.is_dead = False
        self.has_lapsed = False
        self.begun: list[tuple[str, str]] = []
        """User and clientMessageId (or the message marked) of each write that was begun, in order."""
        self.polls: list[FetchMessages] = []
        self.revoked: set[Bearer] = set()
        self.judged: list[Bearer] = []
        self.delivered: list[tuple[str, Sequence[Message]]] = []
        self.has_drained = False
        self._closings: defaultdict[int, int] = defaultdict(int)
        self._failures: defaultdict[str, int] = defaultdict(int)
        """By user: writes that ended without an answer. What had been begun behind one is refused, as in a pipeline."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._told: dict[Told, None] = {}

    def apply(self, newer: ShardMap) -> None:
        """The map counts from now on, where it is newer: what was closed for a move that has ended opens again."""
        if newer.version <= self.applied.version or self.is_dead:
            return
        self.applied = newer
        self.closed = {shard for shard in self.closed if newer.moving_to[shard] != -1}
        for news in self._news.values():
            news.set()  # polls look whether they are at the right place still
        for told in [one for one in self._told if not self._owns(one.user_id)]:
            told.close()
            told.lose(HANDED_OVER)

    def close_shard(self, shard: int) -> None:
        """Nothing of it is begun any more, and what waits for its turn is refused."""
        self.closed.add(shard)
        self._closings[shard] += 1
        for news in self._news.values():
            news.set()

    def _owns(self, user_id: str) -> bool:
        owner = self.applied.owner_of(shard_of(user_id, SHARDS))
        return owner is not None and owner.incarnation == self.incarnation

    def admit(self, user_id: str) -> None:
        self.check(user_id)
        if shard_of(user_id, SHARDS) in self.closed:
            raise NotTheOwner("closing", map_version=self.applied.version)

    def check(self, user_id: str) -> None:
        if self.has_lapsed:
            raise LeaseLapsed("lapsed", retry_after_ms=1000)
        if not self._owns(user_id):
            raise NotTheOwner("another", map_version=self.applied.version)

    async def _write(self, user_id: str, name: str, message: bytes) -> tuple[Stored, bool]:
        self.admit(user_id)
        self.begun.append((user_id, name))
        closings, failures = self._closings[shard_of(user_id, SHARDS)], self._failures[user_id]
        async with self._locks[user_id]:  # first come, first served
            if failures != self._failures[user_id]:
                raise NotTheOwner("an earlier write of this user was refused")
            try:
                return await self._commit(user_id, name, message, closings)
            except (HandoverInProgress, StoreOutcomeUnknown):
                self._failures[user_id] += 1
                raise

    async def _commit(self, user_id: str, name: str, message: bytes, closings: int) -> tuple[Stored, bool]:
        shard = shard_of(user_id, SHARDS)
        await asyncio.sleep(self._cluster.random.uniform(0, self._cluster.faults.commit_s))
        self.check(user_id)
        if closings != self._closings[shard]:
            raise NotTheOwner("closed while it was queued", map_version=self.applied.version)
        stands = self._cluster.stored(user_id, name)
        is_unknown = self._cluster.random.random() < self._cluster.faults.unknown
        is_written = not is_unknown or self._cluster.random.random() < 0.5
        stored = stands or Stored(name, message)
        if stands is None and is_written and not self.is_dead:
            self._cluster.mailboxes[user_id].append(stored)
        is_told = False
        try:
            await asyncio.sleep(self._cluster.random.uniform(0, self._cluster.faults.commit_s))
            if is_unknown:
                raise StoreOutcomeUnknown("no answer of the store")
            self.check(user_id)
            is_told = True
        finally:  # also where the client has left meanwhile
            if not is_told:
                self._cluster.begin(self._load_again(user_id))
        self._news[user_id].set()
        self._tell(user_id)
        return stored, stands is not None

    def _tell(self, user_id: str) -> None:
        for told in [one for one in self._told if one.user_id == user_id]:
            told.tell(len(self._cluster.mailboxes[user_id]))

    async def _load_again(self, user_id: str) -> None:
        """A write may stand of which nobody was told: whoever follows is, once the row is loaded."""
        while self._owns(user_id) and not self.is_dead:
            await asyncio.sleep(0.05)
            with suppress(HandoverInProgress):
                self.check(user_id)
                self._tell(user_id)
                return

    async def send(self, request: Send) -> SendResult:
        made = message_id(1_800_000_000_000_000 + self._cluster.tick(), request.entropy)
        stored, is_duplicate = await self._write(request.sender_id, request.client_message_id, made)
        return SendResult(stored.message_id, bytes(ID_BYTES), 0, 0, 0, duplicate=is_duplicate)

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        await self._write(request.user_id, request.message_id.hex(), request.message_id)
        return MarkReadResult(request.conversation_id, 0, 0)

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        await self._write(request.user_id, f"{request.message_id.hex()} {request.content}", request.message_id)
        return ChangeResult(request.message_id, 0, changed=True)

    async def react(self, request: React) -> ChangeResult:
        await self._write(request.user_id, f"{request.message_id.hex()} {request.emoji}", request.message_id)
        return ChangeResult(request.message_id, 0, changed=True)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        raise NotImplementedError

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        raise NotImplementedError

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        raise NotImplementedError

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        raise NotImplementedError

    async def report(self, request: Report) -> ReportResult:
        raise NotImplementedError

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        raise NotImplementedError

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        raise NotImplementedError

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        raise NotImplementedError

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        raise NotImplementedError

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        raise NotImplementedError

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        raise NotImplementedError

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        raise NotImplementedError

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        raise NotImplementedError

    def ask_group(self, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        raise NotImplementedError

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        self.admit(user_id)
        stored = self._cluster.stored(user_id, client_message_id)
        assert stored is not None
        return SendResult(stored.message_id, bytes(ID_BYTES), 0, 0, 0, duplicate=False)

    async def fetch_messages(self, request: FetchMessages) -> Page:
        """All messages; with `wait_ms` those behind the first `token` of them, as soon as there are any."""
        self.admit(request.user_id)
        self.polls.append(request)
        seen = int(request.token or 0)
        ends_s = asyncio.get_running_loop().time() + request.wait_ms / 1000
        await asyncio.sleep(self._cluster.random.uniform(0, self._cluster.faults.commit_s))
        while True:
            self.admit(request.user_id)
            mailbox = self._cluster.mailboxes[request.user_id]
            left_s = ends_s - asyncio.get_running_loop().time()
            if len(mailbox) > seen or left_s <= 0 or self.has_drained:
                items = [stored.client_message_id.encode() for stored in mailbox[seen:]]
                return Page(items, request.token is not None, str(len(mailbox)))
            news = self._news[request.user_id] = asyncio.Event()
            try:
                await asyncio.wait_for(news.wait(), left_s)
            except TimeoutError:
                continue

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        return self.fetch_messages(FetchMessages(request.user_id, None, None, 50, request.token))

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        page = await self.fetch_messages(FetchMessages(request.user_id, None, None, 50, request.token))
        return Changes(page.items, (), account=False, is_delta=page.is_delta, token=str(page.token))

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """Is told of each confirmed write of the user, and of what a load finds."""
        self.admit(request.user_id)
        await asyncio.sleep(self._cluster.random.uniform(0, self._cluster.faults.commit_s))
        self.admit(request.user_id)
        told = Told(request.user_id, notify, lambda one: self._told.pop(one, None))
        told.count = len(self._cluster.mailboxes[request.user_id])
        self._told[told] = None
        return told

    async def prove(self, request: ProvenToken) -> None:
        self.admit(request.user_id)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        self.admit(request.user_id)
        return DevicesResult(())

    async def set_push(self, request: SetPush) -> DevicesResult:
        self.admit(request.user_id)
        return DevicesResult(())

    async def sign_out(self, request: SignOut) -> SignOutResult:
        self.admit(request.user_id)
        return SignOutResult(())

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        self.admit(request.user_id)
        return DevicesResult(())

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        self.admit(request.user_id)
        return ReceiptsResult((), 0)

    async def locate(self, request: Locate) -> Located:
        self.admit(request.user_id)
        return Located("")

    async def search(self, request: Search) -> Found:
        self.admit(request.user_id)
        return Found((), complete=True, as_of=0)

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        raise NotImplementedError

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        self.admit(user_id)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        delivered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.admit(user_id)
        self.delivered.append((user_id, messages))
        delivered.set_result(len(messages))
        return delivered

    async def judge(self, bearer: Bearer) -> None:
        self.admit(bearer.user_id)
        self.judged.append(bearer)
        await asyncio.sleep(self._cluster.random.uniform(0, self._cluster.faults.commit_s))
        if bearer in self.revoked:
            raise TokenRevoked("revoked")

    async def revoke_user(self, user_id: str) -> int:
        self.admit(user_id)
        return 1

    async def revoke_id(self, token_id: str) -> None:
        self.admit("")

    def unready_reasons(self) -> Sequence[str]:
        return ()

    def warnings(self) -> Sequence[str]:
        return ()

    def begin_drain(self) -> None:
        self.has_drained = True
        for news in self._news.values():
            news.set()


class ModelLink:
    """A RemoteTarget: one owner over a link that keeps the order of what is sent."""

    def __init__(self, cluster: "ModelCluster", owner: ModelOwner) -> None:
        self._cluster = cluster
        self._served = InTurn(owner)
        self.owner = owner
        self.is_up = not owner.is_dead
        self.map_version = owner.applied.version
        self.is_closed = False
        self.calls = 0
        self._life = 0
        self._arrives_until: dict[int, float] = {}
        self._arrives_s = self._returns_s = 0.0
        self._under_way: dict[asyncio.Future[Any], bool] = {}
        """What the router waits for, and whether that is a write."""
        self._followings: dict[Told, None] = {}

    def _next_s(self, before_s: float) -> float:
        now_s = asyncio.get_running_loop().time()
        return max(before_s + 1e-6, now_s + self._cluster.random.uniform(0, self._cluster.faults.frame_s))

    def _call(self, serve: Callable[[], Awaitable[_T]], *, writes: bool = False) -> "asyncio.Future[_T]":
        loop = asyncio.get_running_loop()
        if not self.is_up:
            raise LinkLost("no link")
        self.calls += 1
        answer: asyncio.Future[_T] = loop.create_future()
        self._under_way[answer] = writes
        answer.add_done_callback(lambda _: self._under_way.pop(answer, None))
        self._arrives_s = self._next_s(self._arrives_s)
        loop.call_at(self._arrives_s, self._cluster.begin, self._serve(serve, answer, self._life))
        return answer

    async def _serve(self, serve: Callable[[], Awaitable[_T]], answer: "asyncio.Future[_T]", life: int) -> None:
        if self.owner.is_dead or asyncio.get_running_loop().time() > self._arrives_until.get(life, float("inf")):
            return  # lost with the process, or with the link
        try:
            outcome: Any = await serve()
        except Exception as error:  # noqa: BLE001 - goes over the link, whatever it is
            outcome = error
        if life == self._life and not self.owner.is_dead:
            self._returns_s = self._next_s(self._returns_s)
            asyncio.get_running_loop().call_at(self._returns_s, self._answer, answer, outcome, life)

    def _answer(self, answer: "asyncio.Future[Any]", outcome: Any, life: int) -> None:
        if answer.done() or life != self._life:
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def cut(self) -> None:
        """Ends what is under way without an answer; a new link is another life of this one.

        What was sent last is lost, and nothing, all or some of what was sent before that still arrives.
        """
        now_s, still_s = asyncio.get_running_loop().time(), self._cluster.random.choice([0.0, 0.002, 0.02])
        self._arrives_until[self._life] = now_s + still_s
        self._life += 1
        self.is_up = False
        for answer, writes in list(self._under_way.items()):
            if not answer.done():
                answer.set_exception(StoreOutcomeUnknown("lost") if writes else LinkLost("lost"))
        for following in tuple(self._followings):
            following.close()
            following.lose(LINK_LOST)

    def mend(self) -> None:
        if not self.owner.is_dead and not self.is_closed:
            self.is_up = True
            self._arrives_s = self._returns_s = 0.0
            self._cluster.targets.stir()

    def says_applied(self, version: int) -> None:
        if self.is_up:
            self.map_version = max(self.map_version, version)
            self._cluster.targets.stir()

    async def close(self) -> None:
        self.is_closed = True
        self.cut()

    async def send(self, request: Send) -> SendResult:
        self._cluster.sent(self.owner.incarnation, request)
        try:
            return await self._call(lambda: self._served.send(request), writes=True)
        except NotTheOwner as error:
            self._cluster.refused(self.owner.incarnation, request, error)
            raise

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        return await self._call(lambda: self._served.mark_read(request), writes=True)

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        return await self._call(lambda: self._served.change_message(request), writes=True)

    async def react(self, request: React) -> ChangeResult:
        return await self._call(lambda: self._served.react(request), writes=True)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        return await self._call(lambda: self._served.set_ttl(request), writes=True)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        return await self._call(lambda: self._served.change_group(request), writes=True)

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        return await self._call(lambda: self._served.fetch_group(request))

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        return await self._call(lambda: self._served.change_account(request), writes=True)

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        return await self._call(lambda: self._served.fetch_blocks(request))

    async def report(self, request: Report) -> ReportResult:
        return await self._call(lambda: self._served.report(request), writes=True)

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        return await self._call(lambda: self._served.fetch_hidden(request))

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        return await self._call(lambda: self._served.fetch_contacts(request))

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        return await self._call(lambda: self._served.fetch_requests(request))

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        return await self._call(lambda: self._served.fetch_users(request))

    async def profile_of(self, user_id: str) -> Profile | None:
        return await self._call(lambda: self._served.profile_of(user_id))

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        return await self._call(lambda: self._served.presence_terms(request))

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        return await self._call(lambda: self._served.shows_presence(watcher_id, users))

    async def ask_group(self, asked: GroupRequest) -> GroupAnswer:
        return await self._call(lambda: self._served.ask_group(asked), writes=True)

    def deliver_to_many(
        self, users: Sequence[str], messages: Sequence[Message]
    ) -> "asyncio.Future[Sequence[int | RowboxError]]":
        raise NotImplementedError

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        return await self._call(lambda: self._served.send_status(user_id, client_message_id, bearer))

    async def fetch_messages(self, request: FetchMessages) -> Page:
        return await self._call(lambda: self._served.fetch_messages(request))

    async def fetch_conversations(self, request: FetchConversations) -> Page:
        return await self._call(lambda: self._served.fetch_conversations(request))

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        return await self._call(lambda: self._served.fetch_changes(request))

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """What the owner tells comes over the link, in its order, until the link is cut."""
        life, at_owner = self._life, list[Following]()

        def close(one: Told) -> None:
            self._followings.pop(one, None)
            for following in at_owner:
                following.close()

        here = Told(request.user_id, notify, close)

        def arrives(what: Changed | Lost) -> None:
            if here in self._followings and isinstance(what, Changed):
                here.tell(int(what.head))
            elif here in self._followings:
                here.close()
                here.lose(HANDED_OVER)

        def leaves(what: Changed | Lost) -> None:
            if life == self._life and not self.owner.is_dead:
                self._returns_s = self._next_s(self._returns_s)
                asyncio.get_running_loop().call_at(self._returns_s, arrives, what)

        at_owner.append(await self._call(lambda: self._served.follow(request, leaves)))
        here.count = int(at_owner[0].head)
        self._followings[here] = None
        return here

    async def prove(self, request: ProvenToken) -> None:
        await self._call(lambda: self._served.prove(request))

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        return await self._call(lambda: self._served.register_device(request), writes=True)

    async def set_push(self, request: SetPush) -> DevicesResult:
        return await self._call(lambda: self._served.set_push(request), writes=True)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        return await self._call(lambda: self._served.sign_out(request), writes=True)

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        return await self._call(lambda: self._served.fetch_devices(request))

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        return await self._call(lambda: self._served.fetch_receipts(request))

    async def locate(self, request: Locate) -> Located:
        return await self._call(lambda: self._served.locate(request))

    async def search(self, request: Search) -> Found:
        return await self._call(lambda: self._served.search(request))

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        return self._call(lambda: self._served.take_receipts(user_id, receipts), writes=True)

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """Nothing is known here."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        return self._call(lambda: self._served.deliver(user_id, messages), writes=True)

    async def judge(self, bearer: Bearer) -> None:
        await self._call(lambda: self._served.judge(bearer))

    async def revoke_user(self, user_id: str) -> int:
        return await self._call(lambda: self._served.revoke_user(user_id), writes=True)

    async def revoke_id(self, token_id: str) -> None:
        await self._call(lambda: self._served.revoke_id(token_id), writes=True)

    def unready_reasons(self) -> Sequence[str]:
        return ()

    def warnings(self) -> Sequence[str]:
        return ()

    def begin_drain(self) -> None:
        """The owner's polls of this process end; a model needs no more than to end all."""
        self.owner.begin_drain()


class ModelCluster:
    """Owners `a-1`, `b-1`, ... over one store, and a router. `standing` is the map that the store holds.

    `local`: the name of the node in whose process the router is; None: it is in a process that owns nothing.
    """

    def __init__(self, random: Random, faults: Faults, names: str = "abc", local: str | None = None) -> None:
        self.random = random
        self.faults = faults
        self.mailboxes: defaultdict[str, list[Stored]] = defaultdict(list)
        self.owners: dict[str, ModelOwner] = {}
        self.links: dict[str, ModelLink] = {}
        self.view = MapView()
        self._ticks = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.asked_under_one_map: list[tuple[str, str, str]] = []
        """Writes that were sent to whom had refused them under the same map."""
        self.in_turns: Counter[tuple[str, str, int]] = Counter()
        """How often each write was sent over links, by its turn."""
        self.standing = empty_map(SHARDS).next()
        self.list_nodes([f"{name}-1" for name in names])
        for shard in range(SHARDS):
            self.standing = self.standing.giving([shard], f"{names[shard % len(names)]}-1")
        own = None
        if local is not None:
            owner = self.owners[f"{local}-1"]
            own = Local(lambda: owner.incarnation, owner, tuple)
        self.targets = Targets(self.view, self._connect, own)
        self.router = Router(self.view, self.targets, patience_s=PATIENCE_S, random=Random(random.random()))

    def tick(self) -> int:
        self._ticks += 1
        return self._ticks

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stored(self, user_id: str, client_message_id: str) -> Stored | None:
        found = [one for one in self.mailboxes[user_id] if one.client_message_id == client_message_id]
        return found[0] if found else None

    def list_nodes(self, incarnations: Sequence[str]) -> None:
        self.owners |= {incarnation: ModelOwner(self, incarnation) for incarnation in incarnations}
        listed = [
            ListedNode(incarnation, incarnation.split("-")[0], f"{incarnation}:1") for incarnation in incarnations
        ]
        self.standing = self.standing.listing(listed)

    def start(self) -> None:
        """Everybody knows the standing map, and the links are up."""
        for owner in self.owners.values():
            owner.apply(self.standing)
        self.targets.start()
        self.view.show(self.standing)

    async def close(self) -> None:
        await self.targets.close()

    def spread(self, slowest_s: float = 0.0) -> None:
        """Everybody learns of the standing map, each in a time of its own; then its link tells the router."""
        standing, loop = self.standing, asyncio.get_running_loop()

        def applies(owner: ModelOwner) -> None:
            owner.apply(standing)
            link = self.links.get(owner.incarnation)
            if link is not None and not owner.is_dead:
                loop.call_later(self.random.uniform(0, self.faults.frame_s), link.says_applied, standing.version)

        for owner in self.owners.values():
            loop.call_later(self.random.uniform(0, slowest_s), applies, owner)
        loop.call_later(self.random.uniform(0, slowest_s), self.view.show, standing)

    def owner_of(self, user_id: str) -> ModelOwner:
        owner = self.standing.owner_of(shard_of(user_id, SHARDS))
        assert owner is not None
        return self.owners[owner.incarnation]

    def sent(self, incarnation: str, request: Send) -> None:
        assert request.routed is not None
        self.in_turns[request.sender_id, request.client_message_id, request.routed.turn] += 1
        routed, told = self._refused.pop((incarnation, request.sender_id, request.client_message_id), (-1, -1))
        if told >= routed >= self.view.version:
            self.asked_under_one_map.append((incarnation, request.sender_id, request.client_message_id))

    def refused(self, incarnation: str, request: Send, error: NotTheOwner) -> None:
        key = (incarnation, request.sender_id, request.client_message_id)
        self._refused[key] = (self.view.version, error.map_version)

    def _connect(self, node: ListedNode) -> ModelLink:
        link = self.links[node.incarnation] = ModelLink(self, self.owners[node.incarnation])
        return link


def by_entropy(sent: SendResult) -> int:
    return entropy_of(sent.message_id)
