"""One incarnation, step by step: what it makes of what stands in the store."""

import asyncio
from collections import Counter
from collections.abc import Collection

import pytest

from rowbox.cacheserver.node.judgement import STEWARDS, Look, Role, stewards
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell, NodeCell, own_place
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Column, RowDelete
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import MAP_ROW
from rowbox.mailbox.errors import HandoverInProgress, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.fence import make_epoch
from tests.cluster.world import FEW_SHARDS, LEASE, planned
from tests.support.virtual_time import WallClock, settle, virtual_time

TTL_S = LEASE.ttl_ms / 1000


class Node:
    """A membership over a store handle of its own, which a test can hold and fail. Its incarnation is NAME-1."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        self.store = store.beside()
        self.reader = ClusterReader(self.store)
        self.maps = MapStore(self.store, f"{name}-1", WallClock().now_ms)
        self.membership = Membership(
            self.reader,
            self.maps,
            LEASE,
            ListedNode(f"{name}-1", name),
            name,
            plan=planned,
            now_s=asyncio.get_running_loop().time,
        )

    async def beat(self) -> Role:
        """A beat, the change of the map that is due then, and what the next beat makes of it."""
        role = await self.membership.beat()
        if self.membership.has_proposal:
            await self.membership.propose()
            role = await self.membership.beat()
        return role

    async def beat_that_lands_late(self) -> None:
        """Its renewal is of unknown outcome, and executes when the store lands what is late."""
        self.store.faults.next(Fault.EXECUTE_LATE, Op.COMPARE_AND_SET)
        with pytest.raises(StoreOutcomeUnknown):
            await self.membership.beat()

    @property
    def shards(self) -> list[int]:
        """Those for which it would answer."""
        ownership = self.membership.ownership
        try:
            ownership.check()
        except HandoverInProgress:
            return []
        return sorted(ownership.shards)


def shared_store() -> MemoryStore:
    return MemoryStore(FEW_SHARDS, {}, late_writes=True, now_ms=WallClock().now_ms)


async def read(store: MemoryStore) -> ClusterRow:
    return await ClusterReader(store).whole()


async def two(store: MemoryStore) -> tuple[Node, Node]:
    """One that owns everything, and one that is listed."""
    owner, other = Node("owner", store), Node("other", store)
    await owner.beat()
    for _ in range(2):
        await other.beat()
        await asyncio.sleep(1.0)
        await owner.beat()
    await other.beat()
    assert other.membership.is_listed
    return owner, other


async def standing(store: MemoryStore) -> ShardMap:
    return (await MapStore(store, "a test", WallClock().now_ms).read()).map


@virtual_time
async def test_a_look_that_stalled_is_no_time_of_silence() -> None:
    """The store answers nobody for 4.6 s. The other's look comes back before the owner's renewal does."""
    store = shared_store()
    _, other = await two(store)
    await asyncio.sleep(0.5)
    other.store.hold(Point.ANSWER)
    beating = asyncio.create_task(other.beat())
    await settle()
    other.store.hold(Point.READ)  # its renewal stands, its second look stalls
    other.store.release(Point.ANSWER)
    await asyncio.sleep(TTL_S + 0.4)
    other.store.release(Point.READ)
    await beating
    assert (await read(store)).cells.keys() == {b"nowner-1", b"nother-1"}
    assert not (await read(store)).has_ended("owner-1")


@virtual_time
async def test_a_gap_between_looks_is_no_time_of_silence_although_the_own_lease_holds() -> None:
    """The other renews in time, and then does not hear what stands for more than two beats."""
    store = shared_store()
    _, other = await two(store)
    for _ in range(3):
        await other.beat()
        await asyncio.sleep(1.0)
    other.store.hold(Point.ANSWER)
    beating = asyncio.create_task(other.beat())
    await settle()
    other.store.hold(Point.READ)
    other.store.release(Point.ANSWER)
    await asyncio.sleep(2.2)
    other.store.release(Point.READ)
    await beating
    assert other.membership.lease.is_held
    assert not (await read(store)).has_ended("owner-1")
    for _ in range(5):
        await asyncio.sleep(1.0)
        await other.beat()
    assert (await read(store)).has_ended("owner-1"), "in the end it is silent without a gap"
    assert other.shards == list(range(FEW_SHARDS))


@virtual_time
async def test_the_lease_counts_from_the_beat_that_stands_and_not_from_the_newest() -> None:
    """A renewal lands late, just before the next one: that one fails, and the lease is the late one's."""
    store = shared_store()
    owner = Node("owner", store)
    await owner.beat()
    await asyncio.sleep(1.0)
    late_s = asyncio.get_running_loop().time()
    await owner.beat_that_lands_late()
    await asyncio.sleep(2.0)
    owner.store.hold(Point.WRITE)
    beating = asyncio.create_task(owner.membership.beat())
    await settle()
    store.land()
    owner.store.release(Point.WRITE)
    await beating
    await asyncio.sleep(late_s + TTL_S - asyncio.get_running_loop().time() - 0.01)
    assert owner.membership.lease.is_held
    await asyncio.sleep(0.02)
    assert not owner.membership.lease.is_held, "whoever watched the late beat may declare the owner dead by now"


