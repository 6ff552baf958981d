"""The ownership of one row: no order of events breaks the full rules, and some order breaks them less any one rule."""

from collections.abc import Callable

import pytest

from tests.model import goals
from tests.model.cases import FOLDING, FULL, WEAKENED, Case
from tests.model.goals import Reaching
from tests.model.rows.one_row import OneRow
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.state import State
from tests.model.search import search

LIMIT = 150_000
SMALL = 60_000


@pytest.mark.parametrize("case", [case for case in FULL if case.rows is OneRow], ids=lambda case: case.name)
def test_the_full_rules_hold(case: Case) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", [case for case in WEAKENED if case.rows is OneRow], ids=lambda case: case.name)
def test_a_violation_is_found(case: Case) -> None:
    assert search(case.model(), SMALL).violation is not None


def test_each_rule_is_left_out_once() -> None:
    assert {case.rules for case in WEAKENED} == {Rules()._replace(**{rule: False}) for rule in Rules._fields}


@pytest.mark.parametrize(
    ("goal", "bounds"),
    [
        (goals.a_late_write_is_ignored, Bounds()),
        (goals.the_second_state_is_used, Bounds()),
        (goals.both_owners_confirm, Bounds()),
        (goals.a_row_is_swept, Bounds(sweeps=1, warm=True)),
        (goals.a_list_is_folded, FOLDING),
    ],
)
def test_the_full_rules_come_through(goal: Callable[[State], bool], bounds: Bounds) -> None:
    result = search(Reaching(OneRow(Rules(), bounds), goal), SMALL)
    assert result.violation == "the goal is reached", result.story()
