"""Opens what answers the HTTP API: an owner over the embedded store, or a node over a cluster's store."""

import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rowbox.api.http.response import Resource
from rowbox.api.operator.calls import OperatorCall
from rowbox.api.operator.deliveries import delivery_call
from rowbox.api.operator.erase import erase_call
from rowbox.api.operator.hidden import hidden_call
from rowbox.api.operator.sign_out import sign_out_call
from rowbox.api.operator.tokens import revocation_calls
from rowbox.api.web.pages import cluster_pages
from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.clocks import BareTime, StoreClock, Time, wall_clock_us
from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.node.proposals import planned_aside
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.owner.samples import owner_samples
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import MailboxPort, RevocationPort
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.search.workers import WorkerThreads
from rowbox.cacheserver.shardmap.desk import Desk
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.files.beside import INSIDE, checkpoint_of
from rowbox.cacheserver.stores.files.clock_file import ClockFile
from rowbox.cacheserver.stores.port import Store
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cacheserver.stores.statistics import StoreStatistics
from rowbox.cli.data_dir import search_folder, store_folder
from rowbox.cli.serving.cluster.among_others import among_others
from rowbox.cli.serving.cluster.calls import cluster_calls
from rowbox.cli.serving.cluster.hand_overs import makes_moves
from rowbox.cli.serving.pushing import push_services
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import HBaseAddress, Settings, parse_store_url

if TYPE_CHECKING:
    from rowbox.cacheserver.stores.hbase.store import HBaseStore

CELL_CONNECTIONS = 2
"""Connections to the gateway for leases alone, so that a beat never queues behind batches, and a gateway that does not
answer never takes the last connection."""

CHECKPOINT = "checkpoint"
"""The name of the operator's call that makes a checkpoint of an embedded store."""
OnBroken = Callable[[StoreUnusable], None]


class Backend(NamedTuple):
    """An opened backend. `ready` returns when requests are answered, `sources` give its metrics, and `calls` are its
    operator's calls; `pages` make some of these, and are served at the operator's port.
    """

    port: MailboxPort
    revocations: RevocationPort
    ready: Callable[[], Coroutine[object, object, None]]
    sources: Sequence[Callable[[], Iterable[Sample]]]
    calls: Sequence[OperatorCall] = ()
    pages: Sequence[Resource] = ()


def backend(settings: Settings, on_broken: OnBroken) -> AbstractAsyncContextManager[Backend]:
    """The backend that `settings` ask for, closed in the end. `on_broken` is called once, when the backend cannot go
    on.

    Raises what opening an embedded store raises. A cluster's store that is away is waited for.
    """
    address = parse_store_url(settings.store.url)
    if settings.server.role == "api":
        return _api(settings, address, on_broken)
    return _embedded(settings, on_broken) if address is None else _cluster(settings, address, on_broken)


def _api(settings: Settings, address: HBaseAddress | None, on_broken: OnBroken) -> AbstractAsyncContextManager[Backend]:
    from rowbox.cli.serving.api_role import api_backend  # which is made of what stands here

    if address is None:
        raise StoreUnusable("a server of role api needs a cluster's store: give store.url, or take role all")
    hbase = _hbase_store()

    def open_store() -> Awaitable[Store]:
        cells = settings.lease.beat_ms
        return hbase.open(address, settings.hbase, connections=CELL_CONNECTIONS, call_timeout_ms=cells)

    return api_backend(settings, open_store, on_broken)


def open_embedded(
    settings: Settings, time: Time | None = None, on_broken: OnBroken | None = None, *, folder: Path | None = None
) -> RocksStore:
    """The embedded store of `settings`, in `folder` where one is given. Errors as of RocksStore.open.

    Cells that have expired by `time` are not read; without `time` the machine's clock decides, believed or not.
    """
    time = time if time is not None else BareTime(wall_clock_us)
    return RocksStore.open(
        folder or store_folder(settings),
        settings.store.shards,
        ttl_ms(settings.store),
        block_cache_bytes=settings.store.block_cache_bytes,
        memtable_bytes=settings.store.memtable_bytes,
        min_free_bytes=settings.store.min_free_bytes,
        max_open_files=settings.store.max_open_files,
        now_ms=lambda: time.seen_us() // US_PER_MS,
        on_broken=on_broken,
        may_purge=lambda: not time.doubt,
    )


@asynccontextmanager
async def _embedded(settings: Settings, on_broken: OnBroken) -> AsyncIterator[Backend]:
    time = TrustedTime()
    await time.begin(ClockFile(store_folder(settings)))
    store = open_embedded(settings, time, on_broken)
    stats = StoreStatistics(store)
    push = push_services(settings.push)
    owner = Owner(store, settings, time=time, search=_search_place(settings), push=push)
    try:
        await owner.start()
        time.loop.start()
        store.purge.loop.start()
        stats.loop.start()
        yield Backend(
            owner,
            owner,
            _at_once,
            (
                lambda: owner_samples(owner),
                stats.samples,
                time.samples,
                lambda: background_samples((store.purge.loop, time.loop)),
            ),
            (
                checkpoint_call(store, store_folder(settings)),
                *revocation_calls(owner),
                sign_out_call(owner),
                hidden_call(owner),
                erase_call(owner),
                delivery_call(owner),
            ),
        )
    finally:
        await stats.loop.close()
        await owner.close()
        await push.close()
        await time.close()
        await store.close()


