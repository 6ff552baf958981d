"""The next version of the map: who is listed, who takes over, what moves, and when nothing does."""

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.placement import place
from rowbox.cacheserver.shardmap.plan import MOST_MOVERS, PLAN, changed_members, plan, rebalanced
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, Wish, empty_map
from tests.unit.cacheserver.shardmap.test_placement import ids, loads, moved

SHARDS = 512
AT_ONCE = 64


def cell(name: str, life: int = 1, status: str = "alive", **fields: object) -> NodeCell:
    return replace(NodeCell(f"{name}-{life}", 1, status, "", node_id=name, peer=f"{name}:1"), **fields)


def cells(names: str) -> list[NodeCell]:
    return [cell(name) for name in names]


def standing(names: str) -> ShardMap:
    """A cluster at rest."""
    made = plan(empty_map(SHARDS), cells(names), AT_ONCE)
    assert made is not None
    return made


def changed(shard_map: ShardMap, now: list[NodeCell]) -> ShardMap:
    after = changed_members(shard_map, now)
    assert after is not None
    return after


def at_rest(shard_map: ShardMap, now: list[NodeCell]) -> ShardMap:
    """The map after every plan was carried out, movers giving away what they are to give."""
    for _ in range(1000):
        planned = plan(shard_map, now, AT_ONCE)
        shard_map = shard_map if planned is None else planned
        assert len(shard_map.moving) <= AT_ONCE
        assert len(shard_map.movers) <= MOST_MOVERS
        if not shard_map.moving:
            assert planned is None or plan(planned, now, AT_ONCE) is None or planned.moving == ()
            if planned is None:
                return shard_map
        for mover in shard_map.movers[:1]:
            for target, shards in shard_map.leaving(mover).items():
                shard_map = shard_map.next().giving(shards, target)
    raise AssertionError("it moves for ever")


def test_the_first_map_lists_whoever_is_there_and_gives_everything() -> None:
    first = standing("abc")
    assert (first.version, first.plan, first.ownerless) == (1, PLAN, ())
    assert set(first.since) == {1}
    assert plan(first, cells("abc"), AT_ONCE) is None


def test_the_same_is_planned_of_the_same_in_any_order() -> None:
    one = plan(empty_map(SHARDS), cells("abcd"), AT_ONCE)
    assert one == plan(empty_map(SHARDS), cells("dbca"), AT_ONCE)
    assert one is not None
    assert plan(one, cells("cb"), AT_ONCE) == plan(one, cells("bc"), AT_ONCE)


@pytest.mark.parametrize("end", ["stopped", "dead", "absent"])
def test_what_the_ended_had_is_taken_over_at_once_in_one_version(end: str) -> None:
    before = standing("abc")
    gone = [] if end == "absent" else [cell("b", status=end)]
    after = changed(before, [*cells("ac"), *gone])
    assert (after.version, after.node("b-1"), after.ownerless) == (before.version + 1, None, ())
    assert {whose for whose, _ in moved(before, after)} == {"b"}
    taken = before.shards_of("b-1")
    assert all(after.since[shard] == (after.version if shard in taken else 1) for shard in range(SHARDS))
    assert plan(after, cells("ac"), AT_ONCE) is None


@pytest.mark.parametrize("status", ["alive", "draining", "a later one"])
def test_nothing_is_taken_from_the_living(status: str) -> None:
    after = changed_members(standing("abc"), [*cells("ac"), cell("b", status=status)])
    assert after is None or ids(after) == ids(standing("abc"))


def test_where_all_have_ended_the_shards_wait_for_somebody() -> None:
    nobody = changed(standing("ab"), [])
    assert (nobody.nodes, len(nobody.ownerless)) == ((), SHARDS)
    assert plan(nobody, [], AT_ONCE) is None
    assert changed(nobody, cells("c")).shards_of("c-1") == tuple(range(SHARDS))


def test_a_whole_cluster_that_starts_again_has_the_shards_where_they_were() -> None:
    before = standing("abc")
    again = changed(before, [cell(name, life=2) for name in "abc"])
    assert ids(again) == ids(before)


