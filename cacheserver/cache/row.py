"""The row of one user in memory: the mailbox, and the lock of the row with its queue of commands.

A row has two halves, and each has one writer. Everybody reads; nobody assigns to a row from outside of this module, and
the methods of a half are called by its writer alone (tests/unit/cacheserver/test_writers.py).

    the mailbox     table.py        begin_load, end_load                around a load
                                    hold_mailbox, drop_mailbox          a load's end; what may not be true, or has to go
                                    note_size                           whenever the mailbox has grown or shrunk
    the lock        pipeline.py     enqueue, dequeue                    a command comes; is decided, or refused
                                    mark_ready, take_turn               it is to be looked at; it is looked at
                                    lock, unlock                        around a batch it is part of, or a read for it
                                    reserve                             its first command waits for a read
                                    park, take_parked                   others wait for it; they look again

A row has its grant from its creation, and everything in it is of that grant. When the grant ends the row is let go of
for good, whatever is under way with it; where the shard comes back under another grant the user gets another row.

The committer changes what is in the mailbox (Mailbox.apply), under the lock. Fetches add older messages and log entries
to it, as they read them from the store: that changes nothing that a client is shown.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from rowbox.cacheserver.cache.commands import Command
from rowbox.cacheserver.ownership import Grant
from rowbox.mailbox.aggregate.mailbox import Mailbox


class Row:
    """The row of one user. The table has it from the first request for it until nobody is at work with it.

    Or until its grant ends.
    """

    __slots__ = (
        "blocked",
        "grant",
        "is_busy",
        "is_large",
        "is_ready",
        "key",
        "loading",
        "mailbox",
        "reserved_for",
        "size_bytes",
        "user_id",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, user_id: str, key: bytes, grant: Grant) -> None:
        self.user_id = user_id
        self.key = key
        self.grant = grant
        self.mailbox: Mailbox | None = None
        self.loading: asyncio.Task[None] | None = None
        self.size_bytes = 0
        """What the mailbox takes of the memory, in bytes, when it was last accounted for."""
        self.is_large = False
        """Whether it takes a large share of the memory (room.py)."""
        self.is_busy = False
        """The lock: whether a batch with this row is under way, or a read for the row's first command."""
        self.waiting: deque[Command] = deque()
        """The queue of the lock: commands in the order in which they came."""
        self.waiting_bytes = 0
        self.is_ready = False
        """Whether the row is in the heap of its lane: the pipeline is about to take its commands."""
        self.reserved_for: Command | None = None
        """The row's first command while its Need is read: no command that came later goes into the row before it."""
        self.blocked: list[Row] = []
        """Rows whose first command waits for this one."""

    @property
    def is_evictable(self) -> bool:
        """Whether nobody is at work with the row: no batch, no read, no command, no row parked here, no load."""
        return not (self.is_busy or self.waiting or self.blocked or self.loading)

    # ------------------------------------------------------------------ the mailbox: table.py

    def begin_load(self, task: "asyncio.Task[None]") -> None:
        """Notes the load that is under way. To be called only while the row has neither a mailbox nor a load."""
        self.loading = task

    def end_load(self) -> None:
        """Notes that the load is over, whether it brought a mailbox or failed."""
        self.loading = None

    def hold_mailbox(self, mailbox: Mailbox) -> None:
        """Takes in the mailbox that a load has made."""
        self.mailbox = mailbox

    def drop_mailbox(self) -> None:
        """Forgets the mailbox: the next one to ask for it has it loaded."""
        self.mailbox = None

    def note_size(self, size_bytes: int, *, is_large: bool) -> None:
        """Notes what the mailbox takes of the memory now, in bytes, and whether that is a large share (room.py)."""
        self.size_bytes, self.is_large = size_bytes, is_large

    # ------------------------------------------------------------------ the lock: pipeline.py

    def enqueue(self, command: Command) -> None:
        """Puts a command at the end of the queue."""
        self.waiting.append(command)
        self.waiting_bytes += command.size_bytes

    def dequeue(self) -> Command:
        """Takes the first command out of the queue and returns it; the row is reserved for it no longer."""
        command = self.waiting.popleft()
        self.waiting_bytes -= command.size_bytes
        if self.reserved_for is command:
            self.reserved_for = None
        return command

    def mark_ready(self) -> None:
        """Notes that the row is in the heap of its lane."""
        self.is_ready = True

    def take_turn(self) -> None:
        """Notes that the row is out of the heap of its lane: the pipeline looks at its commands now."""
        self.is_ready = False

    def lock(self) -> None:
        """Locks the row: no other command of it is decided until `unlock`. To be called only while it is not locked."""
        self.is_busy = True

    def unlock(self) -> None:
        """Unlocks the row: the batch or the read that held the lock is over."""
        self.is_busy = False

    def reserve(self) -> None:
        """Reserves the row for its first command: until that is decided, no later command goes into the row."""
        self.reserved_for = self.waiting[0]

    def park(self, other: "Row") -> None:
        """Notes that the first command of `other` waits for this row. `other` may be this row, while it loads."""
        self.blocked.append(other)

    def take_parked(self) -> Sequence["Row"]:
        """Returns the rows that were parked here; they are parked here no longer."""
        parked, self.blocked = self.blocked, []
        return parked