@virtual_time
async def test_the_map_is_raised_above_the_fence_at_once_and_for_its_shard_alone() -> None:
    """Not by one: under the versions up to the fence's own others have owned rows."""
    store = shared_store()
    owner = Node("owner", store)
    await owner.beat()
    ownership = owner.membership.ownership
    needy, other = ownership.grant_of(3), ownership.grant_of(4)
    needy.outranked(make_epoch(70, 3))
    await owner.beat()
    assert (await standing(store)).version == 71
    assert needy.is_over
    assert ownership.grant_of(3).epoch == make_epoch(71, 0)
    assert ownership.grant_of(4) is other
    await owner.beat()
    assert (await standing(store)).version == 71, "once is enough"


@virtual_time
async def test_a_join_of_unknown_outcome_leaves_one_cell_and_not_two() -> None:
    """It tries again at the same place, although another place has become free meanwhile."""
    store = shared_store()
    first, second, third = Node("first", store), Node("second", store), Node("third", store)
    await first.beat()
    await second.beat()
    await third.beat_that_lands_late()
    await second.membership.resign()
    await third.beat()
    store.land()
    await third.beat()
    cells = (await read(store)).cells.values()
    assert [cell.incarnation for cell in cells].count("third-1") == 1


@virtual_time
async def test_one_that_starts_takes_the_place_of_one_that_has_ended() -> None:
    store = shared_store()
    await Node("owner", store).beat()
    for number in range(20):
        node = Node(f"s{number}", store)
        await node.beat()
        await node.membership.resign()
    assert len((await read(store)).cells) == 2


@virtual_time
async def test_a_place_of_a_steward_that_another_one_took_over_has_the_whole_row_read() -> None:
    """Those who watch few cells see that one of them is another's now, and go by all of them."""
    store = shared_store()
    nodes = [Node(f"n{number}", store) for number in range(5)]
    for _ in range(4):
        for node in nodes:
            await node.beat()
        await asyncio.sleep(1.0)
    stewards = nodes[0].membership.stewards
    gone = next(node for node in nodes if node.membership.incarnation == stewards[1])
    common = next(node for node in nodes if node.membership.incarnation not in stewards)
    await gone.membership.resign()
    await Node("heir", store).membership.beat()
    await common.beat()
    left = [node for node in stewards if node != gone.membership.incarnation]
    assert [name for name in common.membership.stewards if name in stewards] == left
    assert len(common.membership.stewards) == STEWARDS


@virtual_time
async def test_nobody_is_listed_while_an_older_rowbox_owns_everything() -> None:
    """And whoever waits for that one is patient with it as with any other."""
    store = shared_store()
    cells, old = ClusterCells(store), NodeCell("old", 9, "alive", "somewhere")
    await cells.swap(await cells.read(), b"nold", old)
    await cells.swap(await cells.read(), MAP_PLACE, MapCell(5, "old", "somewhere"))
    node = Node("new", store)
    for _ in range(4):
        assert await node.beat() is Role.UNLISTED
        await asyncio.sleep(1.0)
    assert node.membership.why_unlisted.startswith("the server at somewhere, an older Rowbox, owns the mailboxes")
    for _ in range(2):
        await node.beat()
        await asyncio.sleep(1.0)
    assert (await read(store)).has_ended("old")
    assert node.shards == list(range(FEW_SHARDS))
    assert (await standing(store)).version == 6
    assert node.membership.ownership.grant_of(0).epoch == make_epoch(6, 0)


