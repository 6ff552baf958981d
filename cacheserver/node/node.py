"""A server of a cluster's store: MailboxPort, answered by an Owner while this process owns the mailboxes.

    the store is away              -> waits for it
    another server owns            -> stands by, takes over when that one stops or falls silent
    this server owns               -> one Owner, made for this incarnation alone
    this server was replaced       -> that Owner is closed, and a new incarnation stands by
    its way to the mail is broken  -> not ready; leaves the mailboxes to another server that reaches them

An incarnation is one Owner: what an Owner remembers, queues or has in flight never outlives what gave it the right to.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cacheserver.clocks import NowS, boot_clock_s
from rowbox.cacheserver.node.beat_log import BeatLog
from rowbox.cacheserver.node.judgement import Role
from rowbox.cacheserver.node.membership import Membership, new_incarnation
from rowbox.cacheserver.node.peer_clocks import WitnessedTime
from rowbox.cacheserver.node.put_back import end_restore
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.owner.samples import owner_samples
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import FetchConversations, FetchMessages, MarkRead, MarkReadResult, Page, Send, SendResult
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.cluster_state import ClusterCells
from rowbox.cacheserver.stores.heard_store import HeardStore
from rowbox.cacheserver.stores.history import begin_history
from rowbox.cacheserver.stores.mail_health import MailHealth
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import duration
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreUnavailable, StoreUnusable
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import LeaseSettings
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

RETRY_AFTER_MS = 1000
SAME_WAIT_S = 60.0
"""How often a wait is logged again whose reason is worded otherwise each time."""
OPEN_PAUSE_S = 1.0


class Stores(NamedTuple):
    """Two handles of one store: beats must not queue behind batches."""

    mail: Store
    cells: Store


OpenStores = Callable[[], Awaitable[Stores]]
"""Opens both handles. StoreUnavailable: it is to be called again. StoreUnusable: calling again is of no use."""
MakeOwner = Callable[[Store, Ownership], Owner]


class Node:
    """One process of a cluster. `start` before the first call, `close` after the last.

    `on_broken` hears once of a StoreUnusable: the process should end with it.
    """

    def __init__(
        self,
        open_stores: OpenStores,
        make_owner: MakeOwner,
        settings: LeaseSettings,
        address: str,
        on_broken: Callable[[StoreUnusable], None],
        *,
        time: WitnessedTime | None = None,
        now_s: NowS = boot_clock_s,
    ) -> None:
        """`time` judges this machine's clock; a server in doubt leaves the mailboxes to one that is not."""
        self._time = time
        self._apart_us = 0
        """By how many microseconds this clock was last seen ahead of the others', where that is too much; else 0."""
        self._open_stores = open_stores
        self._make_owner = make_owner
        self._settings = settings
        self._address = address
        self._on_broken = on_broken
        self._now_s = now_s
        self._health = MailHealth(settings.beat_ms / 1000, now_s)
        self._stores: Stores | None = None
        self._membership: Membership | None = None
        self._owner: Owner | None = None
        self._why = self._why_said = "waiting for the store"
        self._why_lines = Rarely(now_s, SAME_WAIT_S)
        self._beat_log = BeatLog(now_s)
        self._is_draining = False
        self._is_broken = False
        self._changed = asyncio.Event()
        self._loop = BackgroundLoop("beats", self._round)
        self._dismissed: set[asyncio.Task[None]] = set()
        """Owners of earlier incarnations that are being closed."""
        self.takeovers = 0
        self.missed_beats = 0

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Begins the beats, in the background: the first opens the store and joins the cluster."""
        self._loop.start()

    async def owning(self) -> None:
        """Returns when this server owns the mailboxes and answers."""
        while self._owner is None:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Finishes what was begun, gives the mailboxes up, and closes the store. Its successor need not wait."""
        self.begin_drain()
        if self._owner is not None:
            await self._owner.close()  # beats go on meanwhile: what is in flight may still be confirmed
        await self._loop.close()
        if self._membership is not None:
            await self._resign(self._membership)
        self._dismiss()
        await asyncio.gather(*self._dismissed)
        await self._health.close()
        if self._stores is not None:
            for store in self._stores:
                await store.close()

    @property
    def owner(self) -> Owner | None:
        """The owner at work, if this server is one."""
        return self._owner

    @property
    def stores(self) -> Stores | None:
        """The store, once it could be opened."""
        return self._stores

    # ------------------------------------------------------------------ the port

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort."""
        self._at_work().admit_write(user_id, bearer)

    async def send(self, request: Send) -> SendResult:
        """See MailboxPort."""
        return await self._at_work().send(request)

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        """See MailboxPort."""
        return await self._at_work().send_status(user_id, client_message_id, bearer)

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        """See MailboxPort."""
        return await self._at_work().mark_read(request)

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        """See MailboxPort. No coroutine of its own, as in Owner."""
        return self._at_work().fetch_conversations(request)

    def fetch_messages(self, request: FetchMessages) -> Coroutine[Any, Any, Page]:
        """See MailboxPort."""
        return self._at_work().fetch_messages(request)

    async def deliver(self, user_id: str, messages: Sequence[Message]) -> int:
        """See DeliveryPort."""
        return await self._at_work().deliver(user_id, messages)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self._at_work().revoke_user(user_id)

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort."""
        await self._at_work().revoke_id(token_id)

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort."""
        if self._is_draining:
            return ("draining",)
        if self._owner is None:
            return (self._why, self._doubt) if self._doubt else (self._why,)
        if self._membership is None or not self._membership.lease.is_held:
            return ("the lease has lapsed: the store does not answer",)
        return (*self._owner.unready_reasons(), *self._health.unready_reasons)

    def warnings(self) -> Sequence[str]:
        """See MailboxPort."""
        apart = (self._apart,) if self._apart_us else ()
        return (*apart, *self._owner.warnings()) if self._owner is not None else apart

    def begin_drain(self) -> None:
        """See MailboxPort."""
        self._is_draining = True
        if self._owner is not None:
            self._owner.begin_drain()

    def samples(self) -> Iterable[Sample]:
        """The metrics of this server and of the owner at work."""
        text = "1 while this server owns the mailboxes and may answer: its lease holds, and it reaches the mail."
        yield "rowbox_is_owner", "gauge", text, {}, self._serves
        reaches = self._stores is not None and not self._health.unready_reasons
        yield "rowbox_reaches_mail", "gauge", "1 while this server can read and write mailboxes.", {}, reaches
        text = "By how much this server's clock is ahead of the other servers', where they differ by more than 10 s."
        yield "rowbox_clock_peer_difference_seconds", "gauge", text, {}, self._apart_us / US_PER_S
        yield "rowbox_takeovers_total", "counter", "Times this server became the owner.", {}, self.takeovers
        yield "rowbox_missed_beats_total", "counter", "Renewals of the lease that failed.", {}, self.missed_beats
        yield from background_samples(filter(None, (self._loop, self._health.loop)))
        if self._owner is not None:
            yield from owner_samples(self._owner)

    @property
    def _doubt(self) -> str:
        """Why this machine's clock is not believed; "" while it is."""
        return self._time.doubt if self._time is not None else ""

    @property
    def _apart(self) -> str:
        direction = "ahead of" if self._apart_us > 0 else "behind"
        return f"this server's clock is {duration(abs(self._apart_us))} {direction} the other servers': one is wrong"

    def _compare_clocks(self, membership: Membership) -> None:
        """After each beat: what the others' clocks say."""
        verdict = None if membership.clocks is None else membership.clocks.verdict()
        if verdict is None or self._time is None:
            return
        was_apart, self._apart_us = bool(self._apart_us), verdict.apart_us
        if verdict.apart_us and not was_apart:
            log.warning("%s", self._apart)
        elif was_apart and not verdict.apart_us:
            log.warning("the servers' clocks are not known to differ any more")
        if verdict.off_us is not None:
            self._time.told_by_peers(verdict.off_us)

    @property
    def _serves(self) -> bool:
        holds = self._membership is not None and self._membership.lease.is_held
        return self._owner is not None and holds and not self._health.unready_reasons

    def _at_work(self) -> Owner:
        if self._owner is None:
            raise HandoverInProgress(self._why, retry_after_ms=RETRY_AFTER_MS)
        return self._owner

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
        return Membership(
            ClusterCells(stores.cells),
            self._settings,
            self._address,
            now_s=self._now_s,
            incarnation=new_incarnation(),
            time=self._time,
        )

    async def _live(self, membership: Membership, mail: Store) -> float:
        """A beat, and the end of the incarnation where it was replaced: the next round begins another."""
        role = await self._beat(membership, mail)
        if role is Role.REPLACED:
            if membership.ownership is not None:
                log.warning("%s", self._why_replaced())
            self._end_life()
            return 0.0
        if role is Role.STANDBY and membership.owner_address:
            self._wait_for(f"the server at {membership.owner_address} owns the mailboxes")
        return membership.pause_s

    async def _beat(self, membership: Membership, mail: Store) -> Role | None:
        """One beat, and an Owner where this server owns now; None where the store did not answer."""
        had_lapsed = self._owner is not None and not membership.lease.is_held
        membership.reaches_mail = self._health.reaches_mail and not self._doubt
        try:
            role = await membership.beat()
            self._compare_clocks(membership)
            if await self._attend_to_restore(membership):
                role = Role.REPLACED
        except StoreUnavailable as error:
            self.missed_beats += 1
            if self._owner is None:
                self._wait_for("waiting for the store", error)
            else:
                self._beat_log.missed(error)
            return None
        if role is Role.OWNER:
            self._beat_log.renewed(had_lapsed=had_lapsed)
        if role is Role.OWNER and self._owner is None and not self._is_draining:
            await self._appoint(membership, mail)
        return role

    async def _attend_to_restore(self, membership: Membership) -> bool:
        """Where the store shows that it was put back from a copy, what is to be done then: tokens of before reset.

        Whether this incarnation has ended with it.
        """
        assert self._stores is not None
        if membership.went_back:
            log.warning("the store was put back from a copy: whoever owns is replaced, and clients begin anew")
            await end_restore(self._stores.cells)
            membership.went_back = False
            await membership.resign()  # what it has in memory, and what it knows of the others, is of the lost time
            return True
        if membership.rows_are_ahead:
            log.warning("rows are newer than the cluster's map, as in a copy of the store: clients begin anew")
            history = await begin_history(self._stores.cells)
            membership.rows_are_ahead = False
            if self._owner is not None:
                self._owner.fetches.go_by(history)
        return False

    async def _appoint(self, membership: Membership, mail: Store) -> None:
        """Makes the Owner, if the mail answers before the next beat is due; else the next beat tries again."""
        assert membership.ownership is not None
        membership.ownership.on_outranked = self._loop.wake
        owner = self._make_owner(mail, membership.ownership)
        try:
            async with asyncio.timeout(self._settings.beat_ms / 1000):
                await owner.start()
        except (StoreUnavailable, TimeoutError) as error:
            self._wait_for("waiting for the mailboxes", str(error) or "no answer")
            await owner.close()  # it may have begun to ask for ranges of the store that do not answer
            return
        self._health.begin_tenure()
        self._owner = owner
        self.takeovers += 1
        self._changed.set()
        log.info("this server owns the mailboxes")

    def _end_life(self) -> None:
        """The incarnation at hand, if there is one, owns nothing any more; the next round begins another."""
        if self._membership is not None:
            self._membership.end()
            self._membership = None
        self._dismiss()

    def _dismiss(self) -> None:
        """The Owner answers nothing any more. What it has in flight may take long to end; a new life need not wait."""
        owner, self._owner = self._owner, None
        self._why = self._why_replaced()
        if owner is not None:
            closing = asyncio.get_running_loop().create_task(self._close_owner(owner), name="dismissed-owner")
            self._dismissed.add(closing)
            closing.add_done_callback(self._dismissed.discard)

    async def _close_owner(self, owner: Owner) -> None:
        try:
            await owner.close()
        except Exception:
            log.exception("the owner that was replaced did not end well")
            self._on_broken(StoreUnusable("an internal error ended this server's part in the cluster"))

    def _why_replaced(self) -> str:
        broken = [*filter(None, [self._doubt]), *self._health.unready_reasons]
        return f"this server leaves the mailboxes to another: {broken[0]}" if broken else "this server was replaced"

    async def _resign(self, membership: Membership) -> None:
        try:
            await membership.resign()
        except RowboxError as error:
            log.warning("the mailboxes were not given up, the next owner waits for the lease to end: %s", error)

    def _wait_for(self, what: str, why: object = "") -> None:
        """Says so where `what` is news, and where only `why` is, once in a while."""
        self._why = f"{what}: {why}" if why else what
        if self._why == self._why_said:
            return
        is_due = self._why_lines.count(what) > 0
        if is_due or not why or not self._why_said.startswith(f"{what}: "):
            self._why_said = self._why
            log.warning("%s", self._why)