def test_who_says_that_it_is_cut_off_is_given_nothing_and_its_shards_move() -> None:
    cut_off = cell("c", reaches_peers=False)
    after = at_rest(standing("abc"), [cell("a"), cell("b"), cut_off])
    assert loads(after).get("c", 0) == 0
    assert not after.ownerless
    assert plan(standing("ab"), [*cells("ab"), cut_off], AT_ONCE) is None, "nor is it taken in"
    assert plan(standing("abc"), [cell("a"), cell("b"), cell("c", reaches_peers=None)], AT_ONCE) is None, "an older one"


def test_where_everybody_is_cut_off_what_has_no_owner_is_given_all_the_same() -> None:
    after = at_rest(standing("abc"), [cell("a", reaches_peers=False), cell("b", reaches_peers=False)])
    assert set(loads(after)) == {"a", "b"}
    assert not after.ownerless


@pytest.mark.parametrize(
    "newcomer",
    [
        cell("d", status="draining"),
        cell("d", status="stopped"),
        cell("d", reaches_mail=False),
        cell("d", node_id=""),
        cell("a", life=2),
    ],
    ids=["draining", "stopped", "without the mail", "of an older Rowbox", "listed in an earlier life"],
)
def test_who_cannot_own_is_not_listed(newcomer: NodeCell) -> None:
    assert plan(standing("abc"), [*cells("abc"), newcomer], AT_ONCE) is None


def test_of_two_lives_of_a_node_one_is_listed() -> None:
    first = plan(empty_map(SHARDS), [cell("a", life=2), cell("a", life=1)], AT_ONCE)
    assert first is not None
    assert [node.incarnation for node in first.nodes] == ["a-1"]


def test_a_listed_one_that_loses_its_way_to_the_mail_stays_listed() -> None:
    assert plan(standing("ab"), [cell("a"), cell("b", reaches_mail=False)], AT_ONCE) is None


def test_what_a_node_says_of_itself_is_listed() -> None:
    says = cell("b", status="draining", peer="elsewhere:1", url="http://b", weight=50, zone="z", plan=2)
    after = changed(standing("ab"), [cell("a"), says])
    listed = ListedNode("b-1", "b", "elsewhere:1", "http://b", weight=50, zone="z", draining=True, plan=2)
    assert after.node("b-1") == listed
    assert after.since == standing("ab").since


def test_a_joiner_gets_its_share_by_moves_and_nothing_else_moves() -> None:
    before = standing("abc")
    listed = changed(before, cells("abcd"))
    assert (ids(listed), listed.moving) == (ids(before), ())
    moving = rebalanced(listed, AT_ONCE)
    assert moving is not None
    assert (len(moving.moving), moving.owners, moving.since) == (AT_ONCE, listed.owners, listed.since)
    assert len(moving.movers) == 3
    after = at_rest(moving, cells("abcd"))
    assert {to for _, to in moved(before, after)} == {"d"}
    assert 0.2 * SHARDS <= loads(after)["d"] <= 0.3 * SHARDS


def test_a_move_that_is_under_way_stays_and_no_more_than_allowed_are() -> None:
    moving = rebalanced(changed(standing("abc"), cells("abcd")), AT_ONCE)
    assert moving is not None
    assert rebalanced(moving, AT_ONCE) is None
    more = rebalanced(moving, AT_ONCE + 6)
    assert more is not None
    assert (set(moving.moving) < set(more.moving), len(more.moving)) == (True, AT_ONCE + 6)


def test_not_more_than_a_few_owners_give_at_once() -> None:
    many = "abcdefghijklmnop"
    moving = rebalanced(changed(standing(many), cells(many + "q")), AT_ONCE)
    assert moving is not None
    assert len(moving.movers) == MOST_MOVERS
    at_rest(moving, cells(many + "q"))


def test_more_movers_than_are_allowed_go_on_and_no_other_begins() -> None:
    many = "abcdefghijklmnop"
    moving = changed(standing(many), cells(many + "q"))
    for name in many[: MOST_MOVERS + 2]:
        moving = moving.sending(moving.shards_of(f"{name}-1")[:1], "q-1")
    more = rebalanced(moving, AT_ONCE)
    assert more is not None
    assert more.movers == moving.movers


