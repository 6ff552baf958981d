"""Rowbox servers on HBase: a store of their own, and a lease that is over soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.mailbox.settings.config import HBaseSettings, LeaseSettings, StoreSettings, parse_store_url
from tests.integration.support.client import Refused
from tests.integration.support.server_process import DEADLINE_S
from tests.support.hbase_cluster import HBase, HBaseCluster
from tests.support.hbase_table import made_table

QUICK_LEASE: Final = {
    "ROWBOX_LEASE_TTL_MS": "1500",
    "ROWBOX_LEASE_MARGIN_MS": "200",
    "ROWBOX_LEASE_BEAT_MS": "300",
}
PATIENT_TTL_S: Final = 6.0
PATIENT_LEASE: Final = QUICK_LEASE | {"ROWBOX_LEASE_TTL_MS": "6000", "ROWBOX_LEASE_MARGIN_MS": "500"}
"""Long enough that waiting for its end and not waiting for it can be told apart, on a busy machine too."""
TRIES: Final = 3
"""Until one is in time: what else runs on the machine is no part of a promise."""
SHARDS: Final = 64


@contextmanager
def made_store_on(cluster: HBaseCluster, *, regions: int = 2) -> Iterator[dict[str, str]]:
    """As `made_store`, on a cluster to break: it is whole again before the store is dropped."""
    with made_store(cluster.hbase, regions=regions) as store:
        try:
            yield store
        finally:
            cluster.heal()


@contextmanager
def made_store(hbase: HBase, *, regions: int = 2) -> Iterator[dict[str, str]]:
    """An empty store that nobody else uses, as the setting of a server on it."""
    with made_table(hbase, StoreSettings(shards=SHARDS), regions=regions) as address:
        yield {"ROWBOX_STORE_URL": hbase.url(address.prefix)}


@asynccontextmanager
async def opened(settings: Mapping[str, str]) -> AsyncIterator[HBaseStore]:
    """The store of a server with these settings, to be read beside it."""
    address = parse_store_url(settings["ROWBOX_STORE_URL"])
    assert address is not None
    store = await HBaseStore.open(address, HBaseSettings())
    try:
        yield store
    finally:
        await store.close()


async def in_time(attempt: Callable[[], Awaitable[float]], within_s: float) -> list[float]:
    """Makes attempts until one took less than `within_s`, and fails where none of TRIES did: how long each took."""
    took_s: list[float] = []
    while len(took_s) < TRIES and not (took_s and took_s[-1] < within_s):
        took_s.append(await attempt())
    assert min(took_s) < within_s, took_s
    return took_s


def default_patience_s() -> float:
    """How long a silent owner is waited for, with the settings that a server has by default."""
    lease = LeaseSettings()
    return (lease.ttl_ms + lease.margin_ms) / 1000


async def until_answered(call: Callable[[], Awaitable[object]]) -> float:
    """Asks again and again; how long it took to the first answer, in seconds."""
    began_s = time.monotonic()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await call()
            except Refused as refused:
                if not refused.problem.retryable:
                    raise
            else:
                return time.monotonic() - began_s
