"""The search itself, on a model small enough to know the answer."""

import pytest

from tests.model.search import TooManyStates, search


class Jugs:
    """Two jugs of 3 and 5 litres; holding 4 litres is the violation. The well-known answer takes six steps."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted

    def initial(self) -> tuple[int, int]:
        return 0, 0

    def successors(self, state: tuple[int, int]) -> list[tuple[str, tuple[int, int]]]:
        small, large = state
        right, left = min(small, 5 - large), min(large, 3 - small)
        return [
            ("fill small", (3, large)),
            ("fill large", (small, 5)),
            ("empty small", (0, large)),
            ("empty large", (small, 0)),
            ("pour right", (small - right, large + right)),
            ("pour left", (small + left, large - left)),
        ]

    def violation(self, state: tuple[int, int]) -> str | None:
        return f"{self.wanted} litres" if self.wanted in state else None


def test_the_trace_is_a_shortest_one() -> None:
    result = search(Jugs(4), 100)
    assert result.violation == "4 litres"
    assert result.trace == ("fill large", "pour left", "empty small", "pour left", "fill large", "pour left")
    assert result.story().endswith("=> 4 litres")


def test_all_states_are_looked_at() -> None:
    result = search(Jugs(6), 100)
    assert (result.states, result.violation) == (16, None)


def test_more_states_than_allowed_prove_nothing() -> None:
    with pytest.raises(TooManyStates):
        search(Jugs(6), 15)
