"""What the beats of a large cluster cost its store, at rest and when a server dies: `python -m tests.cluster.beats`.

All servers are memberships of one process in virtual time, over the memory store. What is counted is what they ask of
the store and what it answers, keys and values, without what Thrift and TCP add. Nobody serves mailboxes.
"""

# ruff: noqa: T201 - a program: what it prints is its result

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell, NodeLoad, own_place
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.placement import place
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW, MAP_ROW
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.settings.config import LeaseSettings
from tests.cluster.world import planned
from tests.support.virtual_time import WallClock, run_virtual

LOAD = NodeLoad(1234.5, 2345.6, 123_456, 23.45, 0.0)
ROWS = {CLUSTER_ROW: "the cluster's row", MAP_ROW: "the map's"}
LATENCY_S = 0.002


class Cost:
    """What was asked of a store, by what it was, and how many bytes went there and came back."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins to count anew."""
        self.calls: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()
        self.answered_bytes: Counter[str] = Counter()

    def add(self, what: str, sent: int, answered: int) -> None:
        self.calls[what] += 1
        self.sent_bytes[what] += sent
        self.answered_bytes[what] += answered

    def lines(self, seconds: float) -> Sequence[str]:
        """For people: each kind by the second, and the sum of all."""
        kinds = [*sorted(self.calls), ""]
        for counter in (self.calls, self.sent_bytes, self.answered_bytes):
            counter[""] = sum(counter.values())
        return [
            f"  {kind or 'all':34} {self.calls[kind] / seconds:8.1f} calls/s"
            f" {self.sent_bytes[kind] / seconds / 1000:9.1f} KB/s there"
            f" {self.answered_bytes[kind] / seconds / 1000:9.1f} KB/s back"
            for kind in kinds
        ]


class MeteredStore(MemoryStore):
    """The store of one server: its calls take a moment, and are counted."""

    cost: Cost

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        await asyncio.sleep(LATENCY_S)
        found = await super().get_row(row, families)
        self.cost.add(f"reads of {ROWS[row]}, whole", len(row), sum(map(_bytes, found.values())))
        return found

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        await asyncio.sleep(LATENCY_S)
        found = await super().get_columns(row, family, qualifiers)
        self.cost.add(f"reads of columns of {ROWS[row]}", len(row) + sum(map(len, qualifiers)), _bytes(found))
        return found

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        await asyncio.sleep(LATENCY_S)
        self.cost.add(f"swaps in {ROWS[row]}", len(row) + len(qualifier) + len(expected or b"") + len(value), 1)
        return await super().compare_and_set(row, family, qualifier, expected, value)


def _bytes(columns: Sequence[Column]) -> int:
    return sum(len(qualifier) + len(value) for qualifier, value in columns)


async def _begin(store: MemoryStore, count: int, clock: WallClock) -> Sequence[ListedNode]:
    """Has the map list so many servers, each with its share of the shards, and their cells stand."""
    names = [f"cache-{number:03}.rowbox.example" for number in range(count)]
    dice = Random(1)
    listed = [
        ListedNode(f"{dice.getrandbits(128):032x}", name, f"{name}:7400", f"http://{name}:8080") for name in names
    ]
    maps, reader = MapStore(store, "begin", clock.now_ms), ClusterReader(store)
    standing = await maps.change(lambda now: now.next().listing(listed))
    owners = place(standing)

    def share(now):  # type: ignore[no-untyped-def]
        after = now.next()
        for number, node in enumerate(listed):
            after = after.giving([shard for shard, owner in enumerate(owners) if owner == number], node.incarnation)
        return after

    await maps.change(share)
    for node in listed:
        cell = NodeCell(node.incarnation, 1, "alive", node.node_id, node_id=node.node_id)
        await reader.swap(ClusterRow(None, {}, {}), own_place(node.incarnation), cell)
    return listed


async def _live(
    node: ListedNode, store: MeteredStore, settings: LeaseSettings, clock: WallClock, waits_s: float
) -> None:
    """The beats of one server, as node/node.py makes them."""
    await asyncio.sleep(waits_s)
    now_s = asyncio.get_running_loop().time
    time = TrustedTime(wall_us=clock.now_us, boot_s=now_s)
    await time.begin(_NoMemory())
    maps = MapStore(store, node.incarnation, clock.now_ms)
    membership = Membership(
        ClusterReader(store), maps, settings, node, node.node_id, plan=planned, now_s=now_s, time=time
    )
    membership.load = LOAD
    while True:
        try:
            await membership.beat()
            if membership.has_proposal:
                await membership.propose()
        except StoreUnavailable:
            pass
        await asyncio.sleep(membership.pause_s)


class _NoMemory:
    """A ClockMemory that remembers nothing: who keeps it is the first steward alone, once in a while."""

    async def read(self) -> None:
        return None

    async def swap(self, _old: object, _new: object) -> None:
        return None


async def _run(nodes: int, shards: int, seconds: float) -> None:
    clock, settings, dice = WallClock(), LeaseSettings(), Random(2)
    store = MeteredStore(shards, {}, late_writes=True, now_ms=clock.now_ms)
    store.cost = Cost()
    listed = await _begin(store, nodes, clock)
    lives = []
    beat_s = settings.beat_ms / 1000
    for node in listed:
        own = store.beside()
        own.cost = store.cost
        lives.append(asyncio.create_task(_live(node, own, settings, clock, dice.uniform(0, beat_s))))

    async def counted(what: str, seconds: float) -> None:
        store.cost.reset()
        await asyncio.sleep(seconds)
        print(what, *store.cost.lines(seconds), sep="\n", flush=True)

    await asyncio.sleep(3 * beat_s)
    print(f"{nodes} servers, {shards} shards, a beat each {beat_s:g} s")
    await counted(f"at rest, {seconds:g} s", seconds)
    lives[0].cancel()
    await counted(f"one server dies and its shards are given to the others, {seconds:g} s", seconds)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.beats", description=__doc__)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--shards", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=10.0, help="of virtual time, twice")
    asked = parser.parse_args()
    run_virtual(_run(asked.nodes, asked.shards, asked.seconds))


if __name__ == "__main__":
    main()
