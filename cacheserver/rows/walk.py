"""Walks over the rows of a store, in runs of adjacent shards."""

from collections.abc import AsyncIterator, Iterator

from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family

SCAN_ROWS = 1000
RUN_SHARDS = 64
"""Shards that are walked together: the fewer, the more scans, each of which takes several round trips to a cluster."""


def shard_runs(shards: int) -> Iterator[range]:
    """All shards of a store, in runs of adjacent ones."""
    return (range(first, min(first + RUN_SHARDS, shards)) for first in range(0, shards, RUN_SHARDS))


async def user_rows(store: StoreReader, shards: range, family: Family) -> AsyncIterator[tuple[str, bytes]]:
    """The users of adjacent shards whose rows have columns in `family`, with the row keys. Skips rows of no user."""
    async for row in row_keys(store, shards, family):
        user_id = keys.user_of(row, store.shards)
        if user_id is not None:
            yield user_id, row


async def row_keys(store: StoreReader, shards: range, family: Family) -> AsyncIterator[bytes]:
    """The keys of all rows of adjacent shards that have columns in `family`, ascending, also of those of no user."""
    after: bytes | None = None
    while True:
        rows = await store.scan_rows(shards, family, after, SCAN_ROWS)
        for row in rows:
            yield row
        if len(rows) < SCAN_ROWS:
            return
        after = rows[-1]
