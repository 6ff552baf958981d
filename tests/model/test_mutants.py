"""A fault in a line of a shipped rule is found by the search: it calls the rule itself, and no copy of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from tests.model import cases, goals
from tests.model.cluster import cluster_cases, patience_cases, test_cluster, test_patience
from tests.model.cluster.cluster import Cluster
from tests.model.cluster.cluster_row import State
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules
from tests.model.cluster.healing import Healed
from tests.model.cluster.patience import Patience, PatienceBounds, PatienceRules
from tests.model.goals import Reaching
from tests.model.moves import test_moves
from tests.model.moves.moves import Moves
from tests.model.mutants import MUTANTS, Mutant, planted
from tests.model.rows.one_row import OneRow
from tests.model.rows.rules import Bounds, Rules
from tests.model.search import Model, search

LIMIT: Final = 130_000
WARM_SWEEP: Final = Bounds(sweeps=1, warm=True)

Search = Callable[[], Model[Any]]


def _coming_to(goal: Callable[[State], bool], bounds: ClusterBounds) -> Model[State]:
    return Reaching(Cluster(ClusterRules(), bounds), goal)


FULL: Final[dict[str, Search]] = (
    {case.name: case.model for case in (*cases.FULL, *cluster_cases.FULL, *patience_cases.FULL)}
    | {
        f"a move: {name}": partial(Moves, Rules(), bounds, moves=moves)
        for name, (bounds, moves) in test_moves.FULL.items()
    }
    | {
        "cluster: a first start, resignations": lambda: Healed(
            ClusterRules(), cluster_cases.COLD._replace(nodes=2, beats=1, stops=1)
        )
    }
)
GOALS: Final[dict[str, Search]] = {
    "a_late_write_is_ignored": lambda: Reaching(OneRow(Rules(), Bounds()), goals.a_late_write_is_ignored),
    "the_second_state_is_used": lambda: Reaching(OneRow(Rules(), Bounds()), goals.the_second_state_is_used),
    "a_row_is_swept": lambda: Reaching(OneRow(Rules(), WARM_SWEEP), goals.a_row_is_swept),
    "a_list_is_folded": lambda: Reaching(OneRow(Rules(), cases.FOLDING), goals.a_list_is_folded),
    "another_owns_and_answers": lambda: _coming_to(test_cluster.another_owns_and_answers, cluster_cases.THREE),
    "a_place_was_taken_over": lambda: _coming_to(
        test_cluster.a_place_was_taken_over, cluster_cases.TWO._replace(crashes=1)
    ),
    "a_grant_was_raised": lambda: _coming_to(
        test_cluster.a_grant_was_raised, cluster_cases.ONE_OWNER._replace(raises=1)
    ),
    "a_second_renewal_counts": lambda: _coming_to(
        test_cluster.a_second_renewal_counts, cluster_cases.TWO._replace(beats=2)
    ),
    "a_joiner_owns": lambda: _coming_to(test_cluster.a_joiner_owns, cluster_cases.THREE._replace(joined=2)),
    "a_shard_was_moved": lambda: _coming_to(test_cluster.a_shard_was_moved, cluster_cases.MOVING),
    "a_move_was_taken_back": lambda: _coming_to(
        test_cluster.a_move_was_taken_back_after_its_swap_was_sent, cluster_cases.MOVING
    ),
    "a_row_is_claimed_warm": lambda: test_moves.Until(
        Moves(Rules(), test_moves.BEGUN), "of the hand-over 1, sends fence"
    ),
    "is_dead": lambda: Reaching(Patience(PatienceRules(), PatienceBounds()), test_patience.is_dead),
}
"""Searches that must come to something: a fault shows in that they do not, or in a violation on the way."""


def notices(name: str) -> bool:
    """Whether a search notices that something is wrong: an error of the rules themselves counts as well."""
    try:
        result = search({**FULL, **GOALS}[name](), LIMIT)
    except (AssertionError, LookupError, ValueError):
        return True
    return result.violation != "the goal is reached" if name in GOALS else result.violation is not None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_is_found(mutant: Mutant) -> None:
    with planted(mutant):
        assert notices(mutant.found_in)


@pytest.mark.parametrize("name", GOALS)
def test_without_a_fault_nothing_is_noticed(name: str) -> None:
    assert not notices(name)
