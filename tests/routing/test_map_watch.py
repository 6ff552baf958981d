"""How a process that owns nothing learns of the map, and what a hint does."""

import asyncio
import logging

import pytest

from rowbox.cacheserver.routing.hints import Hints
from rowbox.cacheserver.routing.map_watch import MapWatch
from rowbox.cacheserver.shardmap.map_store import Standing
from rowbox.cacheserver.shardmap.shard_map import ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import StoreUnavailable
from tests.support.virtual_time import virtual_time

BEAT_S = 1.0


class Store:
    """A MapStore in which one map stands."""

    def __init__(self) -> None:
        self.map = empty_map(4, 1)
        self.error: StoreUnavailable | None = None
        self.read_at_s: list[float] = []

    async def read(self) -> Standing:
        self.read_at_s.append(asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        return Standing(b"cell", self.map)

    def changes(self) -> ShardMap:
        self.map = self.map.next()
        return self.map


class Watched:
    def __init__(self) -> None:
        self.store = Store()
        self.view = MapView()
        self.watch = MapWatch(self.store, self.view, BEAT_S)
        self.watch.loop.start()


@virtual_time
async def test_a_new_map_is_known_a_beat_later_at_most() -> None:
    watched = Watched()
    await asyncio.sleep(0.5)
    assert watched.view.version == 1
    watched.store.changes()
    await asyncio.sleep(BEAT_S)
    assert watched.view.newest is watched.store.map
    assert len(watched.store.read_at_s) == 2
    assert {name: value for name, _, _, _, value in watched.watch.samples()}["rowbox_map_version"] == 2
    await watched.watch.loop.close()


@virtual_time
async def test_a_hint_has_the_map_read_at_once() -> None:
    watched = Watched()
    hints = Hints(watched.view, [])
    await asyncio.sleep(0.5)
    hints.heard(watched.store.changes().version)
    await asyncio.sleep(0.01)
    assert watched.view.newest is watched.store.map
    hints.heard(watched.view.version)  # is known here
    await asyncio.sleep(0.4)
    assert len(watched.store.read_at_s) == 2
    await watched.watch.loop.close()


@virtual_time
async def test_however_many_hints_come_the_store_is_read_ten_times_a_second_at_most() -> None:
    watched = Watched()
    hints = Hints(watched.view, [])
    for _ in range(1000):
        hints.heard(1_000_000)  # a version that nobody has: anybody can say so
        await asyncio.sleep(0.001)
    assert 10 <= len(watched.store.read_at_s) <= 11
    await watched.watch.loop.close()


@virtual_time
async def test_while_the_store_is_away_the_known_map_counts_and_it_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()
    await asyncio.sleep(0.5)
    caplog.set_level(logging.WARNING)
    watched.store.error = StoreUnavailable("away")
    await asyncio.sleep(100)
    assert watched.view.version == 1
    assert watched.watch.missed == 100
    assert len(caplog.records) == 2
    watched.store.error = None
    watched.store.changes()
    await asyncio.sleep(BEAT_S)
    assert watched.view.newest is watched.store.map
    await watched.watch.loop.close()


@virtual_time
async def test_each_newer_map_is_told_once() -> None:
    view, told = MapView(), list[int]()
    hints = Hints(view, [told.append])
    hints.loop.start()
    for version in (3, 3, 2, 5):
        view.show(empty_map(4, version))
        await asyncio.sleep(0.1)
    assert told == [3, 5]
    await hints.loop.close()


@virtual_time
async def test_of_maps_that_come_together_the_newest_is_told() -> None:
    view, told = MapView(), list[int]()
    hints = Hints(view, [told.append])
    hints.loop.start()
    for version in range(1, 100):
        view.show(empty_map(4, version))
    await asyncio.sleep(0.1)
    assert told == [99]
    await hints.loop.close()
