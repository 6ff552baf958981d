"""`rowbox ring`: where shards would be among nodes that are named, and what would move."""

from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cli.main import main


def ring(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ring", *arguments])


def found(*arguments: str) -> Any:
    result = ring(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def test_each_node_is_shown_with_its_share() -> None:
    shown = found("show", "--nodes", "a, b,c:200", "--shards", "1024")
    assert [(node["node"], node["weight"]) for node in shown["nodes"]] == [("a", 100), ("b", 100), ("c", 200)]
    assert sum(node["shards"] for node in shown["nodes"]) == shown["shards"] == 1024
    assert shown["most"] <= 1.06
    assert (shown["moved"], shown["body_bytes"] > 0) == (0, True)


def test_a_table_ends_in_the_sums() -> None:
    lines = ring("show", "--count", "100", "--shards", "1024").stdout.splitlines()
    assert lines[0].split() == ["node", "weight", "shards", "of", "share", "gets", "loses"]
    assert lines[-4] == "... and 36 more: --json shows all"
    assert lines[-2].startswith("1024 shards on 100 nodes: ")


def test_a_node_that_joins_gets_its_share_and_nobody_else_gets_any() -> None:
    shown = found("simulate", "--count", "3", "--add", "new")
    gets = {node["node"]: node["gets"] for node in shown["nodes"]}
    assert (gets["new"], sum(gets.values())) == (shown["moved"], shown["moved"])
    assert 0.2 <= shown["moved_of_all"] <= 0.3
    table = ring("simulate", "--count", "3", "--add", "new").stdout
    assert f"{shown['moved']} shards move, {100 * shown['moved_of_all']:.2f}% of all" in table


def test_of_a_node_that_leaves_the_shards_alone_move() -> None:
    before = {node["node"]: node["shards"] for node in found("show", "--nodes", "a,b,c,d")["nodes"]}
    shown = found("simulate", "--nodes", "a,b,c,d", "--remove", "b")
    assert shown["moved"] == before["b"]
    assert {node["loses"] for node in shown["nodes"]} == {0}
    assert [node["node"] for node in shown["nodes"]] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show",), "name the nodes"),
        (("show", "--nodes", "a", "--count", "2"), "name the nodes"),
        (("show", "--nodes", "a,,b"), "is no node"),
        (("show", "--nodes", "a:0"), "is no node"),
        (("show", "--nodes", ":5"), "is no node"),
        (("show", "--nodes", "a,b,a"), "named twice"),
        (("show", "--nodes", "a", "--shards", "70000"), "70000"),
        (("simulate", "--nodes", "a,b", "--add", "b"), "named twice"),
        (("simulate", "--nodes", "a,b", "--remove", "c"), "no such node to remove: c"),
        (("simulate", "--nodes", "a,b", "--remove", "a", "--remove", "b"), "nobody would be left"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = ring(*arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)
