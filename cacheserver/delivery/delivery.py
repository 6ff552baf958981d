"""Delivery of sent messages to the rows of their recipients: where the store cannot commit several rows at once, and of
groups everywhere. The sender's row is the group's there.

The sender's row holds an outbox cell from the commit of the send until every recipient has the message. Each recipient
has a queue of its own, strictly first in, first out: one delivery at a time, of the queue's first messages together.
What fails stays at its front and is tried again, with longer pauses, and at once where the recipient has got another
owner. That ends with the process, and then whoever loads the sender's row goes on. Delivering twice is harmless: the
mailbox knows messages by their ids.

Where a sender's shard is given away, everything of that sender is forgotten here: its outbox holds all of it, and the
next owner of the shard delivers from there.

What no queue holds is spilled: it stays in the sender's outbox until a rescan reads that back (recovery.py), and until
then nothing newer of that sender is queued for that recipient, or it would arrive first. These spill: what comes when
the delivery is full, and, when it is half full, what would be more than an eighth of it for one recipient or is for a
recipient whose last delivery failed (so that a part of the store that is away does not fill it for everybody); what is
for a recipient whose last delivery failed and for whom many events of groups wait (so that one member who cannot be
reached does not stop his groups); and what is for a recipient for whom trying again is no use (a damaged row).
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial

from rowbox.cacheserver.budget import Budget
from rowbox.cacheserver.delivery.group_events import (
    Deliver,
    Delivered,
    GroupEvents,
    QueueSteps,
    Resumption,
    SettleDeclined,
    WithEarlier,
)
from rowbox.cacheserver.delivery.parcels import Parcel, Queue, first_parcels
from rowbox.cacheserver.delivery.spilled import Spilled
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import outbox_qualifier
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import EventGap, HandoverInProgress, JoinDeclined, LinkLost, RowboxError
from rowbox.mailbox.groups.joining import is_given_earlier
from rowbox.mailbox.message import Message
from rowbox.mailbox.timing.timer_queue import TimerQueue, step_of

log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Messages known to have arrived: a sender's row that is loaded again before its outbox cells are removed would have
them delivered once more, and where memory is scarce that load evicts the next sender, and so on without end."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
NEWER_MESSAGES = 1_000
"""Of one sender, kept while what the sender's outbox holds is read; what is sent beyond that is spilled again."""
MOST_HELD_OF_GROUPS = 250
"""So many messages wait for a recipient whose deliveries fail; more of groups are left in their outboxes: a group may
have 1,000 on their way (groups/group_rows.py), which are to be of its other members."""
REPORT_EVERY_S = 60.0
"""A damaged row is met again by every scan and every sender: one line for all of it."""


