"""What the contract suite cannot ask of every store: opening, bounds of any bytes, wide rows, refused writes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count, pairwise
from secrets import token_hex
from time import time_ns

import happybase
import pytest

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import SCHEMA_VERSION, Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.schema_row import VERSION_QUALIFIER
from rowbox.mailbox.errors import (
    StoreOutcomeUnknown,
    StoreSettingsMismatch,
    StoreUnavailable,
    StoreUnusable,
    StoreVersionMismatch,
)
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table

pytestmark = pytest.mark.integration

I, M = Family.INDEX, Family.MESSAGES  # noqa: E741 - their letters
SETTINGS = HBaseSettings(call_timeout_ms=20_000)
stamps = count(time_ns() // 1_000_000)


@pytest.fixture(scope="module")
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    with made_table(hbase, StoreSettings(shards=64), regions=4) as address:
        yield address


@pytest.fixture
async def store(table: HBaseAddress) -> AsyncIterator[HBaseStore]:
    opened = await HBaseStore.open(table, SETTINGS)
    yield opened
    await opened.close()


# Opening


async def test_without_a_table_it_says_what_makes_one(hbase: HBase) -> None:
    with pytest.raises(StoreUnusable, match="rowbox schema apply"):
        await HBaseStore.open(hbase.address("never_made"), SETTINGS)


async def test_a_table_without_a_schema_row_is_refused(hbase: HBase) -> None:
    address = hbase.address(f"rowless_{token_hex(6)}")
    connection = happybase.Connection(*hbase.gateways[0])
    connection.create_table(address.table, {family.value: {} for family in Family})
    try:
        with pytest.raises(StoreUnusable, match="no schema"):
            await HBaseStore.open(address, SETTINGS)
    finally:
        connection.delete_table(address.table, disable=True)
        connection.close()


async def test_a_table_of_another_version_is_refused(hbase: HBase) -> None:
    with made_table(hbase, StoreSettings(shards=64), regions=1) as address:
        store = await HBaseStore.open(address, SETTINGS)
        this, other = b"%d" % SCHEMA_VERSION, b"%d" % (SCHEMA_VERSION + 1)
        assert await store.compare_and_set(SCHEMA_ROW, I, VERSION_QUALIFIER, this, other)
        await store.close()
        with pytest.raises(StoreVersionMismatch):
            await HBaseStore.open(address, SETTINGS)


async def test_a_table_whose_families_keep_for_another_time_than_the_settings_say_is_refused(hbase: HBase) -> None:
    """A retry after the dedupe family's 5 s was a second message; nothing had said that the settings say 7 days."""
    with made_table(hbase, StoreSettings(shards=64, dedupe_life_ms=5000), regions=1) as address:
        with pytest.raises(StoreSettingsMismatch, match=r"d\.TTL: 5, planned 604800"):
            await HBaseStore.open(address, SETTINGS, kept=StoreSettings(shards=64))
        store = await HBaseStore.open(address, SETTINGS, kept=StoreSettings(shards=64, dedupe_life_ms=5000))
        await store.close()


async def test_where_no_gateway_answers_it_may_be_tried_again() -> None:
    with pytest.raises(StoreUnavailable):
        await HBaseStore.open(HBaseAddress((("127.0.0.1", 1),), "nowhere"), SETTINGS)


# Reading


async def test_any_byte_may_stand_in_a_ranges_bounds(store: HBaseStore) -> None:
    row = b"0000/bounds"
    bounds = sorted({bytes([byte]) for byte in range(256)} | {b"''", b"'a'", b"a'", b"\\'", b"'\\", b"%s", b"a:"})
    await store.mutate([RowMutation(row, [Put(M, bound, b"v") for bound in bounds])], next(stamps))
    ranges = (store.get_range(row, M, start, stop, 5) for start, stop in pairwise(bounds))
    assert await asyncio.gather(*ranges) == [[(start, b"v")] for start in bounds[:-1]]
    assert await store.get_columns(row, M, bounds) == [(bound, b"v") for bound in bounds]


async def test_rows_larger_than_what_hbase_sends_at_once_come_whole(store: HBaseStore) -> None:
    """What HBase's servers send a gateway at once ends at 2 MiB, in the middle of a row if it falls there."""
    rows = [b"%04x/wide" % shard for shard in (0, 31, 63)]
    columns = [(b"%03d" % number, bytes(64 * 1024)) for number in range(50)]
    for row in rows:
        await store.mutate([RowMutation(row, [Put(Family.LOG, *column) for column in columns])], next(stamps))
    assert await store.scan(range(64), Family.LOG, None, 10) == [(row, columns) for row in rows]
    assert await store.get_row(rows[0], [Family.LOG]) == {Family.LOG: columns}
    assert await store.get_range(rows[0], Family.LOG, b"", b"\xff", 50) == columns
    assert await store.scan_rows(range(64), Family.LOG, rows[0], 10) == rows[1:]


async def test_scans_do_not_show_the_rows_behind_the_shards(store: HBaseStore) -> None:
    assert SCHEMA_ROW not in await store.scan_rows(range(64), I, None, 1000)


# Writing


@pytest.mark.parametrize(
    ("table_name", "row", "value", "said"),
    [
        (
            "",
            b"0005/b",
            b"secret" * 2**21,
            "IllegalArgument: java.lang.IllegalArgumentException: KeyValue size too large",
        ),
        ("", b"0005/b" * 10_000, b"secret", "TApplicationException: Internal error processing mutateRowsTs"),
        (
            "never_made",
            b"0005/b",
            b"secret",
            "RetriesExhaustedWithDetailsException: Failed 2 actions: never_made: 2 times",
        ),
    ],
    ids=["cell too large", "key too long", "no table"],
)
async def test_what_hbase_refuses_is_unknown_in_one_line_that_holds_no_text(
    store: HBaseStore, table: HBaseAddress, table_name: str, row: bytes, value: bytes, said: str
) -> None:
    """Of several rows some may stand, and the error does not name them."""
    mutations = [RowMutation(b"0005/a", [Put(M, b"q", b"small")]), RowMutation(row, [Put(M, b"q", value)])]
    with pytest.raises(StoreOutcomeUnknown) as failure:
        await HBaseStore(store._pool, table_name or table.table, 64).mutate(mutations, next(stamps))
    text = str(failure.value)
    assert said in text
    assert "\n" not in text
    assert "secret" not in text
    assert len(text) < 500
    await store.mutate(mutations[:1], next(stamps))
    assert await store.get_row(b"0005/a", [M]) == {M: [(b"q", b"small")]}
