"""`rowbox ring` over the map of a cluster that stands in a store."""

import asyncio
from typing import Any

import orjson
from click.testing import CliRunner

from rowbox.cacheserver.shardmap.shard_map import Wish
from rowbox.cli.main import main
from tests.cli.cluster.shared_store import SHARDS, SharedStore, run, shared

__all__ = ["shared"]


def found(*arguments: str) -> Any:
    result = run("ring", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def test_the_standing_map_is_shown_with_what_the_plan_would_change(shared: SharedStore) -> None:
    asyncio.run(
        shared.desk().change(lambda seen: seen.map.next().wishing("b", Wish(draining=True)).giving([1, 4], "inc-a"))
    )
    before = shared.standing()
    shown = {node["node"]: node for node in found("show")["nodes"]}
    assert {name: node["shards"] for name, node in shown.items()} == {"a": 24, "b": 19, "c": 21}
    assert (shown["b"]["of_share"], shown["b"]["loses"], shown["b"]["gets"]) == (0.0, 19, 0)
    assert shown["a"]["gets"] + shown["c"]["gets"] == 19
    assert shared.standing() == before


def test_a_join_is_simulated_from_where_the_shards_are(shared: SharedStore) -> None:
    shown = found("simulate", "--add", "new", "--remove", "c")
    loads = {node["node"]: node for node in shown["nodes"]}
    assert set(loads) == {"a", "b", "new"}
    assert sum(node["shards"] for node in loads.values()) == SHARDS
    assert loads["new"]["gets"] == loads["new"]["shards"]
    assert "no such node to remove: inc-a" in run("ring", "simulate", "--remove", "inc-a").stderr
    assert "nobody would be left" in run("ring", "simulate", *(f"--remove={name}" for name in "abc")).stderr


def test_without_nodes_and_without_a_cluster_it_says_what_to_give() -> None:
    result = CliRunner().invoke(main, ["ring", "show"])
    assert result.exit_code == 2
    assert "--store hbase://" in result.stderr
