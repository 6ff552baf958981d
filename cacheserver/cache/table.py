"""The table of the rows in memory: which are loaded, which are loading, which are evicted when the memory is full.

It is indexed by shard as well, so that a shard that is given away leaves the memory without a look at the others.

A load belongs to the table, not to the request that began it: everybody who wants the row awaits the one task, and
nobody's leaving cancels it. Cold loads are admitted a few at a time, so that neither a restart nor a store that is too
busy is stampeded (admission.py). Mailboxes that were handed over are not cold: they read nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence

from rowbox.cacheserver.cache.admission import Admission
from rowbox.cacheserver.cache.room import Room
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.ownership import Grant, Ownership
from rowbox.cacheserver.rows.loader import LoadedRow, Loader
from rowbox.hbase_schema.keys import row_key, shard_of_row
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import Overloaded, RowboxError, StoreOutcomeUnknown
from rowbox.mailbox.ids import shard_of

LARGE_LOADS = 2
"""How many rows are read in parts at the same time.

Each takes a few milliseconds of every turn of the event loop, and takes no place from the loads of other rows.
"""
LONGEST_REST_S = 1.0
"""How long at most a place for loads in parts stays empty after a load, which is otherwise as long as the load took.

So large mailboxes that evict one another take no more than half of the time.
"""
MOST_LOOKED_AT = 64
"""How many rows one call looks at to make room. Rows at work move to the end, so the next call looks at others."""


class Table:
    """The rows of one owner.

    `on_loaded(row, outbox)` is called, without awaiting, when a mailbox came into memory and before anybody uses it.
    `on_dropped(user_id)` is called when one was forgotten because it may not be what the store holds.
    `settled(key)` returns when the store may be asked for a row (Quarantine.settled). A row that waits for it takes no
    place among the loads from another row.
    """

    def __init__(
        self,
        loader: Loader,
        ownership: Ownership,
        shards: int,
        *,
        limit_bytes: int,
        load_concurrency: int,
        load_queue: int,
        on_loaded: Callable[[Row, Sequence[OutboxCell]], None],
        on_dropped: Callable[[str], None],
        settled: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._loader = loader
        self._ownership = ownership
        self.shards = shards
        self._room = Room[Row](limit_bytes)
        self._admission = Admission(load_concurrency)
        self._large_admission = asyncio.Semaphore(LARGE_LOADS)
        self._most_loads = load_concurrency + load_queue
        self._on_loaded = on_loaded
        self._on_dropped = on_dropped
        self._settled = settled
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._of_shard: dict[int, set[Row]] = {}
        """By shard: the same rows. No shard without rows is in it."""
        self._under_way: set[asyncio.Task[None]] = set()
        """All loads: also of rows that the table has let go of."""
        self._loads = 0
        self.loads = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """What all mailboxes take of the memory, in bytes."""
        return self._room.size_bytes

    @property
    def limit_bytes(self) -> int:
        return self._room.limit_bytes

    def row(self, user_id: str) -> Row:
        """The user's row, now the most recently used one. It may have no mailbox yet, and its grant may have ended.

        NotTheOwner where there is neither a row nor a grant of its shard.
        """
        row = self._rows.get(user_id)
        if row is None:
            row = self._add(user_id)
        else:
            self._rows.move_to_end(user_id)
            if row.is_large:
                self._room.use(row)
        return row

    def admitted(self, user_id: str) -> Row:
        """As `row`, for something that begins now. Raises what Grant.admit does."""
        row = self.row(user_id)
        try:
            row.grant.admit()
        except RowboxError:
            self.forget_if_empty(row)
            raise
        return row

    def peek(self, user_id: str) -> Row | None:
        """The user's row, or None where the table has none. Neither makes a row nor counts as a use of it."""
        return self._rows.get(user_id)

    def grant_of(self, user_id: str) -> Grant:
        """The grant that a request of the user begins under. Neither makes a row nor counts as a use. NotTheOwner."""
        row = self._rows.get(user_id)
        return row.grant if row is not None else self._ownership.grant_of(shard_of(user_id, self.shards))

    def owns(self, user_id: str) -> bool:
        """Whether `grant_of` has a grant for the user."""
        return user_id in self._rows or shard_of(user_id, self.shards) in self._ownership.shards

    def rows_of(self, shards: Collection[int]) -> list[Row]:
        """The rows of these shards that the table has now, in no order."""
        return [row for shard in shards for row in self._of_shard.get(shard, ())]

    async def loaded(self, user_id: str) -> tuple[Row, Mailbox]:
        """The user's row and its mailbox, read from the store if need be.

        Raises what Table.row, Grant.admit and Loader.load raise, and Overloaded where too many loads wait.
        """
        # Looked up anew each time: what was loaded may have been evicted before this caller got its turn.
        while (row := self.row(user_id)).mailbox is None:
            await asyncio.shield(self.load(row))
        return row, row.mailbox

    def load(self, row: Row) -> "asyncio.Task[None]":
        """The load of a row without a mailbox: the one under way, or a new one. Overloaded when too many wait.

        NotTheOwner, LeaseLapsed where none may begin.
        """
        if row.loading is None:
            try:
                row.grant.admit()
            except RowboxError:
                self.forget_if_empty(row)
                raise
            if self._loads >= self._most_loads:
                self.forget_if_empty(row)
                raise Overloaded("too many mailboxes are being read from the store", retry_after_ms=1000)
            self._loads += 1
            task = asyncio.get_running_loop().create_task(self._load(row), name="load")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            task.add_done_callback(_retrieve)
            row.begin_load(task)
            return task
        return row.loading

    def load_few(self) -> None:
        """Has loads admitted a few at once, after an unknown outcome for which maybe hundreds of rows are dropped."""
        self._admission.narrow()

    def drop(self, row: Row) -> None:
        """Forgets the mailbox of a row, because it may no longer be what the store holds."""
        row.drop_mailbox()
        self.account(row)
        self._on_dropped(row.user_id)

    def drop_replaced(self, row: Row, mailbox: Mailbox) -> None:
        """Forgets `mailbox`, which another owner has claimed, unless the row has another one by now or is locked."""
        if row.mailbox is mailbox and not row.is_busy:
            self.drop(row)
            self.forget_if_empty(row)

    def let_go(self, row: Row) -> None:
        """Forgets a row whose grant has ended, whatever is under way with it: that ends by the check of the grant."""
        if self._rows.get(row.user_id) is row:
            self._remove(row)
            self._note(row, 0)
            row.drop_mailbox()

    async def idle(self) -> None:
        """Returns when no load is under way. Callers see to it that none is begun."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def loads_ended(self, rows: Collection[Row]) -> None:
        """Returns when the loads of these rows that are under way have ended."""
        loads = [row.loading for row in rows if row.loading is not None]
        if loads:
            await asyncio.wait(loads)

    def account(self, row: Row) -> None:
        """Notes what a row takes of the memory now, and evicts others if that is too much."""
        self._note(row, row.mailbox.size_bytes if row.mailbox is not None else 0)
        if self._room.is_full or row.is_large:
            self._make_room()

    def forget_if_empty(self, row: Row) -> None:
        """Takes a row without a mailbox out of the table once nobody is at work with it."""
        if row.mailbox is None and row.is_evictable and self._rows.get(row.user_id) is row:
            self._remove(row)

    def rows(self) -> Sequence[Row]:
        """All rows that the table has now, the least recently used first."""
        return list(self._rows.values())

    async def _load(self, row: Row) -> None:
        try:
            await self._settled(row.key)
            loaded = await self._loader.load_warm(row.user_id, row.key, row.grant)
            if loaded is None:
                loaded = await self._load_cold(row)
            row.hold_mailbox(loaded.mailbox)
            self._on_loaded(row, loaded.outbox)
            self.account(row)  # while it still counts as loading: making room must not take the row itself
        except StoreOutcomeUnknown:
            self.load_few()
            raise
        finally:
            row.end_load()
            self._loads -= 1
            self.forget_if_empty(row)

    async def _load_cold(self, row: Row) -> LoadedRow:
        async with self._admission:
            self.loads += 1
            loaded = await self._loader.load(row.user_id, row.key, row.grant)
        return loaded if loaded is not None else await self._load_large(row)

    async def _load_large(self, row: Row) -> LoadedRow:
        loop = asyncio.get_running_loop()
        await self._large_admission.acquire()
        began_s = loop.time()
        try:
            return await self._loader.load_large(row.user_id, row.key, row.grant)
        finally:
            loop.call_later(min(LONGEST_REST_S, loop.time() - began_s), self._large_admission.release)

    def _add(self, user_id: str) -> Row:
        key = row_key(user_id, self.shards)
        grant = self._ownership.grant_of(shard_of_row(key))
        row = self._rows[user_id] = Row(user_id, key, grant)
        self._of_shard.setdefault(grant.shard, set()).add(row)
        return row

    def _remove(self, row: Row) -> None:
        """Takes a row that is in the table out of it."""
        del self._rows[row.user_id]
        shard = row.grant.shard
        rows = self._of_shard[shard]
        rows.remove(row)
        if not rows:
            del self._of_shard[shard]

    def _note(self, row: Row, size: int) -> None:
        row.note_size(size, is_large=self._room.note(row, row.size_bytes, size))

    def _make_room(self) -> None:
        """Drops rows that nobody is at work with, the least recently used first, until the rest fits."""
        for row in self._room.large_to_go:
            if row.is_evictable:
                self._evict(row)
        for _ in range(min(MOST_LOOKED_AT, len(self._rows))):
            if not self._room.is_full:
                return
            row = next(iter(self._rows.values()))
            if row.is_evictable:
                self._evict(row)
            else:
                self._rows.move_to_end(row.user_id)

    def _evict(self, row: Row) -> None:
        self._remove(row)
        self._note(row, 0)
        row.drop_mailbox()
        self.evictions += 1


def _retrieve(task: "asyncio.Task[None]") -> None:
    """Looks at a load's error, so that a load for which nobody waits any more is no warning of the event loop."""
    if not task.cancelled() and isinstance(task.exception(), RowboxError):
        return
