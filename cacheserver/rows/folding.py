"""Folding of fence lists: a claim makes one entry of all whose epochs ended a day ago (docs/consistency.md, rule 8).

After a fold every cell of those epochs counts, so no invalid cell of them may be left in any family. Folding reads all
families to know that, of `m` and `l` the keys alone. These reads need not be of one moment: what can execute no more
after a day has executed or never will, and the cells only get fewer. tests/model searches this rule.

An entry takes 29 bytes in each claim and each load, and a row gets one for each epoch that has written it: one for each
restart of its owner and each unknown outcome of it. So the reading is paid for once in FOLD_AT of them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple

from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER, OUTBOX_COLUMNS
from rowbox.cacheserver.rows.row_states import decoded, stamps_in
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after, split_log_qualifier, split_message_qualifier
from rowbox.mailbox.cells import DedupeCell, OutboxCell
from rowbox.mailbox.fence import Fence, Stamp, blocks_folding, fold

FOLD_AT = 32
"""Entries that a fold has to save. Fewer cost less than reading the keys of a mailbox."""
MOST_PAGES = 16
PAGE_COLUMNS = 1000
"""A load waits for this many reads of this many columns: 20 ms each, tried on a busy HBase. A longer mailbox keeps its
entries (10 KB for one a day in a year), and is not tried again before the process ends."""
MOST_REMEMBERED = 10_000
"""How many rows that were too long to fold are remembered."""


class Folded(NamedTuple):
    """The list that a claim goes on from, and what kept it from being folded."""

    fence: Fence
    """The list that was read, folded if it may be."""
    invalid: Sequence[tuple[Family, bytes]] = ()
    """Columns that keep it from being folded, all of lower epochs: to be removed once the claim is confirmed."""
    latest_us: int = 0
    """The highest version of the `invalid` columns; 0 for none."""


class _TooLong(Exception):
    """There is more to read than a claim may wait for."""


class _Late(NamedTuple):
    """A column that would count after folding and must not."""

    family: Family
    qualifier: bytes
    version: int


class Folding:
    """Folds the lists of one store's rows."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._too_long: set[bytes] = set()
        self.folded = 0
        self.reads = 0

    async def fold(self, row: bytes, read: Fence, now_ms: int) -> Folded:
        """The list to claim with, given the list that was read and the time. Reads the row if a fold is worth it."""
        fence = fold(read, now_ms)
        if len(read) - len(fence) < FOLD_AT or row in self._too_long:
            return Folded(read)
        through = fence[0].epoch
        try:
            if await self._late(row, read, through, (Family.INDEX,)):
                return Folded(read)  # a late state may share its cell with one that counts
            late = await self._late(row, read, through, (Family.DEDUPE, Family.OUTBOX, Family.LOG, Family.MESSAGES))
        except _TooLong:
            self._note_too_long(row)
            return Folded(read)
        if late:
            return Folded(read, [one[:2] for one in late], max(one.version for one in late))
        self.folded += 1
        return Folded(fence)

    async def _late(self, row: bytes, read: Fence, through: int, families: Iterable[Family]) -> list[_Late]:
        """What of `families` is in the way. _TooLong."""
        found: list[_Late] = []
        async for family, columns in self._pages(row, families):
            for qualifier, value in columns:
                late = [
                    stamp.version
                    for stamp in _STAMPS[family](qualifier, value)
                    if blocks_folding(read, through, *stamp)
                ]
                found += [_Late(family, qualifier, version) for version in late[:1]]
        return found

    async def _pages(self, row: bytes, families: Iterable[Family]) -> AsyncIterator[tuple[Family, list[Column]]]:
        pages = 0
        for family in families:
            start: bytes | None = b""
            while start is not None:
                if pages == MOST_PAGES:
                    raise _TooLong
                pages += 1
                columns, start = await self._page(row, family, start)
                yield family, columns

    async def _page(self, row: bytes, family: Family, start: bytes) -> tuple[list[Column], bytes | None]:
        """Columns from `start` on, and where the next ones begin."""
        self.reads += 1
        most = OUTBOX_COLUMNS if family is Family.OUTBOX else PAGE_COLUMNS
        keys_only = family in (Family.LOG, Family.MESSAGES)
        columns = await self._store.get_range(row, family, start, LAST_QUALIFIER, most, keys_only=keys_only)
        return columns, after(columns[-1][0]) if len(columns) == most else None

    def _note_too_long(self, row: bytes) -> None:
        if len(self._too_long) >= MOST_REMEMBERED:
            self._too_long.clear()
        self._too_long.add(row)


def _of_message(qualifier: bytes, _value: bytes) -> Iterable[Stamp]:
    key = split_message_qualifier(qualifier)
    return (Stamp(key.epoch, key.version),)


def _of_log_entry(qualifier: bytes, _value: bytes) -> Iterable[Stamp]:
    version, epoch = split_log_qualifier(qualifier)
    return (Stamp(epoch, version),)


def _of_send(qualifier: bytes, value: bytes) -> Iterable[Stamp]:
    cell = codec.decode(Family.DEDUPE, qualifier, value)
    return (Stamp(cell.epoch, cell.version),) if isinstance(cell, DedupeCell) else ()


def _of_parcel(qualifier: bytes, value: bytes) -> Iterable[Stamp]:
    cell = codec.decode(Family.OUTBOX, qualifier, value)
    return (Stamp(cell.epoch, cell.version),) if isinstance(cell, OutboxCell) else ()


def _of_index(qualifier: bytes, value: bytes) -> Iterable[Stamp]:
    return stamps_in(decoded([(qualifier, value)]))


_STAMPS: dict[Family, Callable[[bytes, bytes], Iterable[Stamp]]] = {
    Family.INDEX: _of_index,
    Family.DEDUPE: _of_send,
    Family.OUTBOX: _of_parcel,
    Family.LOG: _of_log_entry,
    Family.MESSAGES: _of_message,
}
"""Who wrote a column: for the index in both of its states."""
