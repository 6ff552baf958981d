"""The owner of mailboxes: MailboxPort over one store, in process. The composition root of this folder.

    send, mark_read -> pipeline (lock, plan, store, apply) -> answer
    fetch           -> table (memory, or one load) -> page, or a wait -> answer

The parts of a write stand in a ring, because a commit to one row can ask for a change of another one:

    pipeline --a batch--> committer --each applied plan--> Owner._applied --its outbox cells--> delivery
       ^                                                                                           |
       +--------- a DeliverCommand of the recipient's row --------- Owner._deliver <---------------+

It is closed here and nowhere else: the committer and the delivery are given a method of the owner each, and know
neither one another nor the pipeline. The second half is there where the store cannot commit several rows at once, and
for groups; elsewhere one command changes all rows of a send. A message goes round once: a DeliverCommand puts nothing
into an outbox. No step runs inside the one before it (pipeline and delivery both go on in a later turn of the loop),
and what is in the ring is bounded by `commit.queue_bytes` and `commit.delivery_bytes`. Where recipients have other
owners, the ring opens in Owner._deliver (`elsewhere`), and what comes from others enters by Owner.deliver.

Receipts go from a reader's row to the author's beside that ring: what a reader has got or read is told by `receipts`
(cacheserver/receipts), here or elsewhere, and makes a ReceiptsCommand of the author's row, which tells nobody anything.

An owner answers for the shards that are granted to it (ownership.py). What is in memory of a row belongs to the grant
of its shard, and every answer is given only while that grant holds (docs/consistency.md, rule 5). Shards come and go:

    take           they were granted: what they still have to deliver is looked for
    close_shards   they are about to be given away: nothing new begins, what is in flight ends
    reopen         they stay after all
    give_away      their grants have ended: what is in memory of them goes
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final, Protocol, cast

import msgspec

from rowbox.cacheserver.access.device_calls import DeviceCalls, NoPushing
from rowbox.cacheserver.access.device_uses import DeviceUses
from rowbox.cacheserver.access.revocations import Revocations, longest_token_s
from rowbox.cacheserver.access.revoked_ids import RevokedIds
from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.commands import (
    AccountCommand,
    ChangeCommand,
    CommandResult,
    DeliverCommand,
    MarkReadCommand,
    ReceiptsCommand,
    SendCommand,
    TtlCommand,
)
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.clocks import BareTime, NowUs, StoreClock, Time, wall_clock_us
from rowbox.cacheserver.commit.committer import Committer
from rowbox.cacheserver.commit.pipeline import Pipeline, PipelineLimits
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.delivery.group_events import Delivered
from rowbox.cacheserver.delivery.recovery import Recovery
from rowbox.cacheserver.features import check_deed, check_reports, check_ttls
from rowbox.cacheserver.fetch.feed import Feed
from rowbox.cacheserver.fetch.feed_pages import FeedPages
from rowbox.cacheserver.fetch.fetches import Fetches
from rowbox.cacheserver.fetch.follows import Follows
from rowbox.cacheserver.fetch.message_pages import MessagePages
from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.fetch.receipt_reads import ReceiptReads
from rowbox.cacheserver.fetch.settling import Settling
from rowbox.cacheserver.groups.forgetting import Forgetting
from rowbox.cacheserver.groups.front_door import FrontDoor
from rowbox.cacheserver.groups.group_rows import GroupRows
from rowbox.cacheserver.owner.handing_over import HandingOver
from rowbox.cacheserver.ownership import Ownership, SoleOwnership, is_held
from rowbox.cacheserver.people.deleted_copies import DeletedCopies
from rowbox.cacheserver.people.erasures import Erasures
from rowbox.cacheserver.people.first_messages import FirstMessages
from rowbox.cacheserver.people.hidden_reads import HiddenReads
from rowbox.cacheserver.people.lists import Lists
from rowbox.cacheserver.people.presence import PresenceRules
from rowbox.cacheserver.people.profiles import Profiles
from rowbox.cacheserver.people.reports import Reports
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
    Create,
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
    Quota,
    React,
    ReceiptsResult,
    RegisterDevice,
    Report,
    ReportResult,
    RequestsShown,
    Routed,
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
from rowbox.cacheserver.push.port import PushPort
from rowbox.cacheserver.push.pushes import Pushes
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.receipts.gatherings import Gatherings
from rowbox.cacheserver.receipts.receipts import Receipts
from rowbox.cacheserver.refused_turns import COMES_AGAIN
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.rows.disappeared import Disappeared
from rowbox.cacheserver.rows.loader import Loader
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.search.searches import Searches, SearchPlace
from rowbox.cacheserver.stores.guarded_store import GuardedStore
from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.port import Store
from rowbox.cacheserver.stores.quarantine import Quarantine
from rowbox.cacheserver.turns import Turns
from rowbox.mailbox.account.deeds import AccountChanged, SetContact
from rowbox.mailbox.aggregate.changes import Changed, New, NewChange, NewReaction
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Marked, NewSend, Plan, Sent
from rowbox.mailbox.cells import DEVICES, MEMBERSHIP, DedupeCell, OutboxCell
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import (
    BadRequest,
    HandoverInProgress,
    NotInGroups,
    NotTheOwner,
    Overloaded,
    RowboxError,
    SearchOff,
    TokenRevoked,
    UnknownClientMessageId,
)
from rowbox.mailbox.group import group_name, is_group_name
from rowbox.mailbox.groups.message_row import Windows
from rowbox.mailbox.groups.requests import Gone, GroupAnswer, GroupRequest, Update
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, payload_hash, sent_timestamp, shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.pages.cursor import Bookmarks
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import MessageSettings, Settings
from rowbox.mailbox.ttls.ttl_row import NewTtl, TtlSet

MAX_PENDING = 1_000_000
"""Recipients of messages on their way, of all messages together; their bytes are bounded as well."""


DEVICES_CLOSE_S: Final = 2.0
DEVICES_GIVEN_S: Final = 0.5
"""For so long at most an owner that ends, or shards that are about to be closed, wait until it is written how devices
were used."""
DRAINING: Final = "draining"
"""The reason of a server that stops."""


class Elsewhere(Protocol):
    """The way to users whose shards other owners have. Errors are RowboxErrors, which may be raised at once."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """Brings messages into a user's mailbox, in order.

        The result is how many of them, counted from the first, are durable there: one at least. After an error that is
        retryable the same messages come again, after another one they stay in their senders' outboxes.
        """
        ...

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """Has a user's mailbox take in what readers of his messages have: of how many receipts that is news.

        After an error that is retryable they come again, after another one no more.
        """
        ...

    def ask_group(self, name: str, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        """Asks the owner of the group's row of this name."""
        ...

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        """Asks the owner of a user who he is."""
        ...

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        """Asks the owners of users whether these show their presence to `watcher_id`. Never fails (UserPort)."""
        ...