@virtual_time
async def test_cells_of_an_earlier_rowbox_are_places_too() -> None:
    """Each incarnation had a place of its own name, and none was taken over."""
    store = shared_store()
    cells = ClusterCells(store)
    for number in range(3):
        state = await cells.read()
        await cells.swap(state, b"nold-%d" % number, NodeCell(f"old-{number}", 9, "dead", "somewhere"))
    await cells.swap(await cells.read(), MAP_PLACE, MapCell(5, "old-2", "somewhere"))
    node = Node("new", store)
    assert await node.beat() is Role.LISTED
    assert len((await read(store)).cells) == 3
    assert (await standing(store)).version == 6


@virtual_time
async def test_a_resignation_goes_through_although_a_renewal_lands_in_between() -> None:
    store = shared_store()
    owner = Node("owner", store)
    await owner.beat()
    await owner.beat_that_lands_late()
    owner.store.hold(Point.WRITE)
    resigning = asyncio.create_task(owner.membership.resign())
    await settle()
    store.land()
    owner.store.release(Point.WRITE)
    await resigning
    assert (await read(store)).has_ended("owner-1")


@virtual_time
async def test_another_version_of_the_map_begins_no_epochs_anew_where_the_shard_stays() -> None:
    """An epoch that was left is never used again: a write of it may be late."""
    store = shared_store()
    owner, _ = await two(store)
    grant = owner.membership.ownership.grant_of(0)
    grant.leave_epoch()
    await owner.maps.change(lambda now: now.next())
    await owner.beat()
    assert owner.membership.applied == await standing(store)
    assert owner.membership.ownership.grant_of(0) is grant
    assert grant.epoch == make_epoch(1, 1)


