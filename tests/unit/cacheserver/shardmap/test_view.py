"""The newest map that a process knows."""

import asyncio

from rowbox.cacheserver.shardmap.shard_map import ListedNode, empty_map
from rowbox.cacheserver.shardmap.view import MOST_IN_VAIN, READING_S, MapView
from tests.support.virtual_time import virtual_time


def test_an_older_map_never_replaces_a_newer_one() -> None:
    view = MapView()
    assert view.version == 0
    assert view.show(empty_map(2, 5))
    assert not view.show(empty_map(2, 4))
    assert not view.show(empty_map(2, 5))
    assert view.version == 5


@virtual_time
async def test_whoever_waits_for_a_newer_map_gets_the_newest() -> None:
    view = MapView()
    waiting = asyncio.ensure_future(view.newer_than(5))
    for version in (4, 5, 6, 7):
        view.show(empty_map(2, version))
        await asyncio.sleep(0.1)
        assert waiting.done() is (version > 5)
    assert (await waiting).version == 6
    assert (await view.newer_than(5)).version == 7


@virtual_time
async def test_after_a_restore_versions_begin_anew() -> None:
    view = MapView()
    view.show(empty_map(2, 50))
    view.forget()
    assert view.version == 0
    assert view.show(empty_map(2, 3))
    assert (await view.newer_than(0)).version == 3


def following(view: MapView) -> list[float]:
    """When the map was to be read, by the loop's clock."""
    read_at_s: list[float] = []
    view.on_wanted = lambda: read_at_s.append(asyncio.get_running_loop().time())
    return read_at_s


@virtual_time
async def test_a_hint_is_passed_on_to_whoever_reads_the_map() -> None:
    view = MapView()
    view.show(empty_map(2, 5))
    view.wanted(6)
    assert view.lag_s == 0.0
    read = following(view)
    view.wanted(5)
    assert not read  # that one is known
    view.wanted(6)
    assert len(read) == 1


@virtual_time
async def test_however_many_hear_of_a_map_it_is_read_once() -> None:
    view = MapView()
    read = following(view)
    for _ in range(1_000):
        view.wanted(6)
    assert len(read) == 1
    view.wanted(7)
    assert len(read) == 2  # the reading under way may have begun before that one stood
    await asyncio.sleep(READING_S)
    view.wanted(7)
    assert len(read) == 3  # the one before may have failed


@virtual_time
async def test_whoever_talks_of_maps_that_do_not_stand_has_the_map_read_seldom() -> None:
    for rises in (False, True):
        view = MapView()
        read = following(view)
        for number in range(60_000):
            view.wanted((1 << 60) + number * rises)
            await asyncio.sleep(0.001)
        assert MOST_IN_VAIN < len(read) <= MOST_IN_VAIN + 61


@virtual_time
async def test_true_hints_are_followed_however_fast_maps_change() -> None:
    view = MapView()
    read = following(view)
    for version in range(1, 1_000):
        view.wanted(version)
        view.show(empty_map(2, version))
        await asyncio.sleep(0.01)
    assert len(read) == 999


@virtual_time
async def test_a_process_lags_from_when_it_hears_of_a_newer_map_until_it_has_looked() -> None:
    view = MapView()
    view.show(empty_map(2, 5))
    began_s = asyncio.get_running_loop().time()
    await asyncio.sleep(1)
    view.wanted(6)
    await asyncio.sleep(2)
    view.wanted(7)
    assert view.lag_s == 2
    view.looked(began_s)
    assert view.lag_s == 2  # this look may be of the time before
    view.looked(asyncio.get_running_loop().time())
    assert view.lag_s == 0  # whether it found one, or what was heard was not true
    assert numbers(view, "version", "lag_seconds") == [5, 0]


@virtual_time
async def test_the_oldest_move_is_as_old_as_this_process_has_known_of_it() -> None:
    view, standing = MapView(), empty_map(4, 1).listing([ListedNode("a", "a"), ListedNode("b", "b")])
    standing = standing.giving(range(4), "a")
    view.show(standing)
    assert numbers(view, "nodes", "shards", "ownerless_shards", "moving_shards") == [2, 4, 0, 0]
    standing = standing.next().sending([0], "b")
    view.show(standing)
    await asyncio.sleep(5)
    standing = standing.next().sending([1], "b")
    view.show(standing)
    await asyncio.sleep(5)
    assert numbers(view, "moving_shards", "oldest_move_seconds") == [2, 10]
    standing = standing.next().giving([0], "b").unlisting(["b"])
    view.show(standing)
    assert numbers(view, "ownerless_shards", "moving_shards", "oldest_move_seconds") == [1, 0, 0]


def numbers(view: MapView, *names: str) -> list[float]:
    found = {name.removeprefix("rowbox_map_"): value for name, _, _, _, value in view.samples()}
    return [found[name] for name in names]