class Owner:
    """The owner of the users of some shards of one store; of all of them where nobody else can be one.

    `start` before the first call, `close` after the last. Each call for a user of another shard raises NotTheOwner.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        ownership: Ownership | None = None,
        now_us: NowUs = wall_clock_us,
        time: Time | None = None,
        clock: StoreClock | None = None,
        elsewhere: Elsewhere | None = None,
        search: SearchPlace | None = None,
        push: PushPort | None = None,
    ) -> None:
        """An owner of the shards that `ownership` grants; None: of all, and nobody else can be one (embedded).

        `elsewhere` takes what is for users and groups of other shards; None: that fails with NotTheOwner, and what is
        to be delivered is tried again.

        `search` is where the indexes of its users' mailboxes are; None: nobody searches.

        `push` tells devices of new messages; None: nobody is told.

        `time` judges the clock; None: `now_us` is believed whatever it says. `clock` is the process's, where it has
        other owners after or before this one.
        """
        self._time = time = time if time is not None else BareTime(now_us)
        clock = clock if clock is not None else StoreClock(time.now_us)
        self.quarantine = Quarantine(
            store.ranges,
            clock,
            patience_s=settings.hbase.patience_ms / 1000,
            away_s=settings.hbase.call_timeout_ms / 1000,
        )
        if store.ranges is not None:
            store = GuardedStore(store, self.quarantine)
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._settings, self._public_url = settings.messages, settings.server.public_url
        self._limits = RateLimits(settings.rate_limits, self._loop.time, settings.groups)
        self._ownership = ownership if ownership is not None else SoleOwnership(store.shards)
        self._elsewhere = elsewhere
        self.cleaner = Cleaner(store, clock, self.quarantine.is_open)
        self._reader = RowReader(store, self.cleaner.remove)
        self.waiters = Waiters(per_user=settings.poll.max_per_user, most=settings.poll.max_per_server)
        self.delivery = Delivery(
            self._deliver,
            self._settle_declined,
            self._resumption,
            self._with_earlier,
            self.cleaner,
            most=MAX_PENDING,
            most_bytes=settings.commit.delivery_bytes,
            wait_s=settings.commit.delivery_wait_ms / 1000,
        )
        self.recovery = Recovery(store, self._ownership, self._visit_outbox)
        self.disappeared = Disappeared(store, self._ownership, self.cleaner, time.seen_us)
        self.loader = Loader(store, self.cleaner, clock, time, _mailbox_limits(settings))
        self.table = Table(
            self.loader,
            self._ownership,
            store.shards,
            limit_bytes=settings.cache.bytes,
            load_concurrency=settings.cache.load_concurrency,
            load_queue=settings.cache.load_queue,
            on_loaded=self._loaded,
            on_dropped=self._dropped,
            settled=self.quarantine.settled,
        )
        self.handing_over = HandingOver(self.table, self.delivery, self.quarantine)
        self.warm_ages = BackgroundLoop("warm-rows", self._drop_old_warm_rows)
        self.committer = Committer(store, self.table, self.cleaner, clock, self._applied)
        self.pipeline = Pipeline(
            self.table,
            self._reader,
            self.committer,
            self.quarantine,
            time,
            _pipeline_limits(settings, late_writes=store.late_writes),
        )
        self.receipts = Receipts(self.table, self.pipeline.submit, self._tell, settings.messages.receipts)
        self.gatherings = Gatherings(self.pipeline.submit)
        self.settling = Settling(self.table, self.pipeline.submit, time.seen_us, self._followed)
        self.revocations = Revocations(
            RevokedIds(store, self._end_revoked, self._owns_all),
            self.table,
            self.pipeline.submit,
            self._end_revoked,
            self._ownership,
            time,
            longest_token_s=longest_token_s(settings.auth),
        )
        self.pushes: Pushes | None = (
            Pushes(push, self.table, self.pipeline.submit, settings.push.content, time.seen_us)
            if push is not None
            else None
        )
        self.devices = DeviceCalls(
            self.table,
            self.pipeline.submit,
            self.revocations,
            self._admit_change,
            self._limits,
            time,
            self.pushes if self.pushes is not None else NoPushing(),
        )
        self.device_uses = DeviceUses(self.pipeline.submit, time.seen_us)
        self.follows = Follows(
            self.table, self.revocations, self._feed_bookmarks, settings.sockets, self.device_uses.used
        )
        page_reader = PageReader(store, Turns(), self.cleaner.remove)
        self.fetches = Fetches(
            self.table,
            MessagePages(page_reader, time.latest_us),
            self.waiters,
            self.settling,
            self.revocations,
            time.seen_us,
            self._limits,
            self._proven,
        )
        self.feed = Feed(
            self.table,
            FeedPages(page_reader),
            self.fetches.settled_page,
            self.waiters,
            self.settling,
            self.revocations,
            time.seen_us,
            time.latest_us,
            self._limits,
            self._proven,
        )
        # Sets equal times apart and keeps no secret; the system's own source costs a call to the kernel for each send.
        self._random = Random(secrets.randbits(128))
        self.groups = GroupRows(
            self.table,
            self.pipeline.submit,
            self.delivery,
            self._limits,
            self._random,
            _windows(settings.messages),
            Forgetting(self.table, self._reader, self.cleaner, self.delivery, time.seen_us),
        )
        self.profiles = Profiles(
            self.table,
            self.revocations,
            self._limits,
            self._profile_of,
            self._random,
            patience_s=settings.commit.timeout_ms / 1000,
        )
        self.presence_rules = PresenceRules(
            self.table, self.revocations, self._limits, self._shows_presence, self._was_active
        )
        self.hidden = HiddenReads(self.table, self._reader, self.revocations, self._limits, time.seen_us)
        self.reports = Reports(
            settings.moderation.user,
            self.table,
            self._reader,
            self.revocations,
            time.seen_us,
            self._send_report,
            self._random,
        )
        self.lists = Lists(self.table, self.revocations, self._limits, time.seen_us)
        self.first_messages = FirstMessages(self.table, self.profiles, only_known=settings.users.policy == "known")
        self.front_door = FrontDoor(
            self.table,
            self._reader,
            self.revocations,
            time,
            settings.groups,
            self._ask_for_user,
            self._check_known,
            self._random,
            patience_s=settings.commit.timeout_ms / 1000,
        )
        self.erasures = Erasures(
            store, self.table, self.pipeline.submit, self.cleaner, self._leave, self._has_outbox, time.seen_us
        )
        self.receipt_reads = ReceiptReads(
            self.table, self._reader, self.revocations, time.seen_us, self._limits, self.front_door.receipts
        )
        self.searches: Searches | None = (
            Searches(search, self.table, page_reader, self.revocations, time, self._limits, settings)
            if search is not None
            else None
        )
        self.deleted_copies = DeletedCopies(self.table, self._reader, self.cleaner, self.pipeline.submit, time.seen_us)
        self._unready = ["starting"]

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Begins the background work and takes requests."""
        await self._store.verify()
        history = await history_of(self._store)
        self.fetches.go_by(history)
        self.feed.go_by(history)
        await self.revocations.ids.read()
        self.cleaner.loop.start()
        self.recovery.loop.start()
        self.disappeared.loop.start()
        self.settling.loop.start()
        self.groups.forgetting.loop.start()
        self.deleted_copies.loop.start()
        self.erasures.loop.start()
        if self._store.late_writes:
            self.revocations.ids.loop.start()
            self.warm_ages.start()
            self.follows.loop.start()
        self.device_uses.loop.start()
        if self.searches is not None:
            self.searches.start(history)
        self._unready.clear()

    @property
    def _is_draining(self) -> bool:
        return DRAINING in self._unready

    def begin_drain(self) -> None:
        """See MailboxPort."""
        if not self._is_draining:
            self._unready.append(DRAINING)
        self.waiters.drain()

    async def close(self) -> None:
        """Finishes the writes that were begun, then stops. The store stays open: whoever opened it closes it."""
        self.begin_drain()
        await self.device_uses.loop.close()
        await self.device_uses.flush(DEVICES_CLOSE_S)
        await self.recovery.loop.close()
        await self.disappeared.loop.close()
        await self.settling.loop.close()
        await self.erasures.loop.close()
        await self.groups.forgetting.loop.close()
        await self.deleted_copies.loop.close()
        await self.revocations.ids.loop.close()
        await self.warm_ages.close()
        await self.follows.loop.close()
        self.settling.close()
        self.receipts.close()
        if self.pushes is not None:
            await self.pushes.close()
        self.groups.reactions.close()
        self.gatherings.close()
        if self.searches is not None:
            await self.searches.close()
        await self.pipeline.idle()
        await self.delivery.close()
        await self.pipeline.idle()
        await self.table.idle()
        await self.cleaner.close()
        await self.quarantine.close()

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort."""
        reasons = [*self._unready, *filter(None, [self._time.doubt])]
        if self.quarantine.is_active and self.quarantine.away == self.quarantine.count:
            reasons.append("the store does not answer")
        return tuple(reasons)

    def warnings(self) -> Sequence[str]:
        """See MailboxPort."""
        away, count = self.quarantine.away, self.quarantine.count
        return (f"{away} of {count} ranges of the store do not answer",) if away else ()

    # ------------------------------------------------------------------ shards

    def take(self, shards: Collection[int], warm: Sequence[HandedRow] = ()) -> None:
        """Notes that these shards were granted. What their last owner left undelivered is looked for at once.

        `warm`: what the last owner has handed over with them (Stash.take_out). To be called in the turn of the loop in
        which they were granted: a row that was loaded under the grant is no more as it was handed over.
        """
        self.loader.warm.add(warm, self._loop.time())
        self.warm_ages.wake()
        for row in warm:
            if row.has_outbox:
                with suppress(RowboxError):  # then the scan comes to it
                    self.table.load(self.table.row(row.user_id))
        if self._store.late_writes:
            self.recovery.take(shards)

    async def close_shards(self, shards: Collection[int]) -> None:
        """Has nothing of these shards begin any more, and returns when nothing of them is in flight.

        Commands that wait, polls, and whatever comes from now on get NotTheOwner; so do deliveries to their users,
        which are tried again. What the store was asked for is finished and answered: when this returns, each row that
        is in memory is as its last confirmed write has left it, and rows whose last write has an unknown outcome are
        not in memory. What their users have sent goes on being delivered. Cancelling it stops the waiting alone.
        NotTheOwner, and nothing is closed, where one of the shards is not granted.
        """
        shards = frozenset(shards)
        await self.device_uses.flush(DEVICES_GIVEN_S, partial(_is_of, shards, self.table.shards))
        for grant in [self._ownership.grant_of(shard) for shard in shards]:
            grant.stop_admitting()
        rows = self.table.rows_of(shards)
        self.pipeline.refuse(rows, NotTheOwner("this server is giving this user away"))
        self.waiters.refuse(shards)
        await self.table.loads_ended(rows)
        await self.pipeline.ended(shards)

    def reopen(self, shards: Collection[int]) -> None:
        """Admits again what is for these shards, which stay after all. What is in memory of them is still true.

        Shards whose grants have ended meanwhile are left out.
        """
        for shard in shards:
            with suppress(NotTheOwner):
                self._ownership.grant_of(shard).resume_admitting()
        self.take(shards)  # a scan may have passed over them meanwhile

    def give_away(self, shards: Collection[int]) -> None:
        """Forgets what is in memory of these shards, whose grants have ended: rows, and messages still to be delivered.

        Commands that wait and polls get NotTheOwner; sends that wait for their delivery are answered as pending. What
        is in flight ends by the check of its grant. ValueError where one of the grants still stands.
        """
        shards = frozenset(shards)
        self.loader.warm.forget(shards)
        rows = self.table.rows_of(shards)
        for row in rows:
            self._assert_ended(row)
        for row in rows:
            self.table.let_go(row)
        self.pipeline.refuse(rows, NotTheOwner("another server owns this user"))
        self.waiters.refuse(shards)
        self.follows.give_away(shards)
        self.revocations.ids.loop.wake()  # whoever has them may revoke tokens from now on
        is_given = partial(_is_of, shards, self.table.shards)
        self.delivery.give_away(is_given)
        self.gatherings.give_away(is_given)
        self.erasures.give_away(is_given)
        self._forget(is_given)

    def _forget(self, is_meant: Callable[[str], bool]) -> None:
        """Forgets what memory has of users beside their mailboxes, and their search indexes."""
        self.receipts.give_away(is_meant)
        self.device_uses.give_away(is_meant)
        if self.searches is not None:
            self.searches.indexes.give_away(is_meant)
        if self.pushes is not None:
            self.pushes.give_away(is_meant)

    def _owns_all(self) -> bool:
        return len(self._ownership.shards) >= self._store.shards

    async def _drop_old_warm_rows(self) -> float | None:
        return self.loader.warm.drop_old(self._loop.time())

    def _assert_ended(self, row: Row) -> None:
        """What is in flight of a row that is let go of has to be refused by its grant."""
        try:
            standing = self._ownership.grant_of(row.grant.shard)
        except NotTheOwner:
            return
        if standing is row.grant:
            raise ValueError(f"shard {row.grant.shard} is still granted")

    # ------------------------------------------------------------------ writes

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort."""
        self.revocations.check_in_memory(user_id, bearer)
        self.table.grant_of(user_id).admit()
        self._limits.check("send", user_id)

    async def send(self, request: Send) -> SendResult:
        """See MailboxPort."""
        bearer = request.bearer
        if not self.revocations.admits_write(request.sender_id, bearer):
            await self._admit_in_line(request.sender_id, bearer, request.routed)
        quota = self._limits.take("send", request.sender_id)
        if request.conversation_id is not None:
            recipient_id = await self._other_of(request.sender_id, request.conversation_id)
            if recipient_id is None:
                return await self._send_to_group(request, request.conversation_id, quota)
            request = msgspec.structs.replace(request, recipient_id=recipient_id, conversation_id=None)
        if self.delivery.refuses(request.sender_id):
            raise Overloaded("too many messages are on their way", retry_after_ms=1000)
        others = () if request.recipient_id == request.sender_id else (request.recipient_id,)
        joint = () if self._store.late_writes else others
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        entropy = request.entropy or self._random.getrandbits(62)
        new, judge = _new_send(request, others, entropy), self.revocations.check_again
        grant = self.table.grant_of(request.sender_id)
        only_known, routed = self.first_messages.only_known and bool(others), request.routed
        command = SendCommand(new, joint, bearer, judge, only_known, future=future, routed=routed)
        place = request.sender_id, new.conversation_id
        if only_known and self._store.late_writes and self.first_messages.may_be_first(*place):
            async with self.first_messages.turn(*place, request.recipient_id, routed):
                self.pipeline.submit(command)
        else:
            self.pipeline.submit(command)
        answer = await future
        assert isinstance(answer, Sent)
        pending = 0
        if self._store.late_writes:
            pending = await self.delivery.wait(request.sender_id, answer.record.message_id)
            if not pending and not is_held(grant):
                pending = len(others)  # it is in the store, and nobody here knows any more who has it
        return _send_result(answer.record, pending, duplicate=answer.is_duplicate, quota=quota)

    async def _send_report(self, new: NewSend, bearer: Bearer | None, routed: Routed | None) -> Sent:
        """Sends a report, which its sender's blocks do not refuse, nor that nobody has made its recipient known."""
        if self.delivery.refuses(new.sender_id):
            raise Overloaded("too many messages are on their way", retry_after_ms=1000)
        joint = () if self._store.late_writes else tuple(one for one in new.participants if one != new.sender_id)
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        judge = self.revocations.check_again
        self.pipeline.submit(SendCommand(new, joint, bearer, judge, future=future, routed=routed))
        answer = await future
        assert isinstance(answer, Sent)
        if self._store.late_writes:
            await self.delivery.wait(new.sender_id, answer.record.message_id)
        return answer

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        """See MailboxPort."""
        if bearer is not None and not self.revocations.is_admitted(user_id, bearer):
            await self.revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        hashed = client_id_hash(client_message_id)
        grant = self.table.admitted(user_id).grant
        row, mailbox = await self.table.loaded(user_id)
        self.revocations.check(mailbox, bearer)
        record = None
        if mailbox.client_ids.may_hold(hashed):
            try:
                record = await self._reader.send_record(View(row.key, mailbox, self._time.seen_us()), hashed)
            except HandoverInProgress:
                self.table.drop_replaced(row, mailbox)
                raise
            self.revocations.check_again(bearer)
        grant.check()
        if record is None:
            raise UnknownClientMessageId("no send with this clientMessageId was applied so far")
        pending = self.delivery.missing(user_id, record.message_id)
        if mailbox.state(MEMBERSHIP, record.conversation_id) is not None:
            pending = await self.front_door.pending(user_id, client_message_id, record)
            grant.check()
        return _send_result(record, pending, duplicate=False, quota=quota)

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        """See MailboxPort."""
        bearer = request.bearer
        if not self.revocations.admits_write(request.user_id, bearer):
            await self._admit_in_line(request.user_id, bearer, request.routed)
        quota = self._limits.take("send", request.user_id)
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        place, judge = (request.conversation_id, request.message_id), self.revocations.check_again
        routed = request.routed
        self.pipeline.submit(MarkReadCommand(request.user_id, *place, bearer, judge, future=future, routed=routed))
        marked = await future
        assert isinstance(marked, Marked)
        return MarkReadResult(request.conversation_id, marked.unread_count, marked.version, quota)

    async def _admit_change(self, user_id: str, bearer: Bearer | None, routed: Routed | None) -> None:
        """Judges the token of a write where that is to be waited for at all. As Revocations.admit_in_line."""
        if not self.revocations.admits_write(user_id, bearer):
            await self._admit_in_line(user_id, bearer, routed)

    async def _admit_in_line(self, user_id: str, bearer: Bearer | None, routed: Routed | None) -> None:
        """Judges a write by the token of another user, behind those that came before. As Revocations.admit_in_line."""
        try:
            await self.revocations.admit_in_line(user_id, bearer)
        except COMES_AGAIN:
            if routed is not None:
                self.pipeline.refused_before(user_id, routed)
            raise

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        """See MailboxPort."""
        window_ms = self._settings.unsend_window_ms if request.content is None else self._settings.edit_window_ms
        what = request.conversation_id, request.message_id, request.content
        return await self._change(
            request, lambda holders: NewChange(*what, window_ms * US_PER_MS, self._random.getrandbits(62), holders)
        )

    async def react(self, request: React) -> ChangeResult:
        """See MailboxPort."""
        window_us = self._settings.reaction_window_ms * US_PER_MS
        what = request.conversation_id, request.message_id, request.emoji
        return await self._change(
            request, lambda holders: NewReaction(*what, window_us, self._random.getrandbits(62), holders)
        )

    async def _change(self, request: ChangeMessage | React, new: Callable[[tuple[str, ...]], New]) -> ChangeResult:
        """What a request does to a message. `new` makes it, given whose rows are changed in the same commit."""
        user_id, bearer = request.user_id, request.bearer
        if not self.revocations.admits_write(user_id, bearer):
            await self._admit_in_line(user_id, bearer, request.routed)
        quota = self._limits.take("send", user_id)
        if self.delivery.refuses(user_id):
            raise Overloaded("too many messages are on their way", retry_after_ms=1000)
        holders = await self._holders(request)
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        judge, routed = self.revocations.check_again, request.routed
        self.pipeline.submit(ChangeCommand(user_id, new(holders), bearer, judge, future=future, routed=routed))
        try:
            answer = await future
        except NotInGroups:
            changed = await self.front_door.change_message(request)
            return ChangeResult(request.message_id, changed.version, changed.changed, quota)
        assert isinstance(answer, Changed)
        return ChangeResult(request.message_id, answer.version, answer.message is not None, quota)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        """See MailboxPort."""
        user_id, bearer, conversation_id = request.user_id, request.bearer, request.conversation_id
        if not self.revocations.admits_write(user_id, bearer):
            await self._admit_in_line(user_id, bearer, request.routed)
        check_ttls(self._ownership.features)
        quota = self._limits.take("send", user_id)
        if self.delivery.refuses(user_id):
            raise Overloaded("too many messages are on their way", retry_after_ms=1000)
        if request.ttl_ms > self._settings.max_ttl_ms:
            raise BadRequest(f"ttlMs is at most {self._settings.max_ttl_ms} on this server (messages.max_ttl_ms)")
        new = NewTtl(conversation_id, request.ttl_ms, self._random.getrandbits(62), await self._holders(request))
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        judge, routed = self.revocations.check_again, request.routed
        self.pipeline.submit(TtlCommand(user_id, new, bearer, judge, future=future, routed=routed))
        try:
            answer = await future
        except NotInGroups:
            deed = Update(None, None, request.ttl_ms)
            changed = await self.front_door.change(ChangeGroup(user_id, conversation_id, deed, bearer))
            return TtlResult(conversation_id, changed.version, changed.changed, quota)
        assert isinstance(answer, TtlSet)
        return TtlResult(conversation_id, answer.version, answer.message is not None, quota)

    async def _holders(self, request: ChangeMessage | React | SetTtl) -> tuple[str, ...]:
        """Whose rows take a change in the same commit, where no write can be late."""
        if self._store.late_writes:
            return ()
        _, mailbox = await self.table.loaded(request.user_id)
        state = mailbox.index.get(request.conversation_id)
        return tuple(one for one in state.participants if one != request.user_id) if state is not None else ()

    def register_device(self, request: RegisterDevice) -> Coroutine[Any, Any, DevicesResult]:
        """See MailboxPort."""
        return self.devices.register(request)

    def set_push(self, request: SetPush) -> Coroutine[Any, Any, DevicesResult]:
        """See MailboxPort."""
        return self.devices.set_push(request)

    def sign_out(self, request: SignOut) -> Coroutine[Any, Any, SignOutResult]:
        """See MailboxPort."""
        return self.devices.sign_out(request)

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if not self.revocations.admits_write(user_id, bearer):
            await self._admit_in_line(user_id, bearer, request.routed)
        check_deed(request.deed, self._ownership.features)
        quota = self._limits.take("send", user_id)
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        judge, routed = self.revocations.check_again, request.routed
        command = AccountCommand(user_id, request.deed, bearer, judge, future=future, routed=routed)
        if self.first_messages.only_known and isinstance(request.deed, SetContact):
            async with self.first_messages.contact_turn(user_id, request.deed, routed):
                self.pipeline.submit(command)
        else:
            self.pipeline.submit(command)
        changed = await future
        assert isinstance(changed, AccountChanged)
        return AccountResult(changed.version, changed.changed, quota, changed.step)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self.revocations.is_admitted(user_id, bearer):
            await self.revocations.admit_other(bearer)
        quota = self._limits.take("send", user_id)
        if isinstance(request.deed, Create):
            self._limits.take("create", user_id)
        changed = await self.front_door.change(request)
        return GroupResult(request.conversation_id, changed.version, changed.changed, changed.pending, quota)

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self.revocations.is_admitted(user_id, bearer):
            await self.revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        return GroupShown(request.conversation_id, await self.front_door.view(request), quota)

    async def ask_group(self, asked: GroupRequest) -> GroupAnswer:
        """See GroupPort."""
        return await self.groups.ask(asked)

    async def judge(self, bearer: Bearer) -> None:
        """TokenRevoked where a token is refused by the row of its own user, or by its id.

        For a request that another owner answers, because the token is used for another user's mailbox.
        """
        await self.revocations.judge(bearer)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self.revocations.revoke_user(user_id)

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort."""
        await self.revocations.revoke_id(token_id)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """Brings messages of users of other owners into a mailbox, in order, each once however often it comes.

        The result is how many of them, counted from the first, are durable: one at least. Cancelling it stops the
        waiting alone. Raises what a write raises, and at once what Pipeline.submit raises.
        """
        return cast("asyncio.Future[int]", self._deliver_here(user_id, messages))

    def _deliver(self, user_id: str, messages: Sequence[Message]) -> Delivered:
        """One more round of the ring, here or at another owner. A shard that is closed here is still this owner's."""
        if self._elsewhere is not None and not self.table.owns(user_id):
            return self._elsewhere.deliver(user_id, messages)
        return self._deliver_here(user_id, messages)

    async def _ask_for_user(self, asked: GroupRequest) -> GroupAnswer:
        """Asks a group's row for one of this owner's users, here or at another owner."""
        name = group_name(asked.conversation_id)
        if self._elsewhere is not None and not self.table.owns(name):
            return await self._elsewhere.ask_group(name, asked)
        return await self.groups.ask(asked)

    async def _leave(self, user_id: str, conversation_id: bytes) -> None:
        """Has a group removed a user who is deleted, wherever its row is owned."""
        await self._ask_for_user(Gone(conversation_id, user_id, self._random.getrandbits(62)))

    def _has_outbox(self, user_id: str) -> bool:
        """Whether something of what a user's loaded row has in its outbox is not known to have arrived."""
        return self.delivery.backlog(user_id) > 0 or self.delivery.has_spilled(user_id)

    async def profile_of(self, user_id: str) -> Profile | None:
        """See UserPort."""
        return await self.profiles.here(user_id)

    async def _profile_of(self, user_id: str) -> Profile | None:
        if self._elsewhere is not None and not self.table.owns(user_id):
            return await self._elsewhere.profile_of(user_id)
        return await self.profiles.here(user_id)

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See UserPort."""
        return await self.presence_rules.here(watcher_id, users)

    async def _shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """Of users wherever they are owned."""
        here = [user_id for user_id in users if self._elsewhere is None or self.table.owns(user_id)]
        said = dict(zip(here, await self.presence_rules.here(watcher_id, here), strict=True))
        others = [user_id for user_id in users if user_id not in said]
        if others and self._elsewhere is not None:
            said |= zip(others, await self._elsewhere.shows_presence(watcher_id, others), strict=True)
        return [said[user_id] for user_id in users]

    async def _check_known(self, users: Sequence[str]) -> None:
        """UnknownUser where one of the users may not be brought into a group."""
        if self.first_messages.only_known:
            await self.profiles.check_known(users)

    def _settle_declined(self, cell: OutboxCell, user_id: str, joined: int) -> "asyncio.Future[CommandResult]":
        return self.groups.settle_declined(cell, user_id, joined)

    def _resumption(self, cell: OutboxCell, user_id: str) -> "asyncio.Future[CommandResult]":
        return self.groups.resumption(cell, user_id)

    def _with_earlier(self, cell: OutboxCell) -> "asyncio.Future[CommandResult]":
        return self.groups.with_earlier(cell)

    async def _other_of(self, user_id: str, conversation_id: bytes) -> str | None:
        """With whom the user is in a conversation of two: himself, where those are notes. None: it may be a group.

        Where the user's row is in memory this does not let another request come first.
        """
        row = self.table.admitted(user_id)
        mailbox = row.mailbox
        if mailbox is None:
            _, mailbox = await self.table.loaded(user_id)
        state = mailbox.index.get(conversation_id)
        if state is None or state.group is not None:
            return None
        return next((other for other in state.participants if other != user_id), user_id)

    async def _send_to_group(self, request: Send, conversation_id: bytes, quota: Quota | None) -> SendResult:
        sent = await self.front_door.send(request, conversation_id)
        timestamp = sent_timestamp(sent.message_id)
        place = sent.message_id, conversation_id, timestamp, sent.version
        return SendResult(*place, sent.pending, sent.duplicate, quota)

    def _deliver_here(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[CommandResult]":
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        self.pipeline.submit(DeliverCommand(user_id, messages, future=future))
        return future

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """Has a user's mailbox take in what readers of his messages have, or a group's row what its members have.

        Done once the row has all of them: the number says of how many it is news, or of a group how many they are.
        Doubled or in another order they come to the same. Raises as `deliver`.
        """
        taken = [receipt for receipt in map(self.receipts.taken_in, receipts) if receipt is not None]
        if is_group_name(user_id):
            return self.gatherings.take(user_id, taken)
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        self.pipeline.submit(ReceiptsCommand(user_id, taken, future=future))
        return cast("asyncio.Future[int]", future)

    def _tell(self, author_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        if self._elsewhere is not None and not self.table.owns(author_id):
            return self._elsewhere.take_receipts(author_id, receipts)
        return self.take_receipts(author_id, receipts)

    # ------------------------------------------------------------------ reads

    # No coroutines of their own: ten thousand clients may be waiting in them.

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        """See MailboxPort."""
        return self.fetches.conversations(request)

    def fetch_messages(self, request: FetchMessages) -> Coroutine[Any, Any, Page]:
        """See MailboxPort."""
        return self.fetches.messages(request)

    def fetch_changes(self, request: FetchChanges) -> Coroutine[Any, Any, Changes]:
        """See MailboxPort."""
        return self.feed.changes(request)

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort."""
        following = await self.follows.follow(request, notify)
        if self.follows.followers.count == 1:
            self.settling.loop.wake()
        return following

    async def prove(self, request: ProvenToken) -> None:
        """See MailboxPort."""
        await self.feed.prove(request)

    def fetch_receipts(self, request: FetchReceipts) -> Coroutine[Any, Any, ReceiptsResult]:
        """See MailboxPort."""
        return self.receipt_reads.receipts(request)

    async def locate(self, request: Locate) -> Located:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self.revocations.is_admitted(user_id, bearer):
            await self.revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self.table.admitted(user_id).grant
        _, mailbox = await self.table.loaded(user_id)  # which whoever connects needs next
        self.revocations.check(mailbox, bearer)
        grant.check()
        return Located("" if self._is_draining else self._public_url, quota)

    def fetch_devices(self, request: FetchDevices) -> Coroutine[Any, Any, DevicesResult]:
        """See MailboxPort."""
        return self.devices.fetch(request)

    def fetch_blocks(self, request: FetchBlocks) -> Coroutine[Any, Any, BlocksShown]:
        """See MailboxPort."""
        return self.lists.blocks(request)

    async def report(self, request: Report) -> ReportResult:
        """See MailboxPort."""
        bearer = request.bearer
        if not self.revocations.admits_write(request.user_id, bearer):
            await self._admit_in_line(request.user_id, bearer, request.routed)
        check_reports(self._ownership.features)
        quota = self._limits.take("report", request.user_id)
        return msgspec.structs.replace(await self.reports.report(request), quota=quota)

    def fetch_hidden(self, request: FetchHidden) -> Coroutine[Any, Any, HiddenPage]:
        """See MailboxPort."""
        return self.hidden.fetch(request)

    def fetch_contacts(self, request: FetchContacts) -> Coroutine[Any, Any, ContactsShown]:
        """See MailboxPort."""
        return self.lists.contacts(request)

    def fetch_requests(self, request: FetchRequests) -> Coroutine[Any, Any, RequestsShown]:
        """See MailboxPort."""
        return self.lists.requests(request)

    def fetch_users(self, request: FetchUsers) -> Coroutine[Any, Any, UsersShown]:
        """See MailboxPort."""
        return self.profiles.shown(request)

    def presence_terms(self, request: AskPresence) -> Coroutine[Any, Any, PresenceTerms]:
        """See MailboxPort."""
        return self.presence_rules.terms(request)

    async def search(self, request: Search) -> Found:
        """See MailboxPort."""
        if self.searches is None:
            raise SearchOff("nobody searches on this server: search.bytes is 0")
        return await self.searches.search(request)

    @property
    def fetches_begun(self) -> int:
        """Fetches that were asked for, long polls too, and were not refused for their rate."""
        return self.fetches.begun + self.feed.begun

    # ------------------------------------------------------------------ what the table and the pipeline tell

    def _loaded(self, row: Row, outbox: Sequence[OutboxCell]) -> None:
        assert row.mailbox is not None
        if outbox or self._store.late_writes:
            self.delivery.add_outbox(row.user_id, row.key, outbox)
        self.waiters.notify_loaded(row.user_id, row.mailbox.head)
        self.follows.loaded(row.mailbox)
        self.disappeared.loaded(row.key, row.mailbox)
        self.receipts.loaded(row.mailbox)
        self.device_uses.loaded(row.mailbox)
        if row.mailbox.is_erased:
            self.erasures.look_at(row.user_id)
        if row.mailbox.has_push and self.pushes is not None:
            self.pushes.loaded(row.mailbox)
        self.deleted_copies.loaded(row.mailbox)

    def _applied(self, row: Row, plan: Plan) -> None:
        self.waiters.notify(row.user_id, plan.log, plan.head)
        assert row.mailbox is not None
        self.follows.applied(row.mailbox, plan)
        if plan.others and DEVICES.letter in plan.others:
            self.device_uses.written(row.mailbox)
        if plan.read:
            self.receipts.read(row.user_id, plan.read, plan.now_us)
        if plan.refuses_more:
            self.revocations.changed(row.mailbox)
            if row.mailbox.is_erased:
                self.erasures.look_at(row.user_id)
                self._forget(row.user_id.__eq__)
        if row.mailbox.has_push and self.pushes is not None:
            self.pushes.applied(row.mailbox, plan)
        if plan.changed and self.searches is not None:
            self.searches.changed(row.user_id, plan.log)
        if plan.deleted:
            self._deleted(row.user_id, plan.deleted)
        if plan.outbox:
            self.delivery.add(row.user_id, row.key, plan.outbox)

    def _was_active(self, user_id: str, ago_s: float) -> None:
        if self.pushes is not None:
            self.pushes.note_active(user_id, ago_s)

    def _proven(self, mailbox: Mailbox, version: int, conversation_id: bytes | None, bearer: Bearer | None) -> None:
        self.receipts.proven(mailbox, version, conversation_id)
        if bearer is not None and bearer.device_id:
            self.device_uses.used(mailbox, bearer, version if conversation_id is None else 0)

    def _deleted(self, user_id: str, conversation_ids: Sequence[bytes]) -> None:
        """A user has deleted his copies of conversations: their words and their cells do not stay."""
        self.deleted_copies.deleted(user_id, conversation_ids)
        if self.searches is not None:
            self.searches.indexes.note_removed(user_id)

    def _feed_bookmarks(self, user_id: str) -> Bookmarks:
        return self.feed.bookmarks(user_id)

    def _followed(self) -> Collection[str]:
        return self.follows.followers.users

    def _dropped(self, user_id: str) -> None:
        self.follows.dropped(user_id)

    def _end_revoked(self, refusal_of: Callable[[Bearer], type[TokenRevoked] | None]) -> None:
        self.waiters.revoke(refusal_of)
        self.follows.end_revoked(refusal_of)

    async def _visit_outbox(self, user_id: str) -> None:
        """Loads a row that a scan found, which queues its outbox; what did not fit then is queued now."""
        row, mailbox = await self.table.loaded(user_id)
        if mailbox.is_erased:
            self.erasures.look_at(user_id)
        read_outbox = partial(self._reader.outbox, View(row.key, mailbox, self._time.seen_us()))
        await self.delivery.read_back(user_id, row.key, read_outbox)


