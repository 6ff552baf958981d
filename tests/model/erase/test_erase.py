"""Every interleaving of an erasure with what comes meanwhile, a takeover at any point, and late writes."""

from collections.abc import Callable
from typing import Any

import pytest

from rowbox.cacheserver.cache import commands
from rowbox.cacheserver.people import erasures
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import NotTheOwner
from tests.model.erase.erase import FULL, Erase, Rules, State, _is_wiped
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 60_000
both = pytest.mark.parametrize("has_group", [False, True], ids=["a message comes", "a join comes"])


@both
def test_all_is_gone_in_the_end_and_nothing_is_lost_or_comes_back(*, has_group: bool) -> None:
    result = search(Erase(has_group=has_group), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 500


@pytest.mark.parametrize("rule", Rules._fields)
def test_without_a_rule_of_the_owners_a_violation_is_found(rule: str) -> None:
    rules = FULL._replace(**{rule: False})
    found = [search(Erase(has_group=has_group, rules=rules), LIMIT).violation for has_group in (False, True)]
    assert any(found)


def nothing_is_refused(self: Plan) -> bool:
    return False


def joins_are_dropped(user_id: str, event: Any) -> int:
    return 0


def whatever_the_epoch(family: Any, qualifier: bytes, mailbox: Any, erasure: Any) -> bool:
    try:
        return _is_kept(family, qualifier, mailbox, erasure)
    except NotTheOwner:
        return False


_is_kept = erasures._is_kept

FAULTS: dict[str, tuple[Any, str, Any]] = {
    "what comes in is not refused": (Plan, "is_erased", property(nothing_is_refused)),
    "a join is not declined": (commands, "erased_answer", joins_are_dropped),
    "cells of higher epochs are removed": (erasures, "_is_kept", whatever_the_epoch),
}
"""The rules of the core, each with a fault that leaves it out."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_core_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    found = [search(Erase(has_group=has_group), LIMIT).violation for has_group in (False, True)]
    assert any(found)


def a_late_write_lies_in_a_row_that_was_wiped(state: State) -> bool:
    return _is_wiped(state) and any(cell[0] == "m" for cell in state.row)


def a_second_owner_comes_to_the_end(state: State) -> bool:
    return state.day_is_over and state.owner is not None and state.owner.number == 1


@pytest.mark.parametrize("goal", [a_late_write_lies_in_a_row_that_was_wiped, a_second_owner_comes_to_the_end])
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Erase(has_group=False), goal), LIMIT).violation == "the goal is reached"
