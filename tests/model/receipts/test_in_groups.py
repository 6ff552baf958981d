"""Every interleaving of a member's reads and their receipts with his removal and return, and takeovers of both rows."""

from collections.abc import Callable
from typing import Any

import pytest

from rowbox.mailbox.groups import group_standing
from rowbox.mailbox.receipts import MemberMarks, Move
from tests.model.goals import Reaching
from tests.model.receipts.in_groups import ReceiptsInGroups, Rules, State
from tests.model.search import search

LIMIT = 150_000


def test_no_mark_of_a_member_goes_back_says_too_much_or_is_never_told() -> None:
    result = search(ReceiptsInGroups(), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 1000


@pytest.mark.parametrize("rule", Rules._fields)
def test_without_a_rule_of_the_owners_a_violation_is_found(rule: str) -> None:
    assert search(ReceiptsInGroups(Rules(**{rule: False})), LIMIT).violation is not None


def _last(known: MemberMarks, receipt: Any) -> MemberMarks:
    return MemberMarks(0, 0, known.user_id, receipt.delivered, (Move(receipt.read, 0),))


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "whatever comes last counts": (MemberMarks, "with_receipt", _last),
    "whatever comes first counts": (
        MemberMarks,
        "with_receipt",
        lambda known, receipt: known if known.moves else _last(known, receipt),
    ),
    "who came back counts for what was sent while he was out": (group_standing, "sent_timestamp", lambda _: 1 << 60),
}
"""The rules of the group's row, and faults that leave them out."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_groups_row_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    assert search(ReceiptsInGroups(), LIMIT).violation is not None


def who_was_replaced_has_gathered_what_he_would_drop(state: State) -> bool:
    replaced, owner = state.replaced, state.owner
    return bool(replaced and owner and replaced.gathered and replaced.known.stage == 2 and owner.known.stage == 5)


def a_receipt_of_before_the_removal_comes_after_the_return(state: State) -> bool:
    owner = state.owner
    return bool(owner and owner.known.stage >= 4 and owner.gathered and state.group.marks is None)


@pytest.mark.parametrize(
    "goal",
    [who_was_replaced_has_gathered_what_he_would_drop, a_receipt_of_before_the_removal_comes_after_the_return],
)
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(ReceiptsInGroups(), goal), LIMIT).violation == "the goal is reached"
