"""Owners die one after the other, and standbys race for the mailboxes over calls of 1 to 100 ms."""

from collections.abc import Coroutine
from typing import Any

import pytest

from rowbox.cacheserver.shardmap.cluster_state import ClusterCells
from tests.cluster.mutants import death_is_declared_whatever_stands, the_loser_goes_on_with_the_map_in_hand
from tests.cluster.world import LEASE, World
from tests.support.virtual_time import run_virtual

LATENCY_S = (0.001, 0.1)
TAKEOVERS = 15
SEEDS = 8
PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000


async def takeovers(seed: int, standbys: int) -> World:
    """After each death a new node joins, so that as many race for the next."""
    world = World(seed, [f"n{number}" for number in range(standbys + 1)], LATENCY_S)
    for number in range(TAKEOVERS):
        holder = await world.watch_until_held(15.0)
        await world.watch(3.0 + world.dice.random())
        next(node for node in world.nodes if node.name == holder).task.cancel()
        world.add(f"n{standbys + 1 + number}")
        await world.watch(PATIENCE_S)
    await world.watch_until_held(15.0)
    await world.close()
    return world


@pytest.mark.parametrize("standbys", [2, 3, 4])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_standbys_of_a_dead_owner_do_not_both_become_owners(seed: int, standbys: int) -> None:
    world = run_virtual(takeovers(seed, standbys))
    assert len(world.owners) > TAKEOVERS


async def wakings(seed: int) -> None:
    """The owner is suspended for about as long as the standbys are patient, and wakes while they declare it dead."""
    world = World(seed, ["a", "b", "c"], LATENCY_S)
    for _ in range(10):
        await world.watch_until_held(30.0)
        await world.watch(1.0)
        next(node for node in world.nodes if node.holds).pause(world.dice.uniform(PATIENCE_S - 1.0, PATIENCE_S + 0.5))
        await world.watch(PATIENCE_S + 2.0)
    await world.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_owner_that_wakes_while_it_is_declared_dead_is_the_only_one_or_none(seed: int) -> None:
    run_virtual(wakings(seed))


def finds(story: Coroutine[Any, Any, object]) -> bool:
    try:
        run_virtual(story)
    except AssertionError as error:
        return "own under map version" in str(error) or "own at once" in str(error)
    return False


@pytest.mark.parametrize("standbys", [2, 3, 4])
def test_a_loser_that_goes_on_with_the_map_in_hand_is_found(standbys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    the_loser_goes_on_with_the_map_in_hand(monkeypatch)
    assert any(finds(takeovers(seed, standbys)) for seed in range(SEEDS))


def test_a_death_that_is_declared_whatever_stands_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    death_is_declared_whatever_stands(monkeypatch)
    assert any(finds(wakings(seed)) for seed in range(SEEDS))


def test_the_cells_of_two_hundred_crashed_standbys_are_few() -> None:
    """They are declared dead, and the next to start takes the place of one that has ended."""

    async def crashes() -> None:
        world = World(1, ["owner"])
        await world.watch(2.0)
        for number in range(200):
            standby = world.add(f"s{number}")
            await world.watch(2.0)
            standby.task.cancel()
        state = await ClusterCells(world.nodes[0].wire).read()
        assert len(state.cells) <= 6, sorted(state.cells.values(), key=str)
        assert world.owners == ["owner"]
        await world.close()

    run_virtual(crashes())
