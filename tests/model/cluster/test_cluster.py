"""The cluster's row: no order of events makes two owners or leaves a shard alone, and some order does less any rule."""

from collections.abc import Callable

import pytest

from tests.model.cluster.cluster import Cluster
from tests.model.cluster.cluster_cases import COLD, FULL, MOVING, ONE_OWNER, THREE, TWO, WEAKENED, ClusterCase
from tests.model.cluster.cluster_row import State
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 70_000


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_the_full_rules_hold(case: ClusterCase) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", WEAKENED, ids=lambda case: case.name)
def test_a_violation_is_found(case: ClusterCase) -> None:
    """Two owners, one grant twice or a second life are what is found. Whether a variant heals is not asked."""
    assert search(Cluster(case.rules, case.bounds), LIMIT).violation is not None


def test_each_rule_is_left_out_once() -> None:
    rules = ClusterRules()
    assert {case.rules for case in WEAKENED} == {rules._replace(**{rule: False}) for rule in rules._fields}


def another_owns_and_answers(state: State) -> bool:
    return any(life.answers and life.newest > 1 for life in state.lives if life.name != "A1")


def a_shard_was_owned_by_three(state: State) -> bool:
    owners = {owner for shard, _, owner in state.given if shard == 0}
    return len(owners) == 3 and any(0 in life.answers and life.name in owners for life in state.lives)


def a_lease_came_back_during_a_write(state: State) -> bool:
    return any(life.writing == 1 and life.lease > 1 for life in state.lives)


def a_second_renewal_counts(state: State) -> bool:
    return any(life.lease > 2 for life in state.lives)


def a_grant_was_raised(state: State) -> bool:
    return any(life.answers and max(life.held.values()) > 1 for life in state.lives if life.name == "A1")


def a_place_was_taken_over(state: State) -> bool:
    return any(place != b"n" + cell.incarnation.encode() for place, cell in state.store.cells)


def a_joiner_owns(state: State) -> bool:
    return any(life.answers for life in state.lives if life.name == "C1")


def a_shard_was_moved(state: State) -> bool:
    """And its owner lives."""
    return not state.ended and any(0 in life.answers for life in state.lives if life.name == "B1")


def a_shard_went_and_came_back(state: State) -> bool:
    first = state.lives[0]
    return not state.ended and 0 in first.answers and first.held[0] > 3


def a_move_was_taken_back_after_its_swap_was_sent(state: State) -> bool:
    standing = state.store.map
    moved = any(life.mover is not None for life in state.lives)
    return moved and not state.ended and (standing.version, *standing.owners, *standing.moving_to) == (3, "A1", "")


def a_mover_closes_while_its_shard_has_gone(state: State) -> bool:
    return any(life.mover is not None and state.store.map.owners[0] != life.name for life in state.lives)


def somebody_reads_a_part_and_owns(state: State) -> bool:
    return any(life.places is not None and life.answers for life in state.lives)


def another_owns_after_a_restore(state: State) -> bool:
    return state.left.restores == 0 and any(life.answers and life.newest > 2 for life in state.lives)


@pytest.mark.parametrize(
    ("goal", "bounds"),
    [
        (another_owns_and_answers, THREE),
        (a_shard_was_owned_by_three, THREE),
        (a_lease_came_back_during_a_write, TWO._replace(beats=2, writes=True)),
        (a_second_renewal_counts, TWO._replace(beats=2)),
        (a_grant_was_raised, ONE_OWNER._replace(raises=1)),
        (a_place_was_taken_over, TWO._replace(crashes=1)),
        (a_joiner_owns, THREE._replace(joined=2)),
        (another_owns_and_answers, COLD._replace(nodes=2, stops=1)),
        (a_shard_was_moved, MOVING),
        (a_shard_went_and_came_back, MOVING._replace(versions=5, moves=2)),
        (a_move_was_taken_back_after_its_swap_was_sent, MOVING),
        (a_mover_closes_while_its_shard_has_gone, MOVING),
        (somebody_reads_a_part_and_owns, THREE._replace(stewards=1)),
        (another_owns_and_answers, THREE._replace(stewards=1)),
        (somebody_reads_a_part_and_owns, ClusterBounds(nodes=4, joined=4, owners=4, shards=4, beats=0)),
        (another_owns_after_a_restore, ONE_OWNER._replace(joined=1, restores=1)),
    ],
)
def test_the_full_rules_come_through(goal: Callable[[State], bool], bounds: ClusterBounds) -> None:
    result = search(Reaching(Cluster(ClusterRules(), bounds), goal), LIMIT)
    assert result.violation == "the goal is reached", result.story()
