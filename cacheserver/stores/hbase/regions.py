"""A table's regions: which rows work or fail together, and whether a region works.

A probe removes a column that no row has, and reads it. The removal takes the way of every write, through the region's
memory and log. So a region that reads but does not write, because its memory is full, does not pass.
"""

from bisect import bisect_right
from functools import partial

from rowbox.cacheserver.stores.hbase import reads as hbase_reads
from rowbox.cacheserver.stores.hbase import writes as hbase_writes
from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.cacheserver.stores.port import RowDelete
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client

PROBED = b"\x00probe"
"""A qualifier that no cell has: shorter than any (hbase_schema.keys)."""


class Regions:
    """The regions of one table, as Ranges (cacheserver/stores/port.py). Before `refresh` all rows are one range."""

    def __init__(self, pool: HBasePool, table: bytes) -> None:
        self._pool = pool
        self._table = table
        self._firsts = [b""]
        """The first key of each region, ascending."""

    def __len__(self) -> int:
        return len(self._firsts)

    def of(self, row: bytes) -> bytes:
        return self._firsts[bisect_right(self._firsts, row) - 1]

    async def refresh(self) -> None:
        self._firsts = await self._pool.read(partial(_first_keys, table=self._table))

    async def probe(self, row: bytes, timestamp_ms: int, timeout_s: float) -> None:
        await self._pool.write(partial(_probe, table=self._table, row=row, timestamp_ms=timestamp_ms), timeout_s)


def _first_keys(client: Thrift1Client, table: bytes) -> list[bytes]:
    """Ascending; the first is b"" even while a table's first region is being moved and is not listed."""
    return sorted({b"", *(region.startKey for region in client.getTableRegions(table))})


def _probe(client: Thrift1Client, table: bytes, row: bytes, timestamp_ms: int) -> None:
    hbase_writes.delete_columns(client, table, [RowDelete(row, [(Family.OUTBOX, PROBED)])], timestamp_ms)
    hbase_reads.get_columns(client, table, row, Family.OUTBOX, [PROBED])
