"""A row that moves with what is in memory: no order of events breaks it, and some order breaks it less a rule."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.model.moves.moves import MoveRules, Moves, MoveState
from tests.model.rows.rules import Bounds, Rules
from tests.model.search import search

BEGUN: Final = Bounds(warm=True, grants=0)
SMALL: Final = 60_000
FULL: Final = {
    "unknown outcomes": (BEGUN._replace(puts=3), 1),
    "a takeover": (BEGUN._replace(grants=1, unknowns=0), 1),
    "a takeover, restarts": (BEGUN._replace(grants=1, unknowns=0, restarts=1), 1),
    "a lease that comes back": (BEGUN._replace(grants=1, unknowns=0, returns=1), 1),
    "there and back, or tried twice": (BEGUN._replace(unknowns=0), 2),
    "calls that execute twice": (BEGUN._replace(repeats=1), 1),
    "sweeps": (BEGUN._replace(puts=3, sweeps=1), 1),
    "expiry": (BEGUN._replace(expiries=1), 1),
}
"""Bounds, and how many moves begin."""
TWICE: Final = {"the_map_names_the_id"}
"""Rules that one move alone does not need."""


@pytest.mark.parametrize("name", FULL)
def test_the_full_rules_hold(name: str) -> None:
    bounds, moves = FULL[name]
    result = search(Moves(Rules(), bounds, moves=moves), SMALL)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("rule", MoveRules._fields)
def test_a_violation_is_found_without(rule: str) -> None:
    weakened = MoveRules()._replace(**{rule: False})
    model = Moves(Rules(), BEGUN._replace(puts=3), weakened, moves=2 if rule in TWICE else 1)
    assert search(model, SMALL).violation is not None


class Until:
    """A model in which a step of this kind is the violation that is looked for."""

    def __init__(self, model: Moves, label: str) -> None:
        self.model, self.label = model, label

    def initial(self) -> tuple[str, MoveState]:
        return "", self.model.initial()

    def successors(self, state: tuple[str, MoveState]) -> Iterator[tuple[str, tuple[str, MoveState]]]:
        return ((label, (label, following)) for label, following in self.model.successors(state[1]))

    def violation(self, state: tuple[str, MoveState]) -> str | None:
        return self.model.violation(state[1]) or ("the goal is reached" if self.label in state[0] else None)


@pytest.mark.parametrize(
    "label",
    [
        "B has [x@1.0/1] of the hand-over 1, sends fence",
        "B answers a read: [x@1.0/1 y@2.0/2]",
        "A takes the row back in map version 2",
        "A hands over nothing",
        "A reads that the row is not its own any more",
    ],
)
def test_it_comes_to(label: str) -> None:
    assert search(Until(Moves(Rules(), BEGUN), label), SMALL).violation == "the goal is reached"
