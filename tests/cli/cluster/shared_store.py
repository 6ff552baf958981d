"""The verbs of a cluster over a store in memory, which stands in for an HBase table."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.clocks import StoreClock, wall_clock_us
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from rowbox.cacheserver.shardmap.cluster_state import NodeCell, own_place
from rowbox.cacheserver.shardmap.desk import Desk
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.memory.cells import MemoryCells
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cli.main import main
from rowbox.cli.verbs.cluster import drained, handle
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.settings.config import LeaseSettings, StoreSettings

SHARDS = 64
URL = "hbase://nowhere:9090/test"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class SharedStore:
    """What the verbs find in the store, and how to change it beside them."""

    cells: MemoryCells
    beats: dict[str, int] = field(default_factory=dict)
    says: dict[str, dict[str, object]] = field(default_factory=dict)
    """By node: fields of its cell."""

    def open(self) -> MemoryStore:
        return MemoryStore(SHARDS, ttl_ms(StoreSettings()), late_writes=True, now_ms=now_ms, cells=self.cells, late=[])

    def desk(self) -> Desk:
        return Desk(self.open(), "test", StoreClock(wall_clock_us), LeaseSettings())

    def standing(self) -> ShardMap:
        return asyncio.run(self.standing_now())

    async def standing_now(self) -> ShardMap:
        return (await self.desk().look()).map

    def beat(self, name: str, status: str = "alive", **fields: object) -> None:
        asyncio.run(self.beat_now(name, status, **fields))

    async def beat_now(self, name: str, status: str = "alive", **fields: object) -> None:
        """The node writes its cell, with a higher beat each time."""
        self.beats[name] = self.beats.get(name, 0) + 1
        cell = NodeCell(f"inc-{name}", self.beats[name], status, f"host of {name}", node_id=name)
        cell = msgspec.structs.replace(cell, **{**self.says.get(name, {}), **fields})
        reader = ClusterReader(self.open())
        await reader.swap(await reader.whole(), own_place(f"inc-{name}"), cell)


def listed(*names: str) -> list[ListedNode]:
    return [ListedNode(f"inc-{name}", name, f"{name}:8082") for name in names]


def three_nodes(empty: ShardMap) -> ShardMap:
    """a, b and c share the shards in turn."""
    shard_map = empty.listing(listed("a", "b", "c"))
    for place, name in enumerate("abc"):
        shard_map = shard_map.giving(range(place, SHARDS, 3), f"inc-{name}")
    return shard_map


async def made_store() -> SharedStore:
    """A cluster of three nodes, each of which has beaten once."""
    store = SharedStore(MemoryCells(SHARDS, ttl_ms(StoreSettings()), now_ms, by_time=True))
    await store.desk().change(lambda seen: None if seen.map.version else three_nodes(seen.map.next()))
    for name in "abc":
        await store.beat_now(name)
    return store


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedStore:
    """A cluster of three nodes that beat whenever a verb waits for the next look."""
    store = asyncio.run(made_store())

    async def opened(*_: object, **__: object) -> MemoryStore:
        return store.open()

    async def beats(_: float) -> None:
        for name in list(store.beats):
            with suppress(KeyError):
                await store.beat_now(name)

    monkeypatch.setattr(HBaseStore, "open", opened)
    monkeypatch.setattr(handle, "_sleep", beats)
    monkeypatch.setattr(drained, "EVERY_S", 0)
    return store


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--store", URL], input=answer)
