from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from rowbox.cacheserver.shardmap.cluster_state import NodeCell, NodeLoad
from rowbox.cacheserver.shardmap.overview import NEVER, Overview, Pulse, as_fields, changes_between, overview_of
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, Wish, empty_map

PATIENCE_S = 4.5


def node(name: str, **fields: int | bool | str) -> ListedNode:
    return ListedNode(f"inc-{name}", name, **fields)  # type: ignore[arg-type]


def cell(name: str, status: str = "alive", **fields: object) -> NodeCell:
    return replace(NodeCell(f"inc-{name}", 1, status, f"host of {name}", node_id=name), **fields)


def shared(*nodes: ListedNode, shards: int = 12) -> ShardMap:
    shard_map = empty_map(shards).next().listing(nodes)
    for place, one in enumerate(nodes):
        shard_map = shard_map.giving(range(place, shards, len(nodes)), one.incarnation)
    return shard_map


def seen(shard_map: ShardMap, *cells: NodeCell, quiet: Mapping[str, float] | None = None) -> Overview:
    pulses = {f"inc-{name}": Pulse(seconds, 60.0) for name, seconds in (quiet or {}).items()}
    return overview_of(shard_map, cells, pulses, PATIENCE_S)


def test_a_sound_cluster_is_all_well() -> None:
    overview = seen(shared(node("a"), node("b", weight=200)), cell("a"), cell("b"), quiet={"a": 0.0, "b": 0.5})
    assert overview.wrong == []
    assert [(one.node_id, one.shards, one.share, one.state) for one in overview.nodes] == [
        ("a", 6, 4.0, "alive"),
        ("b", 6, 8.0, "alive"),
    ]
    assert (overview.version, overview.shards, overview.moving, overview.ownerless) == (1, 12, 0, 0)


def test_each_state_has_its_word() -> None:
    shard_map = shared(node("a"), node("b"), node("c", standby=True), node("d")).wishing("d", Wish(draining=True))
    cells = (cell("a"), cell("c"), cell("d"), cell("e"), replace(cell("f"), node_id=""))
    states = {one.node_id or one.incarnation: one.state for one in seen(shard_map, *cells).nodes}
    assert states == {
        "a": "alive",
        "b": "gone",
        "c": "standby",
        "d": "draining",
        "e": "joining",
        "inc-f": "of an older version",
    }


def test_a_standby_and_a_draining_node_have_no_share() -> None:
    shard_map = shared(node("a"), node("b", standby=True), node("c"), node("d", draining=True))
    shares = {one.node_id: one.share for one in seen(shard_map).nodes}
    assert shares == {"a": 6.0, "b": 0.0, "c": 6.0, "d": 0.0}


def test_what_is_wrong_is_said_in_a_sentence_each() -> None:
    shard_map = shared(node("a"), node("b"), node("c")).unlisting(["inc-c"]).pinning([3, 4], "gone")
    overview = seen(shard_map, cell("a", reaches_mail=False), cell("b"), quiet={"a": 0.1, "b": 9.0})
    assert overview.wrong == [
        "a does not reach the mail",
        "b has not beaten for 9 s, and owns 4 shards",
        "4 shards without an owner: these users are answered 503",
        "2 shards pinned to gone, which is not there",
    ]


def test_after_a_restore_those_who_never_lived_are_nodes_to_nobody() -> None:
    before = shared(node("a"), node("b"))
    nobody = [ListedNode(name, name) for name in ("restore 0123456789abcdef 0", "restore 0123456789abcdef 1")]
    after = before.next().unlisting(["inc-a", "inc-b"]).listing(nobody)
    overview = seen(after, cell("a"))
    assert [(one.node_id, one.state) for one in overview.nodes] == [("a", "joining")]
    assert overview.wrong == [
        "the store was put back from a copy: the servers that run own its mailboxes within ten seconds",
        "12 shards without an owner: these users are answered 503",
    ]
    assert [line for line in changes_between(before, after) if "shards" not in line] == [
        "the store was put back from a copy",
        "a is listed no more",
        "b is listed no more",
    ]


def test_one_that_was_seen_once_is_not_said_to_be_silent() -> None:
    overview = seen(shared(node("a")), cell("a"))
    assert [one.quiet_s for one in overview.nodes] == [NEVER]
    assert overview.wrong == []


def test_clocks_that_differ_are_wrong() -> None:
    now_us = 1_700_000_000_000_000
    cells = cell("a", clock_us=now_us), cell("b", clock_us=now_us + 9_000_000)
    assert seen(shared(node("a"), node("b")), *cells).wrong == []
    cells = cell("a", clock_us=now_us), cell("b", clock_us=now_us + 11_000_000)
    (wrong,) = seen(shared(node("a"), node("b")), *cells).wrong
    assert wrong == "the clocks of a and b are about 11 s apart, or one of them beats no more"


