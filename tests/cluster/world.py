"""Nodes that share the shards of one store, in virtual time: slow and lost calls, writes that land late, clocks that
run unequally fast, processes that are paused or die.

At no moment may two of them hold one shard, and no two may ever own it since the same map version. Whoever holds a
shard writes all the time; what it confirms was begun and ended in its own tenure of the shard, also where its lease
lapsed and came back meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import NamedTuple, TypeVar

from rowbox.cacheserver.node.judgement import Role
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Column, Part, Ranges, RowDelete, RowMutation, StoreStats
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START, shard_of_row
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.fence import map_version_of
from rowbox.mailbox.settings.config import LeaseSettings
from tests.support.virtual_time import WallClock

_T = TypeVar("_T")
SHARDS = 64
FEW_SHARDS = 12
"""Of a world: enough that each node has some."""
LEASE = LeaseSettings()
CALL_DEADLINE_S = 1.0
LATEST_S = 30.0
TICK_S = 0.05
LATENCY_S = (0.001, 0.01)
LONGEST_WRITE_S = 8.0


class Wire:
    """A node's way to the store: each call takes its time there and back, and is given up at the deadline."""

    late_writes = True

    def __init__(self, store: MemoryStore, dice: Random, latency_s: tuple[float, float] = LATENCY_S) -> None:
        self._store = store
        self.shards = store.shards
        self._dice = dice
        self._fastest_s, self._slowest_s = latency_s
        self.deadline_s = CALL_DEADLINE_S
        self.ranges: Ranges | None = None
        self.is_slow = False
        self.is_cut = False
        self.refuses_writes = False
        self.silent_shards = range(0)
        """Rows of these shards are read and written by nobody: a call waits until its deadline."""
        self.stalled_until_s = 0.0
        """No call is answered before this time, and none fails for it."""

    def be_within(self, fastest_s: float, slowest_s: float) -> None:
        """From now on each way takes as long as this."""
        self._fastest_s, self._slowest_s = fastest_s, slowest_s

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        return await self._call(lambda: self._store.get_row(row, families), StoreUnavailable, [row])

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        return await self._call(lambda: self._store.get_row_within(row, families, most), StoreUnavailable, [row])

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        return await self._call(
            lambda: self._store.compare_and_set(row, family, qualifier, expected, value), StoreOutcomeUnknown
        )

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        self._take_write()
        rows = [delete.row for delete in deletes]
        await self._call(lambda: self._store.delete(deletes, timestamp_ms), StoreOutcomeUnknown, rows)

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        self._take_write()
        rows = [mutation.row for mutation in mutations]
        await self._call(lambda: self._store.mutate(mutations, timestamp_ms), StoreOutcomeUnknown, rows)

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        return await self._call(lambda: self._store.get_columns(row, family, qualifiers), StoreUnavailable, [row])

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        return await self._call(
            lambda: self._store.get_range(row, family, start, stop, limit, keys_only=keys_only), StoreUnavailable, [row]
        )

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        return await self._call(
            lambda: self._store.get_part(row, family, start, stop, limit=limit, limit_bytes=limit_bytes),
            StoreUnavailable,
        )

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        call = partial(self._store.scan, shards, family, after_row, limit)
        return await self._call(call, StoreUnavailable, map(_first_row, shards))

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        call = partial(self._store.scan_rows, shards, family, after_row, limit)
        return await self._call(call, StoreUnavailable, map(_first_row, shards))

    async def stats(self) -> StoreStats:
        return await self._call(self._store.stats, StoreUnavailable)

    async def verify(self) -> None:
        await self._call(self._store.verify, StoreUnavailable)

    async def close(self) -> None:
        """The store belongs to the world."""

    def _is_silent(self, row: bytes) -> bool:
        return not row.startswith(META_START) and shard_of_row(row) in self.silent_shards

    def _take_write(self) -> None:
        if self.refuses_writes:
            raise StoreUnavailable("no writes here")

    async def _call(
        self, call: Callable[[], Awaitable[_T]], error: type[RowboxError], rows: Iterable[bytes] = ()
    ) -> _T:
        if self.is_cut or any(self._is_silent(row) for row in rows):
            await asyncio.sleep(self.deadline_s)
            raise StoreUnavailable("cut off")
        task = asyncio.get_running_loop().create_task(self._execute(call))
        done, _ = await asyncio.wait([task], timeout=self.deadline_s)
        if not done:
            task.add_done_callback(lambda late: late.exception())
            raise error("given up")
        return task.result()

    async def _execute(self, call: Callable[[], Awaitable[_T]]) -> _T:
        await asyncio.sleep(self._latency_s())
        await asyncio.sleep(max(0.0, self.stalled_until_s - asyncio.get_running_loop().time()))
        result = await call()
        await asyncio.sleep(self._latency_s())
        return result

    def _latency_s(self) -> float:
        if self.is_slow and self._dice.random() < 0.5:
            return self._dice.choice([0.4, 0.9, 3.0, LATEST_S])
        return self._dice.uniform(self._fastest_s, self._slowest_s)


