"""The end of a restore on a real HBase, and tables that older Rowboxes wrote."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from rowbox.cacheserver.node.put_back import MAP_VERSIONS_LOST
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.history import history_of
from rowbox.cli.main import main
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings
from tests.golden.old_stores import answer_again, is_refused, old_store
from tests.support.cluster import UNLIMITED
from tests.support.hbase_cluster import RUNNING, HBase
from tests.support.hbase_table import made_table

pytestmark = pytest.mark.integration

SHARDS = old_store("cluster").shards
"""Of every table here."""


@pytest.fixture
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    with made_table(hbase, StoreSettings(shards=SHARDS)) as address:
        yield address


@asynccontextmanager
async def opened(table: HBaseAddress) -> AsyncIterator[HBaseStore]:
    store = await HBaseStore.open(table, HBaseSettings())
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("name", ["cluster", "cluster-2"])
async def test_what_an_old_table_holds_reads_as_it_was_read_then(name: str, table: HBaseAddress) -> None:
    old = old_store(name)
    async with opened(table) as store:
        await old.write_to(store, int(time.time() * 1000))  # HBase's TTLs count from now
        owner = Owner(
            store, UNLIMITED, ownership=EpochOwnership(old.map_version + 1, "reader"), now_us=lambda: old.now_us
        )
        await owner.start()
        try:
            for answer in old.answers:
                assert await answer_again(owner, answer) == answer
            for bearer in old.bearers:
                assert await is_refused(owner, bearer) == bearer["is_refused"], bearer
        finally:
            await owner.close()


def test_the_verb_begins_a_history_and_replaces_whoever_owns(hbase: HBase, table: HBaseAddress) -> None:
    async def stands() -> tuple[bytes, int]:
        async with opened(table) as store:
            standing = await MapStore(store, "a test", lambda: 1).read()
            return await history_of(store), standing.map.version

    before, _ = asyncio.run(stands())
    no_setting = {RUNNING: None, "ROWBOX_STORE_SHARDS": str(SHARDS)}  # the first is the tests' own variable
    result = CliRunner().invoke(main, ["restored", "--yes", "--store", hbase.url(table.prefix)], env=no_setting)
    assert result.exit_code == 0, result.output
    after, version = asyncio.run(stands())
    assert (after != before, version) == (True, MAP_VERSIONS_LOST)
    assert after.hex() in result.stdout
