"""A real table's regions: which rows are in one, and that a probe shows whether a region takes writes."""

from collections.abc import Iterator
from itertools import count
from time import time_ns

import pytest

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table

pytestmark = pytest.mark.integration

stamps = count(time_ns() // 1_000_000)


@pytest.fixture(scope="module")
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    with made_table(hbase, StoreSettings(shards=64), regions=4) as address:
        yield address


async def test_a_table_s_regions_are_known_and_each_can_be_probed_without_leaving_anything(table: HBaseAddress) -> None:
    store = await HBaseStore.open(table, HBaseSettings())
    try:
        rows = [b"%04x/someone" % shard for shard in range(64)]
        firsts = {store.ranges.of(row) for row in rows}
        assert len(firsts) == 4
        assert len(store.ranges) >= 5, "and that of meta/"
        assert [store.ranges.of(row) for row in rows] == sorted(store.ranges.of(row) for row in rows)
        await store.mutate([RowMutation(rows[0], [Put(Family.OUTBOX, b"q", b"v")])], next(stamps))
        for first in firsts:
            await store.ranges.probe(first or rows[0], next(stamps), 5.0)
        assert await store.scan_rows(range(64), Family.OUTBOX, None, 10) == [rows[0]]
        await store.ranges.probe(rows[0], next(stamps), 5.0)
        assert await store.get_columns(rows[0], Family.OUTBOX, [b"q"]) == [(b"q", b"v")]
    finally:
        await store.close()
