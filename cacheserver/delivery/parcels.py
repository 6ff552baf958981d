"""Messages on their way, and the queue of those that are on their way to one recipient."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from rowbox.cacheserver.budget import text_bytes
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.groups.joining import gives_earlier
from rowbox.mailbox.message import Message

BATCH_MESSAGES = 256
BATCH_BYTES = 1 << 20
"""Of what one delivery brings: its command is one mutation, and a store call is to stay near commit.batch_bytes."""

PARCEL_BYTES = 900
"""A parcel without its text and recipients."""
REACTION_BYTES = 100
RECIPIENT_BYTES = 100
"""Of one recipient: his name, and the parcel's place in his queue."""


class Parcel:
    """One message on its way, from the row of `sender_id`.

    `pending`: who is still without it; `queued`: in whose queues it is. Both are bits by the place in `recipients`: a
    message of a group has a hundred of them.
    """

    __slots__ = (
        "cell",
        "gives_earlier",
        "pending",
        "queued",
        "recipients",
        "row",
        "sender_id",
        "size_bytes",
        "waiters",
    )

    def __init__(self, sender_id: str, row: bytes, cell: OutboxCell) -> None:
        self.sender_id = sender_id
        self.row = row
        self.cell = cell
        self.recipients = cell.recipients
        self.gives_earlier = gives_earlier(cell.message)
        self.size_bytes = PARCEL_BYTES + _carried_bytes(cell.message) + RECIPIENT_BYTES * len(self.recipients)
        self.pending = (1 << len(self.recipients)) - 1
        self.queued = 0
        self.waiters: list[asyncio.Future[None]] = []
        """Done when no queue holds it any more, or when they have waited long enough."""

    def bit(self, recipient: str) -> int:
        """The bit of a recipient; 0 for somebody else."""
        return 1 << self.recipients.index(recipient) if recipient in self.recipients else 0

    @property
    def queued_for(self) -> list[str]:
        """In whose queues it is."""
        return [one for place, one in enumerate(self.recipients) if self.queued >> place & 1]


class Queue:
    """What is on its way to one recipient, in order."""

    __slots__ = ("parcels", "size_bytes")

    def __init__(self, parcel: Parcel) -> None:
        self.parcels = deque((parcel,))
        self.size_bytes = parcel.size_bytes

    def append(self, parcel: Parcel) -> None:
        """Adds a parcel behind all others."""
        self.parcels.append(parcel)
        self.size_bytes += parcel.size_bytes

    def popleft(self) -> Parcel:
        """Takes the first parcel out. IndexError where there is none."""
        parcel = self.parcels.popleft()
        self.size_bytes -= parcel.size_bytes
        return parcel

    def keep(self, is_kept: Callable[[Parcel], bool]) -> None:
        """Drops all parcels but those of which `is_kept` says so. The queue may be empty then."""
        self.parcels = deque(filter(is_kept, self.parcels))
        self.size_bytes = sum([parcel.size_bytes for parcel in self.parcels])


def first_parcels(queue: Iterable[Parcel]) -> list[Parcel]:
    """As many as one delivery takes: one at least, if there is one. What gives who joins what was written before is the
    first of a delivery.
    """
    parcels: list[Parcel] = []
    size_bytes = 0
    for parcel in islice(queue, BATCH_MESSAGES):
        size_bytes += _carried_bytes(parcel.cell.message)
        if parcels and (size_bytes > BATCH_BYTES or parcel.gives_earlier):
            break
        parcels.append(parcel)
    return parcels


def _carried_bytes(message: Message) -> int:
    """What a message brings: its text, and how members of a group react to it."""
    group = message.group
    reacting = len(group.reactions) if group is not None and group.reactions is not None else 0
    return text_bytes(message.content) + REACTION_BYTES * reacting
