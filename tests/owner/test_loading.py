"""Loading a large row."""

import asyncio

import pytest

from rowbox.cacheserver.store import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import DedupeCell
from rowbox.mailbox.ids import client_id_hash
from tests.support.cluster import SHARDS, cluster
from tests.support.virtual_time import virtual_time


async def turns_of_others_while_loading(sends: int, *, late: bool) -> int:
    async with cluster(late=late) as servers:
        now_us = servers.clock.now_us()
        ids = [client_id_hash(str(number)) for number in range(sends)]
        cells = [DedupeCell(one, 0, now_us + place, bytes(16), bytes(16), bytes(16)) for place, one in enumerate(ids)]
        mutation = RowMutation(row_key("ann", SHARDS), list(map(codec.encode, cells)))
        await servers.store.mutate([mutation], now_us // 1000)
        loading = asyncio.create_task(servers.node.conversations("ann"))
        turns = 0
        while not loading.done():
            await asyncio.sleep(0)
            turns += 1
        await loading
        return turns


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late_writes"])
def test_others_have_their_turns_while_a_large_row_is_decoded(late: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        small = await turns_of_others_while_loading(1, late=late)
        assert await turns_of_others_while_loading(5000, late=late) >= small + 4

    scenario()
