"""What an incarnation does next, condition by condition. What follows from all of them, tests/model searches."""

from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.node.judgement import (
    FirstPlace,
    Look,
    Member,
    Role,
    Swap,
    carried_over,
    has_ended,
    next_swap,
    places_to_read,
    plan_input,
    raised,
    role_of,
    stewards,
    take_in,
)
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, MapCell, NodeCell, NodeLoad, own_place
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map

NAMES = ("a", "b", "c", "d", "e")
RANKED = ("e", "c", "a", "b", "d")
"""By their ranks."""


def cell(name: str, status: str = "alive", **fields: Any) -> NodeCell:
    return NodeCell(name, 3, status, "here", node_id=f"node {name}", **fields)


def listed(*names: str) -> tuple[ListedNode, ...]:
    return tuple(ListedNode(name, f"node {name}") for name in names)


def shared(*owners: str, names: tuple[str, ...] = NAMES, version: int = 5) -> ShardMap:
    """A map in which each shard is its owner's since version 5."""
    given = empty_map(len(owners), version - 1).next().listing(listed(*names))
    for shard, owner in enumerate(owners):
        given = given.giving([shard], owner)
    return given


def look(standing: ShardMap, *cells: NodeCell, is_whole: bool = True) -> Look:
    root = MapRoot(standing.version, "", "") if standing.version else None
    return Look(ClusterRow(root, {one.incarnation.encode(): one for one in cells}, {}), standing, is_whole)


def me(name: str = "a", **known: Any) -> Member:
    """One that has joined and renewed, and holds its lease."""
    known = {"has_joined": True, "has_renewed": True, "lease_is_held": True, **known}
    return Member(ListedNode(name, f"node {name}"), "here", 4, **known)


def member(standing: ShardMap, name: str = "a", **known: Any) -> Member:
    """One that has applied the map, and is listed there."""
    return me(name, applied=standing, was_listed=True, **known)


MAP = shared("a", "b")
ALL = tuple(map(cell, NAMES))
NOTHING = empty_map(2)
OLD = MapCell(7, "old", "there")


def test_the_ranks() -> None:
    assert stewards(look(MAP, *ALL), 5) == RANKED


@pytest.mark.parametrize(
    ("seen", "known", "role"),
    [
        (look(MAP, *ALL), me(), Role.LISTED),
        (look(NOTHING, *ALL), me(), Role.UNLISTED),
        (look(shared("b", names=("b",)), *ALL), me(), Role.UNLISTED),
        (look(shared("b", names=("b",)), *ALL), member(shared("a", version=4)), Role.REPLACED),
        (look(shared("b", names=("b",)), *ALL), me(applied=shared("b", names=("b",)), was_listed=True), Role.REPLACED),
        (look(shared("b", names=("b",), version=4), *ALL), member(MAP), Role.LISTED),
        (look(MAP, cell("a", "dead")), member(MAP), Role.REPLACED),
        (look(MAP, cell("b")), member(MAP), Role.REPLACED),
        (look(MAP, cell("b")), me(has_joined=False), Role.LISTED),
        (look(MAP, cell("b"), is_whole=False), member(MAP), Role.LISTED),
        (look(MAP, *ALL), member(MAP, is_ending=True), Role.REPLACED),
    ],
    ids=[
        "listed",
        "there is no map",
        "not listed yet",
        "not listed any more",
        "not listed any more, as it has applied",
        "not listed yet in a map that is older than its own",
        "declared dead",
        "its place was taken over",
        "its cell may yet come",
        "its place was not read",
        "it ends",
    ],
)
def test_roles(seen: Look, known: Member, role: Role) -> None:
    assert role_of(seen, known) is role


@pytest.mark.parametrize(
    ("other", "lively", "abdicates"),
    [(cell("b"), "ab", True), (cell("b"), "a", False), (cell("b", reaches_mail=False), "ab", False)],
    ids=["one does", "one did", "nobody does"],
)
def test_one_that_does_not_reach_the_mail_leaves_it_to_a_lively_one_that_does(
    other: NodeCell, lively: str, abdicates: bool
) -> None:
    seen = look(MAP, cell("a"), other)
    assert role_of(seen, member(MAP, reaches_mail=False, lively=lively)) is (
        Role.REPLACED if abdicates else Role.LISTED
    )


