"""The cells of the memory store: what a write changes when it executes, and what a read finds. No asyncio, no faults.

Where writes can be late, timestamps decide as in HBase, in whichever order the calls execute:

- Of two puts of one column the one with the greater timestamp stands; of equal ones the one that executes last.
- A delete leaves a marker: it hides every put of its column whose timestamp is not greater, also later executed ones.
- A column older than its family's TTL is not seen.

Without late writes (`by_time` False) calls execute in their order, as in RocksDB, and the last one stands, whatever its
timestamp. So a process that starts after the clock was set back can overwrite older cells.

It is enough to keep one version of a column: a marker that hides the newest put hides the older ones too, and older
ones expire earlier.
"""

from collections.abc import Callable
from copy import deepcopy
from itertools import starmap
from typing import NamedTuple

from rowbox.cacheserver.stores.port import Column, Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family, TtlMs
from rowbox.hbase_schema.keys import shard_range

_NEVER_MS = -1


class _Cell(NamedTuple):
    """A column: its newest put (if any) and its newest delete (if any)."""

    put_ms: int = _NEVER_MS
    value: bytes = b""
    deleted_ms: int = _NEVER_MS

    def is_visible(self, oldest_ms: int) -> bool:
        return self.deleted_ms < self.put_ms >= oldest_ms


_ABSENT = _Cell()
_Row = dict[Family, dict[bytes, _Cell]]


class MemoryCells:
    """All rows of a memory store. Every method is atomic, because none awaits."""

    def __init__(self, shards: int, ttl_ms: TtlMs, now_ms: Callable[[], int], *, by_time: bool) -> None:
        self.shards = shards
        self.by_time = by_time
        self.ttl_ms = ttl_ms
        self.now_ms = now_ms
        self._rows: dict[bytes, _Row] = {}

    def put(self, mutation: RowMutation, timestamp_ms: int) -> None:
        for put in starmap(Put, mutation.puts):
            self._put(mutation.row, put, timestamp_ms)

    def delete(self, delete: RowDelete, timestamp_ms: int) -> None:
        for family, qualifier in delete.columns:
            cell = self._cell(delete.row, family, qualifier)
            marked = cell._replace(deleted_ms=max(cell.deleted_ms, timestamp_ms))
            self._write(delete.row, family, qualifier, marked if self.by_time else _ABSENT)

    def put_if(self, row: bytes, put: Put, expected: bytes | None) -> bool:
        """Writes `put` if the column holds `expected`, None meaning that it is absent. Returns whether it did.

        As in HBase, the store's clock gives the timestamp, when this executes; it is not less than that of the cell
        that is replaced.
        """
        cell = self._cell(row, put.family, put.qualifier)
        if (cell.value if cell.is_visible(self._oldest_ms(put.family)) else None) != expected:
            return False
        self._put(row, put, max(self.now_ms(), cell.put_ms))
        return True

    def columns(self, row: bytes, family: Family) -> list[Column]:
        """The visible columns of the row in `family`, in ascending order."""
        return sorted((qualifier, cell.value) for qualifier, cell in self._visible(row, family))

    def rows_of(self, shards: range) -> list[bytes]:
        """The row keys of adjacent shards, in ascending order, those of rows without a visible column included."""
        start, stop = shard_range(shards)
        return sorted(row for row in self._rows if start <= row < stop)

    def row_count(self) -> int:
        return len(self._rows)

    def copy(self) -> "MemoryCells":
        """An independent copy of the cells: what a disk holds at the moment of a crash."""
        copied = MemoryCells(self.shards, self.ttl_ms, self.now_ms, by_time=self.by_time)
        copied._rows = deepcopy(self._rows)
        return copied

    def compact(self) -> None:
        """Does a major compaction: removes hidden puts and the markers that hid them.

        Afterwards a put that executes late is visible although its column was deleted, as in HBase.
        """
        for row, families in self._rows.items():
            for family in families:
                families[family] = {q: c._replace(deleted_ms=_NEVER_MS) for q, c in self._visible(row, family)}

    def _visible(self, row: bytes, family: Family) -> list[tuple[bytes, _Cell]]:
        cells = self._rows.get(row, {}).get(family)
        if not cells:
            return []
        oldest_ms = self._oldest_ms(family)
        return [(qualifier, cell) for qualifier, cell in cells.items() if cell.is_visible(oldest_ms)]

    def _oldest_ms(self, family: Family) -> int:
        """No older put is visible now."""
        ttl_ms = self.ttl_ms.get(family)
        return _NEVER_MS + 1 if ttl_ms is None else self.now_ms() - ttl_ms

    def _put(self, row: bytes, put: Put, timestamp_ms: int) -> None:
        cell = self._cell(row, put.family, put.qualifier)
        if timestamp_ms >= cell.put_ms or not self.by_time:
            self._write(row, put.family, put.qualifier, cell._replace(put_ms=timestamp_ms, value=put.value))

    def _cell(self, row: bytes, family: Family, qualifier: bytes) -> _Cell:
        return self._rows.get(row, {}).get(family, {}).get(qualifier, _ABSENT)

    def _write(self, row: bytes, family: Family, qualifier: bytes, cell: _Cell) -> None:
        self._rows.setdefault(row, {}).setdefault(family, {})[qualifier] = cell
