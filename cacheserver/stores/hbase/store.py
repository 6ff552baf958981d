"""The store on HBase, through Thrift1 gateways (docs/adr/0012, 0042).

One call of the port is one round trip to a gateway; ranges and scans are two, a part of a range up to five. reads.py
and writes.py say which calls those are; pool.py has deadlines, connections and failover.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from rowbox.cacheserver.stores.hbase import reads as hbase_reads
from rowbox.cacheserver.stores.hbase import writes as hbase_writes
from rowbox.cacheserver.stores.hbase.counters import Counters
from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.cacheserver.stores.hbase.regions import Regions
from rowbox.cacheserver.stores.port import Column, Part, RowDelete, RowMutation, StoreStats
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import SCHEMA_ROW, after, shard_range
from rowbox.hbase_schema.schema_row import SCHEMA_QUALIFIERS, require_schema
from rowbox.hbase_schema.servable import require_servable
from rowbox.hbase_schema.table_plan import Attributes
from rowbox.hbase_schema.thrift.errors import TableNotMade
from rowbox.hbase_schema.thrift.spoken import ask_for_same_wire
from rowbox.hbase_schema.thrift.thrift1 import families_of
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.wire import frame_bytes_of, wire_of
from rowbox.mailbox.errors import StoreUnavailable, StoreUnreachable, StoreUnusable
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Call = Callable[Concatenate[Thrift1Client, bytes, _P], _T]
"""A function of reads.py or writes.py: a client, the table, and what the port's call was given."""


class HBaseStore:
    """The store port over one table of HBase. `open` makes one."""

    def __init__(self, pool: HBasePool, table: str, shards: int, most_bytes: int | None = None) -> None:
        """`most_bytes` is the largest request that a framed gateway takes; None where it is not framed."""
        self._pool = pool
        self._table = table.encode()
        self._shards = shards
        self._most_bytes = most_bytes
        self.ranges = Regions(pool, self._table)

    @classmethod
    async def open(
        cls,
        address: HBaseAddress,
        settings: HBaseSettings,
        *,
        kept: StoreSettings | None = None,
        connections: int | None = None,
        call_timeout_ms: int | None = None,
    ) -> "HBaseStore":
        """The store at `address`; `connections` and `call_timeout_ms` take the place of the settings'.

        StoreUnavailable: no gateway answers, or HBase does not; try again. StoreUnusable: there is no table, or no
        schema in it, or a gateway speaks otherwise than the settings say. StoreVersionMismatch: its schema is of
        another version. StoreSettingsMismatch: its families do not keep what `kept` says; None where only cells that
        never expire are of interest.
        """
        pool = HBasePool(
            address.gateways,
            settings.connections if connections is None else connections,
            settings.call_timeout_ms if call_timeout_ms is None else call_timeout_ms,
            settings.idle_ms,
            wire_of(settings),
            frame_bytes_of(settings),
        )
        try:
            schema = require_schema(await _schema_columns(pool, address.table.encode()), address.table)
            if kept is not None:
                require_servable(address.table, kept, await _families(pool, address.table.encode()))
        except TableNotMade as error:
            await pool.close()
            raise StoreUnusable(f"there is no table {address.table}; make it with: rowbox schema apply") from error
        except StoreUnavailable as error:
            await pool.close()
            if not isinstance(error, StoreUnreachable):  # a gateway took the connection, and no call came through
                await ask_for_same_wire(address.gateways, settings)
            raise
        except BaseException:
            await pool.close()
            raise
        store = cls(pool, address.table, schema.shards, frame_bytes_of(settings))
        with suppress(StoreUnavailable):  # till it is asked again, all is one range
            await store.ranges.refresh()
        return store

    @property
    def late_writes(self) -> bool:
        return True

    @property
    def shards(self) -> int:
        return self._shards

    @property
    def counters(self) -> Counters:
        """What the connections of this store have done since it was opened."""
        return self._pool.counters

    # Reading

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        if not families:
            return {}
        return await self._read(hbase_reads.get_row, row, families)

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        if not families:
            return {}
        return await self._read(hbase_reads.get_row_within, row, families, most)

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        if not qualifiers:
            return []  # a Get that names no column is one of the whole row
        return await self._read(hbase_reads.get_columns, row, family, qualifiers)

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        if limit <= 0 or start >= stop:
            return []
        return await self._read(hbase_reads.get_range, row, family, start, stop, limit, keys_only=keys_only)

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        if start >= stop:
            return Part([], None)
        return await self._read(hbase_reads.get_part, row, family, start, stop, limit=limit, limit_bytes=limit_bytes)

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        """As the port says. The rows come in one reply: with wide rows, a low `limit`."""
        start, stop = _rows_behind(shards, after_row)
        if limit <= 0 or start >= stop:
            return []
        return await self._read(hbase_reads.scan, start, stop, family, limit)

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        start, stop = _rows_behind(shards, after_row)
        if limit <= 0 or start >= stop:
            return []
        return await self._read(hbase_reads.scan_rows, start, stop, family, limit)

    async def stats(self) -> StoreStats:
        """Figures of -1, for unknown: Thrift1 does not tell what HBase knows of its files and memory."""
        return StoreStats(-1, -1, -1, -1, -1)

    async def verify(self) -> None:
        await _schema_columns(self._pool, self._table)

    async def close(self) -> None:
        await self._pool.close()

    # Writing

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        if mutations:
            await self._write(hbase_writes.put_rows, mutations, timestamp_ms, self._most_bytes)

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        if deletes:
            await self._write(hbase_writes.delete_columns, deletes, timestamp_ms, self._most_bytes)

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        return await self._write(hbase_writes.put_if, row, family, qualifier, expected, value)

    async def _read(self, call: _Call[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._pool.read(lambda client: call(client, self._table, *args, **kwargs))

    async def _write(self, call: _Call[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._pool.write(lambda client: call(client, self._table, *args, **kwargs))


async def _schema_columns(pool: HBasePool, table: bytes) -> list[Column]:
    return await pool.read(
        partial(
            hbase_reads.get_columns,
            table=table,
            row=SCHEMA_ROW,
            family=Family.INDEX,
            qualifiers=SCHEMA_QUALIFIERS,
        )
    )


async def _families(pool: HBasePool, table: bytes) -> Mapping[str, Attributes]:
    descriptors = await pool.read(lambda client: client.getColumnDescriptors(table))
    return families_of(descriptors.values())


def _rows_behind(shards: range, after_row: bytes | None) -> tuple[bytes, bytes]:
    """The row keys of `shards` that follow `after_row`: from the first, to before the second."""
    start, stop = shard_range(shards)
    return start if after_row is None else max(start, after(after_row)), stop
