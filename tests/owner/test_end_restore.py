"""What ends a restore, over the store port: another history, and nobody owns who was there before it."""

import pytest

from rowbox.cacheserver.node.put_back import MAP_VERSIONS_LOST, end_restore
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell, NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.errors import StoreOutcomeUnknown
from rowbox.mailbox.fence import make_epoch
from tests.support.virtual_time import virtual_time


def made(*, late: bool = True) -> MemoryStore:
    return MemoryStore(64, {}, late_writes=late, now_ms=lambda: 1)


def maps_of(store: MemoryStore) -> MapStore:
    return MapStore(store, "a test", lambda: 1)


@virtual_time
async def test_whoever_is_listed_is_listed_no_more_and_no_epoch_of_the_lost_time_is_given_again() -> None:
    store = made()
    nodes = [ListedNode(f"{name}-1", name) for name in ("one", "two")]
    before = await maps_of(store).change(lambda now: now.next(above=6).listing(nodes).giving(range(64), "one-1"))
    history = await history_of(store)
    assert await end_restore(store) == await history_of(store) != history
    after = (await maps_of(store).read()).map
    assert after.version >= before.version + MAP_VERSIONS_LOST > 1_000_000, "as many takeovers may have been lost"
    assert len(after.ownerless) == 64
    assert len(after.nodes) == 2
    assert not {node.node_id for node in after.nodes} & {"one", "two"}, "half of them are never back"
    make_epoch(after.version + 1000 * MAP_VERSIONS_LOST, 0)  # there is room for more restores than anybody makes


@virtual_time
async def test_an_older_rowboxs_owner_is_named_no_more() -> None:
    store = made()
    cells = ClusterCells(store)
    await cells.swap(await cells.read(), MAP_PLACE, MapCell(7, "owner", "here"))
    await cells.swap(await cells.read(), b"nowner", NodeCell("owner", 3, "alive", "here"))
    before = await history_of(store)
    assert await end_restore(store) == await history_of(store) != before
    named = (await cells.read()).map
    assert named is not None
    assert named.version >= 7 + MAP_VERSIONS_LOST
    assert (await cells.read()).has_ended(named.owner)


@virtual_time
async def test_a_store_that_was_never_owned_is_ended_as_well_and_so_is_an_ended_one() -> None:
    store = made()
    first = await end_restore(store)
    assert await end_restore(store) != first


@virtual_time
async def test_the_map_is_raised_above_what_its_rows_were_claimed_under() -> None:
    store = made()
    await end_restore(store, above=50)
    assert (await maps_of(store).read()).map.version == 50 + MAP_VERSIONS_LOST


@virtual_time
async def test_an_embedded_store_has_no_map() -> None:
    store = made(late=False)
    await end_restore(store)
    assert (await maps_of(store).read()).raw is None


@pytest.mark.parametrize("fault", [Fault.FAIL_AFTER, Fault.EXECUTE_LATE])
@virtual_time
async def test_after_an_unknown_outcome_it_is_run_again(fault: Fault) -> None:
    store = made()
    before = await end_restore(store)
    store.faults.next(fault, Op.COMPARE_AND_SET)
    with pytest.raises(StoreOutcomeUnknown):
        await end_restore(store)
    after = await end_restore(store)
    store.land()
    assert await history_of(store) == after != before


@virtual_time
async def test_a_swap_that_a_retry_denies_has_been_made() -> None:
    store = made()
    await history_of(store)
    for _ in range(2):
        store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
    await end_restore(store)
    assert (await maps_of(store).read()).map.version == MAP_VERSIONS_LOST
