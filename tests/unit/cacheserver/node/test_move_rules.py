"""The swaps of a move: of what no longer stands as it was when the move began, nothing is given away or taken back."""

from rowbox.cacheserver.node.move_rules import gives_away, takes_back
from rowbox.cacheserver.shardmap.shard_map import ListedNode, empty_map

ME, TARGET, OTHER = "me", "target", "other"
NODES = [ListedNode(name, name) for name in (ME, TARGET, OTHER)]
OWNED = empty_map(3).next().listing(NODES).giving(range(3), ME)
MOVING = OWNED.next().sending([0, 1], TARGET)
GRANTS = {shard: MOVING.since[shard] for shard in (0, 1)}


def test_a_shard_that_was_given_anew_meanwhile_is_of_another_grant() -> None:
    standing = MOVING.next().giving_anew([0]).sending([0, 1], TARGET)
    given, kept = gives_away(standing, ME, GRANTS, TARGET, "id"), takes_back(standing, ME, GRANTS)
    assert given is not None
    assert kept is not None
    assert (list(given.shards_of(ME)), list(given.shards_of(TARGET))) == ([0, 2], [1])
    assert (kept.target_of(0), kept.target_of(1)) == (standing.target_of(0), None)


def test_a_shard_that_is_to_go_elsewhere_by_now_is_not_given_to_the_first() -> None:
    standing = MOVING.next().sending([0], OTHER).sending([1], None)
    assert gives_away(standing, ME, GRANTS, TARGET, "id") is None
    kept = takes_back(standing, ME, GRANTS)
    assert kept is not None
    assert kept.target_of(0) is None
    assert takes_back(kept, ME, GRANTS) is None
