"""The map of a cluster as a value: what its accessors say, and what each edit changes and leaves alone."""

import pytest
from hypothesis import given

from rowbox.cacheserver.shardmap.shard_map import (
    MOST_HAND_OVERS,
    MOST_NODES,
    NO_WISH,
    NOBODY,
    ListedNode,
    ShardMap,
    Wish,
    empty_map,
)
from tests.unit.cacheserver.shardmap.maps import SHARDS, listed, maps


def owned() -> ShardMap:
    """Version 2: the even shards are of a, the odd ones of b, c has none."""
    return listed("a", "b", "c").next().giving(range(0, SHARDS, 2), "a-1").giving(range(1, SHARDS, 2), "b-1")


def test_an_empty_map_lists_nobody_and_gives_nothing() -> None:
    empty = empty_map(SHARDS, 7)
    assert (empty.version, empty.shards, empty.nodes, empty.ownerless) == (7, SHARDS, (), tuple(range(SHARDS)))
    assert (empty.owner_of(0), empty.target_of(0), empty.moving, empty.movers) == (None, None, (), ())


def test_the_next_version_is_one_higher_and_above_what_is_asked() -> None:
    standing = owned()
    assert (standing.next().version, standing.next(above=1).version, standing.next(above=9).version) == (3, 3, 10)
    assert standing.next() == ShardMap(3, *(getattr(standing, name) for name in ShardMap.__struct_fields__[1:]))


def test_who_owns_what_by_shard_and_by_owner() -> None:
    standing = owned()
    owners = [standing.owner_of(shard) for shard in range(SHARDS)]
    assert [owner and owner.incarnation for owner in owners] == ["a-1", "b-1"] * (SHARDS // 2)
    assert standing.shards_of("a-1") == (0, 2, 4, 6)
    assert (standing.shards_of("c-1"), standing.shards_of("stranger"), standing.ownerless) == ((), (), ())


def test_a_stranger_has_not_what_nobody_owns() -> None:
    assert listed("a").shards_of("stranger") == ()


def test_a_listed_node_is_found_by_its_incarnation_and_by_its_id() -> None:
    standing = owned()
    assert standing.node("b-1") == standing.node_of_id("b") == ListedNode("b-1", "b", "b:1")
    assert standing.node("b") is standing.node_of_id("b-1") is None


def test_giving_away_ends_the_move_and_counts_from_this_version() -> None:
    moving = owned().next().sending([0, 2], "c-1")
    assert (moving.leaving("a-1"), moving.arriving("c-1")) == ({"c-1": (0, 2)}, {"a-1": (0, 2)})
    assert (moving.movers, moving.moving, moving.since[0]) == (("a-1",), (0, 2), 2)
    given_away = moving.next().giving([0, 2], "c-1", "hand-over")
    assert (given_away.shards_of("a-1"), given_away.shards_of("c-1")) == ((4, 6), (0, 2))
    assert (given_away.moving, given_away.leaving("a-1"), given_away.arriving("c-1")) == ((), {}, {})
    assert [given_away.since[shard] for shard in (0, 2, 4, 1)] == [4, 4, 2, 2]
    assert (given_away.hand_over_of(0), given_away.hand_over_of(4)) == ("hand-over", None)


def test_a_move_to_the_owner_is_none_and_none_ends_it() -> None:
    moving = owned().next().sending([0, 1, 2], "b-1")
    assert (moving.moving, moving.sending([0], None).moving, moving.sending([2], "a-1").moving) == ((0, 2), (2,), (0,))


def test_what_nobody_owns_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="no owner"):
        listed("a").next().sending([0], "a-1")


@pytest.mark.parametrize("edit", ["giving", "sending"])
def test_only_a_listed_one_is_given_anything(edit: str) -> None:
    with pytest.raises(ValueError, match="not listed"):
        getattr(owned().next(), edit)([0], "stranger")


def test_the_same_owner_anew_has_another_grant() -> None:
    again = owned().next(above=30).giving_anew([0])
    assert (again.since[0], again.since[2], again.owners) == (31, 2, owned().owners)


def test_who_is_unlisted_owns_nothing_and_gets_nothing() -> None:
    left = owned().next().sending([0, 1], "c-1").sending([2], "b-1").unlisting({"b-1"})
    assert [node.incarnation for node in left.nodes] == ["a-1", "c-1"]
    assert (left.ownerless, left.shards_of("a-1")) == ((1, 3, 5, 7), (0, 2, 4, 6))
    assert (left.leaving("a-1"), left.moving) == ({"c-1": (0,)}, (0,))


