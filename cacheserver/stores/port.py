"""The store port: exactly what an HBase row store can do through one Thrift1 gateway, and nothing more.

A store holds rows; a row holds columns, each named by a family and a qualifier; rows sort by key, the columns of one
family within a row sort by qualifier. All reads give columns in ascending order of qualifiers. "Newest first" and
"upwards" are the same operation: messages have an inverted messageId in the qualifier, log entries do not invert it.

Two kinds of store, told apart by `late_writes`:

False   Embedded. One process owns the store; a write never outlives its process; one `mutate` commits all its rows or
        none; a failed `mutate` raises StoreUnavailable having written nothing, or the store is broken for good and
        every call from then on raises StoreUnusable.
True    A cluster's store behind a gateway. Each row of a `mutate` is atomic, the call is not. A write whose call raised
        StoreOutcomeUnknown may have happened, may not, and may still happen at any later time. Any write may execute
        twice, the second time late. What keeps this harmless is the caller's: epochs, the fence and rising timestamps.

Timestamps: `mutate` and `delete` carry one `timestamp_ms` each: real time, but never behind the versions of what the
call writes or removes, and strictly rising over all calls that name the same row (clocks.StoreClock). Embedded, calls
execute in their order and the last one stands. With late_writes, of two puts of one column the one with the greater
timestamp stands, whenever each executes, and a delete hides every put of its column whose timestamp is not greater,
also one that executes later: so a deleted qualifier is never used again.

TTL: a store is made with a TTL per family (hbase_schema.families); a column older than it is not returned.

One contract suite (tests/contract) runs over every implementation.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rowbox.hbase_schema.families import Family

Column = tuple[bytes, bytes]
"""A qualifier and its value."""


class Put(NamedTuple):
    """One column to write. The value is never empty: Thrift1 cannot tell an empty cell from an absent one."""

    family: Family
    qualifier: bytes
    value: bytes


class RowMutation(NamedTuple):
    """What one call of `mutate` writes into one row, atomically."""

    row: bytes
    puts: Sequence[tuple[Family, bytes, bytes]]
    """Puts, or plain tuples of the same, which a server makes of every column that it writes."""


class RowDelete(NamedTuple):
    """Exact columns of one row to remove."""

    row: bytes
    columns: Sequence[tuple[Family, bytes]]


class Part(NamedTuple):
    """The beginning of a range of columns. `next` is the qualifier of the column behind it; None: there is none."""

    columns: list[Column]
    next: bytes | None


def part_of(columns: Sequence[Column], limit: int, limit_bytes: int) -> Part:
    """As much of the `columns` of a range as a part may hold (StoreReader.get_part); one more than that is enough."""
    room_bytes = limit_bytes
    for place, (qualifier, value) in enumerate(columns):
        room_bytes -= len(value)
        if place == limit or (room_bytes < 0 and place > 0):
            return Part(list(columns[:place]), qualifier)
    return Part(list(columns), None)


class StoreStats(NamedTuple):
    """What `rowbox stats` and the metrics show; sizes in bytes, -1 where a store does not know.

    `device_*` are of the file system that the store lies on; writes are refused while less than `min_free_bytes` are
    left there, `refused` so far. `last_backup_us`: what was confirmed by then is in the last backup; microseconds.
    """

    rows_estimate: int
    disk_bytes: int
    block_cache_bytes: int
    memtable_bytes: int
    syncs: int
    device_bytes: int = -1
    device_free_bytes: int = -1
    min_free_bytes: int = -1
    refused: int = -1
    last_backup_us: int = -1


class Ranges(Protocol):
    """The contiguous ranges of rows of which each works or fails as one: a table's regions."""

    def __len__(self) -> int:
        """How many ranges there are, as far as is known: `refresh` asks the store."""
        ...

    def of(self, row: bytes) -> bytes:
        """The first key of the range around `row`. Asks nobody. Ranges split and merge: it may be stale."""
        ...

    async def refresh(self) -> None:
        """Asks the store which ranges there are now. StoreUnavailable: what was known stays."""
        ...

    async def probe(self, row: bytes, timestamp_ms: int, timeout_s: float) -> None:
        """Proves that the range around `row` takes writes and answers reads. Writes nothing that a reader would see.

        StoreUnavailable: the range did not do so within `timeout_s`. StoreUnreachable: nobody could be asked.
        """
        ...


class StoreReader(Protocol):
    """The reading half: what `rowbox check` and `rowbox stats` need, also beside a running server.

    Every read raises StoreUnavailable when the store cannot be reached, StoreDamaged when what it returns is not what
    was written. A read sees every write that was confirmed before the read began, and may see writes of which nobody
    has been told: unconfirmed, in flight, late.
    """

    @property
    def late_writes(self) -> bool:
        """Which of the two kinds of store this is: what the port's text says of False and True."""
        ...

    @property
    def shards(self) -> int:
        """The number of shards, as the store's schema has it."""
        ...

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        """All columns of `families` in one row, in one atomic read; each family is a key. A missing row is empty."""
        ...

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        """As `get_row`, of a row that has at most `most` columns in `families` together; None: it has more.

        So a row of any size costs no more than `most` columns do. A caller that gets None reads the row in parts.
        """
        ...

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        """The named columns that exist, ascending, in one atomic read."""
        ...

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        """The first `limit` columns with start <= qualifier < stop, ascending, in one atomic read.

        A caller pages by passing `after(last qualifier)` as the next start. With `keys_only` the values are b"", and
        as with `get_part` the columns are of no one moment and the event loop is not held.
        """
        ...

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        """The first columns with start <= qualifier < stop, ascending: `limit` (at least one) at most, and no more than
        their values fit into `limit_bytes`, but for the first, which is given whatever its size.

        Each column is as of a moment of the call, the part is of no one moment. However large the range is, a call
        holds neither much more memory than that nor the event loop.
        """
        ...

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        """Up to `limit` rows of adjacent shards that have columns in `family`, each with all of them, ascending by key.

        Starts behind `after_row`. Each row is read atomically, the scan as a whole is not. Fewer than `limit` rows
        means that the last shard is at its end. `shards` is not empty and has step 1.
        """
        ...

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        """As `scan`, and no column leaves the store: the keys of the rows, however much they hold."""
        ...

    async def stats(self) -> StoreStats:
        """Figures for people; may be seconds old."""
        ...

    async def close(self) -> None:
        """Closes the store once the writes in flight are finished. A second call does nothing more."""
        ...


class Store(StoreReader, Protocol):
    """The whole port."""

    @property
    def ranges(self) -> Ranges | None:
        """The ranges of the store's rows; None: the store works or fails as a whole."""
        ...

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        """Puts columns into rows; durable when it returns (fsynced, or SYNC_WAL). No row stands in it twice.

        Raises StoreUnavailable: nothing was and nothing will be written. StoreOutcomeUnknown (late_writes only): each
        row on its own may be written, now or later, or twice. Once begun it is finished: cancelling stops the waiting.
        """
        ...

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        """Removes exact columns; absent ones are no error. Need not be durable when it returns. Raises as `mutate`."""
        ...

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        """Puts `value` iff the column holds `expected` (None: it is absent), atomically; whether it did.

        The store itself gives the put a timestamp that makes it the newest: a column is written by this call or by
        `mutate`, never by both. Raises as `mutate`. With late_writes the answer may be a false False (a retry met its
        own first try): use a value that no other caller writes, and read it back.
        """
        ...

    async def verify(self) -> None:
        """A cheap proof that the store answers; raises as a read does. For readiness."""
        ...
