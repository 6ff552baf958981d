"""Where shards should be: loads are bounded, and nothing moves but what the rules name."""

from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uhashring import HashRing

from rowbox.cacheserver.shardmap import placement
from rowbox.cacheserver.shardmap.placement import POINTS, place
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ListedNode, ShardMap, Wish, empty_map
from tests.unit.cacheserver.shardmap.maps import maps

SHARDS = 4096


def placed(shard_map: ShardMap) -> ShardMap:
    """The map in which every shard is where it should be."""
    after = shard_map.next()
    wanted = place(shard_map)
    for to in sorted(set(wanted) - {NOBODY}):
        elsewhere = (shard for shard, owner in enumerate(wanted) if owner == to != shard_map.owners[shard])
        after = after.giving(elsewhere, after.nodes[to].incarnation)
    return after


def cluster(*nodes: ListedNode, shards: int = SHARDS) -> ShardMap:
    return placed(empty_map(shards).next().listing(nodes))


def named(names: Iterable[str]) -> list[ListedNode]:
    return [ListedNode(f"{name}-1", name) for name in names]


def ids(shard_map: ShardMap) -> list[str]:
    """The id of each shard's owner."""
    owners = map(shard_map.owner_of, range(shard_map.shards))
    return ["" if owner is None else owner.node_id for owner in owners]


def loads(shard_map: ShardMap) -> Mapping[str, int]:
    return Counter(ids(shard_map))


def moved(before: ShardMap, after: ShardMap) -> Counter[tuple[str, str]]:
    """How many shards went from whom to whom."""
    return Counter(pair for pair in zip(ids(before), ids(after), strict=True) if pair[0] != pair[1])


def test_shards_are_spread_over_three() -> None:
    spread = cluster(*named("abc"))
    assert spread.ownerless == ()
    assert max(loads(spread).values()) <= 1.05 * SHARDS / 3 + 1


