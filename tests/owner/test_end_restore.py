"""What ends a restore, over the store port: another history, and nobody owns who was there before it."""

import pytest

from rowbox.cacheserver.node.put_back import MAP_VERSIONS_LOST, end_restore
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell
from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.errors import StoreOutcomeUnknown
from rowbox.mailbox.fence import make_epoch
from tests.support.virtual_time import virtual_time


def made(*, late: bool = True) -> MemoryStore:
    return MemoryStore(64, {}, late_writes=late, now_ms=lambda: 1)


async def map_of(store: MemoryStore) -> MapCell:
    named = (await ClusterCells(store).read()).map
    assert named is not None
    return named


@virtual_time
async def test_whoever_owns_is_named_no_more_and_no_epoch_of_the_lost_time_is_given_again() -> None:
    store = made()
    cells = ClusterCells(store)
    await cells.swap(await cells.read(), MAP_PLACE, MapCell(7, "owner", "here"))
    before = await history_of(store)
    assert await end_restore(store) == await history_of(store) != before
    named = await map_of(store)
    assert named.version >= 7 + MAP_VERSIONS_LOST > 1_000_000, "as many takeovers may have been lost"
    assert (await cells.read()).has_ended(named.owner)
    make_epoch(named.version + 1000 * MAP_VERSIONS_LOST, 0)  # there is room for more restores than anybody makes


@virtual_time
async def test_a_store_that_was_never_owned_is_ended_as_well_and_so_is_an_ended_one() -> None:
    store = made()
    first = await end_restore(store)
    assert await end_restore(store) != first


@virtual_time
async def test_an_embedded_store_has_no_map() -> None:
    store = made(late=False)
    await end_restore(store)
    assert (await ClusterCells(store).read()).map is None


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
    assert (await map_of(store)).version == MAP_VERSIONS_LOST
