"""A server of a cluster's store: MailboxPort for the users of the shards that it owns.

    the store is away              -> waits for it
    it is not in the cluster's map -> says so by its beats, and waits to be listed
    the map gives it shards        -> one Owner, made for this incarnation alone, takes them and gives them away
    this server was replaced       -> that Owner is closed, and a new incarnation begins
    its way to the mail is broken  -> not ready; leaves the mailboxes to servers that reach them

An incarnation is one Owner: what an Owner remembers, queues or has in flight never outlives what gave it the right to.
Two loops run here: beats, and changes of the map, which must not keep a beat waiting (membership.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cacheserver.clocks import NowS, NowUs, StoreClock, boot_clock_s, wall_clock_us
from rowbox.cacheserver.node.appointment import Appointment, MakeOwner
from rowbox.cacheserver.node.beat_log import BeatLog
from rowbox.cacheserver.node.judgement import Contacts, Role
from rowbox.cacheserver.node.membership import Membership, TellBeat, new_incarnation
from rowbox.cacheserver.node.moves import MoveCounters, Moves, Tenure
from rowbox.cacheserver.node.peer_clocks import Apart, WitnessedTime
from rowbox.cacheserver.node.proposals import Plan
from rowbox.cacheserver.node.put_back import end_restore
from rowbox.cacheserver.node.tenure import Changed
from rowbox.cacheserver.owner.activity import ActivityMeter
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.owner.samples import owner_samples
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
from rowbox.cacheserver.rows.stash import HandedRow, HandOver
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from rowbox.cacheserver.shardmap.cluster_state import NodeLoad
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.placement import may_own
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.heard_store import HeardStore
from rowbox.cacheserver.stores.mail_health import MailHealth
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import HandoverInProgress, NotTheOwner, RowboxError, StoreUnavailable, StoreUnusable
from rowbox.mailbox.group import group_name
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import LeaseSettings
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

RETRY_AFTER_MS = 1000
SAME_WAIT_S = 60.0
"""How often a wait is logged again whose reason is worded otherwise each time."""
LONG_UNLISTED_S = 15.0
"""A server that joins is listed within seconds, and one that waits for others to come back within ten."""
OPEN_PAUSE_S = 1.0
CUT_OFF = "it has no links with most of the other servers"


class Stores(NamedTuple):
    """Two handles of one store: beats must not queue behind batches."""

    mail: Store
    cells: Store


MakeMoves = Callable[[Tenure, int, MoveCounters], Moves]
"""Makes the moves of an incarnation in a store of so many shards, which are counted there."""
OpenStores = Callable[[], Awaitable[Stores]]
"""Opens both handles. StoreUnavailable: it is to be called again. StoreUnusable: calling again is of no use."""


class Node:
    """One process of a cluster. `start` before the first call, `close` after the last.

    `on_broken` hears once of a StoreUnusable: the process should end with it.
    """

    def __init__(
        self,
        open_stores: OpenStores,
        make_owner: MakeOwner,
        settings: LeaseSettings,
        node: ListedNode,
        address: str,
        on_broken: Callable[[StoreUnusable], None],
        *,
        plan: Plan,
        make_moves: MakeMoves | None = None,
        leave_s: float = 0.0,
        contacts: Callable[[], Contacts | None] = lambda: None,
        time: WitnessedTime | None = None,
        now_s: NowS = boot_clock_s,
        now_us: NowUs = wall_clock_us,
    ) -> None:
        """`node`: what this server says of itself, in whatever incarnation; `address`: where it runs, for people.

        `make_moves` gives an incarnation its part in moves; None: its shards stay where they are. `leave_s`: for how
        long a stop waits until the other servers have all shards of this one.

        `contacts`: with which other servers this one has links now; None: it needs none.

        `time` judges this machine's clock; a server in doubt leaves the mailboxes to one that is not.
        """
        self._time = time
        self._apart = Apart(time)
        self._open_stores = open_stores
        self._settings = settings
        self._node = node
        self._address = address
        self._on_broken = on_broken
        self._plan = plan
        self._now_s = now_s
        self._make_moves = make_moves
        self._leave_s = leave_s
        self._contacts = contacts
        self._moves: Moves | None = None
        """Of the incarnation at hand."""
        self._move_counters = MoveCounters()
        self._ended_moves: set[asyncio.Task[None]] = set()
        self._map_clock = StoreClock(now_us)
        """Of the rows of maps alone, whose keys nobody uses twice: it need not be believed."""
        self._health = MailHealth(settings.beat_ms / 1000, now_s)
        self._stores: Stores | None = None
        self._membership: Membership | None = None
        self._appointment = Appointment(make_owner, settings.beat_ms / 1000, on_broken)
        self._why = self._why_said = "waiting for the store"
        self._said_level = logging.NOTSET
        self._unlisted_since_s: float | None = None
        self._why_lines = Rarely(now_s, SAME_WAIT_S)
        self._beat_log = BeatLog(now_s)
        self._meter: ActivityMeter | None = None
        self._is_draining = False
        self._is_broken = False
        self._changed = asyncio.Event()
        self._loop = BackgroundLoop("beats", self._round)
        self._map_loop = BackgroundLoop("map", self._change_map)
        self.view = MapView()
        """The newest map that this server has applied, for whoever sends requests to owners."""
        self.view.on_wanted = self._loop.wake
        self.on_incarnation: Callable[[], None] | None = None
        """Hears of each new incarnation before anybody else can."""
        self.tell_beat: TellBeat | None = None
        """Tells those who watch over this server that it has begun a beat of its lease."""
        self.takeovers = 0
        self.missed_beats = 0

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Begins the beats, in the background: the first opens the store and joins the cluster."""
        self._loop.start()
        self._map_loop.start()

    async def owning(self) -> None:
        """Returns when this server owns mailboxes and answers for them."""
        while self.owner is None:
            await self._next_change()

    async def listed(self) -> None:
        """Returns when this server is a part of the cluster, whether it owns mailboxes or not."""
        while not self._is_listed:
            await self._next_change()

    async def close(self) -> None:
        """Finishes what was begun, gives the mailboxes up, and closes the store. Its successors need not wait."""
        self.begin_drain()
        await self._leave()
        self._end_moves()
        await asyncio.gather(*self._ended_moves)
        await self._appointment.finish()  # beats go on meanwhile: what is in flight may still be confirmed
        await self._loop.close()
        await self._map_loop.close()
        if self._membership is not None:
            await self._resign(self._membership)
        await self._appointment.close()
        await self._health.close()
        if self._stores is not None:
            for store in self._stores:
                await store.close()

    @property
    def owner(self) -> Owner | None:
        """The owner at work, if this server has one."""
        return self._appointment.owner

    @property
    def stores(self) -> Stores | None:
        """The store, once it could be opened."""
        return self._stores

    @property
    def incarnation(self) -> str:
        """The name of the incarnation at hand; "" before the first."""
        return "" if self._membership is None else self._membership.incarnation

    def heard_beat(self, incarnation: str, beat: int) -> None:
        """Takes in the word of another server that it has begun this beat of its lease."""
        if self._membership is not None:
            self._membership.heard(incarnation, beat)

    @property
    def keeps_time(self) -> bool:
        """Whether this server is the one that has the store remember the time."""
        return self._is_listed and self._membership is not None and self._membership.is_first_steward

    # ------------------------------------------------------------------ the port

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort."""
        self._at_work(user_id).admit_write(user_id, bearer)

    # No coroutines of their own, as in Owner: each of them would be a step more in every wait, and on the way back.

    def send(self, request: Send) -> Coroutine[Any, Any, SendResult]:
        """See MailboxPort."""
        return self._at_work(request.sender_id).send(request)

    def send_status(
        self, user_id: str, client_message_id: str, bearer: Bearer | None = None
    ) -> Coroutine[Any, Any, SendResult]:
        """See MailboxPort."""
        return self._at_work(user_id).send_status(user_id, client_message_id, bearer)

    def mark_read(self, request: MarkRead) -> Coroutine[Any, Any, MarkReadResult]:
        """See MailboxPort."""
        return self._at_work(request.user_id).mark_read(request)

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).change_message(request)

    async def react(self, request: React) -> ChangeResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).react(request)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).set_ttl(request)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).change_group(request)

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).change_account(request)

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_blocks(request)

    async def report(self, request: Report) -> ReportResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).report(request)

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_hidden(request)

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_contacts(request)

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_requests(request)

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_users(request)

    async def profile_of(self, user_id: str) -> Profile | None:
        """See UserPort: what another server asks of a user of this one."""
        return await self._at_work(user_id).profile_of(user_id)

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        """See MailboxPort."""
        return await self._at_work(request.user_id).presence_terms(request)

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See UserPort: what another server asks of users of this one."""
        return await self._at_work(users[0] if users else None).shows_presence(watcher_id, users)

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_group(request)

    async def ask_group(self, asked: GroupRequest) -> GroupAnswer:
        """See GroupPort: what the owner of a member asks of a group of this server."""
        return await self._at_work(group_name(asked.conversation_id)).ask_group(asked)

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        """See MailboxPort."""
        return self._at_work(request.user_id).fetch_conversations(request)

    def fetch_messages(self, request: FetchMessages) -> Coroutine[Any, Any, Page]:
        """See MailboxPort."""
        return self._at_work(request.user_id).fetch_messages(request)

    def fetch_changes(self, request: FetchChanges) -> Coroutine[Any, Any, Changes]:
        """See MailboxPort."""
        return self._at_work(request.user_id).fetch_changes(request)

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort. It is lost for good when this node does not own the user any more."""
        return await self._at_work(request.user_id).follow(request, notify)

    async def prove(self, request: ProvenToken) -> None:
        """See MailboxPort."""
        await self._at_work(request.user_id).prove(request)

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_receipts(request)

    async def locate(self, request: Locate) -> Located:
        """See MailboxPort."""
        return await self._at_work(request.user_id).locate(request)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).register_device(request)

    async def set_push(self, request: SetPush) -> DevicesResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).set_push(request)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).sign_out(request)

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        """See MailboxPort."""
        return await self._at_work(request.user_id).fetch_devices(request)

    async def search(self, request: Search) -> Found:
        """See MailboxPort."""
        return await self._at_work(request.user_id).search(request)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self._at_work(user_id).revoke_user(user_id)

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort."""
        await self._at_work().revoke_id(token_id)

    async def judge(self, bearer: Bearer) -> None:
        """Raises TokenRevoked by the row of the bearer's own user, whose shard this server owns."""
        await self._at_work(bearer.user_id).judge(bearer)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """See DeliveryPort: also what another server has for a user of this one."""
        return self._at_work(user_id).deliver(user_id, messages)

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """See OwnerPort (cacheserver/remote/mailboxes.py)."""
        return self._at_work(user_id).take_receipts(user_id, receipts)

    async def take_in(self, hand_over: HandOver, sender: str, map_version: int, timeout_s: float) -> int:
        """See Moves. An incarnation without moves takes nothing."""
        moves = self._moves
        return 0 if moves is None else await moves.take_in(hand_over, sender, map_version, timeout_s)

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort. A server that owns no mailboxes has nothing to answer; what it can do for others' `standing`
        says.
        """
        standing = self.standing()
        return standing if standing or self._shards else (self.view.who_owns(),)

    def standing(self) -> Sequence[str]:
        """Why this server is no part of the cluster now, or cannot do its part; empty while it can.

        A server without mailboxes can, where requests for other servers' mailboxes are sent on to these.
        """
        if self._is_draining:
            return ("draining",)
        if not self._is_listed or (self._shards and self.owner is None):
            broken = () if self._stores is None else self._health.unready_reasons
            return (self._why, *filter(None, [self._doubt]), *broken)
        if self._membership is None or not self._membership.lease.is_held:
            return ("the lease has lapsed: the store does not answer",)
        return () if self.owner is None else (*self.owner.unready_reasons(), *self._health.unready_reasons)

    def warnings(self) -> Sequence[str]:
        """See MailboxPort."""
        apart = (self._apart.text,) if self._apart.us else ()
        return (*apart, *self.owner.warnings()) if self.owner is not None else apart

    def begin_drain(self) -> None:
        """See MailboxPort. The other servers give this one no shards any more."""
        self._is_draining = True
        if self._membership is not None:
            self._membership.drain()
        if self.owner is not None:
            self.owner.begin_drain()

    def samples(self) -> Iterable[Sample]:
        """The metrics of this server and of the owner at work."""
        text = "1 while this server owns mailboxes and may answer: its lease holds, and it reaches the mail."
        yield "rowbox_is_owner", "gauge", text, {}, self._serves
        yield "rowbox_shards_owned", "gauge", "Shards that this server owns.", {}, len(self._shards)
        text = "Shards that this server owns and may answer for: none while rowbox_is_owner is 0."
        yield "rowbox_shards_served", "gauge", text, {}, len(self._shards) if self._serves else 0
        yield from self.view.samples()
        reaches = self._stores is not None and not self._health.unready_reasons
        yield "rowbox_reaches_mail", "gauge", "1 while this server can read and write mailboxes.", {}, reaches
        in_touch = self._membership is not None and self._membership.reaches_peers
        text = "1 while this server has links with half of the other servers of its cluster at least."
        yield "rowbox_reaches_peers", "gauge", text, {}, in_touch
        text = "By how much this server's clock is ahead of the other servers', where they differ by more than 10 s."
        yield "rowbox_clock_peer_difference_seconds", "gauge", text, {}, self._apart.us / US_PER_S
        text = "Times this server took over shards, many or few, whose owner had ended."
        yield "rowbox_takeovers_total", "counter", text, {}, self.takeovers
        yield "rowbox_missed_beats_total", "counter", "Renewals of the lease that failed.", {}, self.missed_beats
        yield from self._move_counters.samples()
        moves_loop = None if self._moves is None else self._moves.loop
        yield from background_samples(filter(None, (self._loop, self._map_loop, moves_loop, self._health.loop)))
        if self.owner is not None:
            yield from owner_samples(self.owner)

    @property
    def _doubt(self) -> str:
        """Why this machine's clock is not believed; "" while it is."""
        return self._time.doubt if self._time is not None else ""

    @property
    def _serves(self) -> bool:
        holds = self._membership is not None and self._membership.lease.is_held
        return self.owner is not None and bool(self._shards) and holds and not self._health.unready_reasons

    @property
    def _is_listed(self) -> bool:
        membership = self._membership
        return membership is not None and membership.is_listed

    @property
    def _shards(self) -> Collection[int]:
        return () if self._membership is None else self._membership.ownership.shards

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _at_work(self, user_id: str | None = None) -> Owner:
        """The owner at work, which refuses users of shards that are not its own."""
        if self.owner is None:
            raise self._refusal(user_id)
        return self.owner

    def _refusal(self, user_id: str | None) -> HandoverInProgress:
        """Of a server without an owner at work: where another one has the user's shard, that one is named."""
        newest = self.view.newest
        if newest is None or not self._is_listed or self._shards:
            return HandoverInProgress(self._why, retry_after_ms=RETRY_AFTER_MS)
        who = self.view.who_owns() if user_id is None else self.view.who_has(shard_of(user_id, newest.shards))
        return NotTheOwner(who, map_version=newest.version, retry_after_ms=RETRY_AFTER_MS)

    # ------------------------------------------------------------------ its place in the cluster

    async def _round(self) -> float | None:
        """One beat of the incarnation at hand, or the first of a new one; the pause before the next, as Work says."""
        if self._is_broken:
            return None
        try:
            if self._stores is None and not await self._open():
                return OPEN_PAUSE_S
            assert self._stores is not None
            if self._membership is None:
                if self._is_draining:
                    return self._settings.beat_ms / 1000
                self._membership = self._new_membership(self._stores)
                if self.on_incarnation is not None:
                    self.on_incarnation()
            return await self._live(self._membership, HeardStore(self._stores.mail, self._health))
        except StoreUnusable as error:
            self._is_broken = True
            self._end_life()
            self._on_broken(error)
            return None
        except Exception:
            # Nobody expected it: whoever can take over should. This server begins anew, after pauses that grow, because
            # each incarnation takes a place in the cluster's row until it is buried.
            self._end_life()
            raise

    async def _change_map(self) -> None:
        """The change of the map that is due here. Where the store does not answer, the beats say so."""
        membership = self._membership
        if membership is None or not membership.has_proposal:
            return
        try:
            await membership.propose()
        except (StoreUnavailable, TimeoutError) as error:
            log.info("the cluster's map was not changed: %s", str(error) or "no answer in time")
        if self._shards and self.owner is None:
            self._loop.wake()

    async def _open(self) -> bool:
        """Whether the store could be opened."""
        try:
            self._stores = await self._open_stores()
        except StoreUnavailable as error:
            self._wait_for("waiting for the store", error)
            return False
        self._health.start(self._stores.mail)
        return True

    def _new_membership(self, stores: Stores) -> Membership:
        incarnation = new_incarnation()
        maps = MapStore(stores.cells, incarnation, self._map_clock.next_ms)
        membership = Membership(
            ClusterReader(stores.cells),
            maps,
            self._settings,
            replace(self._node, incarnation=incarnation),
            self._address,
            plan=self._plan,
            now_s=self._now_s,
            time=self._time,
        )
        membership.touch.contacts = self._contacts
        membership.on_applied = self._applied
        membership.tell_beat = self.tell_beat
        membership.ownership.on_outranked = self._loop.wake
        membership.ownership.who_has = self.view.who_has
        if self._make_moves is not None:
            tenure = Tenure(
                incarnation,
                lambda: self.owner if self._membership is membership else None,
                membership.ownership,
                maps,
                membership.learn,
                self.view,
            )
            self._moves = self._make_moves(tenure, stores.mail.shards, self._move_counters)
            self._moves.loop.start()
        return membership

    def _handed_over(self, shards: Collection[int]) -> Sequence[HandedRow]:
        membership, moves = self._membership, self._moves
        if membership is None or membership.applied is None or moves is None:
            return ()
        return moves.stash(shards, membership.applied)

    async def _leave(self) -> None:
        """Returns when others have all shards of this server, after `leave_s`, or where nobody takes them.

        Without an owner at work, as in the moment in which the first shards come, there is nothing to give away, and
        nobody answers for the shards: whoever waited would keep them from those who take them over at once.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._leave_s):
                while self._moves is not None and self.owner is not None and self._shards and self._has_successors:
                    await self.view.newer_than(self.view.version)

    @property
    def _has_successors(self) -> bool:
        """Whether another server could be given shards."""
        newest, me = self.view.newest, self.incarnation
        others = () if newest is None else map(newest.as_wished, newest.nodes)
        return any(node.incarnation != me and node.peer and may_own(node) for node in others)

    def _end_moves(self) -> None:
        """The incarnation moves nothing any more. The move under way ends beside the next life."""
        moves, self._moves = self._moves, None
        if moves is not None:
            ending = asyncio.get_running_loop().create_task(moves.close(), name="ended-moves")
            self._ended_moves.add(ending)
            ending.add_done_callback(self._ended_moves.discard)

    async def _live(self, membership: Membership, mail: Store) -> float:
        """A beat, and the end of the incarnation where it was replaced: the next round begins another."""
        role = await self._beat(membership, mail)
        if role is Role.REPLACED:
            if membership.has_owned:
                log.warning("%s", self._why_replaced())
            self._end_life()
            return 0.0
        if role is Role.UNLISTED:
            self._wait_to_be_listed(membership.why_unlisted)
        elif role is Role.LISTED:
            self._unlisted_since_s = None
            if not self._shards:
                self._wait_for(self.view.who_owns(), level=logging.INFO)
        if membership.has_proposal:
            self._map_loop.wake()
        return membership.pause_s

    async def _beat(self, membership: Membership, mail: Store) -> Role | None:
        """One beat, and an Owner where this server owns mailboxes now; None where the store did not answer."""
        had_lapsed = membership.is_listed and not membership.lease.is_held
        began_s = asyncio.get_running_loop().time()
        membership.load = self._load()
        membership.reaches_mail = self._health.reaches_mail and not self._doubt
        try:
            role = await membership.beat()
            self._apart.compare(membership.clocks)
            if await self._attend_to_restore(membership):
                role = Role.REPLACED
        except StoreUnavailable as error:
            self.missed_beats += 1
            if membership.is_listed:
                self._beat_log.missed(error)
            else:
                self._wait_for("waiting for the store", error)
            return None
        self.view.looked(began_s)
        if role is Role.LISTED:
            self._beat_log.renewed(had_lapsed=had_lapsed)
            self._changed.set()
        if role is Role.LISTED and self._shards and self.owner is None and not self._is_draining:
            await self._appoint(membership, mail)
        return role

    def _load(self) -> NodeLoad | None:
        """What the owner at work does; None where there is none."""
        if self.owner is None or self._meter is None:
            return None
        return NodeLoad(*self._meter.read(), oldest_move_s=round(self.view.oldest_move_s(self._shards), 1))

    async def _attend_to_restore(self, membership: Membership) -> bool:
        """Where the store shows that it was put back from a copy, what is to be done then: tokens of before reset.

        Whether this incarnation has ended with it.
        """
        if not (membership.went_back or membership.rows_are_above):
            return False
        assert self._stores is not None
        if membership.went_back:
            log.warning("the store was put back from a copy: all servers begin anew, and clients too")
        else:
            log.warning("rows are newer than the cluster's map, as in a copy of the store: all begin anew")
        await end_restore(self._stores.cells, above=membership.rows_are_above)
        membership.went_back, membership.rows_are_above = False, 0
        await membership.resign()  # what it has in memory, and what it knows of the others, is of the lost time
        self.view.forget()
        return True

    def _applied(self, newer: ShardMap, changed: Changed) -> None:
        """In the turn in which the grants changed: the owner follows, and whoever sends requests to owners hears."""
        before = self.view.newest
        self._appointment.follow(changed, self._handed_over)
        if changed.gained or changed.lost:
            text = "version %d of the cluster's map: %d shards are this server's, %d of them new; %d were"
            log.info(text, newer.version, len(self._shards), len(changed.gained), len(changed.lost))
        if self.owner is not None:
            self.takeovers += any(_is_takeover(before, shard) for shard in changed.gained - changed.lost)
        self.view.show(newer)
        if self.owner is not None and before is not None:
            self.owner.delivery.try_again(partial(_has_moved, before, newer))
        if self._moves is not None:
            self._moves.applied(before, newer)

    async def _appoint(self, membership: Membership, mail: Store) -> None:
        """Makes the Owner, if the mail answers before the next beat is due; else the next beat tries again."""
        try:
            await self._appointment.appoint(membership.ownership, mail, self._handed_over)
        except (StoreUnavailable, TimeoutError) as error:
            self._wait_for("waiting for the mailboxes", str(error) or "no answer")
            return
        assert self.owner is not None
        self._meter = ActivityMeter(self.owner, self._now_s)
        self._health.begin_tenure()
        self.takeovers += 1
        self._changed.set()
        log.info("this server owns mailboxes")

    def _end_life(self) -> None:
        """The incarnation at hand, if there is one, owns nothing any more; the next round begins another."""
        self._why = self._why_replaced()
        if self._membership is not None:
            self._membership.end()
            self._membership = None
        self._end_moves()
        self._appointment.dismiss()
        self._meter = None

    def _why_replaced(self) -> str:
        broken = [*filter(None, [self._doubt]), *self._health.unready_reasons]
        if not broken and self._membership is not None and not self._membership.reaches_peers:
            broken = [CUT_OFF]
        return f"this server leaves the mailboxes to others: {broken[0]}" if broken else "this server was replaced"

    async def _resign(self, membership: Membership) -> None:
        try:
            await membership.resign()
        except RowboxError as error:
            log.warning("the mailboxes were not given up, the next owner waits for the lease to end: %s", error)

    def _wait_to_be_listed(self, why: str) -> None:
        """Every server waits for that when it starts; it is a warning where that lasts."""
        now_s = self._now_s()
        if self._unlisted_since_s is None:
            self._unlisted_since_s = now_s
        lasts = now_s - self._unlisted_since_s >= LONG_UNLISTED_S
        self._wait_for(why, level=logging.WARNING if lasts else logging.INFO)

    def _wait_for(self, what: str, why: object = "", *, level: int = logging.WARNING) -> None:
        """Says so where `what` is news, or a warning now, and where only `why` is news, once in a while."""
        self._why = f"{what}: {why}" if why else what
        if self._why == self._why_said and level <= self._said_level:
            return
        is_due = self._why_lines.count(what) > 0
        if is_due or not why or not self._why_said.startswith(f"{what}: "):
            self._why_said, self._said_level = self._why, level
            log.log(level, "%s", self._why)


def _has_moved(before: ShardMap, newer: ShardMap, user_id: str) -> bool:
    """Whether a user has another owner than before."""
    was, now = (one.owner_of(shard_of(user_id, one.shards)) for one in (before, newer))
    return now is not None and (was is None or was.incarnation != now.incarnation)


def _is_takeover(before: ShardMap | None, shard: int) -> bool:
    """Whether a shard that is got now was on no move to its new owner."""
    return before is None or before.target_of(shard) is None