@pytest.mark.parametrize(
    ("others_say", "known", "leaves"),
    [
        (True, {}, True),
        (False, {}, False),
        (None, {}, False),
        (True, {"lively": "a"}, False),
        (True, {"may_leave_peers": False}, False),
        (True, {"reaches_peers": True}, False),
    ],
    ids=["one is in touch", "nobody is", "all are older", "one was in touch", "too early", "a moment ago"],
)
def test_one_that_is_cut_off_leaves_its_shards_to_a_lively_one_that_says_to_be_in_touch(
    others_say: bool | None, known: dict[str, Any], leaves: bool
) -> None:
    """An older Rowbox says nothing of it, and may go on calling by an incarnation's earlier name."""
    seen = look(MAP, cell("a"), cell("b", reaches_peers=others_say))
    cut_off = {"reaches_peers": False, "may_leave_peers": True, "lively": "ab", **known}
    assert role_of(seen, member(MAP, **cut_off)) is (Role.REPLACED if leaves else Role.LISTED)
    assert role_of(seen, member(shared("b"), **cut_off)) is Role.LISTED, "who has no shards leaves none"


def test_a_newer_map_is_applied_and_the_beat_that_stands_counts() -> None:
    taken = take_in(look(MAP, *ALL), me(has_joined=False))
    assert (taken.role, taken.has_joined, taken.renewed_beat, taken.applies) == (Role.LISTED, True, 3, True)
    assert not take_in(look(MAP, *ALL), member(MAP)).applies
    assert not take_in(look(shared("b", version=4), *ALL), member(MAP)).applies, "the look was late"
    dead = take_in(look(MAP, cell("a", "dead")), member(shared("a", version=4)))
    assert (dead.role, dead.renewed_beat, dead.applies) == (Role.REPLACED, 0, False)


# What is read


def test_whoever_is_no_steward_reads_five_places() -> None:
    places = frozenset({MAP_PLACE, b"b", b"e", b"c", b"a"})
    assert places_to_read(look(MAP, *ALL), member(MAP, "b")) == places
    partly = look(MAP, *map(cell, "beca"), is_whole=False)
    assert places_to_read(partly, member(MAP, "b")) == places, "and such a look is enough"


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (look(MAP, *ALL), "a"),
        (look(shared("b", names=("b", "c")), *ALL), "a"),
        (look(NOTHING, *ALL), "a"),
        (look(MAP, *map(cell, "bea"), cell("c", "dead")), "b"),
        (look(MAP, *map(cell, "bea"), cell("f")), "b"),
        (look(MAP, *map(cell, "eca")), "b"),
    ],
    ids=["a steward", "not listed", "no map", "a steward has ended", "another one in its place", "its own was lost"],
)
def test_the_whole_row_is_read(seen: Look, name: str) -> None:
    assert places_to_read(seen, member(seen.map, name)) is None
    assert places_to_read(seen._replace(is_whole=False), member(seen.map, name)) is None


def test_who_was_not_read_has_not_ended() -> None:
    assert has_ended(look(MAP, cell("a")), "b")
    assert not has_ended(look(MAP, cell("a"), is_whole=False), "b")
    assert not has_ended(look(MAP, cell("b", "of a newer Rowbox")), "b")


# Cells

LOAD = NodeLoad(12.5, 300.0, 7, 4.0)


def test_one_renews_with_what_it_says_of_itself() -> None:
    node = ListedNode("a", "node a", "peer", "url", 50, "zone", standby=True, draining=True, plan=2)
    known = member(MAP, has_renewed=False, clock_us=9, reaches_mail=False, load=LOAD)._replace(node=node)
    renewed = NodeCell("a", 4, "draining", "here", False, 9, "node a", "peer", "url", 50, "zone", True, 2, LOAD, True)
    assert next_swap(look(MAP, *ALL), known) == Swap(b"a", renewed)


