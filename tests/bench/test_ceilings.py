"""A ceiling is short and knows nothing of Rowbox: else it would be a second Rowbox, and no ceiling."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CEILINGS = sorted(Path(__file__).parent.parent.parent.joinpath("bench", "ceilings").glob("*.py"))
MOST_LINES = 60


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("ceiling", CEILINGS, ids=lambda path: path.stem)
def test_a_ceiling_is_short_and_alone(ceiling: Path) -> None:
    text = ceiling.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    ours = [name for name in imported(ast.parse(text)) if name.partition(".")[0] in {"rowbox", "bench", "tests"}]
    assert all(name.startswith("bench.ceilings.") for name in ours), ours


def test_there_are_some() -> None:
    assert {path.stem for path in CEILINGS} >= {"echo", "durable", "commits", "hbase"}
