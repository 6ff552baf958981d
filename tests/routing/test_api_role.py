"""A server of role api: a map in a store, an owner behind a link, and nothing of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, FetchMessages, MarkRead, Send
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.cli.secret import cluster_secret
from rowbox.cli.serving.api_role import api_backend
from rowbox.cli.serving.backends import Backend
from rowbox.cli.serving.cluster.peer_side import PeerSide
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import (
    HandoverInProgress,
    StoreUnavailable,
    StoreUnusable,
    TokenRevoked,
    UnknownClientMessageId,
)
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import ClusterSettings, Settings
from tests.routing.scripted import fails
from tests.support.virtual_time import WallClock, settle, virtual_time

SHARDS = 64
OWNER = "owner-1"


def settings_in(folder: Path) -> Settings:
    path = folder / "secret"
    path.write_bytes(b"x" * 32)
    path.chmod(0o600)
    return Settings(cluster=ClusterSettings(secret_file=str(path)))


def clock_ms(_written_us: int = 0) -> int:
    return WallClock().now_ms()


class Cluster:
    """One server that owns all mailboxes, over a store that holds the map; that store as the API's server has it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        clock = WallClock()
        self.settings = settings
        self.store = MemoryStore(SHARDS, ttl_ms(settings.store), late_writes=False, now_ms=clock.now_ms)
        self.owner = Owner(self.store, settings, now_us=clock.now_us)
        self.maps = MapStore(self.store, OWNER, clock_ms)
        self.error: Exception | None = None
        self.broken: list[StoreUnusable] = []
        self._path = folder / "in" / "peers.sock"
        self.incarnation = OWNER
        self.view = MapView()
        self.peer_side = PeerSide(settings, cluster_secret(settings), self.view, lambda: self.incarnation, self.owner)

    async def start(self) -> None:
        await self.owner.start()
        await self.peer_side.listen(UnixEndpoint(self._path))

    async def owns(self) -> None:
        def given(standing: ShardMap) -> ShardMap | None:
            if standing.node(self.incarnation) is not None:
                return None
            node = ListedNode(self.incarnation, "cache-1", f"unix:{self._path}")
            others = {other.incarnation for other in standing.nodes}
            return standing.next().listing([node]).unlisting(others).giving(range(SHARDS), self.incarnation)

        standing = await self.maps.change(given)
        self.view.show(standing)
        self.peer_side.tell(standing.version)

    async def open_store(self) -> Store:
        if self.error is not None:
            raise self.error
        return Unclosed(self.store)  # type: ignore[return-value]

    async def close(self) -> None:
        await self.peer_side.close()
        await self.owner.close()
        await self.store.close()
        await settle()