@virtual_time
async def test_a_row_that_was_claimed_while_the_map_was_read_is_not_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is from before the takeover that the row tells of: the store was not put back."""
    owner = Node("owner", shared_store())
    await owner.beat()
    await owner.beat()
    grant, read_row = owner.membership.ownership.grant_of(0), owner.reader.whole

    async def then_meet_a_row() -> ClusterRow:
        row = await read_row()
        grant.outranked(make_epoch(2, 0))
        return row

    with monkeypatch.context() as patch:
        patch.setattr(owner.reader, "whole", then_meet_a_row)
        await owner.membership.beat()
    assert grant.needed_above == 2
    assert not owner.membership.rows_are_above


# ------------------------------------------------------------------ maps


@virtual_time
async def test_a_map_that_takes_a_shard_away_ends_its_grant_before_the_lease_is_renewed() -> None:
    """The renewal and the map were read together: were the lease counted first, the shard would have two owners."""
    store = shared_store()
    owner, other = await two(store)
    lost, kept = (owner.membership.ownership.grant_of(shard) for shard in (5, 6))
    await asyncio.sleep(TTL_S + 0.1)
    assert not owner.membership.lease.is_held
    seen: list[bool] = []
    owner.membership.on_applied = lambda _map, _changed: seen.append(owner.membership.lease.is_held)
    await owner.maps.change(lambda now: now.next().giving([5], other.membership.incarnation))
    await owner.membership.beat()
    assert seen == [False]
    assert 4 in owner.shards, "the lease is renewed"
    assert lost.is_over
    assert not kept.is_over
    assert 5 not in owner.shards


@virtual_time
async def test_a_renewal_does_not_count_while_the_map_that_stands_with_it_cannot_be_read() -> None:
    store = shared_store()
    owner, other = await two(store)
    await asyncio.sleep(TTL_S + 0.1)
    await owner.maps.change(lambda now: now.next().giving([5], other.membership.incarnation))
    owner.maps._newest = None

    async def away(*_: object) -> list[Column]:
        raise StoreUnavailable("the map's row is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner.store, "get_columns", away)
        with pytest.raises(StoreUnavailable):
            await owner.membership.beat()
    assert owner.shards == []
    await owner.membership.beat()
    assert owner.shards == [shard for shard in range(FEW_SHARDS) if shard != 5]


@virtual_time
async def test_a_map_that_was_learned_is_not_taken_back_by_a_look_that_is_older() -> None:
    """As where a change of the map was made while a look was on its way."""
    store = shared_store()
    owner, other = await two(store)
    owner.store.hold(Point.ANSWER)
    beating = asyncio.create_task(owner.membership.beat())
    await settle()  # what it reads is of before the change, and comes later
    newer = await other.maps.change(lambda now: now.next().giving([5], other.membership.incarnation))
    owner.membership.learn(newer)
    owner.store.release(Point.ANSWER)
    await beating
    assert owner.membership.applied == newer
    assert 5 not in owner.shards


@virtual_time
async def test_cells_and_a_map_that_were_not_read_together_are_not_judged_together() -> None:
    """The map is read a moment later, and lists one whose cell was not there yet: it must not seem to have ended."""
    store = shared_store()
    owner, _ = await two(store)
    joiner, read_row = Node("joiner", store), owner.reader.whole
    looks: list[ClusterRow] = []

    async def and_then_another_joins() -> ClusterRow:
        looks.append(row := await read_row())
        if len(looks) == 1:
            await joiner.membership.beat()
            await joiner.maps.change(lambda now: now.next().listing([ListedNode("joiner-1", "joiner")]))
            owner.maps._newest = None
            assert isinstance(row.map, MapRoot)  # its body has gone meanwhile, so the newer one is read
            await store.delete([RowDelete(MAP_ROW, [(Family.INDEX, row.map.body.encode())])], WallClock().now_ms() + 1)
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner.reader, "whole", and_then_another_joins)
        await owner.membership.beat()
    assert len(looks) > 2
    assert owner.membership.applied == await standing(store)
    assert not owner.membership.has_proposal, "nobody has ended"


# ------------------------------------------------------------------ what a beat costs

MANY = 500


class Costs:
    """Counts the calls of one node's store, and the cells that they read."""

    def __init__(self, node: Node, patch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.cells = 0
        get_row, get_columns, swap = node.store.get_row, node.store.get_columns, node.store.compare_and_set

        async def counted_row(row: bytes, families: Collection[Family]) -> dict[Family, list[Column]]:
            found = await get_row(row, list(families))
            self.calls["row"] += 1
            self.cells += sum(map(len, found.values()))
            return found

        async def counted_columns(row: bytes, family: Family, qualifiers: Collection[bytes]) -> list[Column]:
            found = await get_columns(row, family, list(qualifiers))
            self.calls["columns"] += 1
            self.cells += len(found)
            return found

        async def counted_swap(
            row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
        ) -> bool:
            self.calls["swap"] += 1
            return await swap(row, family, qualifier, expected, value)

        patch.setattr(node.store, "get_row", counted_row)
        patch.setattr(node.store, "get_columns", counted_columns)
        patch.setattr(node.store, "compare_and_set", counted_swap)


async def many(store: MemoryStore) -> list[Node]:
    """Three stewards and three others, of a cluster of MANY."""
    listed = [ListedNode(f"n{number:03}-1", f"n{number:03}") for number in range(MANY)]
    maps, reader = MapStore(store, "a test", WallClock().now_ms), ClusterReader(store)
    await maps.change(lambda now: now.next().listing(listed).giving(range(FEW_SHARDS), listed[0].incarnation))
    for node in listed:
        cell = NodeCell(node.incarnation, 1, "alive", "", node_id=node.node_id)
        await reader.swap(ClusterRow(None, {}, {}), own_place(node.incarnation), cell)
    first = stewards(Look(await reader.whole(), await standing(store)))
    common = [node.incarnation for node in listed if node.incarnation not in first][:STEWARDS]
    return [Node(name.removesuffix("-1"), store) for name in (*first, *common)]


@virtual_time
async def test_a_beat_among_five_hundred_costs_as_much_as_one_among_five() -> None:
    """But for the three stewards, who read all cells, as often as everybody reads its few."""
    nodes = await many(shared_store())
    for node in nodes:
        await node.membership.beat()
    await asyncio.sleep(1.0)
    with pytest.MonkeyPatch.context() as patch:
        costs = [Costs(node, patch) for node in nodes]
        for node in nodes:
            await node.membership.beat()
    for cost in costs[:STEWARDS]:
        assert (cost.calls, cost.cells) == ({"row": 2, "swap": 1}, 2 * (MANY + 1))
    for cost in costs[STEWARDS:]:
        assert (cost.calls, cost.cells) == ({"columns": 2, "swap": 1}, 2 * (STEWARDS + 2))
