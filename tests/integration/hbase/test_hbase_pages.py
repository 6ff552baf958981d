"""What pages cost on a real HBase: reads, and round trips to the gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import time_ns

import orjson
import pytest

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, FetchMessages, Page
from rowbox.cacheserver.stores.hbase.counters import Counters
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, Cell, ChangeKind, FenceCell, LogCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, RateLimitSettings, Settings, StoreSettings
from rowbox.mailbox.two_states import IndexCell
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table

pytestmark = pytest.mark.integration

SHARDS = 64
SETTINGS = Settings(store=StoreSettings(shards=SHARDS), rate_limits=RateLimitSettings(enabled=False))
BOB = direct_conversation_id("ann", "bob")
BEFORE = 1
"""An epoch lower than the owner's."""


@pytest.fixture
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    with made_table(hbase, SETTINGS.store) as address:
        yield address


async def fill(store: HBaseStore, contents: list[str], step_us: int) -> list[str]:
    """A mailbox with a message of bob's for each content; their ids, newest first."""
    newest = time_ns() // 1000
    versions = [newest - step_us * place for place in range(len(contents))][::-1]
    ids = [message_id(version, 0) for version in versions]
    cells: list[Cell] = [FenceCell(BEFORE, (FenceEntry(BEFORE, 0, 0),))]
    for version, one, content in zip(versions, ids, contents, strict=True):
        cells.append(MessageCell(BOB, one, BEFORE, version, "bob", content, None))
        cells.append(LogCell(version, BEFORE, ChangeKind.MESSAGE, BOB, one))
    state = Conversation(newest, BEFORE, ("ann", "bob"), ids[-1], newest, "x", ids[-1], 0, versions[0])
    cells.append(IndexCell(CONVERSATION.letter, BOB, BEFORE, state, None))
    for start in range(0, len(cells), 200):
        puts = [codec.encode(cell) for cell in cells[start : start + 200]]
        await store.mutate([RowMutation(row_key("ann", SHARDS), puts)], newest // 1000 + start)
    return [one.hex() for one in reversed(ids)]


@asynccontextmanager
async def owner_of(
    table: HBaseAddress, contents: list[str], step_us: int
) -> AsyncIterator[tuple[Owner, Counters, list[str]]]:
    """An owner with ann's mailbox in memory, what its store counts, and the ids of her messages."""
    store = await HBaseStore.open(table, HBaseSettings())
    ids = await fill(store, contents, step_us)
    owner = Owner(store, SETTINGS, ownership=EpochOwnership(1, "here"))
    await owner.start()
    await owner.fetch_conversations(FetchConversations("ann"))
    await owner.recovery.loop.close()  # its scans would be counted
    try:
        yield owner, store.counters, ids
    finally:
        await owner.close()
        await store.close()


async def costs(owner: Owner, counters: Counters, request: FetchMessages) -> tuple[Page, int, int]:
    """A page, its reads and their round trips."""
    reads, round_trips = counters.reads, counters.read_round_trips
    page = await owner.fetch_messages(request)
    return page, counters.reads - reads, counters.read_round_trips - round_trips


def shown(page: Page) -> list[str]:
    return [orjson.loads(item)["messageId"] for item in page.items]


async def test_the_newest_page_of_all_takes_few_round_trips_and_then_two(table: HBaseAddress) -> None:
    async with owner_of(table, ["hello"] * 3000, step_us=60_000_000) as (owner, counters, ids):
        page, reads, round_trips = await costs(owner, counters, FetchMessages("ann"))
        assert shown(page) == ids[:50]
        assert reads == 4, "the log from its beginning, the log's end, and the messages in two Gets"
        assert round_trips <= 8
        again, reads, round_trips = await costs(owner, counters, FetchMessages("ann"))
        assert again.items == page.items
        assert (reads, round_trips) == (2, 2)


async def test_pages_of_a_conversation_by_cursor(table: HBaseAddress) -> None:
    async with owner_of(table, ["hello"] * 300, step_us=1000) as (owner, counters, ids):
        page, reads, round_trips = await costs(owner, counters, FetchMessages("ann", BOB))
        assert shown(page) == ids[:50]
        assert reads == 1
        assert round_trips <= 10, "three, as a rule: a busy region server gives a part"
        page, reads, round_trips = await costs(
            owner, counters, FetchMessages("ann", BOB, page_size=200, cursor=page.next_cursor)
        )
        assert shown(page) == ids[50:250]
        assert reads == 1
        assert round_trips <= 5


async def test_a_page_of_the_largest_messages_reads_no_more_than_it_gives(table: HBaseAddress) -> None:
    async with owner_of(table, ["x" * 65_535] * 40, step_us=1000) as (owner, counters, ids):
        for request in (FetchMessages("ann", BOB, page_size=200), FetchMessages("ann", page_size=200)):
            page, reads, round_trips = await costs(owner, counters, request)
            assert shown(page) == ids[:15]
            assert page.has_more
            assert reads <= 4
            assert round_trips <= 15  # nine, as a rule: a region server that is busy gives a part of what was asked for