class Unclosed:
    """The store, which is another process's as well."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.shards = store.shards

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def close(self) -> None:
        """Stays open."""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Cluster, Backend]]:
    settings = settings_in(folder)
    cluster = Cluster(folder, settings)
    await cluster.start()
    try:
        async with api_backend(settings, cluster.open_store, cluster.broken.append) as backend:
            yield cluster, backend
    finally:
        await cluster.close()


def test_it_answers_every_call_with_what_the_owner_says(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with served(tmp_path) as (cluster, backend):
            await cluster.owns()
            await backend.ready()
            port = backend.port
            sent = await port.send(Send("ann", "bob", "hello", "1"))
            assert not sent.duplicate
            assert (await port.send(Send("ann", "bob", "hello", "1"))).duplicate
            assert (await port.send_status("ann", "1")).message_id == sent.message_id
            assert isinstance(await fails(port.send_status("ann", "2")), UnknownClientMessageId)
            page = await port.fetch_messages(FetchMessages("bob"))
            assert len(page.items) == 1
            await port.mark_read(MarkRead("bob", sent.conversation_id, sent.message_id))
            assert len((await port.fetch_conversations(FetchConversations("bob"))).items) == 1
            polling = asyncio.ensure_future(port.fetch_messages(FetchMessages("bob", token=page.token, wait_ms=30_000)))
            await asyncio.sleep(3)
            await port.send(Send("ann", "bob", "again", "2"))
            assert len((await polling).items) == 1
            assert backend.port.unready_reasons() == ()

    run()


def test_a_server_that_goes_on_as_another_incarnation_is_asked_under_its_new_name(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with served(tmp_path) as (cluster, backend):
            await cluster.owns()
            await backend.ready()
            first = await backend.port.send(Send("ann", "bob", "hello", "1"))
            cluster.incarnation = "owner-2"
            cluster.peer_side.become()
            await cluster.owns()
            began_s = asyncio.get_running_loop().time()
            again = await backend.port.send(Send("ann", "bob", "hello", "1"))
            assert again.message_id == first.message_id
            assert asyncio.get_running_loop().time() - began_s < 1.5  # a beat, in which the map is read

    run()


def test_a_caller_that_knows_a_newer_map_has_it_read(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with served(tmp_path) as (cluster, backend):
            await cluster.owns()
            await backend.ready()
            wanted: list[bool] = []
            cluster.view.on_wanted = lambda: wanted.append(True)
            await backend.port.fetch_messages(FetchMessages("ann"))
            assert not wanted
            await cluster.maps.change(lambda standing: standing.next() if standing.version < 2 else None)
            await asyncio.sleep(2)
            await backend.port.fetch_messages(FetchMessages("ann"))
            assert wanted

    run()


def test_revoked_tokens_are_refused_for_other_users_as_well(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with served(tmp_path) as (cluster, backend):
            await cluster.owns()
            await backend.ready()
            admin = Bearer("root", 1_700_000_000.0)
            await backend.port.fetch_messages(FetchMessages("ann", bearer=admin))
            await backend.revocations.revoke_user("root")
            for refused in (
                backend.port.fetch_messages(FetchMessages("ann", bearer=admin)),
                backend.port.send(Send("ann", "bob", "hello", "1", admin)),
            ):
                assert isinstance(await fails(refused), TokenRevoked)

    run()


def test_it_is_not_ready_before_it_knows_a_map_and_reaches_an_owner(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with served(tmp_path) as (cluster, backend):
            await asyncio.sleep(1)
            assert backend.port.unready_reasons()
            assert isinstance(await fails(backend.port.send(Send("ann", "bob", "hello", "1"))), HandoverInProgress)
            await cluster.owns()
            await backend.ready()
            assert not backend.port.unready_reasons()
            await cluster.peer_side.close()
            await asyncio.sleep(1)
            assert list(backend.port.unready_reasons()) == ["no server that owns mailboxes can be reached"]

    run()


def test_a_store_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        settings = settings_in(tmp_path)
        cluster = Cluster(tmp_path, settings)
        cluster.error = StoreUnavailable("away")
        await cluster.start()
        await cluster.owns()
        async with api_backend(settings, cluster.open_store, cluster.broken.append) as backend:
            await asyncio.sleep(5)
            assert backend.port.unready_reasons()
            cluster.error = None
            await backend.ready()
            await backend.port.send(Send("ann", "bob", "hello", "1"))
        await cluster.close()

    run()


def test_a_store_that_cannot_be_used_ends_the_process(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        settings = settings_in(tmp_path)
        cluster = Cluster(tmp_path, settings)
        cluster.error = StoreUnusable("of another version")
        await cluster.start()
        async with api_backend(settings, cluster.open_store, cluster.broken.append):
            await asyncio.sleep(0.1)
            assert cluster.broken == [cluster.error]
        await cluster.close()

    run()


def test_without_the_clusters_secret_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"cluster\.secret_file"):
        cluster_secret(Settings())
    with pytest.raises(StoreUnusable, match="No such file"):
        cluster_secret(Settings(cluster=ClusterSettings(secret_file=str(tmp_path / "none"))))