def test_one_that_was_replaced_only_says_so() -> None:
    assert next_swap(look(MAP, *ALL), member(MAP, is_ending=True)) == Swap(b"a", cell("a", "stopped"))
    assert next_swap(look(MAP, cell("a", "dead")), member(MAP)) is None
    assert next_swap(look(MAP, cell("b")), member(MAP)) is None


def test_a_silent_one_is_declared_dead_by_whoever_can_renew_its_own_lease() -> None:
    seen = look(MAP, *ALL)
    assert next_swap(seen, member(MAP, silent={"b"})) == Swap(b"b", cell("b", "dead"))
    assert next_swap(seen, member(MAP, silent={"b"}, lease_is_held=False)) is None
    assert next_swap(look(MAP, cell("a"), cell("b", "stopped")), member(MAP, silent={"b"})) is None
    assert next_swap(seen, me(silent={"b"})) == Swap(b"b", cell("b", "dead")), "also by one that is not listed"


def test_many_that_bury_many_begin_with_different_ones() -> None:
    names = [f"x{number}" for number in range(20)]
    seen = look(NOTHING, *map(cell, names), *ALL)
    swaps = [next_swap(seen, me(name, silent=names)) for name in NAMES]
    assert len({swap.place for swap in swaps if swap is not None}) > 2


def test_one_that_joins_takes_a_place_that_has_ended_or_makes_its_own() -> None:
    joining = me(has_joined=False, has_renewed=False, lease_is_held=False)
    own = replace(cell("a"), beat=4, reaches_peers=True)
    assert next_swap(look(MAP, cell("b")), joining) == Swap(own_place("a"), own)
    assert next_swap(look(MAP, cell("b"), cell("c", "dead")), joining) == Swap(b"c", own)


def test_one_that_joins_tries_no_other_place_while_its_first_swap_may_yet_execute() -> None:
    joining = me(has_joined=False, has_renewed=False, first_place=FirstPlace(own_place("a"), None))
    seen, own = look(MAP, cell("b"), cell("c", "dead")), replace(cell("a"), beat=4, reaches_peers=True)
    assert next_swap(seen, joining) == Swap(own_place("a"), own)
    assert next_swap(seen, joining._replace(has_renewed=True)) is None
    taken = joining._replace(first_place=FirstPlace(b"b", cell("b", "dead")))
    assert next_swap(seen, taken) == Swap(b"c", own), "it never executes any more"


# The map


def test_an_owner_raises_its_own_shards_alone() -> None:
    higher = raised(look(MAP, *ALL), member(MAP, needed_above={0: 70, 1: 90}))
    assert higher is not None
    assert (higher.version, higher.since) == (71, (71, 5))
    assert raised(look(MAP, *ALL), member(MAP, needed_above={0: 4})) is None, "it is higher already"
    assert raised(look(MAP, *ALL), member(MAP, needed_above={0: 70}, is_ending=True)) is None


def test_stewards_plan_by_rank() -> None:
    seen = look(MAP, *ALL)
    planners = {name: plan_input(seen, member(MAP, name)) for name in NAMES}
    assert {name: given.rank for name, given in planners.items() if given is not None} == {"e": 0, "c": 1, "a": 2}
    buried = look(MAP, *map(cell, "abcd"), cell("e", "dead"))
    given = plan_input(buried, member(MAP, "a"))
    assert given is not None
    assert given.rank == 1
    assert [one.status for one in given.cells] == ["alive"] * 4 + ["dead"]


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        (look(MAP, *ALL), member(MAP, "e", lease_is_held=False)),
        (look(MAP, *ALL, is_whole=False), member(MAP, "e")),
        (look(MAP, *map(cell, "abcd"), cell("e", "dead")), member(MAP, "e")),
        (look(MAP, *ALL), member(MAP, "e", is_ending=True)),
        (look(MAP, *map(cell, "abcd")), member(MAP, "e")._replace(has_joined=False)),
    ],
    ids=["without a lease", "after a partial look", "declared dead", "ending", "without a cell"],
)
def test_nobody_plans(seen: Look, known: Member) -> None:
    assert plan_input(seen, known) is None