def test_nothing_moves_while_a_shard_has_no_owner() -> None:
    joined = changed(standing("abc"), cells("abcd"))
    assert rebalanced(joined.unlisting({"b-1"}), AT_ONCE) is None


@pytest.mark.parametrize("node_plan", [PLAN - 1, PLAN + 1])
def test_nothing_moves_by_rules_that_a_member_does_not_follow(node_plan: int) -> None:
    others = [replace(one, plan=node_plan) for one in cells("abcd")]
    joined = changed(standing("abc"), others)
    assert (joined.plan, rebalanced(joined, AT_ONCE)) == (node_plan, None)
    assert changed(joined, others[1:]).ownerless == ()


def test_a_move_to_somebody_who_ended_is_cleared() -> None:
    moving = rebalanced(changed(standing("abc"), cells("abcd")), AT_ONCE)
    assert moving is not None
    after = changed(moving, cells("abc"))
    assert (after.moving, after.owners) == ((), standing("abc").owners)


def test_what_a_dead_mover_was_to_give_is_taken_over_like_the_rest() -> None:
    moving = rebalanced(changed(standing("abc"), cells("abcd")), AT_ONCE)
    assert moving is not None
    after = changed(moving, cells("bcd"))
    assert (after.ownerless, after.leaving("a-1")) == ((), {})


def test_a_draining_node_gives_everything_away_and_gets_nothing() -> None:
    now = [*cells("ab"), cell("c", status="draining")]
    after = at_rest(standing("abc"), now)
    assert loads(after)["c"] == 0
    wished = at_rest(standing("abc").wishing("c", Wish(draining=True)), cells("abc"))
    assert ids(wished) == ids(after)
    undone = at_rest(wished.wishing("c", Wish()), cells("abc"))
    assert loads(undone)["c"] > 0.2 * SHARDS


def test_where_everybody_drains_everything_stays() -> None:
    now = [cell(name, status="draining") for name in "abc"]
    assert ids(at_rest(standing("abc"), now)) == ids(standing("abc"))


def with_standby(*names: str, zone: str = "") -> tuple[ShardMap, list[NodeCell]]:
    now = [*cells("abc"), *(cell(name, standby=True, zone=zone) for name in names)]
    return at_rest(standing("abc"), now), now


def test_a_standby_waits_with_nothing() -> None:
    before, _ = with_standby("s")
    assert (before.shards_of("s-1"), before.node_of_id("s") is not None) == ((), True)


def test_a_standby_takes_all_that_a_dead_node_had_and_is_ordinary_from_then_on() -> None:
    before, now = with_standby("s")
    left = [one for one in now if one.node_id != "b"]
    after = changed(before, left)
    assert after.version == before.version + 1
    assert moved(before, after) == {("b", "s"): len(before.shards_of("b-1"))}
    assert plan(after, left, AT_ONCE) is None
    back = at_rest(after, [*left, cell("b", life=2)])
    assert {to for _, to in moved(after, back)} == {"b"}


def test_each_dead_node_has_a_standby_as_long_as_there_are_any() -> None:
    before, now = with_standby("s")
    after = changed(before, [one for one in now if one.node_id not in "ab"])
    assert after.ownerless == ()
    assert moved(before, after)["a", "s"] == len(before.shards_of("a-1"))
    assert after.shards_of("s-1") != after.shards_of("c-1") != ()


def test_a_standby_of_the_same_zone_goes_first() -> None:
    before, now = with_standby("s", "t")
    now = [replace(one, zone="east" if one.node_id in "bt" else "west") for one in now]
    zoned = at_rest(before, now)
    after = changed(zoned, [one for one in now if one.node_id != "b"])
    assert moved(zoned, after) == {("b", "t"): len(zoned.shards_of("b-1"))}


def test_a_standby_is_not_called_where_the_node_is_back_already() -> None:
    before, now = with_standby("s")
    after = changed(before, [*(one for one in now if one.node_id != "b"), cell("b", life=2)])
    assert ids(after) == ids(before)


def test_a_standby_that_drains_is_none() -> None:
    before, now = with_standby("s")
    now = [replace(one, status="draining") if one.node_id == "s" else one for one in now if one.node_id != "b"]
    assert changed(before, now).shards_of("s-1") == ()


