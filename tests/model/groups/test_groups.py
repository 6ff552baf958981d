"""Groups: no order of events breaks their rules, and some order breaks them less any one rule."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.model.groups.copies import Copy
from tests.model.groups.fan_out import FanOut, FanOutBounds, FanOutModel
from tests.model.groups.front_door import DoorRules
from tests.model.groups.group_cases import FULL, GIVEN, MUTANTS, STILL, WEAKENED, GroupCase
from tests.model.groups.member import ALL, MemberRules
from tests.model.mutants import Mutant, planted
from tests.model.search import search

LIMIT = 60_000


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_the_full_rules_hold(case: GroupCase) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_in_what_ships_is_found(mutant: Mutant) -> None:
    (case,) = (one for one in FULL if one.name == mutant.found_in)
    with planted(mutant):
        assert notices(case)


def notices(case: GroupCase) -> bool:
    """Whether a search notices that something is wrong: an assertion of the product's counts as well."""
    try:
        return search(case.model(), LIMIT).violation is not None
    except AssertionError:
        return True


@pytest.mark.parametrize("case", WEAKENED, ids=lambda case: case.name)
def test_a_violation_is_found_without(case: GroupCase) -> None:
    assert search(case.model(), LIMIT).violation is not None


def test_each_rule_is_left_out_once() -> None:
    left_out = [case.name.rpartition(" ")[2] for case in WEAKENED]
    assert sorted(left_out) == sorted((*MemberRules._fields, *DoorRules._fields))


class Until(FanOutModel):
    """The model in which what a test looks for is the violation."""

    def __init__(self, bounds: FanOutBounds, goal: Callable[[FanOut], bool]) -> None:
        super().__init__(ALL, bounds)
        self.goal = goal

    def violation(self, state: FanOut) -> str | None:
        return "reached" if self.goal(state) else None


GOALS: Final[dict[str, tuple[FanOutBounds, Callable[[FanOut], bool]]]] = {
    "a member who is in again has both messages": (
        STILL,
        lambda state: state.row.messages == (Copy(2), Copy(5)) and not state.due,
    ),
    "the second owner of the member's row takes a message": (
        STILL._replace(member_takeovers=1, messages=1, joins=1),
        lambda state: state.member_epoch == 2 and state.row.messages == (Copy(2),) and not state.due,
    ),
    "the second owner of the group delivers what the first one wrote": (
        STILL._replace(takeovers=1, messages=1, joins=1),
        lambda state: state.epoch == 2 and [event.epoch for event in state.log] == [1, 1] and not state.due,
    ),
    "a write of the first owner comes too late": (
        STILL._replace(takeovers=1, messages=1, joins=1),
        lambda state: state.group[0] is None and len(state.log) > 1,
    ),
    "a copy has what was done to it last": (
        STILL._replace(messages=1, edits=1, reactions=1, joins=1, leaves=0),
        lambda state: state.row.messages == (Copy(2, 3, reacted=4),) and not state.due,
    ),
    "who is in again sees a change of what he had before": (
        STILL._replace(messages=1, edits=1),
        lambda state: state.row.messages == (Copy(2, 5),) and not state.due,
    ),
    "who joins has what was written before": (
        GIVEN,
        lambda state: state.row.messages == (Copy(2),) and state.row.chain == 3 and not state.due,
    ),
    "who is in again has what was written meanwhile": (
        GIVEN._replace(joins=2, leaves=1),
        lambda state: state.row.messages == (Copy(4),) and state.row.chain == 5 and not state.due,
    ),
    "what he is given was edited after his join": (
        GIVEN._replace(edits=1),
        lambda state: state.row.messages == (Copy(2, 4),) and state.row.chain == 3,
    ),
    "who declined is removed": (
        STILL._replace(declines=1, messages=1, joins=1),
        lambda state: any(event.declines for event in state.log) and not state.due,
    ),
}
"""States without which a search means nothing."""


@pytest.mark.parametrize("name", GOALS)
def test_it_comes_to(name: str) -> None:
    bounds, goal = GOALS[name]
    assert search(Until(bounds, goal), LIMIT).violation == "reached"
