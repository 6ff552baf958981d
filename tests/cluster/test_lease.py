"""At most one owner of a shard at any moment, whatever happens; and soon each shard has one again."""

from collections.abc import Callable

import pytest

from tests.cluster.mutants import MUTANTS, a_gap_counts_as_silence
from tests.cluster.world import FEW_SHARDS, LEASE, World
from tests.support.virtual_time import run_virtual, virtual_time

SEEDS = 25
TROUBLES = 40
PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000
BEAT_S = LEASE.beat_ms / 1000


async def story(seed: int) -> int:
    """How often a shard has changed hands."""
    world = World(seed)
    await world.watch(1.0)
    for _ in range(TROUBLES):
        await world.trouble()
    world.heal()
    await world.watch(90.0)  # the longest pause, and the latest of late writes
    assert world.is_served, f"not every shard is served: {world.holding}"
    await world.close()
    return world.changes


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_two_own_a_shard_at_once_and_in_the_end_one_does(seed: int) -> None:
    run_virtual(story(seed))


def test_the_stories_are_not_too_quiet_to_tell_anything() -> None:
    assert sum(run_virtual(story(seed)) for seed in range(3)) > 3 * FEW_SHARDS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.__name__))
def test_it_notices_a_rule_that_is_off(mutant: Callable[[pytest.MonkeyPatch], None]) -> None:
    for seed in range(200):
        with pytest.MonkeyPatch.context() as patch:
            mutant(patch)
            if _is_noticed(seed):
                return
    raise AssertionError("two hundred stories did not notice")


def _is_noticed(seed: int) -> bool:
    try:
        run_virtual(story(seed))
    except AssertionError as error:
        return any(text in str(error) for text in ("at once", "since one map version", "another's tenure"))
    return False


def test_writes_are_confirmed_over_a_lease_that_lapsed_and_came_back() -> None:
    """And none of them over another's tenure, which each story looks at."""

    async def lapsing(seed: int) -> int:
        world = World(seed)
        await world.watch(8.0)
        given = len(world.given)
        for _ in range(10):
            world.stall(world.dice.uniform(3.5, 6.0))
            await world.watch(9.0)
        assert len(world.given) == given, "the same grants throughout"
        await world.close()
        return world.confirmed_over_a_lapse

    assert sum(run_virtual(lapsing(seed)) for seed in range(5)) > 20


@pytest.mark.parametrize("seed", range(40))
def test_a_stall_that_ends_in_answers_replaces_no_living_owner(seed: int) -> None:
    """Calls of 4.4 to 4.8 s, none of which fails: the time in which nobody could look is no time of silence."""

    async def stalled() -> None:
        world = World(seed, latency_s=(0.02, 0.2))
        for node in world.nodes:
            node.wire.deadline_s = 10.0
        await world.watch(8.0)
        for _ in range(5):
            await world.watch(world.dice.uniform(6.0, 8.0))
            world.stall(world.dice.uniform(4.4, 4.8))
            await world.watch(5.0)
        assert world.changes == 0, world.owners
        assert all(len(node.incarnations) == 1 for node in world.nodes)
        await world.close()

    run_virtual(stalled())


@pytest.mark.parametrize("seed", range(100))
def test_a_stall_under_twenty_nodes_declares_nobody_dead(seed: int) -> None:
    """Ten seconds in which the store answers nobody, with every node somewhere else in its beat."""
    assert not run_virtual(replaced_by_a_stall(seed))


def test_a_stall_that_counts_as_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    a_gap_counts_as_silence(monkeypatch)
    assert any(run_virtual(replaced_by_a_stall(seed)) for seed in range(5))


async def replaced_by_a_stall(seed: int) -> list[str]:
    """The names of those of twenty nodes that were replaced, and who owned shards."""
    world = World(seed, [f"n{number}" for number in range(20)], latency_s=(0.005, 0.05))
    await world.watch(4.0)
    await world.restart_all()
    await world.watch_until_served(15.0)
    await world.watch(2 * BEAT_S)  # each has heard of each other
    lives = {node.name: len(node.incarnations) for node in world.nodes}
    assert len(world.holding) > 5
    world.stall(10.0)
    await world.watch(9.5)
    assert not world.holding
    await world.watch_until_served(15.0)
    await world.watch(PATIENCE_S)  # longer than anybody who was silent is waited for
    await world.close()
    return [node.name for node in world.nodes if len(node.incarnations) > lives[node.name]]


@virtual_time
async def test_the_first_owns_all_at_once() -> None:
    world = World(1, ["a"])
    await world.watch(0.5)
    assert world.holding == {"a": frozenset(range(FEW_SHARDS))}
    await world.close()


@virtual_time
async def test_the_shards_of_a_silent_owner_go_to_the_others_after_ttl_and_margin_and_not_before() -> None:
    world = await shared(2)
    dead = next(node for node in world.nodes if node.holds)
    others = [node for node in world.nodes if node is not dead]
    lost, kept = dead.held, {node.name: node.held for node in others}
    dead.kill()
    await world.watch(PATIENCE_S / 1.03 - BEAT_S)
    assert {node.name: node.held for node in others} == kept
    await world.watch(BEAT_S + 1.0)
    assert world.is_served
    for node in others:
        assert node.held >= kept[node.name]
    assert frozenset().union(*(node.held - kept[node.name] for node in others)) == lost
    assert len(world.holding) == 2
    await world.close()


@virtual_time
async def test_the_shards_of_one_that_resigned_are_taken_by_the_next_beat() -> None:
    world = await shared(3)
    gone = next(node for node in world.nodes if node.holds)
    gone.kill()
    await gone.incarnations[-1].resign()
    assert not gone.held
    await world.watch(BEAT_S + 0.5)
    assert world.is_served
    await world.close()


@virtual_time
async def test_a_lease_that_lapsed_while_nobody_could_take_over_is_renewed() -> None:
    world = World(4, ["a"])
    await world.watch(3.0)
    world.nodes[0].wire.is_cut = True
    await world.watch(LEASE.ttl_ms / 1000 + 2.5)
    assert not world.holding
    world.heal()
    await world.watch(3.0)
    assert world.is_served
    assert len(world.nodes[0].incarnations) == 1, "it is still the same, its mailboxes are still in memory"
    await world.close()


@pytest.mark.parametrize("seed", range(10))
def test_an_outage_of_the_store_does_not_make_the_living_kill_each_other(seed: int) -> None:
    async def cut_off() -> None:
        world = World(seed)
        await world.watch(8.0)
        for node in world.nodes:
            node.wire.is_cut = True
        await world.watch(20.0)
        world.heal()
        await world.watch(8.0)
        assert world.is_served
        assert world.changes == 0
        assert all(len(node.incarnations) == 1 for node in world.nodes)
        await world.close()

    run_virtual(cut_off())


async def shared(seed: int) -> World:
    """Three, of which two or three own shards: everybody was there, then all were restarted at once."""
    world = World(seed, ["a", "b", "c"])
    await world.watch(5.0)
    await world.restart_all()
    await world.watch_until_served(15.0)
    await world.watch(3.0)
    assert len(world.holding) >= 2
    return world
