"""Opens the desk of a cluster, for verbs that read or change its map. No server has to run."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rowbox.cacheserver.clocks import StoreClock, wall_clock_us
from rowbox.cacheserver.shardmap.desk import Desk
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import Settings, parse_store_url


@asynccontextmanager
async def opened_desk(settings: Settings, verb: str) -> AsyncIterator[Desk]:
    """The desk of the store of `settings`. BadRequest for an embedded store; raises what opening a store raises."""
    address = parse_store_url(settings.store.url)
    if address is None:
        raise BadRequest(f"{verb} is for servers on HBase: one process owns an embedded store (store.url)")
    store = await HBaseStore.open(address, settings.hbase, kept=settings.store)
    try:
        clock = StoreClock(wall_clock_us)
        yield Desk(store, f"verb-{secrets.token_hex(8)}", clock, settings.lease, now_s=_now_s, sleep=_sleep)
    finally:
        await store.close()


_sleep = asyncio.sleep
_now_s = time.monotonic
