"""A reader of a store that makes so many calls in a second and no more, for walks beside servers at work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.stores.port import Column, Part, StoreReader, StoreStats
from rowbox.hbase_schema.families import Family


class PacedReader:
    """StoreReader over another one, whose calls begin at least 1 / `reads_per_s` seconds apart.

    A call that took longer than that is not made good by faster ones. `close` closes the other reader.
    """

    def __init__(
        self,
        store: StoreReader,
        reads_per_s: float,
        now_s: NowS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._apart_s = 1 / reads_per_s
        self._now_s = now_s
        self._sleep = sleep
        self._next_s = float("-inf")
        self.reads = 0
        """How many calls have been made."""

    @property
    def late_writes(self) -> bool:
        return self._store.late_writes

    @property
    def shards(self) -> int:
        return self._store.shards

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        await self._turn()
        return await self._store.get_row(row, families)

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        await self._turn()
        return await self._store.get_row_within(row, families, most)

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        await self._turn()
        return await self._store.get_columns(row, family, qualifiers)

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        await self._turn()
        return await self._store.get_range(row, family, start, stop, limit, keys_only=keys_only)

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        await self._turn()
        return await self._store.get_part(row, family, start, stop, limit=limit, limit_bytes=limit_bytes)

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        await self._turn()
        return await self._store.scan(shards, family, after_row, limit)

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        await self._turn()
        return await self._store.scan_rows(shards, family, after_row, limit)

    async def stats(self) -> StoreStats:
        return await self._store.stats()

    async def close(self) -> None:
        await self._store.close()

    async def _turn(self) -> None:
        """Returns when the next call may begin."""
        now_s = self._now_s()
        begins_s = max(now_s, self._next_s)
        self._next_s = begins_s + self._apart_s
        self.reads += 1
        if begins_s > now_s:
            await self._sleep(begins_s - now_s)
