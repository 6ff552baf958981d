"""`rowbox nodes`, `shards` and `cluster` over a map in a store."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from rich.console import RenderableType

from rowbox.cacheserver.shardmap.cluster_state import NodeLoad
from rowbox.cacheserver.shardmap.desk import Desk, Seen
from rowbox.cacheserver.shardmap.overview import Overview
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ShardMap, Wish
from rowbox.cli.main import main
from rowbox.cli.verbs.cluster import cluster, handle
from rowbox.cli.verbs.cluster.screen import screen
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.ids import shard_of
from tests.cli.cluster.shared_store import SHARDS, SharedStore, run, shared

__all__ = ["shared"]


def test_nodes_are_listed_with_what_they_own(shared: SharedStore) -> None:
    result = run("nodes", "ls", "--json")
    assert result.exit_code == 0, result.output
    nodes = orjson.loads(result.stdout)
    assert [(node["nodeId"], node["state"], node["shards"]) for node in nodes] == [
        ("a", "alive", 22),
        ("b", "alive", 21),
        ("c", "alive", 21),
    ]
    assert all(node["quietSeconds"] < 1 for node in nodes)
    assert "host of b" in run("nodes", "ls").stdout


def test_one_node_is_shown_with_its_shards(shared: SharedStore) -> None:
    shown = run("nodes", "show", "b")
    assert "Shards           21, of a share of 21\n" in shown.stdout
    assert "Its shards       1, 4, 7, " in shown.stdout
    fields = orjson.loads(run("nodes", "show", "b", "--json").stdout)
    assert (fields["nodeId"], fields["ownedShards"]) == ("b", list(range(1, SHARDS, 3)))
    missing = run("nodes", "show", "nobody")
    assert (missing.exit_code, missing.stderr) == (1, "Error: no node nobody is in the map; there are a, b, c\n")


def test_a_wish_is_shown_first_and_stands_in_the_map(shared: SharedStore) -> None:
    before = shared.standing()
    dry = run("nodes", "drain", "b", "--dry-run")
    assert dry.exit_code == 0
    assert dry.stdout.splitlines()[0] == "b: drain"
    assert [line.partition(" go from ")[2] for line in dry.stdout.splitlines()[1:]] == ["b to a", "b to c"]
    unasked = run("nodes", "drain", "b")
    assert unasked.exit_code == 1
    assert "say --yes" in unasked.stderr
    assert shared.standing() == before
    assert run("nodes", "drain", "b", "--yes", "--no-wait").exit_code == 0
    assert shared.standing().wishes == {"b": Wish(draining=True)}
    assert run("nodes", "weight", "b", "50", "--yes").exit_code == 0
    assert run("nodes", "standby", "c", "on", "--yes").exit_code == 0
    assert run("nodes", "undrain", "b", "--yes").exit_code == 0
    assert shared.standing().wishes == {"b": Wish(weight=50), "c": Wish(standby=True)}
    assert run("nodes", "weight", "b", "50", "--yes").stdout == "There is nothing to change.\n"
    assert run("nodes", "weight", "b", "0", "--yes").exit_code == 2
    assert shared.standing().version == before.version + 4


def test_a_drain_waits_until_the_node_owns_nothing(shared: SharedStore) -> None:
    waits = run("nodes", "drain", "b", "--yes", "--timeout", "0")
    assert waits.exit_code == 1
    assert "b still owns 21 shards after 0 s" in waits.stderr
    maps_b_away = shared.standing()
    assert maps_b_away.wishes["b"].draining
    assert run("nodes", "drain", "b", "--yes", "--timeout", "0").exit_code == 1, "it waits although nothing changes"


def test_shards_are_listed_shown_and_found_by_user(shared: SharedStore) -> None:
    rows = orjson.loads(run("shards", "ls", "--json").stdout)
    assert (len(rows), rows[0]["owner"], rows[1]["first"]) == (SHARDS, "a", 1)
    assert len(orjson.loads(run("shards", "ls", "--node", "c", "--json").stdout)) == 21
    shard = shard_of("alice", SHARDS)
    found = orjson.loads(run("shards", "where", "alice", "--json").stdout)
    assert (found["shard"], found["owner"], found["since"]) == (shard, "abc"[shard % 3], 1)
    assert run("shards", "show", str(shard), "--json").stdout == run("shards", "where", "alice", "--json").stdout
    assert "there is no shard 64: they are 0 to 63" in run("shards", "show", "64").stderr


def test_shards_are_sent_on_the_move_and_pinned(shared: SharedStore) -> None:
    result = run("shards", "move", "1", "4-7", "--to", "a", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == ["3 shards on the move from b to a", "1 shard on the move from c to a"]
    standing = shared.standing()
    assert [shard for shard in range(SHARDS) if standing.moving_to[shard] != NOBODY] == [1, 4, 5, 7]
    assert {target.node_id for shard in (1, 4, 5, 7) if (target := standing.target_of(shard))} == {"a"}
    assert len(orjson.loads(run("shards", "ls", "--moving", "--json").stdout)) == 4
    assert run("shards", "move", "1", "--to", "a", "--pin", "--yes").exit_code == 0
    assert shared.standing().pins == {1: "a"}
    assert run("shards", "pin", "2,3", "--to", "c", "--yes").exit_code == 0
    assert run("shards", "unpin", "1-2", "--yes").exit_code == 0
    assert shared.standing().pins == {3: "c"}


def test_the_moves_of_the_plan_can_be_begun_by_hand(shared: SharedStore) -> None:
    assert run("nodes", "drain", "b", "--yes", "--no-wait").exit_code == 0
    assert run("shards", "rebalance", "--at-once", "5", "--dry-run").exit_code == 0
    assert not shared.standing().moving
    assert run("shards", "rebalance", "--at-once", "5", "--yes").exit_code == 0
    standing = shared.standing()
    assert len(standing.moving) == 5
    assert {owner.node_id for shard in standing.moving if (owner := standing.owner_of(shard))} == {"b"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("64",), "there is no shard 64"),
        (("x",), "x names no shards"),
        (("5-3",), "5-3 is no range"),
        (("1,,2",), "nothing names no shards"),
        (("0-99999999",), "is no range"),
    ],
)
def test_what_names_no_shards_changes_nothing(shared: SharedStore, arguments: tuple[str, ...], said: str) -> None:
    before = shared.standing()
    result = run("shards", "move", *arguments, "--to", "a", "--yes")
    assert result.exit_code == 1
    assert said in result.stderr
    assert shared.standing() == before


def test_nothing_is_moved_to_one_who_has_ended_nor_from_nobody(shared: SharedStore) -> None:
    shared.beat("b", "dead")
    assert "the node b does not run" in run("shards", "move", "0", "--to", "b", "--yes").stderr


def test_the_status_says_what_is_wrong_and_exits_with_1(shared: SharedStore) -> None:
    fine = run("cluster", "status")
    assert fine.exit_code == 0, fine.output
    assert "All is well: 3 of 3 nodes own 64 of 64 shards, map version 1" in fine.stdout
    shared.beat("b", "dead")
    del shared.beats["b"]
    wrong = run("cluster", "status")
    assert wrong.exit_code == 1
    assert "1 thing is wrong" in wrong.stdout
    assert "b has ended (dead) and is listed still, with 21 shards" in wrong.stdout
    fields = orjson.loads(run("cluster", "status", "--json").stdout)
    assert fields["wrong"] == ["b has ended (dead) and is listed still, with 21 shards"]


def test_the_load_of_each_node_is_shown_wherever_nodes_are(shared: SharedStore) -> None:
    shared.says["b"] = {"load": NodeLoad(120.5, 900.0, 4000, 8.0)}
    head, *rows = [line.split() for line in run("nodes", "ls").stdout.splitlines() if line.startswith((" node", " b"))]
    assert head[4:8] == ["sends/s", "fetches/s", "mailboxes", "commit"]
    assert rows[0][5:10] == ["120", "900", "4,000", "8", "ms"]
    shown = "120 sends/s, 900 fetches/s, 4,000 mailboxes in memory, 99% of commits within 8 ms"
    assert shown in run("nodes", "show", "b").stdout
    assert "4,000" in run("cluster", "status").stdout
    told = orjson.loads(run("cluster", "status", "--json").stdout)["nodes"]
    assert [node["load"] and node["load"]["mailboxes"] for node in told] == [None, 4000, None]


def test_a_cluster_that_died_as_a_whole_is_not_well(shared: SharedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left who would declare anybody dead, so one look more than usual has to show that nobody beats."""
    slept_s = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept_s
        slept_s += seconds

    monkeypatch.setattr(handle, "_sleep", sleep)
    monkeypatch.setattr(handle, "_now_s", lambda: slept_s)
    result = run("cluster", "status")
    assert result.exit_code == 1
    assert "3 things are wrong" in result.stdout
    assert "a has not beaten for 4 s, and owns 22 shards" in result.stdout


