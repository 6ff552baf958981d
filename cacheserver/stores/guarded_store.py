"""The owner's store, watched by range: the quarantine (quarantine.py) is told of calls that fail or are overdue.

Reads of a suspect range wait until it is found open or away. Reads of a range that is away are refused at once. Writes
are not looked at here: the pipeline does not put rows of such ranges into a call, the loader reads a row before it
claims it, and the cleaner leaves them out.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from rowbox.cacheserver.stores.port import Column, Part, Ranges, RowDelete, RowMutation, Store, StoreStats
from rowbox.cacheserver.stores.quarantine import Quarantine
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after, shard_range
from rowbox.mailbox.errors import StoreUnavailable, StoreUnreachable

_T = TypeVar("_T")


class GuardedStore:
    """The store port over another store, which whoever opened it closes: `close` here does nothing."""

    def __init__(self, store: Store, quarantine: Quarantine) -> None:
        self._store = store
        self._quarantine = quarantine
        self._loop = asyncio.get_running_loop()

    @property
    def late_writes(self) -> bool:
        return self._store.late_writes

    @property
    def shards(self) -> int:
        return self._store.shards

    @property
    def ranges(self) -> Ranges | None:
        return self._store.ranges

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        await self._quarantine.settled(row)
        return await self._watched((row,), self._store.get_row(row, families))

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        await self._quarantine.settled(row)
        return await self._watched((row,), self._store.get_row_within(row, families, most))

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        await self._quarantine.settled(row)
        return await self._watched((row,), self._store.get_columns(row, family, qualifiers))

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        await self._quarantine.settled(row)
        call = self._store.get_range(row, family, start, stop, limit, keys_only=keys_only)
        return await self._watched((row,), call)

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        await self._quarantine.settled(row)
        call = self._store.get_part(row, family, start, stop, limit=limit, limit_bytes=limit_bytes)
        return await self._watched((row,), call)

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        start = self._begin_scan(shards, after_row)
        return await self._watched((start,), self._store.scan(shards, family, after_row, limit))

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        start = self._begin_scan(shards, after_row)
        return await self._watched((start,), self._store.scan_rows(shards, family, after_row, limit))

    async def stats(self) -> StoreStats:
        return await self._store.stats()

    async def verify(self) -> None:
        await self._store.verify()

    async def close(self) -> None:
        """Does nothing: whoever opened the store closes it."""

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await self._watched([row for row, _ in mutations], self._store.mutate(mutations, timestamp_ms))

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        await self._watched([row for row, _ in deletes], self._store.delete(deletes, timestamp_ms))

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        return await self._watched((row,), self._store.compare_and_set(row, family, qualifier, expected, value))

    def _begin_scan(self, shards: range, after_row: bytes | None) -> bytes:
        """Its first key, which stands for all of it. StoreUnavailable where its rows are not all open."""
        start, stop = shard_range(shards)
        if after_row is not None:
            start = max(start, after(after_row))
        self._quarantine.check_between(start, stop)
        return start

    async def _watched(self, rows: Sequence[bytes], call: Awaitable[_T]) -> _T:
        quarantine = self._quarantine
        if not quarantine.is_active:
            return await call
        begun_s = self._loop.time()
        overdue = self._loop.call_later(quarantine.patience_s, quarantine.complain, rows, begun_s)
        try:
            return await call
        except StoreUnreachable:
            raise
        except StoreUnavailable:
            quarantine.complain(rows, begun_s)
            raise
        finally:
            overdue.cancel()
