"""Walks over the rows of a store, in runs of adjacent shards."""

from collections.abc import AsyncIterator, Collection, Iterator

from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.group import is_group_name

SCAN_ROWS = 1000
RUN_SHARDS = 64
"""Shards that are walked together: the fewer, the more scans, each of which takes several round trips to a cluster."""
BRIDGED_SHARDS = 8
"""Shards of others in a row that a walk over one owner's shards goes over, rather than begin another scan."""


def runs_of(shards: Collection[int]) -> Iterator[range]:
    """Runs that cover these shards, each of RUN_SHARDS adjacent shards at most; some between them may be others.

    What a call costs is worth walking over some shards without need: a run goes on over a gap of BRIDGED_SHARDS.
    """
    run: range | None = None
    for shard in sorted(shards):
        if run is not None and shard < min(run.start + RUN_SHARDS, run.stop + BRIDGED_SHARDS + 1):
            run = range(run.start, shard + 1)
            continue
        if run is not None:
            yield run
        run = range(shard, shard + 1)
    if run is not None:
        yield run


def shard_runs(shards: int) -> Iterator[range]:
    """All shards of a store, in runs of adjacent ones."""
    return (range(first, min(first + RUN_SHARDS, shards)) for first in range(0, shards, RUN_SHARDS))


async def named_rows(store: StoreReader, shards: range, family: Family) -> AsyncIterator[tuple[str, bytes]]:
    """The users and groups of adjacent shards whose rows have columns in `family`, with the row keys.

    Skips rows of nobody.
    """
    async for row in row_keys(store, shards, family):
        name = keys.name_of(row, store.shards)
        if name is not None:
            yield name, row


async def user_rows(store: StoreReader, shards: range, family: Family) -> AsyncIterator[tuple[str, bytes]]:
    """Those of `named_rows` that are users'."""
    async for name, row in named_rows(store, shards, family):
        if not is_group_name(name):
            yield name, row


async def row_keys(store: StoreReader, shards: range, family: Family) -> AsyncIterator[bytes]:
    """The keys of all rows of adjacent shards that have columns in `family`, ascending, also of those of nobody."""
    after: bytes | None = None
    while True:
        rows = await store.scan_rows(shards, family, after, SCAN_ROWS)
        for row in rows:
            yield row
        if len(rows) < SCAN_ROWS:
            return
        after = rows[-1]