def test_a_standby_does_not_take_what_is_pinned_to_another() -> None:
    before, now = with_standby("s")
    pinned = before.shards_of("b-1")[:5]
    after = changed(before.pinning(pinned, "c"), [one for one in now if one.node_id != "b"])
    assert set(pinned) <= set(after.shards_of("c-1"))
    assert len(after.shards_of("s-1")) == len(before.shards_of("b-1")) - 5


def test_of_standbys_alone_one_owns_everything_and_the_next_one_follows_it() -> None:
    """Servers without an address for peers: one owns, the others wait, and nobody has to call another one."""
    waiting = [cell(name, standby=True, peer="") for name in "abc"]
    first = changed(empty_map(SHARDS), waiting)
    assert loads(first) == {"a": SHARDS}
    assert plan(first, waiting, AT_ONCE) is None
    second = changed(first, waiting[1:])
    assert moved(first, second) == {("a", "b"): SHARDS}
    back = at_rest(second, [*waiting[1:], cell("a", life=2, standby=True, peer="")])
    assert loads(back) == {"b": SHARDS}


def test_who_cannot_be_called_takes_nothing_over_from_those_who_are() -> None:
    called = [cell(name, peer=f"{name}:1") for name in "ab"]
    before = at_rest(empty_map(SHARDS), [*called, cell("s", standby=True, peer="")])
    after = changed(before, [called[0], cell("s", standby=True, peer="")])
    assert loads(after) == {"a": SHARDS}


def test_a_node_that_operators_made_a_standby_takes_over_as_one() -> None:
    wished = at_rest(standing("abc").wishing("c", Wish(standby=True, weight=90)), cells("abc"))
    assert loads(wished)["c"] == 0
    after = changed(wished, cells("bc"))
    assert moved(wished, after) == {("a", "c"): len(wished.shards_of("a-1"))}
    assert after.wishes == {"c": Wish(weight=90)}


def test_a_pinned_shard_moves_to_its_node_and_comes_back_when_that_ends() -> None:
    before = standing("abc")
    shard = before.shards_of("a-1")[0]
    pinned = at_rest(before.pinning([shard], "b"), cells("abc"))
    assert ids(pinned)[shard] == "b"
    assert sum(moved(before, pinned).values()) <= 2  # b may have had no room for it
    after = changed(pinned, cells("ac"))
    assert after.owner_of(shard) is not None
    assert place(after) == after.owners


KNOWING = ("blocks",)


def names(shard_map: ShardMap) -> list[str]:
    """The ids of those who are listed."""
    return sorted(node.node_id for node in shard_map.nodes)


def test_a_feature_is_on_once_all_who_are_listed_know_it_and_stays_on() -> None:
    mixed = [cell("a", features=KNOWING), cell("b")]
    before = plan(empty_map(SHARDS), mixed, AT_ONCE)
    assert before is not None
    assert before.features == ()
    upgraded = [mixed[0], cell("b", 2, features=KNOWING)]
    after = changed(before, [*upgraded, cell("b", status="stopped")])
    assert after.features == KNOWING
    assert changed(after, [mixed[0]]).features == KNOWING
    assert changed(after, []).features == KNOWING, "also where nobody is left"


def test_who_does_not_know_what_is_on_is_not_listed() -> None:
    knowing = [cell("a", features=KNOWING), cell("b", features=KNOWING)]
    on = plan(empty_map(SHARDS), knowing, AT_ONCE)
    assert on is not None
    assert on.features == KNOWING
    assert changed_members(on, [*knowing, cell("c")]) is None
    assert names(changed(on, [*knowing, cell("c", features=("a later one", *KNOWING))])) == ["a", "b", "c"]
    assert names(changed(on, [cell("c")])) == [], "nobody owns anything rather than one who would ignore it"


def test_one_who_comes_beside_the_last_upgrade_is_listed_or_the_feature_is_on() -> None:
    """Both are decided by one map."""
    before = plan(empty_map(SHARDS), [cell("a", features=KNOWING), cell("b")], AT_ONCE)
    assert before is not None
    both = [cell("a", features=KNOWING), cell("b", 2, features=KNOWING), cell("c")]
    after = changed(before, both)
    assert (names(after), after.features) == (["a", "b", "c"], ())
