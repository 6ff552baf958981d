"""The standing map in a store that loses answers, executes late and twice, and forgets what was never confirmed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import msgspec
import pytest

from rowbox.cacheserver.shardmap import map_store
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, NodeCell, own_place
from rowbox.cacheserver.shardmap.map_body import digest_of, encode_map
from rowbox.cacheserver.shardmap.map_store import KEPT, Edit, MapStore, Standing
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, Wish, empty_map
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW, MAP_ROW
from rowbox.mailbox.errors import StoreDamaged, StoreOutcomeUnknown, StoreUnavailable
from tests.support.virtual_time import run_virtual, virtual_time

SHARDS = 4
OLD_CELL = b'{"version":41,"owner":"old","address":"host, process 12"}'


class Cluster:
    """One store in memory, and a MapStore for each process over it."""

    def __init__(self) -> None:
        self._time_ms = count(1)
        self.store = MemoryStore(SHARDS, {}, late_writes=True, now_ms=lambda: next(self._time_ms))

    def process(self, name: str, nonces: Iterator[str] | None = None) -> MapStore:
        drawn = (f"{number:04x}" for number in count()) if nonces is None else nonces
        return MapStore(self.store.beside(), name, lambda: next(self._time_ms), lambda: next(drawn))

    async def put_cell(self, place: bytes, value: bytes) -> None:
        standing = dict((await self.store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX])
        await self.store.compare_and_set(CLUSTER_ROW, Family.INDEX, place, standing.get(place), value)

    async def bodies(self) -> list[int]:
        """The versions of all bodies in the store."""
        columns = await self.store.get_range(MAP_ROW, Family.INDEX, b"", b"\xff", 1000, keys_only=True)
        return [int(qualifier[:16], 16) for qualifier, _ in columns]

    async def root(self) -> MapRoot:
        root = (await ClusterReader(self.store).whole()).map
        assert isinstance(root, MapRoot)
        return root


def wishing(node_id: str, weight: int = 100) -> Edit:
    """The edit by which operators wish that a node had a weight: done once, it is not done again."""

    def edit(standing: ShardMap) -> ShardMap | None:
        wish = Wish(weight=weight)
        return None if standing.wishes.get(node_id) == wish else standing.next().wishing(node_id, wish)

    return edit


@virtual_time
async def test_where_there_is_no_map_the_first_change_begins_with_an_empty_one() -> None:
    cluster = Cluster()
    one = cluster.process("one")
    assert await one.read() == Standing(None, empty_map(SHARDS))
    changed = await one.change(lambda standing: standing.next().listing([ListedNode("one", "a")]))
    assert (changed.version, [node.node_id for node in changed.nodes]) == (1, ["a"])
    assert (await cluster.process("two").read()).map == changed


@virtual_time
async def test_nothing_is_written_where_nothing_is_to_change() -> None:
    cluster = Cluster()
    assert await cluster.process("one").change(lambda _: None) == empty_map(SHARDS)
    assert (await cluster.bodies(), (await ClusterReader(cluster.store).whole()).raw) == ([], {})


@virtual_time
async def test_an_edit_that_draws_no_version_or_has_other_shards_is_refused() -> None:
    cluster = Cluster()
    with pytest.raises(ValueError, match="no later"):
        await cluster.process("one").change(lambda standing: standing.wishing("a", Wish(weight=1)))
    with pytest.raises(ValueError, match="shards"):
        await cluster.process("one").change(lambda _: empty_map(SHARDS + 1, 1))
    assert await cluster.bodies() == []


@virtual_time
async def test_who_loses_the_race_edits_what_stands() -> None:
    cluster = Cluster()
    names = [f"n{number}" for number in range(8)]
    await asyncio.gather(*(cluster.process(name).change(wishing(name)) for name in names))
    standing = (await cluster.process("reader").read()).map
    assert (standing.version, sorted(standing.wishes)) == (8, names)


@virtual_time
async def test_a_version_that_is_known_is_not_read_again() -> None:
    cluster = Cluster()
    one, reader = cluster.process("one"), cluster.process("reader")
    await one.change(wishing("a"))
    standing = await reader.read()
    root = await cluster.root()
    await cluster.store.delete([RowDelete(MAP_ROW, [(Family.INDEX, root.body.encode())])], 10**6)
    assert await reader.read() is standing
    assert await reader.of(standing.raw) is standing


# The cell of an older Rowbox


@virtual_time
async def test_while_the_old_owner_of_everything_lives_nobody_changes_the_map() -> None:
    cluster = Cluster()
    one = cluster.process("one")
    await cluster.put_cell(own_place("old"), msgspec.json.encode(NodeCell("old", 3, "alive", "host")))
    await cluster.put_cell(MAP_PLACE, OLD_CELL)
    assert await one.read() == Standing(OLD_CELL, empty_map(SHARDS, 41), "old")
    for status in ("alive", "draining", "a later state"):
        await cluster.put_cell(own_place("old"), msgspec.json.encode(NodeCell("old", 3, status, "host")))
        with pytest.raises(StoreUnavailable, match="older version"):
            await one.change(wishing("a"))
    await cluster.put_cell(own_place("old"), msgspec.json.encode(NodeCell("old", 3, "stopped", "host")))
    assert (await one.change(wishing("a"))).version == 42


@virtual_time
async def test_an_old_owner_whose_place_was_taken_has_ended() -> None:
    cluster = Cluster()
    await cluster.put_cell(MAP_PLACE, OLD_CELL)
    assert (await cluster.process("one").change(wishing("a"))).version == 42


@pytest.mark.parametrize("cell", [b"{", b'{"version":1}', b'{"owner":"a","address":"b"}', b"[]"])
def test_a_cell_that_is_none_is_damage(cell: bytes) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        await cluster.put_cell(MAP_PLACE, cell)
        with pytest.raises(StoreDamaged):
            await cluster.process("one").read()

    run_virtual(scenario())


# Bodies


@virtual_time
async def test_a_body_that_is_gone_means_that_the_cell_is_stale() -> None:
    cluster = Cluster()
    one, reader = cluster.process("one"), cluster.process("reader")
    await one.change(wishing("a"))
    stale = (await one.read()).raw
    for number in range(KEPT + 1):
        await one.change(wishing("a", number))
    assert 1 not in await cluster.bodies()
    assert (await reader.of(stale)).map.version == KEPT + 2


OTHER_MAP = encode_map(empty_map(SHARDS, 1))


@pytest.mark.parametrize("body", [None, OTHER_MAP, b"\x01"], ids=["missing", "another map", "cut"])
def test_a_standing_body_that_does_not_read_is_damage_and_no_empty_map(body: bytes | None) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        await cluster.process("one").change(wishing("a"))
        column = (Family.INDEX, (await cluster.root()).body.encode())
        await cluster.store.delete([RowDelete(MAP_ROW, [column])], 10**6)
        if body is not None:
            await cluster.store.mutate([RowMutation(MAP_ROW, [Put(*column, body)])], 10**6 + 1)
        reader = cluster.process("reader")
        with pytest.raises(StoreDamaged):
            await reader.read()
        with pytest.raises(StoreDamaged):
            await reader.change(wishing("b"))

    run_virtual(scenario())


@virtual_time
async def test_a_map_of_another_number_of_shards_is_damage() -> None:
    cluster = Cluster()
    await cluster.process("one").change(wishing("a"))
    body = encode_map(empty_map(SHARDS + 1, 7))
    await cluster.store.mutate([RowMutation(MAP_ROW, [Put(Family.INDEX, b"any", body)])], 10**6)
    await cluster.put_cell(MAP_PLACE, msgspec.json.encode(MapRoot(7, "any", digest_of(body))))
    with pytest.raises(StoreDamaged, match="number of shards"):
        await cluster.process("reader").read()


@virtual_time
async def test_the_newest_bodies_stay_and_older_ones_go_with_those_that_never_stood() -> None:
    cluster = Cluster()
    one = cluster.process("one")
    left_behind = [Put(Family.INDEX, b"%016x-somebody-%d" % (version, version), b"x") for version in (1, 2, 30)]
    await cluster.store.mutate([RowMutation(MAP_ROW, left_behind)], 1)
    for number in range(KEPT + 4):
        await one.change(wishing("a", number))
    assert await cluster.bodies() == [*range(5, KEPT + 5), 30]


@virtual_time
async def test_a_removal_that_fails_is_made_up_by_the_next_change() -> None:
    cluster = Cluster()
    store = cluster.store.beside()
    one = MapStore(store, "one", count(10).__next__)
    for number in range(KEPT):
        await one.change(wishing("a", number))
    for fault in (Fault.FAIL_BEFORE, Fault.FAIL_AFTER):
        store.faults.next(fault, Op.DELETE)
        await one.change(wishing("a", 1000 + fault.value))
    await one.change(wishing("a", 2000))
    assert await cluster.bodies() == list(range(4, KEPT + 4))


@virtual_time
async def test_a_body_whose_put_is_not_confirmed_is_never_named() -> None:
    for fault in (Fault.EXECUTE_LATE, Fault.FAIL_AFTER):
        cluster = Cluster()
        store = cluster.store.beside()
        store.faults.next(fault, Op.MUTATE)
        await MapStore(store, "one", count(10).__next__, iter("xy").__next__).change(wishing("a"))
        assert (await cluster.root()).body.endswith("-one-y")
        assert (await cluster.process("reader").read()).map.version == 1


# Answers that are lost


@pytest.mark.parametrize("fault", [Fault.FAIL_AFTER, Fault.EXECUTE_LATE, Fault.EXECUTE_TWICE])
def test_a_swap_without_an_answer_is_sent_until_the_cell_shows_what_became_of_it(fault: Fault) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        store = cluster.store.beside()
        store.faults.next(fault, Op.COMPARE_AND_SET)
        changed = await MapStore(store, "one", count(10).__next__).change(wishing("a"))
        assert (await cluster.process("reader").read()).map == changed
        await cluster.process("two").change(wishing("b"))
        store.land()
        standing = (await cluster.process("reader").read()).map
        assert (standing.version, sorted(standing.wishes)) == (2, ["a", "b"])
        assert len(await cluster.bodies()) == 2  # it was the same swap that was sent again

    run_virtual(scenario())


@virtual_time
async def test_a_swap_that_cannot_be_followed_by_a_read_is_unknown_and_not_undone() -> None:
    cluster = Cluster()
    store = cluster.store.beside()
    one = MapStore(store, "one", count(10).__next__)
    await one.read()
    store.faults.next(Fault.EXECUTE_LATE, Op.COMPARE_AND_SET)
    store.faults.next(Fault.FAIL_BEFORE, Op.COMPARE_AND_SET)
    with pytest.raises(StoreOutcomeUnknown):
        await one.change(wishing("a"))
    assert (await one.read()).map.version == 0
    store.land()
    assert (await one.read()).map.version == 1
    assert (await one.change(wishing("a"))).version == 1


@virtual_time
async def test_a_swap_that_was_refused_has_changed_nothing_and_says_so() -> None:
    cluster = Cluster()
    store = cluster.store.beside()
    store.faults.next(Fault.FAIL_BEFORE, Op.COMPARE_AND_SET)
    with pytest.raises(StoreUnavailable) as refused:
        await MapStore(store, "one", count(10).__next__).change(wishing("a"))
    assert not isinstance(refused.value, StoreOutcomeUnknown)
    assert (await cluster.process("reader").read()).raw is None


@virtual_time
async def test_a_read_that_fails_after_the_swap_leaves_it_unknown() -> None:
    cluster = Cluster()
    store = cluster.store.beside()
    store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
    store.faults.next(Fault.FAIL_BEFORE, Op.READ)
    with pytest.raises(StoreOutcomeUnknown):
        await MapStore(store, "one", count(10).__next__).change(wishing("a"))


@virtual_time
async def test_a_read_that_fails_before_the_swap_leaves_nothing_unknown() -> None:
    cluster = Cluster()
    store = cluster.store.beside()
    store.faults.next(Fault.FAIL_BEFORE, Op.READ)
    with pytest.raises(StoreUnavailable) as failed:
        await MapStore(store, "one", count(10).__next__).change(wishing("a"))
    assert not isinstance(failed.value, StoreOutcomeUnknown)


# All of it at once


class Observed:
    """What all readers together may see: one map for each version, and none goes back."""

    def __init__(self) -> None:
        self.maps: dict[int, ShardMap] = {}
        self.newest: Counter[str] = Counter()

    def saw(self, reader: str, shard_map: ShardMap) -> None:
        assert self.maps.setdefault(shard_map.version, shard_map) == shard_map, "two maps of one version"
        assert shard_map.version >= self.newest[reader], "the map went back"
        self.newest[reader] = shard_map.version


async def _fight(seed: int) -> None:
    """Three processes change the map at once, while the store fails in every way that it may; late writes land."""
    chance, cluster, observed = Random(seed), Cluster(), Observed()
    over = [0]

    async def process(name: str) -> None:
        store = cluster.store.beside()
        for gate in store.gates.values():
            gate.pause_s = chance.choice([0.0, 0.001, 0.004])
        store.faults.roll(seed + len(name) + ord(name[0]), CHANCES, read_chance=0.05)
        maps = MapStore(store, name, lambda: next(cluster._time_ms))
        for number in range(6):
            while True:
                await asyncio.sleep(chance.random() * 0.01)
                try:
                    changed = await maps.change(wishing(f"{name}{number}"))
                except StoreUnavailable:
                    continue
                observed.saw(name, changed)
                assert f"{name}{number}" in changed.wishes
                break
        over[0] += 1

    async def late() -> None:
        while over[0] < 3:
            await asyncio.sleep(chance.random() * 0.02)
            if cluster.store.late_count:
                cluster.store.land_one(chance.randrange(cluster.store.late_count))

    async def reader() -> None:
        maps = cluster.process("reader")
        while over[0] < 3:
            await asyncio.sleep(chance.random() * 0.01)
            observed.saw("reader", (await maps.read()).map)

    await asyncio.gather(late(), reader(), *map(process, "abc"))
    cluster.store.land()
    standing = (await cluster.process("last").read()).map
    observed.saw("reader", standing)
    assert sorted(standing.wishes) == sorted(f"{name}{number}" for name in "abc" for number in range(6))


CHANCES = {Fault.FAIL_BEFORE: 0.1, Fault.FAIL_AFTER: 0.1, Fault.EXECUTE_LATE: 0.1, Fault.EXECUTE_TWICE: 0.1}


@pytest.mark.parametrize("seed", range(60))
def test_no_change_is_lost_and_no_version_has_two_maps(seed: int) -> None:
    run_virtual(_fight(seed))


def bodies_are_named_by_their_version(patch: pytest.MonkeyPatch) -> None:
    write = MapStore._write_body

    async def by_version(self: MapStore, shard_map: ShardMap) -> MapRoot:
        self._incarnation, self._draw_nonce = "any", lambda: "one"
        root = await write(self, shard_map)
        return msgspec.structs.replace(root, digest="")

    patch.setattr(MapStore, "_write_body", by_version)
    patch.setattr(map_store, "digest_of", lambda _: "")


def bodies_are_named_unconfirmed(patch: pytest.MonkeyPatch) -> None:
    confirmed = MemoryStore.mutate

    async def unconfirmed(self: MemoryStore, mutations: list[RowMutation], timestamp_ms: int) -> None:
        try:
            await confirmed(self, mutations, timestamp_ms)
        except StoreOutcomeUnknown:
            return

    patch.setattr(MemoryStore, "mutate", unconfirmed)


def a_missing_body_is_an_empty_map(patch: pytest.MonkeyPatch) -> None:
    meant = MapStore._meant

    async def empty(self: MapStore, raw: bytes | None) -> Standing | None:
        return await meant(self, raw) or Standing(raw, empty_map(SHARDS))

    bodies_are_named_unconfirmed(patch)
    patch.setattr(MapStore, "_meant", empty)


def the_standing_body_is_removed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(map_store, "KEPT", 0)


RULES = [
    bodies_are_named_by_their_version,
    bodies_are_named_unconfirmed,
    a_missing_body_is_an_empty_map,
    the_standing_body_is_removed,
]


@pytest.mark.parametrize("switch_off", RULES, ids=lambda rule: rule.__name__)
def test_without_a_rule_a_change_is_lost(
    switch_off: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(monkeypatch)
    with pytest.raises((AssertionError, StoreDamaged)):  # noqa: PT012 - which of the seeds finds it is not said
        for seed in range(60):
            run_virtual(_fight(seed))