def _first_row(shard: int) -> bytes:
    return b"%04x/" % shard


async def planned(standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
    """The next map, where nothing is taken from the living."""
    return plan(standing, cells, moves_at_once=0)


class Competitor:
    """A node without its mailboxes: incarnation after incarnation, its clock `rate` times as fast as the world's."""

    def __init__(
        self, name: str, store: MemoryStore, dice: Random, latency_s: tuple[float, float], earlier: int = 0
    ) -> None:
        self.name = name
        self._earlier = earlier
        self.wire = Wire(store, dice, latency_s)
        self.rate = dice.uniform(0.97, 1.03)
        self.paused_until_s = 0.0
        self.incarnations: list[Membership] = []
        self._dice = dice
        self._clock = WallClock()
        self._loop = asyncio.get_running_loop()
        self._proposing: asyncio.Task[None] | None = None
        self.task = self._loop.create_task(self._run())

    @property
    def held(self) -> frozenset[int]:
        """The shards for which anything of it, of whatever incarnation, would answer a client now."""
        return frozenset(grant.shard for membership in self.incarnations for grant in answering(membership))

    @property
    def holds(self) -> bool:
        """Whether it would answer for some shard now."""
        return bool(self.held)

    def pause(self, seconds: float) -> None:
        """Its process is suspended."""
        self.paused_until_s = max(self.paused_until_s, self._loop.time() + seconds)

    def kill(self) -> None:
        """Its process dies. What it has sent may still execute."""
        self.task.cancel()
        if self._proposing is not None:
            self._proposing.cancel()

    async def _run(self) -> None:
        while True:
            membership = self._new_membership(f"{self.name}-{self._earlier + len(self.incarnations)}")
            self.incarnations.append(membership)
            role = None
            while role is not Role.REPLACED:
                try:
                    role = await membership.beat()
                except StoreUnavailable:
                    role = None
                if membership.has_proposal and (self._proposing is None or self._proposing.done()):
                    self._proposing = self._loop.create_task(self._propose(membership))
                await self._sleep(max(membership.pause_s, 0.01))

    def _new_membership(self, incarnation: str) -> Membership:
        return Membership(
            ClusterReader(self.wire),
            MapStore(self.wire, incarnation, self._clock.now_ms, lambda: f"{self._dice.getrandbits(32):08x}"),
            LEASE,
            ListedNode(incarnation, self.name),
            self.name,
            plan=planned,
            now_s=lambda: self._loop.time() * self.rate,
        )

    async def _propose(self, membership: Membership) -> None:
        await self._sleep(0.0)
        try:
            await membership.propose()
        except (StoreUnavailable, TimeoutError):
            return

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await asyncio.sleep(max(0.0, self.paused_until_s - self._loop.time()))


def answering(membership: Membership) -> list[Grant]:
    """The grants under which an incarnation would answer now."""
    try:
        membership.ownership.check()
    except HandoverInProgress:
        return []
    grants = [membership.ownership.grant_of(shard) for shard in membership.ownership.shards]
    return [grant for grant in grants if _answers(grant)]


def _answers(grant: Grant) -> bool:
    try:
        grant.check()
    except HandoverInProgress:
        return False
    return True


class Writing(NamedTuple):
    """A write that somebody began while it held the shard."""

    by: Membership
    grant: Grant
    tenure: int
    ends_s: float


class World:
    """Some competitors over one store. `watch` lets time pass and notices whatever must never be."""

    def __init__(
        self, seed: int, names: Sequence[str] = ("a", "b", "c"), latency_s: tuple[float, float] = LATENCY_S
    ) -> None:
        self.dice = Random(seed)
        self.store = MemoryStore(FEW_SHARDS, {}, late_writes=True, now_ms=WallClock().now_ms)
        self._latency_s = latency_s
        self.nodes: list[Competitor] = []
        for name in names:
            self.add(name)
        self.owners: dict[int, list[str]] = {shard: [] for shard in range(FEW_SHARDS)}
        """Who held each shard, in turn."""
        self.given: dict[tuple[int, int], str] = {}
        """Which incarnation owned a shard since a map version."""
        self._tenures: dict[int, list[Grant]] = {shard: [] for shard in range(FEW_SHARDS)}
        self._writings: list[Writing] = []
        self._lapsed: set[Writing] = set()
        self.confirmed_over_a_lapse = 0
        """Writes during which the lease was over for a while."""

    def add(self, name: str, incarnations: int = 0) -> Competitor:
        """One more joins. `incarnations`: how many the node has had."""
        self.nodes.append(Competitor(name, self.store, self.dice, self._latency_s, incarnations))
        return self.nodes[-1]

    def node(self, name: str) -> Competitor:
        """The newest competitor of that name."""
        return next(node for node in reversed(self.nodes) if node.name == name)

    async def restart_all(self) -> None:
        """Every process ends as it should, and starts again."""
        before, self.nodes = self.nodes, []
        for node in before:
            node.kill()
        await asyncio.gather(*(node.incarnations[-1].resign() for node in before))
        for node in before:
            self.add(node.name, incarnations=len(node.incarnations))

    @property
    def holding(self) -> dict[str, frozenset[int]]:
        """Who holds which shards now, by name; whoever holds none is not in it."""
        return {node.name: held for node in self.nodes if (held := node.held)}

    @property
    def is_served(self) -> bool:
        """Whether each shard has somebody who would answer for it."""
        return sum(map(len, self.holding.values())) == FEW_SHARDS

    @property
    def changes(self) -> int:
        """How often a shard has got another holder than before."""
        return sum(len(names) - 1 for names in self.owners.values() if names)

    async def watch(self, seconds: float) -> None:
        """AssertionError as soon as two competitors hold a shard, or one confirms what it must not."""
        for _ in range(int(seconds / TICK_S)):
            await asyncio.sleep(TICK_S)
            self._look()

    async def watch_until_served(self, most_s: float) -> None:
        """Returns as soon as each shard is held; AssertionError after `most_s`."""
        for _ in range(int(most_s / TICK_S)):
            await self.watch(TICK_S)
            if self.is_served:
                return
        raise AssertionError(f"after {most_s} s, {self.holding} hold")

    def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        holders: dict[int, tuple[str, Grant]] = {}
        for node in self.nodes:
            for membership in node.incarnations:
                for grant in answering(membership):
                    self._look_at(node.name, membership, grant, holders)
        self._finish(now_s)

    def _look_at(self, name: str, membership: Membership, grant: Grant, holders: dict[int, tuple[str, Grant]]) -> None:
        now_s, shard = asyncio.get_running_loop().time(), grant.shard
        other, _ = holders.setdefault(shard, (name, grant))
        assert holders[shard][1] is grant, f"{other} and {name} own shard {shard} at once, {now_s:.2f} s"
        since = shard, map_version_of(grant.epoch)
        first = self.given.setdefault(since, membership.incarnation)
        assert first == membership.incarnation, f"two own shard {shard} since one map version, {now_s:.2f} s"
        if self.owners[shard][-1:] != [name]:
            self.owners[shard].append(name)
        if self._tenures[shard][-1:] != [grant]:
            self._tenures[shard].append(grant)
        if self.dice.random() < 0.1 / FEW_SHARDS:
            ends_s = now_s + self.dice.uniform(0.0, LONGEST_WRITE_S)
            self._writings.append(Writing(membership, grant, len(self._tenures[shard]), ends_s))

    def _finish(self, now_s: float) -> None:
        """Writes are answered: confirmed where the writer finds that it may."""
        self._lapsed |= {writing for writing in self._writings if not writing.by.lease.is_held}
        for writing in (each for each in self._writings if each.ends_s <= now_s and _answers(each.grant)):
            tenures = len(self._tenures[writing.grant.shard])
            assert writing.tenure == tenures, f"a write is confirmed over another's tenure, {now_s:.2f} s"
            self.confirmed_over_a_lapse += writing in self._lapsed
        self._writings = [each for each in self._writings if each.ends_s > now_s]
        self._lapsed &= set(self._writings)

    async def trouble(self) -> None:
        """Something goes wrong with one of them, or with all."""
        holding = [node for node in self.nodes if node.holds]
        node = self.dice.choice(holding or self.nodes) if self.dice.random() < 0.7 else self.dice.choice(self.nodes)
        match self.dice.randrange(6):
            case 0:
                node.pause(self.dice.uniform(1.0, 20.0))
            case 1:
                node.wire.is_slow = not node.wire.is_slow
            case 2:
                node.wire.is_cut = not node.wire.is_cut
            case 3:
                for every in self.nodes:
                    every.wire.is_slow = True
            case 4:
                self.stall(self.dice.uniform(1.0, 6.0))
            case _:
                self.heal()
        await self.watch(self.dice.uniform(0.5, 8.0))

    def stall(self, seconds: float) -> None:
        """The store answers nobody for a while, and then everybody."""
        for node in self.nodes:
            node.wire.stalled_until_s = asyncio.get_running_loop().time() + seconds

    def heal(self) -> None:
        """Every wire is whole again."""
        for node in self.nodes:
            node.wire.is_slow = node.wire.is_cut = False

    async def close(self) -> None:
        for node in self.nodes:
            node.kill()
        await asyncio.gather(*(node.task for node in self.nodes), return_exceptions=True)