def test_a_load_is_shown_of_who_tells_it_and_lives() -> None:
    load = NodeLoad(12.5, 300.0, 7, 4.0)
    cells = cell("a", load=load), cell("b"), cell("c", "dead", load=load)
    overview = seen(shared(node("a"), node("b"), node("c")), *cells)
    assert [one.load for one in overview.nodes] == [load, None, None]
    told = [one["load"] for one in as_fields(overview)["nodes"]]
    assert told == [
        {"sendsPerSecond": 12.5, "fetchesPerSecond": 300.0, "mailboxes": 7, "commitP99Ms": 4.0},
        None,
        None,
    ]


def test_a_node_that_does_not_beat_is_silent_and_not_alive() -> None:
    overview = seen(shared(node("a"), node("b")), cell("a"), cell("b"), quiet={"a": 4.4, "b": 4.5})
    assert [one.state for one in overview.nodes] == ["alive", "silent"]


def test_a_move_that_does_not_end_is_wrong() -> None:
    shard_map = shared(node("a"), node("b")).next().sending([0], "inc-b")
    a_minute = cell("a", load=NodeLoad(oldest_move_s=60.0))
    assert seen(shard_map, cell("a", load=NodeLoad(oldest_move_s=59.0)), cell("b")).wrong == []
    (wrong,) = seen(shard_map, a_minute, cell("b")).wrong
    assert wrong == "a has had shards on the move for 60 s and cannot give them away: its log says why"
    assert seen(shared(node("a"), node("b")), a_minute, cell("b")).wrong == [], "it has ended since"


def test_two_servers_of_one_node_id_are_wrong_and_one_that_was_restarted_is_not() -> None:
    shard_map = shared(node("a"), node("b"))
    again = replace(cell("a"), incarnation="inc-again", address="another host")
    cells = cell("a"), again, cell("b")

    def wrong(first: Pulse, second: Pulse) -> Sequence[str]:
        return overview_of(shard_map, cells, {"inc-a": first, "inc-again": second}, PATIENCE_S).wrong

    assert wrong(Pulse(0.2, 60.0), Pulse(0.5, 2.0)) == [
        "two servers say that they are a (another host and host of a): give one of them another cluster.node_id"
    ]
    assert wrong(Pulse(2.5, 60.0), Pulse(0.5, 2.0)) == [], "one has not beaten since the other one came"
    assert wrong(Pulse(0.0, 0.0), Pulse(0.0, 0.0)) == [], "both came since the last look"
    assert wrong(Pulse(NEVER), Pulse(NEVER)) == [], "both were seen once"


def test_who_died_and_has_not_come_back_is_noted_and_shown() -> None:
    at_us = 1_795_827_026_000_000
    shard_map = shared(node("a"), node("b"))
    dead = cell("c", "dead", clock_us=at_us)
    earlier = replace(dead, incarnation="inc-earlier", clock_us=at_us - 1)
    overview = seen(shard_map, cell("a"), cell("b"), earlier, dead, cell("d", "stopped"))
    assert overview.wrong == [], "nothing is to be done at once"
    assert overview.noted == [
        "c died, by its clock 2026-11-28 00:50:26 UTC, and has not come back: others have its shards (host of c)"
    ]
    assert [(one.node_id, one.state, one.shards) for one in overview.nodes][2:] == [("c", "dead", 0)]
    again = replace(cell("c"), incarnation="inc-again")
    assert seen(shard_map, cell("a"), cell("b"), dead, again).noted == []


def test_a_drain_that_nobody_took_back_is_noted() -> None:
    drained = shared(node("a"), node("b")).giving(range(0, 12, 2), "inc-b").wishing("a", Wish(draining=True))
    assert seen(drained, cell("a"), cell("b")).noted == [
        "a is drained, and owns nothing until `rowbox nodes undrain a`"
    ]
    assert seen(drained.giving([0], "inc-a"), cell("a"), cell("b")).noted == [], "it has not given all away yet"


def test_changes_are_told_in_sentences() -> None:
    before = shared(node("a"), node("b"))
    after = before.next().listing([node("c")]).sending([0, 2], "inc-c").wishing("a", Wish(weight=50))
    assert changes_between(before, before) == ()
    assert changes_between(before, after) == (
        "c is listed",
        "2 shards on the move from a to c",
        "a: weight 50",
    )
    moved = after.next().giving([0], "inc-c").sending([2], None).pinning([5], "b")
    assert changes_between(after, moved) == ("1 shard from a to c", "1 shard stays after all", "1 shard pinned to b")
    died = moved.next().unlisting(["inc-b"]).giving([1, 3, 5, 7, 9, 11], "inc-c")
    assert changes_between(moved, died) == ("b is listed no more", "6 shards from b to c")
    assert changes_between(died, died.next().wishing("a", Wish())) == ("a: no wish any more",)