def _is_of(shards: Collection[int], count: int, user_id: str) -> bool:
    """Whether a user is of one of these shards, of `count` in all."""
    return shard_of(user_id, count) in shards


def _new_send(request: Send, others: tuple[str, ...], entropy: int) -> NewSend:
    conversation_id = direct_conversation_id(request.sender_id, request.recipient_id)
    return NewSend(
        request.sender_id,
        conversation_id,
        # Sorted: a copy read back from the store takes them from its conversation, and must equal the one in memory.
        tuple(sorted((request.sender_id, *others))),
        request.content,
        request.client_message_id,
        client_id_hash(request.client_message_id),
        payload_hash(conversation_id, request.content),
        entropy,
    )


def _send_result(record: DedupeCell, pending: int, *, duplicate: bool, quota: Quota | None) -> SendResult:
    return SendResult(
        record.message_id,
        record.conversation_id,
        sent_timestamp(record.message_id),
        record.version,
        pending,
        duplicate,
        quota,
    )


def _windows(settings: MessageSettings) -> Windows:
    windows_ms = settings.edit_window_ms, settings.unsend_window_ms, settings.reaction_window_ms
    return Windows(*(window_ms * US_PER_MS for window_ms in windows_ms))


def _mailbox_limits(settings: Settings) -> Limits:
    return Limits(
        retention_ms=settings.store.retention_ms,
        dedupe_life_ms=settings.store.dedupe_life_ms,
        token_life_ms=settings.store.token_life_ms,
        window_messages=settings.cache.window_messages,
        window_bytes=settings.cache.window_bytes_per_mailbox,
    )


FRAMES_QUARTER = 4
"""Of a framed gateway's largest request a batch plans to fill a quarter: its last command may bring a delivery of 1 MiB
(delivery/parcels.BATCH_BYTES), and all of it may be one row's, which no request splits (stores/hbase/writes.py)."""


def _pipeline_limits(settings: Settings, *, late_writes: bool) -> PipelineLimits:
    is_framed = late_writes and settings.hbase.transport == "framed"
    frame_bytes = settings.hbase.frame_bytes // FRAMES_QUARTER if is_framed else settings.commit.batch_bytes
    return PipelineLimits(
        batch_rows=settings.commit.batch_rows,
        batch_bytes=min(settings.commit.batch_bytes, frame_bytes),
        queue_commands=settings.commit.queue_commands,
        queue_bytes=settings.commit.queue_bytes,
        timeout_s=settings.commit.timeout_ms / 1000,
        lanes=settings.commit.lanes if late_writes else 1,  # embedded, a send is one command of two rows
    )
