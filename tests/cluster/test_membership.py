"""One incarnation, step by step: what it makes of what stands in the store."""

import asyncio

import pytest

from rowbox.cacheserver.node.judgement import Role
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, ClusterState, MapCell, NodeCell
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.errors import StoreOutcomeUnknown
from rowbox.mailbox.fence import make_epoch
from tests.cluster.world import LEASE, SHARDS
from tests.support.virtual_time import WallClock, settle, virtual_time

TTL_S = LEASE.ttl_ms / 1000


class Node:
    """A membership over a store handle of its own, which a test can hold and fail."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        self.store = store.beside()
        self.cells = ClusterCells(self.store)
        self.membership = Membership(
            self.cells, LEASE, name, now_s=asyncio.get_running_loop().time, incarnation=f"{name}-1"
        )

    async def beat(self) -> Role:
        return await self.membership.beat()

    async def beat_that_lands_late(self) -> None:
        """Its renewal is of unknown outcome, and executes when the store lands what is late."""
        self.store.faults.next(Fault.EXECUTE_LATE, Op.COMPARE_AND_SET)
        with pytest.raises(StoreOutcomeUnknown):
            await self.beat()


def shared_store() -> MemoryStore:
    return MemoryStore(SHARDS, {}, late_writes=True, now_ms=WallClock().now_ms)


async def read(store: MemoryStore) -> ClusterState:
    return await ClusterCells(store).read()


@virtual_time
async def test_a_look_that_stalled_is_no_time_of_silence() -> None:
    """The store answers nobody for 4.6 s. The standby's look comes back before the owner's renewal does."""
    store = shared_store()
    owner, standby = Node("owner", store), Node("standby", store)
    await owner.beat()
    await standby.beat()
    await asyncio.sleep(0.5)
    standby.store.hold(Point.ANSWER)
    beating = asyncio.create_task(standby.beat())
    await settle()
    standby.store.hold(Point.READ)  # its renewal stands, its second look stalls
    standby.store.release(Point.ANSWER)
    await asyncio.sleep(TTL_S + 0.4)
    standby.store.release(Point.READ)
    await beating
    assert (await read(store)).cells.keys() == {b"nowner-1", b"nstandby-1"}
    assert not (await read(store)).has_ended("owner-1")


@virtual_time
async def test_a_gap_between_looks_is_no_time_of_silence_although_the_own_lease_holds() -> None:
    """The standby renews in time, and then does not hear what stands for more than two beats."""
    store = shared_store()
    owner, standby = Node("owner", store), Node("standby", store)
    await owner.beat()
    for _ in range(3):
        await standby.beat()
        await asyncio.sleep(1.0)
    standby.store.hold(Point.ANSWER)
    beating = asyncio.create_task(standby.beat())
    await settle()
    standby.store.hold(Point.READ)
    standby.store.release(Point.ANSWER)
    await asyncio.sleep(2.2)
    standby.store.release(Point.READ)
    await beating
    assert standby.membership.lease.is_held
    assert not (await read(store)).has_ended("owner-1")
    for _ in range(5):
        await asyncio.sleep(1.0)
        await standby.beat()
    assert (await read(store)).has_ended("owner-1"), "in the end it is silent without a gap"


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
    beating = asyncio.create_task(owner.beat())
    await settle()
    store.land()
    owner.store.release(Point.WRITE)
    await beating
    await asyncio.sleep(late_s + TTL_S - asyncio.get_running_loop().time() - 0.01)
    assert owner.membership.lease.is_held
    await asyncio.sleep(0.02)
    assert not owner.membership.lease.is_held, "whoever watched the late beat may declare the owner dead by now"


@virtual_time
async def test_the_map_is_raised_above_the_fence_at_once() -> None:
    """Not by one: under the versions up to the fence's own others have owned rows."""
    store = shared_store()
    owner = Node("owner", store)
    await owner.beat()
    ownership = owner.membership.ownership
    assert ownership is not None
    ownership.grant_of(0).outranked(make_epoch(70, 3))
    await owner.beat()
    named = (await read(store)).map
    assert named is not None
    assert named.version == 71
    assert ownership.grant_of(0).epoch == make_epoch(71, 0)
    await owner.beat()
    assert (await read(store)).map == named, "once is enough"


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
async def test_cells_of_an_earlier_rowbox_are_places_too() -> None:
    """Each incarnation had a place of its own name, and none was taken over."""
    store = shared_store()
    cells = ClusterCells(store)
    for number in range(3):
        state = await cells.read()
        await cells.swap(state, b"nold-%d" % number, NodeCell(f"old-{number}", 9, "dead", "somewhere"))
    await cells.swap(await cells.read(), MAP_PLACE, MapCell(5, "old-2", "somewhere"))
    node = Node("new", store)
    assert await node.beat() is Role.OWNER
    state = await read(store)
    assert state.map == MapCell(6, "new-1", "new")
    assert len(state.cells) == 3


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
async def test_beats_under_one_map_version_do_not_begin_its_epochs_anew() -> None:
    """An epoch that was left is never used again: a write of it may be late."""
    owner = Node("owner", shared_store())
    await owner.beat()
    ownership = owner.membership.ownership
    assert ownership is not None
    ownership.grant_of(0).leave_epoch()
    await owner.beat()
    assert ownership.grant_of(0).epoch == make_epoch(1, 1)


@virtual_time
async def test_a_row_that_was_claimed_while_the_map_was_read_is_not_ahead_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read is from before the takeover that the row tells of: the store was not put back."""
    owner = Node("owner", shared_store())
    await owner.beat()
    ownership = owner.membership.ownership
    assert ownership is not None
    read_row = owner.cells.read

    async def then_meet_a_row() -> ClusterState:
        state = await read_row()
        ownership.grant_of(0).outranked(make_epoch(2, 0))
        return state

    with monkeypatch.context() as patch:
        patch.setattr(owner.cells, "read", then_meet_a_row)
        await owner.beat()
    assert not owner.membership.rows_are_ahead
