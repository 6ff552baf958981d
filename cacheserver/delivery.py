"""Delivery of sent messages to the rows of their recipients, where the store cannot commit several rows at once.

The sender's row holds an outbox cell from the commit of the send until every recipient has the message. Each recipient
has a queue of its own, first in, first out; what fails stays at its front and is tried again, with longer pauses, until
the process ends, and then by whoever loads the sender's row. Delivering twice is harmless: the mailbox knows messages
by their ids.
"""

import asyncio
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable

from rowbox.cacheserver.cleaner import Cleaner
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import outbox_qualifier
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.message import Message

log = logging.getLogger(__name__)

BATCH_MESSAGES = 256
"""Messages of one recipient under way at once; the commit pipeline joins them into one mutation."""
REMEMBERED = 10_000
"""Messages known to have arrived: a sender's row that is loaded again before its outbox cells are removed would have
them delivered once more, and where memory is scarce that load evicts the next sender, and so on without end."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

Deliver = Callable[[str, Message], Awaitable[None]]
"""Brings one message into one user's mailbox; returns when it is durable there. Calls are made in order."""


class Parcel:
    """One message on its way, and who is still without it."""

    __slots__ = ("cell", "delivered", "pending", "row")

    def __init__(self, row: bytes, cell: OutboxCell) -> None:
        self.row = row
        self.cell = cell
        self.pending = set(cell.recipients)
        self.delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Delivery:
    """See the module's text. `most` parcels at once; what the outboxes of loaded rows hold beyond that waits there."""

    def __init__(self, deliver: Deliver, cleaner: Cleaner, *, most: int) -> None:
        self._deliver = deliver
        self._cleaner = cleaner
        self._most = most
        self._parcels: dict[bytes, Parcel] = {}
        self._queues: dict[str, deque[Parcel]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._arrived_lately: OrderedDict[bytes, None] = OrderedDict()
        self.spilled: set[str] = set()
        """Senders whose outbox holds more than is queued here: to be looked at again when there is room."""
        self.delivered = 0
        self.retries = 0

    @property
    def is_full(self) -> bool:
        """Whether new sends should be refused."""
        return len(self._parcels) >= self._most

    @property
    def pending(self) -> int:
        """Messages on their way."""
        return len(self._parcels)

    def add(self, sender_id: str, row: bytes, cells: Iterable[OutboxCell]) -> None:
        """Queues what the sender's outbox holds, in order; what is on its way already is not queued again."""
        for cell in sorted(cells, key=lambda cell: cell.version):
            if cell.message_id in self._parcels:
                continue
            if cell.message_id in self._arrived_lately:
                self._remove(row, cell)  # again: the first removal is still under way, or failed
                continue
            if self.is_full:
                self.spilled.add(sender_id)
                return
            parcel = self._parcels[cell.message_id] = Parcel(row, cell)
            for recipient in cell.recipients:
                self._enqueue(recipient, parcel)

    async def wait(self, sender_id: str, message_id: bytes, timeout_s: float) -> int:
        """Waits until every recipient has the message, for a bounded time; how many are still without it.

        Of a message that is not queued while its sender's outbox has spilled, one: nobody here knows.
        """
        parcel = self._parcels.get(message_id)
        if parcel is None:
            return int(sender_id in self.spilled)
        await asyncio.wait([parcel.delivered], timeout=timeout_s)
        return len(parcel.pending)

    async def close(self) -> None:
        """Stops delivering. What is not delivered stays in the outboxes."""
        for worker in list(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def idle(self) -> None:
        """Returns when nothing is on its way."""
        while self._parcels:
            await asyncio.wait([parcel.delivered for parcel in self._parcels.values()])

    def _enqueue(self, recipient: str, parcel: Parcel) -> None:
        queue = self._queues.get(recipient)
        if queue is not None:
            queue.append(parcel)
            return
        self._queues[recipient] = deque([parcel])
        worker = asyncio.get_running_loop().create_task(self._work(recipient), name="delivery")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _work(self, recipient: str) -> None:
        """Empties one recipient's queue, then ends."""
        queue = self._queues[recipient]
        pause_s = FIRST_PAUSE_S
        while queue:
            batch = [queue[i] for i in range(min(len(queue), BATCH_MESSAGES))]
            done = await self._deliver_in_order(recipient, batch)
            for _ in range(done):
                self._arrived(recipient, queue.popleft())
            if done == len(batch):
                pause_s = FIRST_PAUSE_S
                continue
            self.retries += 1
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        del self._queues[recipient]

    async def _deliver_in_order(self, recipient: str, batch: list[Parcel]) -> int:
        """Tries a batch at once; how many of it, from its front, are delivered."""
        results = await asyncio.gather(
            *(self._deliver(recipient, parcel.cell.message) for parcel in batch), return_exceptions=True
        )
        for done, result in enumerate(results):
            if isinstance(result, RowboxError):
                return done
            if isinstance(result, BaseException):
                log.error("a delivery failed", exc_info=result)
                return done
        return len(batch)

    def _arrived(self, recipient: str, parcel: Parcel) -> None:
        parcel.pending.discard(recipient)
        if not parcel.pending:
            self.delivered += 1
            del self._parcels[parcel.cell.message_id]
            parcel.delivered.set_result(None)
            self._arrived_lately[parcel.cell.message_id] = None
            if len(self._arrived_lately) > REMEMBERED:
                self._arrived_lately.popitem(last=False)
            self._remove(parcel.row, parcel.cell)

    def _remove(self, row: bytes, cell: OutboxCell) -> None:
        self._cleaner.remove(row, [(Family.OUTBOX, outbox_qualifier(cell.message_id, cell.epoch))])
