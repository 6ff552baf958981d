"""Owners die one after the other, and the others race for their shards over calls of 1 to 100 ms."""

from collections.abc import Coroutine
from typing import Any

import pytest

from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from tests.cluster.mutants import (
    a_plan_is_swapped_over_whatever_map_stands,
    death_is_declared_whatever_stands,
    the_replaced_come_back,
)
from tests.cluster.world import FEW_SHARDS, LEASE, World
from tests.support.virtual_time import run_virtual, virtual_time

LATENCY_S = (0.001, 0.1)
DEATHS = 15
SEEDS = 8
PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000


async def deaths(seed: int, others: int) -> World:
    """After each death a new node joins, so that as many race for the next one's shards."""
    world = World(seed, [f"n{number}" for number in range(others + 1)], LATENCY_S)
    for number in range(DEATHS):
        await world.watch_until_served(15.0)
        await world.watch(3.0 + world.dice.random())
        world.dice.choice([node for node in world.nodes if node.holds]).kill()
        world.add(f"n{others + 1 + number}")
        await world.watch(PATIENCE_S)
    await world.watch_until_served(15.0)
    await world.close()
    return world


@pytest.mark.parametrize("others", [2, 3, 4])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_heirs_of_a_dead_owner_do_not_both_get_a_shard(seed: int, others: int) -> None:
    world = run_virtual(deaths(seed, others))
    assert world.changes >= DEATHS


async def wakings(seed: int) -> None:
    """An owner is suspended for about as long as the others are patient, and wakes while they declare it dead."""
    world = World(seed, ["a", "b", "c"], LATENCY_S)
    for _ in range(10):
        await world.watch_until_served(30.0)
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
        return "since one map version" in str(error) or "at once" in str(error)
    return False


@pytest.mark.parametrize("others", [2, 3, 4])
def test_a_loser_that_swaps_its_plan_over_another_map_is_found(others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a_plan_is_swapped_over_whatever_map_stands(monkeypatch)
    assert any(finds(deaths(seed, others)) for seed in range(SEEDS))


def test_a_death_that_is_declared_whatever_stands_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    death_is_declared_whatever_stands(monkeypatch)
    assert any(finds(wakings(seed)) for seed in range(SEEDS))


def test_one_that_comes_back_under_its_old_incarnation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    the_replaced_come_back(monkeypatch)
    assert any(finds(wakings(seed)) for seed in range(4 * SEEDS))


@virtual_time
async def test_one_that_is_not_watched_by_all_is_followed_all_the_same() -> None:
    """Of seven, only the three lowest ranks watch everybody; the others, and those three, die one after the other."""
    world = World(5, [f"n{number}" for number in range(7)])
    await world.watch(5.0)
    await world.restart_all()
    await world.watch_until_served(15.0)
    await world.watch(3.0)
    for _ in range(6):
        stewards = world.nodes[0].incarnations[-1].stewards
        common = [node for node in world.nodes if node.incarnations[-1].incarnation not in stewards]
        dead = common[0] if common else world.nodes[0]
        dead.kill()
        world.nodes.remove(dead)
        await world.watch(PATIENCE_S + 2.5)
        assert world.is_served, world.holding
    assert len(world.holding) == 1
    await world.close()


@virtual_time
async def test_all_three_stewards_die_at_once() -> None:
    world = World(6, [f"n{number}" for number in range(7)])
    await world.watch(5.0)
    await world.restart_all()
    await world.watch_until_served(15.0)
    await world.watch(3.0)
    stewards = world.nodes[0].incarnations[-1].stewards
    for node in [node for node in world.nodes if node.incarnations[-1].incarnation in stewards]:
        node.kill()
        world.nodes.remove(node)
    await world.watch(2 * PATIENCE_S + 3.0)
    assert world.is_served
    assert all(len(node.incarnations) == 1 for node in world.nodes)
    await world.close()


@virtual_time
async def test_all_are_killed_at_once_and_come_back() -> None:
    """Their cells say that they are alive; nobody is there to say anything else but they themselves, in a new life."""
    world = World(7, [f"n{number}" for number in range(6)])
    await world.watch(5.0)
    before, world.nodes = world.nodes, []
    for node in before:
        node.kill()
    await world.watch(20.0)
    for node in before:
        world.add(node.name, incarnations=len(node.incarnations))
    await world.watch(PATIENCE_S + 4.0)
    assert world.is_served
    assert len(world.holding) == 6, "the first to come back has not taken everything"
    assert max(map(len, world.holding.values())) <= FEW_SHARDS // 6 + 1
    await world.close()


@virtual_time
async def test_of_all_that_were_killed_one_alone_comes_back() -> None:
    world = World(8, [f"n{number}" for number in range(6)])
    await world.watch(5.0)
    before, world.nodes = world.nodes, []
    for node in before:
        node.kill()
    world.add("n3", incarnations=1)
    await world.watch(PATIENCE_S + 8.0)
    assert not world.holding, "it waits for the others"
    await world.watch(4.0)
    assert world.is_served
    await world.close()


@pytest.mark.parametrize("name", ["n0", "renamed"])
def test_the_only_server_waits_where_it_comes_back_under_another_node_id(name: str) -> None:
    """The map lists one that may come back yet, and then has its shards. Under its own node id nobody is missing."""

    @virtual_time
    async def waits() -> None:
        world = World(9, ["n0"])
        await world.watch(5.0)
        before, world.nodes = world.nodes, []
        before[0].kill()
        world.add(name, incarnations=1)
        await world.watch(PATIENCE_S + 4.0)
        assert world.is_served == (name == "n0")
        await world.watch(8.0)
        assert world.is_served
        await world.close()

    waits()


def test_the_cells_of_two_hundred_crashed_nodes_are_few() -> None:
    """They are declared dead, and the next to start takes the place of one that has ended."""

    async def crashes() -> None:
        world = World(1, ["owner"])
        await world.watch(2.0)
        for number in range(200):
            crashing = world.add(f"s{number}")
            await world.watch(2.0)
            crashing.kill()
            world.nodes.remove(crashing)
        row = await ClusterReader(world.nodes[0].wire).whole()
        assert len(row.cells) <= 6, sorted(row.cells.values(), key=str)
        assert world.holding == {"owner": frozenset(range(FEW_SHARDS))}
        assert world.changes == 0
        await world.close()

    run_virtual(crashes())
