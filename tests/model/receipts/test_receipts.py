"""Every interleaving of a reader's marks and their receipts with takeovers of both rows and late writes."""

from collections.abc import Callable
from typing import Any

import pytest

from rowbox.mailbox.receipts import Seen
from tests.model.goals import Reaching
from tests.model.receipts.receipts import MESSAGES, Receipts, Rules, State
from tests.model.search import search

LIMIT = 120_000


def test_no_mark_goes_back_says_too_much_or_is_never_told() -> None:
    result = search(Receipts(), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 1000


@pytest.mark.parametrize("rule", Rules._fields)
def test_without_a_rule_of_the_owners_a_violation_is_found(rule: str) -> None:
    assert search(Receipts(Rules(**{rule: False})), LIMIT).violation is not None


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "whatever comes last counts": (Seen, "joined", lambda _, other: other),
    "whatever comes first counts": (Seen, "joined", lambda one, _: one),
}
"""The rule of the core, and faults that leave it out."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_core_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    assert search(Receipts(), LIMIT).violation is not None


def an_older_receipt_comes_after_a_newer_one(state: State) -> bool:
    return state.shown == MESSAGES[-1] and any(receipt.read == MESSAGES[0] for receipt in state.told)


def a_late_write_lies_in_both_rows(state: State) -> bool:
    sides = (state.reader, state.author)
    return all(side.owner is not None and side.owner.number == 1 and side.late for side in sides)


@pytest.mark.parametrize("goal", [an_older_receipt_comes_after_a_newer_one, a_late_write_lies_in_both_rows])
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Receipts(), goal), LIMIT).violation == "the goal is reached"
