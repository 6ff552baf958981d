"""`rowbox check` and `rowbox stats` on a store on HBase."""

import asyncio
import time
from collections.abc import Iterator

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.check.checker import Checker
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import RowDelete
from rowbox.cli.main import main
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, Settings, StoreSettings
from tests.cli.stores.store_folder import three_messages
from tests.integration.support.hbase_server import SHARDS
from tests.support.hbase_cluster import RUNNING, HBase
from tests.support.hbase_table import made_table

pytestmark = pytest.mark.integration

MANY_SHARDS = 4096


@pytest.fixture
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    """A store with three messages in it."""
    with made_table(hbase, StoreSettings(shards=SHARDS)) as address:

        async def fill() -> None:
            store = await HBaseStore.open(address, HBaseSettings())
            await three_messages(store, Settings(), EpochOwnership(1, "only"))
            await store.close()

        asyncio.run(fill())
        yield address


def run(verb: str, hbase: HBase, table: HBaseAddress, *options: str) -> Result:
    no_setting = {RUNNING: None}  # the tests' own variable
    return CliRunner().invoke(main, [verb, "--store", hbase.url(table.prefix), *options], env=no_setting)


async def lose_bobs_copies(table: HBaseAddress) -> None:
    store = await HBaseStore.open(table, HBaseSettings())
    row = row_key("bob", SHARDS)
    columns = await store.get_row(row, (Family.MESSAGES, Family.LOG))
    gone = [(family, qualifier) for family in columns for qualifier, _ in columns[family]]
    await store.delete([RowDelete(row, gone)], time.time_ns() // 1_000_000 + 1)
    await store.close()


def test_a_sound_store_and_a_damaged_one(hbase: HBase, table: HBaseAddress) -> None:
    sound = run("check", hbase, table)
    assert sound.output == "Checked 3 mailboxes, 4 conversations, 6 copies of messages: nothing found.\n"
    assert sound.exit_code == 0
    asyncio.run(lose_bobs_copies(table))
    damaged = run("check", hbase, table)
    assert damaged.exit_code == 1
    assert "last_message  bob: conversation " in damaged.stdout


def test_stats_say_where_and_what_and_leave_out_what_hbase_does_not_know(hbase: HBase, table: HBaseAddress) -> None:
    result = run("stats", hbase, table)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.replace(" message ", "-message ").splitlines())
    assert lines.pop("Store") == hbase.url(table.prefix)
    assert lines.pop("Messages").startswith("6 (")
    assert set(lines) == {"Shards", "Mailboxes", "Conversations", "Oldest-message", "Newest-message"}
    shown = orjson.loads(run("stats", hbase, table, "--json").stdout)
    assert (shown["shards"], shown["mailboxes"], shown["diskBytes"]) == (SHARDS, 3, None)


async def test_shards_that_hold_nothing_cost_next_to_nothing(hbase: HBase) -> None:
    with made_table(hbase, StoreSettings(shards=MANY_SHARDS)) as address:
        store = await HBaseStore.open(address, HBaseSettings())
        opened = store.counters.reads
        assert [item async for item in Checker(store, StoreSettings(), lambda: 0).run()]
        assert store.counters.reads - opened < MANY_SHARDS / 10
        await store.close()