def test_the_order_of_nodes_is_that_of_the_librarys_ring() -> None:
    weights = {"a": 100, "b": 50, "c": 250}
    ring = HashRing(nodes={node_id: {"vnodes": POINTS * weight // 100} for node_id, weight in weights.items()})
    ours = placement._ring(tuple(weights.items()), SHARDS)
    for shard in range(0, SHARDS, 64):
        key = f"{shard:04x}"
        first, *_ = whole = list(ring.iterate_nodes(key))
        assert ring.get_node(key) == first
        points = ours.points[ours.starts[shard] :] + ours.points[: ours.starts[shard]]
        assert [list(weights)[point] for point in dict.fromkeys(points)] == whole


@pytest.mark.parametrize("seed", range(100))
def test_of_any_names_loads_are_bounded_and_only_joiners_get_and_leavers_lose(seed: int) -> None:
    chance = Random(seed)
    names = [chance.randbytes(4).hex() for _ in range(chance.randint(3, 64))]
    before = cluster(*named(names))
    joined = placed(before.next().listing(named(["joiner"])))
    left = joined.next().unlisting({f"{names[0]}-1"})
    after = placed(left)
    for shard_map in (before, joined, after):
        assert max(loads(shard_map).values()) <= 1.08 * SHARDS / len(shard_map.nodes)
        assert place(shard_map) == shard_map.owners
    assert {to for _, to in moved(before, joined)} == {"joiner"}
    share = SHARDS / (len(names) + 1)
    assert 0.8 * share <= sum(moved(before, joined).values()) <= share
    assert {whose for whose, _ in moved(left, after)} == {""}


@pytest.mark.parametrize("seed", range(40))
def test_a_fourth_node_takes_a_fifth_to_a_third_and_nothing_else_moves(seed: int) -> None:
    chance = Random(seed)
    before = cluster(*named(chance.randbytes(4).hex() for _ in range(3)))
    after = placed(before.next().listing(named(["fourth"])))
    taken = moved(before, after)
    assert {to for _, to in taken} == {"fourth"}
    assert 0.2 * SHARDS <= sum(taken.values()) <= 0.3 * SHARDS
    assert max(loads(after).values()) <= 1.08 * SHARDS / 4


def test_many_that_join_at_once_take_their_shares_from_one() -> None:
    before = cluster(*named("a"))
    after = placed(before.next().listing(named("bcdefgh")))
    assert {whose for whose, _ in moved(before, after)} == {"a"}
    assert max(loads(after).values()) <= 1.08 * SHARDS / 8
    assert place(after) == after.owners


def test_shares_go_by_weight() -> None:
    spread = cluster(ListedNode("a-1", "a", weight=100), ListedNode("b-1", "b", weight=200), *named("c"))
    assert loads(spread)["b"] == pytest.approx(SHARDS / 2, rel=0.08)
    assert max(loads(spread)["a"], loads(spread)["c"]) <= 1.08 * SHARDS / 4
    lighter = placed(spread.wishing("b", Wish(weight=100)))
    assert {whose for whose, _ in moved(spread, lighter)} == {"b"}
    assert loads(lighter)["b"] <= 1.08 * SHARDS / 3
    heavier = placed(lighter.wishing("a", Wish(weight=200)))
    assert {to for _, to in moved(lighter, heavier)} == {"a"}


def test_a_pinned_shard_is_at_its_node_and_stays_there() -> None:
    spread = cluster(*named("abc"))
    pinned = spread.pinning(range(8), "a")
    after = placed(pinned)
    assert set(ids(after)[:8]) == {"a"}
    assert place(after) == after.owners
    assert place(after.pinning(range(8), None)) == after.owners


@pytest.mark.parametrize("wish", [Wish(), Wish(draining=True)], ids=["not listed", "draining"])
def test_a_pin_to_a_node_that_is_gone_or_going_is_none(wish: Wish) -> None:
    spread = cluster(*named("abc"))
    there = spread.wishing("c", wish) if wish.draining else spread.next().unlisting({"c-1"})
    assert place(there.pinning(range(SHARDS), "c")) == place(there)


def test_more_pins_than_a_share_move_the_others_away_and_no_pin() -> None:
    pinned = cluster(*named("abc")).pinning(range(SHARDS // 2), "a")
    after = placed(pinned)
    assert loads(after)["a"] == SHARDS // 2
    assert place(after) == after.owners


@pytest.mark.parametrize("wish", [Wish(standby=True), Wish(draining=True), Wish(weight=0)], ids=str)
def test_who_may_own_nothing_is_emptied_and_nothing_else_moves(wish: Wish) -> None:
    spread = cluster(*named("abc"))
    after = placed(spread.wishing("b", wish))
    assert {whose for whose, _ in moved(spread, after)} == {"b"}
    assert loads(after)["b"] == 0
    assert max(loads(after).values()) <= 1.08 * SHARDS / 2


@pytest.mark.parametrize("wish", [Wish(standby=True), Wish(draining=True), Wish(weight=0)], ids=str)
def test_where_nobody_may_own_owners_stay_and_what_has_none_is_spread(wish: Wish) -> None:
    spread = cluster(*named("abc"))
    for name in "abc":
        spread = spread.wishing(name, wish)
    assert place(spread) == spread.owners
    left = spread.next().unlisting({"b-1"})
    after = placed(left)
    assert after.ownerless == ()
    assert {whose for whose, _ in moved(left, after)} == {""}
    assert max(loads(after).values()) <= 1.08 * SHARDS / 2


def test_nobody_owns_anything_where_nobody_is_listed() -> None:
    assert place(empty_map(8)) == (NOBODY,) * 8


def test_a_shard_on_the_move_counts_where_it_goes() -> None:
    before = cluster(*named("abc"))
    joined = before.next().listing(named("d"))
    wanted = place(joined)
    moving = joined
    for shard, (owner, to) in enumerate(zip(joined.owners, wanted, strict=True)):
        if owner != to:
            moving = moving.sending([shard], joined.nodes[to].incarnation)
    assert place(moving) == wanted
    by_an_operator = before.next().sending(before.shards_of("b-1")[:3], "c-1")
    assert moved(before, placed(by_an_operator)) == {("b", "c"): 3}


@given(maps())
@settings(max_examples=300)
def test_any_map_has_one_placement_and_every_shard_an_owner(shard_map: ShardMap) -> None:
    wanted = place(shard_map)
    assert wanted == place(shard_map)
    assert NOBODY not in wanted
    after = placed(shard_map)
    while place(after) != after.owners:
        again = placed(after)
        assert again.owners != after.owners
        after = again


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_any_weights_bound_the_loads(weights: list[int], salt: int) -> None:
    nodes = [ListedNode(f"{n}", f"{salt}-{n}", weight=weight) for n, weight in enumerate(weights)]
    spread = cluster(*nodes, shards=1024)
    for node in nodes:
        share = 1024 * node.weight / sum(weights)
        assert loads(spread)[node.node_id] <= 1.05 * share + 1
    assert place(spread) == spread.owners
