"""One user's place in memory: the mailbox, and the lock of the row with who waits for it.

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

What is in the mailbox is changed by the committer (Mailbox.apply), under the lock; fetches fill its windows and its log
from below, which changes nothing that is shown.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from rowbox.cacheserver.cache.commands import Command
from rowbox.mailbox.aggregate.mailbox import Mailbox


class Row:
    """The row of one user. It is in the table from when somebody asks for it until nobody is at work with it."""

    __slots__ = (
        "blocked",
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

    def __init__(self, user_id: str, key: bytes) -> None:
        self.user_id = user_id
        self.key = key
        self.mailbox: Mailbox | None = None
        self.loading: asyncio.Task[None] | None = None
        self.size_bytes = 0
        """What the mailbox costs, as it is accounted for."""
        self.is_large = False
        """Whether it takes a large share of the memory (room.py)."""
        self.is_busy = False
        """The lock: whether a batch that it is part of is under way, or a read for its first command."""
        self.waiting: deque[Command] = deque()
        """Commands in the order in which they came: the lock's queue."""
        self.waiting_bytes = 0
        self.is_ready = False
        """Whether the pipeline is about to take its commands."""
        self.reserved_for: Command | None = None
        """Its first command, while what that needs is read: nothing that came later goes into the row before it."""
        self.blocked: list[Row] = []
        """Rows whose first command waits for this one."""

    @property
    def is_evictable(self) -> bool:
        """Whether nobody is at work with it."""
        return not (self.is_busy or self.waiting or self.blocked or self.loading)

    # ------------------------------------------------------------------ the mailbox: table.py

    def begin_load(self, task: "asyncio.Task[None]") -> None:
        """The row has no mailbox and no load: this is its load."""
        self.loading = task

    def end_load(self) -> None:
        """The load is over, with a mailbox or without."""
        self.loading = None

    def hold_mailbox(self, mailbox: Mailbox) -> None:
        """What a load has read."""
        self.mailbox = mailbox

    def drop_mailbox(self) -> None:
        """Whoever wants it next has it loaded."""
        self.mailbox = None

    def note_size(self, size_bytes: int, *, is_large: bool) -> None:
        """What the mailbox costs now."""
        self.size_bytes, self.is_large = size_bytes, is_large

    # ------------------------------------------------------------------ the lock: pipeline.py

    def enqueue(self, command: Command) -> None:
        """A command waits, behind all that came before."""
        self.waiting.append(command)
        self.waiting_bytes += command.size_bytes

    def dequeue(self) -> Command:
        """The first command waits no more; nor is the row reserved for it."""
        command = self.waiting.popleft()
        self.waiting_bytes -= command.size_bytes
        if self.reserved_for is command:
            self.reserved_for = None
        return command

    def mark_ready(self) -> None:
        """It is in its lane's heap."""
        self.is_ready = True

    def take_turn(self) -> None:
        """It is out of the heap: its commands are looked at now."""
        self.is_ready = False

    def lock(self) -> None:
        """Nothing else of the row is decided until `unlock`. The row is not locked."""
        self.is_busy = True

    def unlock(self) -> None:
        """What was under way is over."""
        self.is_busy = False

    def reserve(self) -> None:
        """Nothing that came later than its first command goes into the row before that is decided."""
        self.reserved_for = self.waiting[0]

    def park(self, other: "Row") -> None:
        """The first command of `other` waits for this row; or of this row itself, which is not loaded."""
        self.blocked.append(other)

    def take_parked(self) -> Sequence["Row"]:
        """All that were parked here, which are not any more."""
        parked, self.blocked = self.blocked, []
        return parked
