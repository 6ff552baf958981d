"""The cluster's row: no order of events makes two owners, and some order does without any one rule."""

from collections.abc import Callable

import pytest

from tests.model.cluster.cluster import Cluster
from tests.model.cluster.cluster_cases import COLD, FULL, TWO, WEAKENED, ClusterCase
from tests.model.cluster.cluster_row import State
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 40_000
SMALL = 25_000


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_the_full_rules_hold(case: ClusterCase) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", WEAKENED, ids=lambda case: case.name)
def test_a_violation_is_found(case: ClusterCase) -> None:
    assert search(case.model(), SMALL).violation is not None


def test_each_rule_is_left_out_once() -> None:
    rules = ClusterRules()
    assert {case.rules for case in WEAKENED} == {rules._replace(**{rule: False}) for rule in rules._fields}


def another_owns_and_answers(state: State) -> bool:
    return any(life.may_answer and life.version > 1 for life in state.lives)


def two_have_owned_one_after_the_other(state: State) -> bool:
    return len(state.given) == 3 and any(life.may_answer for life in state.lives)


def a_lease_came_back_during_a_write(state: State) -> bool:
    return any(life.writing == 1 and 0 < life.over < life.lease for life in state.lives)


def the_map_was_raised(state: State) -> bool:
    return any(life.may_answer and life.version > 1 for life in state.lives if life.name == "A1")


def a_place_was_taken_over(state: State) -> bool:
    return any(place != b"n" + cell.incarnation.encode() for place, cell in state.store.cells)


@pytest.mark.parametrize(
    ("goal", "bounds"),
    [
        (another_owns_and_answers, ClusterBounds(beats=0)),
        (two_have_owned_one_after_the_other, ClusterBounds(beats=0, versions=3)),
        (a_lease_came_back_during_a_write, TWO._replace(writes=True)),
        (the_map_was_raised, TWO._replace(raises=1)),
        (a_place_was_taken_over, TWO._replace(crashes=1)),
        (another_owns_and_answers, COLD._replace(nodes=2, stops=1)),
    ],
)
def test_the_full_rules_come_through(goal: Callable[[State], bool], bounds: ClusterBounds) -> None:
    result = search(Reaching(Cluster(ClusterRules(), bounds), goal), SMALL)
    assert result.violation == "the goal is reached", result.story()