def test_who_watches_is_shown_what_changes_until_ctrl_c(shared: SharedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    shown: list[tuple[str, ...]] = []

    def changes(before: ShardMap, after: ShardMap) -> Sequence[str]:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise KeyboardInterrupt
        return ("something changed",) if looks == 2 else ()

    def drawn(seen: Overview, events: Collection[str], note: str, **size: Any) -> RenderableType:
        shown.append(tuple(event.partition("  ")[2] for event in events))
        return screen(seen, events, note, **size)

    monkeypatch.setattr(cluster, "EVERY_S", 0)
    monkeypatch.setattr(cluster, "changes_between", changes)
    monkeypatch.setattr(cluster, "screen", drawn)
    result = run("cluster", "status", "--watch")
    assert (result.exit_code, result.exception) == (0, None)
    assert shown == [(), (), ("something changed",), ("something changed",)]


def test_who_watches_is_told_on_top_that_the_store_does_not_answer(
    shared: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    looks = 0
    look = Desk.look

    async def late(desk: Desk) -> Seen:
        nonlocal looks
        looks += 1
        if looks == 2:
            await asyncio.sleep(0.05)
            raise StoreUnavailable("it is away")
        return await look(desk)

    def drawn(seen: Overview, events: Collection[str], note: str, **how: Any) -> RenderableType:
        shown.append(note if how["is_old"] else "as it is")
        return screen(seen, events, note, **how)

    def changes(before: ShardMap, after: ShardMap) -> Sequence[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Desk, "look", late)
    monkeypatch.setattr(cluster, "EVERY_S", 0)
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.01)
    monkeypatch.setattr(cluster, "changes_between", changes)
    monkeypatch.setattr(cluster, "screen", drawn)
    assert run("cluster", "status", "--watch").exit_code == 0
    assert shown[0] == "as it is"
    assert shown[1] == "The store has not answered for 0 s, and what follows is as old"
    assert shown[-1].endswith("as old: it is away")


def test_an_embedded_store_has_no_cluster(tmp_path: Path) -> None:
    for verb in (("cluster", "status"), ("nodes", "ls"), ("shards", "ls")):
        result = CliRunner().invoke(main, [*verb, "--data-dir", str(tmp_path)])
        assert result.exit_code == 1
        assert "is for servers on HBase" in result.stderr