class Delivery:
    """The deliveries of one owner.

    `most` recipients of parcels at once, and `most_bytes` of parcels; what the outboxes of loaded rows hold
    beyond that waits there.

    `wait_s`: how long a send waits for its delivery before it says how many recipients are without it.
    """

    def __init__(
        self,
        deliver: Deliver,
        settle_declined: SettleDeclined,
        resumption: Resumption,
        with_earlier: WithEarlier,
        cleaner: Cleaner,
        *,
        most: int,
        most_bytes: int,
        wait_s: float,
    ) -> None:
        self._deliver = deliver
        self._cleaner = cleaner
        self.budget = Budget(most, most_bytes)
        self._wait_s = wait_s
        self._parcels: dict[bytes, Parcel] = {}
        self._queues: dict[str, Queue] = {}
        self._new: list[str] = []
        """Recipients whose queues were made in this turn of the loop."""
        self._pauses: dict[str, float] = {}
        """By recipient whose last delivery failed: how many seconds it was to the next one."""
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._retries = TimerQueue[str](self._loop, self._begin, step_s=FIRST_PAUSE_S / 2)
        self._patience = TimerQueue["asyncio.Future[None]"](self._loop, _wake, step_s=step_of(wait_s))
        self._arrived_lately: OrderedDict[bytes, None] = OrderedDict()
        self._newer: dict[str, list[OutboxCell]] = {}
        self._report_at_s = 0.0
        self.spilled: dict[str, Spilled] = {}
        """By sender: the recipients of messages that only the sender's outbox holds."""
        self._held: dict[str, list[int]] = {}
        """By sender: how many messages are on their way, and their bytes."""
        self.delivered = 0
        self.retries = 0
        queue_steps = QueueSteps(
            deliver, self._bring, self._arrived, self._failed, self._hold_back, self._go_on, self._may_lack
        )
        self.group_events = GroupEvents(queue_steps, settle_declined, resumption, with_earlier)

    def refuses(self, sender_id: str) -> bool:
        """Whether new sends of a user should be refused: the delivery is full, or the user has used up its share."""
        return self.budget.is_half_full and self.budget.refuses(*self._held.get(sender_id, (0, 0)))

    @property
    def pending(self) -> int:
        """How many messages are on their way."""
        return len(self._parcels)

    def add(self, sender_id: str, row: bytes, cells: Iterable[OutboxCell]) -> None:
        """Queues new messages of a sender, which are in the order of their versions, behind all queued or spilled."""
        for cell in cells:
            if cell.message_id in self._arrived_lately:
                self._remove(row, cell)  # again: the first removal is still under way, or failed
            else:
                self._add(sender_id, row, cell)

    def add_outbox(self, sender_id: str, row: bytes, cells: Iterable[OutboxCell]) -> None:
        """Queues all that the sender's outbox holds now; what is on its way already is not queued again."""
        self.spilled.pop(sender_id, None)
        self.add(sender_id, row, sorted(cells, key=lambda cell: cell.version))

    async def read_back(
        self, sender_id: str, row: bytes, read_outbox: Callable[[], Awaitable[Iterable[OutboxCell]]]
    ) -> None:
        """Queues what has spilled of a sender, if anything and if there is room.

        `read_outbox` gives what the outbox holds as of its call; sends that are confirmed while it reads follow behind.
        Where it fails, what was spilled stays so.
        """
        if sender_id not in self.spilled or sender_id in self._newer or self.budget.is_full:
            return
        newer: list[OutboxCell] = []
        self._newer[sender_id] = newer
        try:
            cells = await read_outbox()
        finally:
            is_given_away = self._newer.get(sender_id) is not newer
            if not is_given_away:
                del self._newer[sender_id]
        if is_given_away:
            return
        self.add_outbox(sender_id, row, [*cells, *newer])
        if len(newer) >= NEWER_MESSAGES:  # there may have been more of them
            self.spilled.setdefault(sender_id, Spilled()).for_everybody = True

    def has_spilled(self, sender_id: str) -> bool:
        """Whether the sender's outbox in the store may hold messages of which nobody here knows."""
        return sender_id in self.spilled or sender_id in self._newer

    def outboxes(self, senders: Collection[str]) -> dict[str, list[OutboxCell]]:
        """The outbox cells that are on their way, by sender: all that there are of one of whom nothing has spilled."""
        found: dict[str, list[OutboxCell]] = {}
        if self._held.keys() & senders:
            for parcel in self._parcels.values():
                if parcel.sender_id in senders:
                    found.setdefault(parcel.sender_id, []).append(parcel.cell)
        return found

    def earliest(self, senders: Collection[str]) -> dict[str, int]:
        """The least version of what is on its way, by sender; none of one of whom nothing is. See `has_spilled`."""
        found: dict[str, int] = {}
        if self._held.keys() & senders:
            for parcel in self._parcels.values():
                if parcel.sender_id in senders:
                    version = parcel.cell.version
                    found[parcel.sender_id] = min(version, found.get(parcel.sender_id, version))
        return found

    async def wait(self, sender_id: str, message_id: bytes) -> int:
        """Waits until every recipient has the message, for `wait_s` at most. Returns how many are still without it."""
        parcel = self._parcels.get(message_id)
        if parcel is not None and self._wait_s > 0:
            waiter = self._loop.create_future()
            parcel.waiters.append(waiter)
            self._patience.add(waiter, self._wait_s)
            try:
                await waiter
            finally:
                self._patience.remove(waiter)
            return parcel.pending.bit_count()
        return self.missing(sender_id, message_id)

    def try_again(self, has_moved: Callable[[str], bool]) -> None:
        """To be called when users have got other owners: `has_moved` says of whom. What could not be delivered to these
        is tried at once, and not after the pause that has grown while their last owner did not answer.
        """
        paused = set(self._retries)
        for recipient in [recipient for recipient in self._pauses if has_moved(recipient)]:
            del self._pauses[recipient]
            if recipient in paused:
                self._retries.remove(recipient)
                self._begin(recipient)

    def missing(self, sender_id: str, message_id: bytes) -> int:
        """How many recipients are without the message now.

        Of a message that is not queued while its sender's outbox has spilled, one: nobody here knows.
        """
        parcel = self._parcels.get(message_id)
        if parcel is None:
            return int(sender_id in self.spilled and message_id not in self._arrived_lately)
        return parcel.pending.bit_count()

    def backlog(self, sender_id: str) -> int:
        """How many messages of a sender's row are on their way."""
        return self._held.get(sender_id, (0, 0))[0]

    async def close(self) -> None:
        """Stops delivering. What is not delivered stays in the outboxes."""
        self._is_closed = True
        self._retries.close()
        for waiter in self._patience.close():
            _wake(waiter)

    async def idle(self) -> None:
        """Returns when no message is on its way."""
        while self._parcels:
            waiters = [self._loop.create_future() for _ in self._parcels]
            for waiter, parcel in zip(waiters, self._parcels.values(), strict=True):
                parcel.waiters.append(waiter)
            await asyncio.wait(waiters)

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the messages of the senders of whom `is_given` says so, delivered or not, queued or spilled.

        Whoever waits for one is told how many recipients are without it now. What is being delivered at this moment
        may arrive. It looks at all messages that are on their way.
        """
        for sender_id in [sender_id for sender_id in self.spilled if is_given(sender_id)]:
            del self.spilled[sender_id]
        for sender_id in [sender_id for sender_id in self._newer if is_given(sender_id)]:
            del self._newer[sender_id]
        given = {sender_id for sender_id in self._held if is_given(sender_id)}
        if not given:
            return
        recipients: set[str] = set()
        for parcel in [one for one in self._parcels.values() if one.sender_id in given]:
            recipients.update(parcel.queued_for)
            self._forget(parcel)
        for recipient in recipients:  # a queue that is empty now goes when its turn comes, or its delivery ends
            self._queues[recipient].keep(lambda parcel: bool(parcel.queued))

    def _forget(self, parcel: Parcel) -> None:
        del self._parcels[parcel.cell.message_id]
        self._let_go(parcel)
        parcel.queued = 0
        for waiter in parcel.waiters:
            _wake(waiter)

    def _add(self, sender_id: str, row: bytes, cell: OutboxCell) -> None:
        parcel = self._parcels.get(cell.message_id) or Parcel(sender_id, row, cell)
        spilled = self.spilled.get(sender_id)
        for place, recipient in enumerate(parcel.recipients):
            bit = 1 << place
            if parcel.queued & bit or not parcel.pending & bit:
                continue
            if (spilled is not None and spilled.holds(recipient)) or self._has_no_room(recipient, parcel):
                self._spill(sender_id, recipient, cell)
            else:
                if not parcel.queued:
                    self._hold(sender_id, parcel)
                self._enqueue(recipient, parcel, bit)

    def _has_no_room(self, recipient: str, parcel: Parcel) -> bool:
        if parcel.cell.message.group is not None and recipient in self._pauses:
            queue = self._queues.get(recipient)
            if queue is not None and len(queue.parcels) >= MOST_HELD_OF_GROUPS:
                return True
        if not self.budget.is_half_full:
            return False
        if self.budget.is_full and not parcel.queued:
            return True
        queue = self._queues.get(recipient)
        if queue is None:
            return False
        return recipient in self._pauses or self.budget.refuses(len(queue.parcels), queue.size_bytes)

    def _hold(self, sender_id: str, parcel: Parcel) -> None:
        self._parcels[parcel.cell.message_id] = parcel
        self.budget.add(parcel.size_bytes, len(parcel.recipients))
        held = self._held.get(sender_id)
        if held is None:
            self._held[sender_id] = [1, parcel.size_bytes]
        else:
            held[0] += 1
            held[1] += parcel.size_bytes

    def _spill(self, sender_id: str, recipient: str, cell: OutboxCell) -> None:
        self.spilled.setdefault(sender_id, Spilled()).add(recipient)
        newer = self._newer.get(sender_id)
        if newer is not None and len(newer) < NEWER_MESSAGES:
            newer.append(cell)

    def _enqueue(self, recipient: str, parcel: Parcel, bit: int) -> None:
        parcel.queued |= bit
        queue = self._queues.get(recipient)
        if queue is not None:
            queue.append(parcel)
            return
        self._queues[recipient] = Queue(parcel)
        if not self._new:
            self._loop.call_soon(self._begin_new)  # what else comes in this turn goes with it
        self._new.append(recipient)

    def _begin_new(self) -> None:
        """Begins to deliver to all recipients who got a queue in the turn before, in the order in which they did."""
        new, self._new = self._new, []
        for recipient in new:
            self._begin(recipient)

    def _begin(self, recipient: str) -> None:
        """Delivers what is first in a recipient's queue. No task: there is one of these for each message."""
        if self._is_closed:
            return
        parcels = first_parcels(self._queues[recipient].parcels)
        if not parcels:  # they were given away before their turn came
            self._pauses.pop(recipient, None)
            del self._queues[recipient]
            return
        first = parcels[0]
        if first.gives_earlier and is_given_earlier(first.cell.message, recipient):
            self.group_events.join(recipient, first)
        else:
            self._bring(recipient, parcels, [parcel.cell.message for parcel in parcels])

    def _bring(self, recipient: str, parcels: Sequence[Parcel], messages: Sequence[Message]) -> None:
        """Delivers messages, which are those of the first parcels of a recipient's queue."""
        if self._is_closed:
            return
        try:
            delivered = self._deliver(recipient, messages)
        except Exception as error:  # noqa: BLE001 - as one that comes later; the next recipient has its turn
            self._failed(recipient, error)
        else:
            delivered.add_done_callback(partial(self._ended, recipient, parcels))

    def _ended(self, recipient: str, parcels: Sequence[Parcel], delivered: Delivered) -> None:
        if delivered.cancelled():
            return  # the loop is ending
        error = delivered.exception()
        if isinstance(error, JoinDeclined):
            self.group_events.declined(recipient, parcels[0], error)
        elif isinstance(error, EventGap):
            self.group_events.gap(recipient, parcels[0], error)
        elif error is not None:
            self._failed(recipient, error)
        else:
            done = delivered.result()
            assert isinstance(done, int)
            self._arrived(recipient, parcels[:done])

    def _arrived(self, recipient: str, parcels: Sequence[Parcel]) -> None:
        """The first parcels of a recipient's queue need not be delivered any more."""
        self._pauses.pop(recipient, None)
        queue = self._queues[recipient]
        for parcel in parcels:
            bit = parcel.bit(recipient)
            if parcel.queued & bit:  # else it was given away meanwhile
                assert queue.popleft() is parcel
                parcel.pending &= ~bit
                self._leave(parcel, bit)
        self._go_on(recipient)

    def _may_lack(self, sender_id: str, recipient: str) -> bool:
        """Whether the sender's outbox may hold something for a recipient that is not queued."""
        spilled = self.spilled.get(sender_id)
        return sender_id in self._newer or (spilled is not None and spilled.holds(recipient))

    def _hold_back(self, recipient: str, sender_id: str, error: EventGap) -> None:
        """Spills what is queued of one group for a recipient who lacks what stands before it; others go on."""
        queue = self._queues[recipient]
        held = [parcel for parcel in queue.parcels if parcel.sender_id == sender_id]
        queue.keep(lambda parcel: parcel.sender_id != sender_id)
        if held:
            self._report(recipient, len(held), error)
        for parcel in held:
            self._spill(sender_id, recipient, parcel.cell)
            self._leave(parcel, parcel.bit(recipient))
        self._go_on(recipient)

    def _failed(self, recipient: str, error: BaseException) -> None:
        if not (isinstance(error, RowboxError) and error.retryable):
            self._pauses.pop(recipient, None)
            self._give_up(recipient, self._queues[recipient], error)
            self._go_on(recipient)
            return
        self.retries += 1
        pause_s = min(LONGEST_PAUSE_S, 2 * self._pauses[recipient]) if recipient in self._pauses else FIRST_PAUSE_S
        if not isinstance(error, HandoverInProgress | LinkLost):  # what an owner asks for is meant for clients
            pause_s = max(pause_s, (error.retry_after_ms or 0) / 1000)  # thousands may wait for one part of the store
        self._pauses[recipient] = pause_s
        self._retries.add(recipient, pause_s * random.uniform(0.5, 1.0))

    def _go_on(self, recipient: str) -> None:
        if self._queues[recipient].parcels:
            self._begin(recipient)
        else:
            del self._queues[recipient]
            self.group_events.forget(recipient)

    def _give_up(self, recipient: str, queue: Queue, error: BaseException) -> None:
        """Spills all that is queued for a recipient, so that it neither fills the delivery nor is tried for ever."""
        if queue.parcels:
            self._report(recipient, len(queue.parcels), error)
        while queue.parcels:
            parcel = queue.popleft()
            self._spill(parcel.sender_id, recipient, parcel.cell)
            self._leave(parcel, parcel.bit(recipient))

    def _report(self, recipient: str, count: int, error: BaseException) -> None:
        now_s = self._loop.time()
        if now_s >= self._report_at_s:
            self._report_at_s = now_s + REPORT_EVERY_S
            unexpected = None if isinstance(error, RowboxError) else error
            text = "%d messages for %s stay in their senders' outboxes until the next scan (others may too): %s"
            log.error(text, count, recipient, error, exc_info=unexpected)

    def _leave(self, parcel: Parcel, bit: int) -> None:
        """A queue let go of a parcel."""
        parcel.queued &= ~bit
        if parcel.queued:
            return
        message_id = parcel.cell.message_id
        del self._parcels[message_id]
        self._let_go(parcel)
        for waiter in parcel.waiters:
            _wake(waiter)
        if not parcel.pending:
            self.delivered += 1
            self._arrived_lately[message_id] = None
            if len(self._arrived_lately) > REMEMBERED:
                self._arrived_lately.popitem(last=False)
            self._remove(parcel.row, parcel.cell)

    def _let_go(self, parcel: Parcel) -> None:
        self.budget.remove(parcel.size_bytes, len(parcel.recipients))
        held = self._held[parcel.sender_id]
        held[0] -= 1
        held[1] -= parcel.size_bytes
        if not held[0]:
            del self._held[parcel.sender_id]

    def _remove(self, row: bytes, cell: OutboxCell) -> None:
        self._cleaner.remove(row, [(Family.OUTBOX, outbox_qualifier(cell.message_id, cell.epoch))], cell.version)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():  # it may be woken by its patience, by its caller's leaving, and by the arrival
        waiter.set_result(None)