def test_a_plan_is_asked_for_again_only_where_something_has_changed() -> None:
    one, other = (
        plan_input(look(MAP, replace(cell("a"), beat=beat, clock_us=beat, load=NodeLoad(beat))), member(MAP))
        for beat in (1, 2)
    )
    assert one is not None
    assert other is not None
    assert one.key == other.key


def test_whoever_is_to_be_listed_was_seen_to_live_and_reaches_the_mail() -> None:
    seen = look(shared("a", names=("a",)), *ALL, replace(cell("f"), node_id=""), cell("g", reaches_mail=False))
    given = plan_input(seen, member(seen.map, lively={"b", "f", "g"}))
    assert given is not None
    assert [one.incarnation for one in given.cells] == ["a", "b"]


def test_the_first_one_of_all_lists_itself() -> None:
    given = plan_input(look(NOTHING, cell("a")), me())
    assert given is not None
    assert (given.map.version, [one.incarnation for one in given.cells], given.rank) == (0, ["a"], 0)
    assert plan_input(look(NOTHING, cell("a"), cell("b")), me(reaches_mail=False)) is not None
    broken = look(NOTHING, cell("a", reaches_mail=False), cell("b"))
    assert plan_input(broken, me(reaches_mail=False)) is None


def test_after_the_end_of_all_those_who_are_back_wait_for_half_of_the_nodes() -> None:
    ended = [cell(name, "dead") for name in NAMES]
    back = [NodeCell(f"{name}2", 1, "alive", "here", node_id=f"node {name}") for name in "abc"]
    seen, known = look(MAP, *ended, *back), me("a2", lively={"b2"})
    assert plan_input(seen, known) is None
    assert plan_input(seen, known._replace(lively={"b2", "c2"})) is not None
    assert plan_input(seen, known._replace(has_waited=True)) is not None
    one_lives = look(MAP, *ended[1:], cell("a"), *back)
    assert plan_input(one_lives, known._replace(has_waited=True)) is None, "there is a steward"


def test_everybody_waits_for_the_owner_that_knew_no_shards() -> None:
    standing = empty_map(2, 7)
    lives = Look(ClusterRow(OLD, {b"a": cell("a"), b"old": NodeCell("old", 9, "alive", "there")}, {}), standing)
    assert plan_input(lives, me()) is None
    assert not take_in(lives, me()).applies
    gone = Look(ClusterRow(OLD, {b"a": cell("a"), b"old": NodeCell("old", 9, "stopped", "there")}, {}), standing)
    given = plan_input(gone, me())
    assert given is not None
    assert given.map.version == 7


def test_a_plan_that_lost_its_race_is_carried_over_without_touching_what_the_living_own() -> None:
    planned = shared("b", "b", names=("b", "c"), version=6)
    now = plan_input(look(shared("a", "c"), *map(cell, "bce")), member(MAP, "e"))
    assert now is not None
    carried = carried_over(planned, now)
    assert carried is not None
    assert [carried.nodes[place].incarnation for place in carried.owners] == ["b", "c"]
    assert (carried.version, carried.since) == (6, (6, 5))
    settled = plan_input(look(carried, *map(cell, "bce")), member(carried, "e"))
    assert settled is not None
    assert carried_over(planned, settled) is None


def test_a_plan_that_is_carried_over_lists_no_node_twice() -> None:
    again = NodeCell("a2", 1, "alive", "here", node_id="node a")
    planned = shared("b", "b", names=("b",), version=5).next().listing([ListedNode("a2", "node a")])
    lives = plan_input(look(MAP, *ALL, again), member(MAP, "e", lively={"a2"}))
    assert lives is not None
    assert carried_over(planned, lives) is None
    gone = plan_input(look(MAP, *ALL[1:], again), member(MAP, "e", lively={"a2"}))
    assert gone is not None
    carried = carried_over(planned, gone)
    assert carried is not None
    assert {node.incarnation for node in carried.nodes} == {"a2", "b", "c", "d", "e"}