def test_listing_renumbers_and_nothing_changes_hands() -> None:
    more = owned().next().sending([0], "b-1").listing([ListedNode("Z", "z"), ListedNode("aa", "aa", plan=0)])
    assert [node.incarnation for node in more.nodes] == ["Z", "a-1", "aa", "b-1", "c-1"]
    assert (more.shards_of("a-1"), more.leaving("a-1")) == ((0, 2, 4, 6), {"b-1": (0,)})


def test_the_plan_is_that_of_the_lowest_member() -> None:
    one = empty_map(SHARDS).next().listing([ListedNode("a-1", "a", plan=3), ListedNode("b-1", "b", plan=2)])
    assert (one.plan, one.unlisting({"b-1"}).plan) == (2, 3)


def test_a_listed_one_is_replaced_by_what_it_says_later() -> None:
    again = owned().next().listing([ListedNode("b-1", "b", "elsewhere:1", draining=True)])
    assert again.nodes[1] == ListedNode("b-1", "b", "elsewhere:1", draining=True)
    assert again.owners == owned().owners


def test_a_map_lists_no_more_than_its_columns_can_name() -> None:
    with pytest.raises(ValueError, match="at most"):
        empty_map(1).next().listing(ListedNode(str(number), str(number)) for number in range(MOST_NODES + 1))


def test_one_version_ends_the_moves_of_one_mover() -> None:
    given_away = owned().next().giving([0], "c-1", "one")
    assert given_away.giving([2], "c-1", "one").hand_over_of(2) == "one"
    with pytest.raises(ValueError, match="one mover"):
        given_away.giving([1], "c-1", "other")


def test_a_hand_over_is_named_as_long_as_a_shard_has_its_version() -> None:
    given_away = owned().next().giving([0, 2], "c-1", "first")
    partly = given_away.next().giving([0], "b-1")
    assert partly.hand_overs == {3: "first"}
    assert partly.next().giving([2], "b-1").hand_overs == {}
    assert partly.next().giving_anew([2]).hand_overs == {}


def test_the_newest_hand_overs_are_named() -> None:
    shard_map = empty_map(MOST_HAND_OVERS + 2).next().listing([ListedNode("a-1", "a"), ListedNode("b-1", "b")])
    for shard in range(shard_map.shards):
        shard_map = shard_map.next().giving([shard], "a-1", f"{shard}")
    assert len(shard_map.hand_overs) == MOST_HAND_OVERS
    assert (shard_map.hand_over_of(0), shard_map.hand_over_of(1)) == (None, None)
    assert shard_map.hand_over_of(2) == "2"


def test_a_wish_counts_before_what_the_node_says() -> None:
    node = ListedNode("a-1", "a", weight=100, standby=True)
    standing = empty_map(SHARDS).next().listing([node])
    assert standing.as_wished(node) == node
    wished = standing.wishing("a", Wish(weight=50, standby=False, draining=True)).as_wished(node)
    assert (wished.weight, wished.standby, wished.draining) == (50, False, True)
    assert standing.wishing("a", Wish(draining=True)).as_wished(node).standby
    assert standing.wishing("b", Wish(weight=1)).as_wished(node) == node


def test_a_node_that_is_draining_is_so_whatever_is_wished() -> None:
    node = ListedNode("a-1", "a", draining=True)
    assert empty_map(SHARDS).next().listing([node]).wishing("a", Wish(weight=50)).as_wished(node).draining


def test_a_wish_can_be_taken_back() -> None:
    wished = owned().wishing("a", Wish(weight=50)).wishing("b", Wish(standby=True))
    assert wished.wishing("a", NO_WISH).wishes == {"b": Wish(standby=True)}


def test_a_pin_can_be_changed_and_taken_back() -> None:
    pinned = owned().pinning([1, 2, 3], "a").pinning([2], "later").pinning([3], None)
    assert pinned.pins == {1: "a", 2: "later"}
    for shard in (-1, SHARDS):
        with pytest.raises(ValueError, match="0 to 7"):
            pinned.pinning([shard], "a")


@given(maps())
def test_every_map_keeps_the_rules(shard_map: ShardMap) -> None:
    incarnations = [node.incarnation for node in shard_map.nodes]
    assert incarnations == sorted(set(incarnations))
    assert sorted(shard for one in incarnations for shard in shard_map.shards_of(one)) == sorted(
        set(range(SHARDS)) - set(shard_map.ownerless)
    )
    assert all(shard_map.owners[shard] not in {NOBODY, shard_map.moving_to[shard]} for shard in shard_map.moving)
    assert sorted(shard for one in incarnations for shards in shard_map.leaving(one).values() for shard in shards) == (
        list(shard_map.moving)
    )
    assert max(shard_map.since) <= shard_map.version
    assert shard_map.hand_overs.keys() <= set(shard_map.since)
