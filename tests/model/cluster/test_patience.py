"""A lease and a watch with clocks: no order of events buries a lease that holds, and some does without any one rule."""

from collections.abc import Callable

import pytest

from tests.model.cluster.patience import Patience, PatienceBounds, PatienceRules, Timed, lease
from tests.model.cluster.patience_cases import FULL, STALLING, WEAKENED, PatienceCase
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 60_000


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_the_full_rules_hold(case: PatienceCase) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", WEAKENED, ids=lambda case: case.name)
def test_a_violation_is_found(case: PatienceCase) -> None:
    assert search(case.model(), LIMIT).violation is not None


def test_each_rule_is_left_out_once() -> None:
    rules = PatienceRules()
    assert {case.rules for case in WEAKENED} == {rules._replace(**{rule: False}) for rule in rules._fields}


def is_dead(state: Timed) -> bool:
    return state.cell.status == "dead"


def is_dead_after_a_stall(state: Timed) -> bool:
    return is_dead(state) and state.stalled_at_s is not None


def lease_outlives_the_first_patience(state: Timed) -> bool:
    return state.b_s >= 9 and lease(state).is_held and len(state.watch[1]) == 2


@pytest.mark.parametrize(
    ("goal", "bounds"),
    [
        (is_dead, PatienceBounds()),
        (is_dead_after_a_stall, STALLING._replace(ticks=3)),
        (lease_outlives_the_first_patience, PatienceBounds()),
    ],
)
def test_the_full_rules_come_through(goal: Callable[[Timed], bool], bounds: PatienceBounds) -> None:
    result = search(Reaching(Patience(PatienceRules(), bounds), goal), LIMIT)
    assert result.violation == "the goal is reached", result.story()
