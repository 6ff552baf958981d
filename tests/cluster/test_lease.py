"""At most one owner at any moment, whatever happens; and soon there is one again."""

from collections.abc import Callable

import pytest

from tests.cluster.mutants import MUTANTS
from tests.cluster.world import LEASE, World
from tests.support.virtual_time import run_virtual, virtual_time

SEEDS = 25
TROUBLES = 40
PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000


async def story(seed: int) -> list[str]:
    """Who owned in turn."""
    world = World(seed)
    await world.watch(1.0)
    for _ in range(TROUBLES):
        await world.trouble()
    world.heal()
    await world.watch(90.0)  # the longest pause, and the latest of late writes
    assert world.holding, "nobody owns"
    await world.close()
    return world.owners


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_two_own_at_once_and_in_the_end_one_does(seed: int) -> None:
    owners = run_virtual(story(seed))
    assert len(owners) > 1, "too quiet a story to tell anything"


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
        return any(text in str(error) for text in ("own at once", "own under map version", "another's tenure"))
    return False


def test_writes_are_confirmed_over_a_lease_that_lapsed_and_came_back() -> None:
    """And none of them over another's tenure, which each story looks at."""

    async def lapsing(seed: int) -> int:
        world = World(seed)
        await world.watch(3.0)
        for _ in range(10):
            world.stall(world.dice.uniform(3.5, 6.0))
            await world.watch(9.0)
        assert len(world.given) == 1, "the same incarnation throughout"
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
        assert len(world.owners) == 1, world.owners
        assert all(len(node.incarnations) == 1 for node in world.nodes)
        await world.close()

    run_virtual(stalled())


@virtual_time
async def test_the_first_owns_at_once() -> None:
    world = World(1, ["a"])
    await world.watch(0.5)
    assert world.owners == ["a"]
    await world.close()


@virtual_time
async def test_a_silent_owner_is_followed_after_ttl_and_margin_and_not_before() -> None:
    world = World(2, ["a", "b"])
    await world.watch(3.0)
    first, second = sorted(world.nodes, key=lambda node: not node.holds)
    first.task.cancel()
    await world.watch(PATIENCE_S / 1.03 - LEASE.beat_ms / 1000)
    assert world.holding in ([], [first.name])
    await world.watch(LEASE.beat_ms / 1000 + 0.7)
    assert world.holding == [second.name]
    await world.close()


@virtual_time
async def test_one_that_resigned_is_followed_by_the_next_beat() -> None:
    world = World(3, ["a", "b"])
    await world.watch(3.0)
    first, second = sorted(world.nodes, key=lambda node: not node.holds)
    first.task.cancel()
    await first.incarnations[-1].resign()
    assert not world.holding
    await world.watch(LEASE.beat_ms / 1000 + 0.2)
    assert world.holding == [second.name]
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
    assert world.holding == ["a"]
    assert len(world.nodes[0].incarnations) == 1, "it is still the same, its mailboxes are still in memory"
    await world.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_stall_of_the_store_does_not_make_the_living_kill_each_other(seed: int) -> None:
    async def stalled() -> None:
        world = World(seed)
        await world.watch(8.0)
        owner = world.owners[-1]
        for node in world.nodes:
            node.wire.is_cut = True
        await world.watch(20.0)
        world.heal()
        await world.watch(8.0)
        assert world.owners[-1] == owner
        assert all(len(node.incarnations) == 1 for node in world.nodes)
        await world.close()

    run_virtual(stalled())
