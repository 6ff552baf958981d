"""What has one writer is written by that one alone: a row in memory, by its two halves, and the token buckets."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowbox.cacheserver.cache.row import Row

ROOT = Path(__file__).parents[3]
HOME, TABLE, PIPELINE = "cacheserver/cache/row.py", "cacheserver/cache/table.py", "cacheserver/commit/pipeline.py"
LIMITS = "cacheserver/rate_limit.py"
STRANGERS = ROOT / "cacheserver/rpc"
"""A room that may not import what a row is of (tests/house/layering.py): fields of the same names are its own."""
WRITERS = {
    TABLE: {"begin_load", "end_load", "hold_mailbox", "drop_mailbox", "note_size"},
    PIPELINE: {
        "enqueue",
        "dequeue",
        "mark_ready",
        "take_turn",
        "lock",
        "unlock",
        "reserve",
        "park",
        "take_parked",
    },
}
FIELDS = set(Row.__slots__)
CHANGES = {"append", "appendleft", "pop", "popleft", "extend", "insert", "remove", "clear"}
"""How the queue and the list of those that wait could be changed in place."""


def breaches(path: str, source: str) -> Iterator[str]:
    """What a module does that only others may do."""
    tree = ast.parse(source)
    if path != HOME:
        yield from (f"{path} assigns to {name} of a row" for name in assigned(tree) if name in FIELDS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if node.func.attr in CHANGES and isinstance(owner, ast.Attribute) and is_of_another(owner):
                yield from [f"{path} changes {owner.attr} of a row"] if owner.attr in {"waiting", "blocked"} else ()
            for writer, methods in WRITERS.items():
                if node.func.attr in methods and path != writer and is_of_another(node.func):
                    yield f"{path} calls {node.func.attr}, which is {writer}'s"
        if isinstance(node, ast.Name | ast.alias) and path != LIMITS:
            named = node.id if isinstance(node, ast.Name) else node.name
            yield from [f"{path} takes tokens by itself"] if named == "TokenBuckets" else ()


def assigned(tree: ast.AST) -> Iterator[str]:
    """The attributes of other objects that are assigned to, or deleted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and is_of_another(node):
            yield node.attr


def is_of_another(attribute: ast.Attribute) -> bool:
    return not (isinstance(attribute.value, ast.Name) and attribute.value.id == "self")


def test_every_change_of_a_row_has_its_writer() -> None:
    methods = {name for name, _ in inspect.getmembers(Row, inspect.isfunction) if not name.startswith("_")}
    assert set.union(*WRITERS.values()) == methods


def test_nobody_else_writes() -> None:
    modules = sorted(one for one in (ROOT / "cacheserver").rglob("*.py") if STRANGERS not in one.parents)
    assert len(modules) > 80
    found = [str(path.relative_to(ROOT)) for path in modules]
    assert [breach for name in found for breach in breaches(name, (ROOT / name).read_text())] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (PIPELINE, "row.is_busy = True"),
        (PIPELINE, "row.waiting_bytes += 7"),
        (PIPELINE, "blocked, row.blocked = row.blocked, []"),
        (PIPELINE, "row.waiting.append(command)"),
        (PIPELINE, "row.drop_mailbox()"),
        (TABLE, "row.mailbox = None"),
        (TABLE, "row.lock()"),
        ("cacheserver/commit/committer.py", "self.rows[0].unlock()"),
        ("cacheserver/fetch/fetches.py", "from rowbox.cacheserver.rate_limit import TokenBuckets"),
    ],
)
def test_a_breach_is_found(path: str, source: str) -> None:
    assert len(list(breaches(path, source))) == 1
