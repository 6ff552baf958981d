"""The exhaustive search runs what ships: each rule it relies on is the product's, used by the product, and broken once.

That a fault in such a rule is found by a search is in tests/model/test_mutants.py.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from rowbox.cacheserver.node import judgement, lease, move_rules, watch
from rowbox.cacheserver.rows import claimed_row, stash
from rowbox.mailbox import fence, two_states
from rowbox.mailbox.aggregate import hand_over
from tests.model.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
RULES = (fence, two_states, claimed_row, judgement, move_rules, lease, watch, hand_over, stash)
"""Modules that hold nothing but rules of the protocol."""

NOT_SEARCHED: Mapping[str, str] = {
    "fence.make_epoch": "an encoding; tests/unit/mailbox/test_fence.py has its bounds",
    "fence.map_version_of": "an encoding",
    "fence.latest_us": "times of store calls, of which the model has an order and no values",
    "two_states.nothing_before": "for stores without late writes, of which there is nothing to search",
    "two_states.merge": "puts what the parts of a row say side by side; no key is in two of them",
    "two_states.is_in_order": "what the checker asks of a cell; tests/owner/rows/test_any_kind.py switches it off",
    "claimed_row.ClaimedRow.mailbox": "hands over what `add` has taken in",
    "claimed_row.ClaimedRow.whole_draft": "what clients are shown of receipts; tests/owner/receipts is red without it",
    "hand_over._entry": "cuts off what a newer Rowbox has added; tests/unit/mailbox/aggregate/test_hand_over.py",
    "hand_over._by_epoch": "an encoding",
    "hand_over.HandedOver._keys": "whatever a mailbox holds; the model's has conversations only",
    "hand_over.HandedOver._carriers": "names garbage: a cell too few stays, as a cell that nobody has read",
    "stash.HandedRow.size_bytes": "memory",
    "stash.Stash.drop_old": "memory: what is dropped has to be loaded",
    "stash.Stash._drop": "memory, and the second half of `take_out`",
    "judgement._cell": "what a beat tells of its server's clock and mail decides who serves, not who owns",
    "judgement._others_that_reach_mail": "as before; cluster.py says how the model resigns instead",
    "judgement.is_in_touch": "decides who serves, not who owns; leaving/test_cut_off.py switches it off",
    "judgement._is_cut_off": "as before; the model resigns at any time",
    "judgement._is_owned_by_one": "what an older Rowbox owns; its judgement ships no more. test_judgement.py has it",
    "judgement.Member.name": "a short way to write it",
    "judgement.PlanInput.key": "when a plan is made anew, not what may stand",
    "lease.Lease.end": "the model's own step: a node that ends has no lease",
    "watch.Touch.is_apart": "as judgement.is_in_touch",
    "watch.Touch.saw": "as judgement.is_in_touch",
    "watch.Touch.may_leave": "as judgement.is_in_touch",
    "watch._no_contacts": "as judgement.is_in_touch",
    "watch.Watch.forget": "reached through `saw`",
    "watch.Watch.lively": "who serves, not who owns",
    "watch.Watch.soonest_s": "when to look again, not what is judged then",
}
"""Functions of those modules without a fault that a search has to find, and why."""

OWNERS_SIDE = ("rows/owner.py", "rows/one_row.py", "rows/in_parts.py", "rows/two_rows.py", "moves/moves.py")
STAMPS = frozenset({"claimed_at_ms", "epoch", "folded", "incarnation", "starts_after", "version"})
OBSERVERS = frozenset({"shown"})
"""What looks at answers from outside has to compare versions by itself."""


def functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """All functions and methods that a module defines, by qualified name, but those that Python calls by itself."""
    for value in vars(module).values():
        found = [value] if inspect.isfunction(value) else []
        if inspect.isclass(value) and not getattr(value, "_is_protocol", False):
            members = (member.fget if isinstance(member, property) else member for member in vars(value).values())
            found = [member for member in members if inspect.isfunction(member)]
        for function in found:
            if function.__module__ == module.__name__ and not function.__name__.startswith("__"):
                yield f"{module.__name__.rpartition('.')[2]}.{function.__qualname__}", function


@pytest.mark.parametrize("module", RULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_rule_has_a_fault_that_a_search_must_find_or_a_reason(module: ModuleType) -> None:
    broken = {mutant.function for mutant in MUTANTS}
    for name, function in functions(module):
        assert (function in broken) != (name in NOT_SEARCHED), name


def test_no_reason_is_given_for_what_is_not_there() -> None:
    assert set(NOT_SEARCHED) <= {name for module in RULES for name, _ in functions(module)}


def test_what_is_searched_is_called_by_the_product() -> None:
    called: set[str] = set()
    for folder in ("mailbox", "cacheserver"):
        for path in (ROOT / folder).rglob("*.py"):
            called |= set(names_used(ast.parse(path.read_text())))
    assert {mutant.function.__name__ for mutant in MUTANTS} <= called


def names_used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


@pytest.mark.parametrize("file", OWNERS_SIDE)
def test_the_models_owner_compares_no_stamps_by_itself(file: str) -> None:
    """A rule of what counts, of what may be claimed, folded or removed is a comparison of such fields."""
    assert not list(own_judgements(Path(ROOT / "tests/model" / file).read_text()))


def test_a_copied_rule_is_found() -> None:
    copied = "def counts(fence, cell):\n    return any(e.epoch == cell.epoch and cell.version <= e.end for e in fence)"
    assert list(own_judgements(copied)) == ["counts: e.epoch == cell.epoch", "counts: cell.version <= e.end"]


def own_judgements(source: str) -> Iterator[str]:
    """Comparisons of stamps, of fence entries and of their fields."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef) and function.name not in OBSERVERS:
            for node in ast.walk(function):
                if isinstance(node, ast.Compare) and STAMPS & set(names_used(node)):
                    yield f"{function.name}: {ast.unparse(node)}"
