"""The screen of a cluster: what stands on it, however large the cluster and however small the terminal."""

import io
from collections.abc import Collection, Sequence

import pytest
from rich.console import Console

from rowbox.cacheserver.shardmap.cluster_state import NodeLoad
from rowbox.cacheserver.shardmap.overview import NodeView, Overview
from rowbox.cli.verbs.cluster.screen import screen

BUSY = NodeLoad(1234.5, 5432.1, 40000, 8.3)


def node(name: str, **fields: object) -> NodeView:
    plain = NodeView(
        name, f"inc-{name}", "alive", f"host-of-{name}", "", "", 100, 8, 8.0, 0, 0, True, 0.2, False, False
    )
    return plain._replace(**fields)  # type: ignore[arg-type]


def overview(*nodes: NodeView, wrong: Sequence[str] = ()) -> Overview:
    return Overview(7, 4096, nodes, 0, 0, 0, wrong)


def drawn(seen: Overview, events: Collection[str] = (), *, columns: int = 80, lines: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=columns)
    console.print(screen(seen, events, "the note", columns=columns, lines=lines))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 100, 140, 200])
def test_nothing_is_cut_off_on_a_terminal_of_any_usual_width(columns: int) -> None:
    nodes = [node(f"cache-{number}", load=BUSY, leaving=10, zone="rack-1", weight=200) for number in range(3)]
    lines = drawn(overview(*nodes), columns=columns)
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)
    (head,) = (line for line in lines if line.startswith("node "))
    assert {"state", "shards", "share", "beat"} <= set(head.split())
    assert ("runs at" in head) == (columns >= 140)
    assert ("fetches/s" in head) == (columns >= 80)


def test_a_column_that_says_nothing_is_not_there() -> None:
    (head,) = (line for line in drawn(overview(node("a"), node("b"))) if line.startswith("node "))
    assert head.split() == ["node", "state", "shards", "share", "beat", "runs", "at"]


def test_what_all_nodes_do_is_summed() -> None:
    lines = drawn(overview(node("a", load=BUSY), node("b", load=BUSY)), columns=140)
    (total,) = (line.split() for line in lines if line.startswith("all "))
    assert total == ["all", "16", "2,469", "10,864", "80,000"]


def test_a_large_cluster_in_trouble_shows_the_trouble_and_fits() -> None:
    nodes = [node(f"n{number}", state="silent" if number == 377 else "alive") for number in range(500)]
    wrong = [f"wrong thing {number}" for number in range(40)]
    lines = drawn(overview(*nodes, wrong=wrong), ["an event"] * 50)
    assert len(lines) <= 24
    assert lines[0].startswith("40 things are wrong")
    assert any(line.startswith("n377 ") for line in lines)
    assert any("35 more things are wrong" in line for line in lines)
    assert any("more nodes: rowbox nodes ls shows all" in line for line in lines)
    assert lines[-1] == "the note"


def test_a_small_cluster_leaves_its_room_to_what_has_changed() -> None:
    lines = drawn(overview(node("a"), node("b")), [f"event {number}" for number in range(50)])
    assert len(lines) <= 24
    assert sum("event" in line for line in lines) >= 10


def test_what_is_old_is_not_called_well() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(screen(overview(node("a")), (), "The store has not answered for 9 s", columns=80, is_old=True))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.startswith("The store has not answered for 9 s\n")
    assert "All is well" not in text
