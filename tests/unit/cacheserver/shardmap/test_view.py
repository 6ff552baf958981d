"""The newest map that a process knows."""

import asyncio

from rowbox.cacheserver.shardmap.shard_map import empty_map
from rowbox.cacheserver.shardmap.view import MapView
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


def test_a_hint_is_passed_on_to_whoever_reads_the_map() -> None:
    view, wanted = MapView(), list[bool]()
    view.wanted()
    view.on_wanted = lambda: wanted.append(True)
    view.wanted()
    assert wanted == [True]