def _search_place(settings: Settings) -> SearchPlace | None:
    """Where an owner keeps its search indexes; None: nobody searches."""
    return SearchPlace(search_folder(settings), WorkerThreads()) if settings.search.bytes else None


def checkpoint_call(store: RocksStore, folder: Path) -> OperatorCall:
    """The operator's call of `rowbox backup`: makes a checkpoint in the folder that the verb has made beside the
    store's.
    """

    async def handle(_: bytes) -> bytes:
        await store.checkpoint(checkpoint_of(folder) / INSIDE)
        return b"{}"

    return OperatorCall(CHECKPOINT, handle)


async def _at_once() -> None:
    """Returns at once: an embedded store that was opened is ready."""


@asynccontextmanager
async def _cluster(settings: Settings, address: HBaseAddress, on_broken: OnBroken) -> AsyncIterator[Backend]:
    push = push_services(settings.push)
    time = TrustedTime(saves=lambda: node.keeps_time)
    clock = StoreClock(time.now_us)
    hbase = _hbase_store()
    opened: list[HBaseStore] = []

    async def open_stores() -> Stores:
        mail = await hbase.open(address, settings.hbase, kept=settings.store)
        try:
            beat_ms = settings.lease.beat_ms
            cells = await hbase.open(address, settings.hbase, connections=CELL_CONNECTIONS, call_timeout_ms=beat_ms)
        except BaseException:
            await mail.close()
            raise
        try:
            await time.begin(CellMemory(cells))
        except BaseException:
            await mail.close()
            await cells.close()
            raise
        time.loop.start()
        opened.append(mail)
        return Stores(mail, cells)

    def make_owner(store: Store, ownership: Ownership) -> Owner:
        elsewhere = among.routing.deliveries if among is not None else None
        make = partial(Owner, search=_search_place(settings), push=push)
        return make(store, settings, ownership=ownership, time=time, clock=clock, elsewhere=elsewhere)

    address_for_people = f"{socket.gethostname()}, process {os.getpid()}"
    node = Node(
        open_stores,
        make_owner,
        settings.lease,
        listed_node(settings),
        address_for_people,
        on_broken,
        plan=planned_aside(settings.cluster.moves_at_once),
        make_moves=makes_moves(settings.cluster, lambda: None if among is None else among.routing.targets),
        leave_s=settings.cluster.leave_ms / 1000,
        contacts=lambda: None if among is None else among.contacts(),
        time=time,
    )
    sources = (node.samples, lambda: _gateway_samples(opened), time.samples)
    desk = _opened_desk(node, clock, settings)
    among = among_others(settings, node) if settings.cluster.peer_listen else None
    if among is not None:
        await among.start(settings.cluster)
    node.start()
    try:
        if among is None:
            of_users = *revocation_calls(node), sign_out_call(node), hidden_call(node), erase_call(node)
            calls = (*of_users, delivery_call(node), *cluster_calls(desk))
            yield Backend(node, node, node.owning, sources, calls, cluster_pages())
        else:
            router = among.routing.router
            of_users = *revocation_calls(router), sign_out_call(router), hidden_call(router), erase_call(router)
            calls = (*of_users, delivery_call(among.routing), *cluster_calls(desk))
            all_sources = (*sources, among.samples)
            yield Backend(router, router, among.routing.ready, all_sources, calls, cluster_pages())
    finally:
        await time.close()
        await node.close()
        if among is not None:
            await among.close()
        await push.close()


def _opened_desk(node: Node, clock: StoreClock, settings: Settings) -> Callable[[], Desk | None]:
    """The desk of the node's cluster; None until the store could be opened."""
    name = f"desk-{secrets.token_hex(8)}"
    made: list[Desk] = []

    def desk() -> Desk | None:
        if not made and node.stores is not None:
            made.append(Desk(node.stores.cells, name, clock, settings.lease))
        return made[0] if made else None

    return desk


def listed_node(settings: Settings) -> ListedNode:
    """What a server of a cluster says of itself in the cluster's map, in whatever incarnation."""
    cluster = settings.cluster
    node_id = cluster.node_id or _node_id_of(store_folder(settings))
    peer = cluster.peer_address or cluster.peer_listen
    # Whom no other server can call takes over when the owner ends, and owns nothing before.
    standby = cluster.standby or not cluster.peer_listen
    url = settings.server.public_url
    place = node_id, peer, url, cluster.weight, cluster.zone
    return ListedNode("", *place, standby=standby, features=KNOWN)


def _node_id_of(folder: Path) -> str:
    """The same in every life of a server: of its host and of the folder that it calls its own."""
    return f"{socket.gethostname()}-{blake2b(str(folder.resolve()).encode(), digest_size=4).hexdigest()}"


def _hbase_store() -> "type[HBaseStore]":
    """Imported by servers that use it alone: its Thrift client is a ninth of what an embedded server imports."""
    from rowbox.cacheserver.stores.hbase.store import HBaseStore

    return HBaseStore


def _gateway_samples(opened: "Sequence[HBaseStore]") -> Iterable[Sample]:
    from rowbox.cacheserver.stores.hbase.counters import gateway_samples

    for store in opened:  # none until the store could be opened
        yield from gateway_samples(store.counters)
