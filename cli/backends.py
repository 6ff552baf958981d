"""What answers the HTTP API: an owner over the embedded store, or a node of a cluster's store."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.clocks import StoreClock, wall_clock_us
from rowbox.cacheserver.node import Node, Stores
from rowbox.cacheserver.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import MailboxPort
from rowbox.cacheserver.samples import Sample, StoreStatistics, gateway_samples, owner_samples
from rowbox.cacheserver.store import Store
from rowbox.cacheserver.stores.hbase import HBaseStore
from rowbox.cacheserver.stores.rocksdb import RocksStore
from rowbox.cli.data_dir import store_folder
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.config import HBaseAddress, Settings, parse_store_url
from rowbox.mailbox.errors import StoreUnusable

CELL_CONNECTIONS = 2
"""For leases alone: a beat never queues behind batches, and a deaf gateway never takes the last connection."""

OnBroken = Callable[[StoreUnusable], None]


class Backend(NamedTuple):
    """`ready` returns when requests are answered; `sources` are the figures for the metrics."""

    port: MailboxPort
    ready: Callable[[], Coroutine[object, object, None]]
    sources: Sequence[Callable[[], Iterable[Sample]]]


def backend(settings: Settings, on_broken: OnBroken) -> AbstractAsyncContextManager[Backend]:
    """The backend that `settings` ask for, closed in the end. `on_broken` hears once that it cannot go on.

    Raises what opening an embedded store raises; a cluster's store is waited for.
    """
    address = parse_store_url(settings.store.url)
    return _embedded(settings, on_broken) if address is None else _cluster(settings, address, on_broken)


def open_embedded(settings: Settings, on_broken: OnBroken | None = None) -> RocksStore:
    """The embedded store of `settings`; see RocksStore.open for the errors."""
    return RocksStore.open(
        store_folder(settings),
        settings.store.shards,
        ttl_ms(settings.store),
        block_cache_bytes=settings.store.block_cache_bytes,
        memtable_bytes=settings.store.memtable_bytes,
        min_free_bytes=settings.store.min_free_bytes,
        max_open_files=settings.store.max_open_files,
        on_broken=on_broken,
    )


@asynccontextmanager
async def _embedded(settings: Settings, on_broken: OnBroken) -> AsyncIterator[Backend]:
    store = open_embedded(settings, on_broken)
    stats = StoreStatistics(store)
    owner = Owner(store, settings)
    try:
        await owner.start()
        store.purge.loop.start()
        stats.loop.start()
        yield Backend(
            owner,
            _at_once,
            (lambda: owner_samples(owner), stats.samples, lambda: background_samples((store.purge.loop,))),
        )
    finally:
        await stats.loop.close()
        await owner.close()
        await store.close()


async def _at_once() -> None:
    """An embedded store was opened, so it answers."""


@asynccontextmanager
async def _cluster(settings: Settings, address: HBaseAddress, on_broken: OnBroken) -> AsyncIterator[Backend]:
    clock = StoreClock(wall_clock_us)
    opened: list[HBaseStore] = []

    async def open_stores() -> Stores:
        mail = await HBaseStore.open(address, settings.hbase, kept=settings.store)
        try:
            beat_ms = settings.lease.beat_ms
            cells = await HBaseStore.open(
                address, settings.hbase, connections=CELL_CONNECTIONS, call_timeout_ms=beat_ms
            )
        except BaseException:
            await mail.close()
            raise
        opened.append(mail)
        return Stores(mail, cells)

    def make_owner(store: Store, ownership: Ownership) -> Owner:
        return Owner(store, settings, ownership=ownership, clock=clock)

    node = Node(open_stores, make_owner, settings.lease, f"{socket.gethostname()}, process {os.getpid()}", on_broken)
    node.start()
    try:
        yield Backend(node, node.owning, (node.samples, lambda: _gateway_samples(opened)))
    finally:
        await node.close()


def _gateway_samples(opened: Sequence[HBaseStore]) -> Iterable[Sample]:
    for store in opened:  # none until the store could be opened
        yield from gateway_samples(store.counters)
