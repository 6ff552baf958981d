"""A store that passes every call on to another one, and tells MailHealth what became of the calls for mail.

What is read and written beside the mail (rows of `meta/`) has a region of its own, which says nothing of the others.
"""

from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from rowbox.cacheserver.stores.mail_health import MailHealth
from rowbox.cacheserver.stores.port import Column, Part, Ranges, RowDelete, RowMutation, Store, StoreStats
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START
from rowbox.mailbox.errors import StoreUnavailable

_T = TypeVar("_T")


class HeardStore:
    """The store port over another store. `close` closes that store."""

    def __init__(self, store: Store, health: MailHealth) -> None:
        self._store = store
        self._health = health

    @property
    def late_writes(self) -> bool:
        return self._store.late_writes

    @property
    def shards(self) -> int:
        return self._store.shards

    @property
    def ranges(self) -> Ranges | None:
        return self._store.ranges

    # Reading

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        return await self._read(self._store.get_row(row, families))

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        return await self._read(self._store.get_row_within(row, families, most))

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        call = self._store.get_columns(row, family, qualifiers)
        return await (call if _is_beside(row) else self._read(call))

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        return await self._read(self._store.get_range(row, family, start, stop, limit, keys_only=keys_only))

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        return await self._read(self._store.get_part(row, family, start, stop, limit=limit, limit_bytes=limit_bytes))

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        return await self._read(self._store.scan(shards, family, after_row, limit))

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        return await self._read(self._store.scan_rows(shards, family, after_row, limit))

    async def stats(self) -> StoreStats:
        return await self._store.stats()

    async def verify(self) -> None:
        await self._store.verify()

    async def close(self) -> None:
        await self._store.close()

    # Writing

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await self._write(self._store.mutate(mutations, timestamp_ms), (mutation.row for mutation in mutations))

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        await self._write(self._store.delete(deletes, timestamp_ms), (delete.row for delete in deletes))

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        call = self._store.compare_and_set(row, family, qualifier, expected, value)
        return await (call if _is_beside(row) else self._write(call, (row,)))

    async def _read(self, call: Awaitable[_T]) -> _T:
        try:
            answer = await call
        except StoreUnavailable as error:
            self._health.failed_to_read(error)
            raise
        self._health.has_read()
        return answer

    async def _write(self, call: Awaitable[_T], rows: Iterable[bytes]) -> _T:
        try:
            answer = await call
        except StoreUnavailable as error:
            self._health.failed_to_write(rows, error)
            raise
        self._health.has_written()
        return answer


def _is_beside(row: bytes) -> bool:
    """Whether a row is none of a user."""
    return row.startswith(META_START)
