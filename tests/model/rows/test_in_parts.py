"""A row that is read in parts: what a load shows is as good as of one moment."""

import pytest

from tests.model.cases import FULL, IN_PARTS, WEAKENED, Case
from tests.model.goals import Reaching
from tests.model.rows.in_parts import InParts
from tests.model.rows.rules import Rules
from tests.model.rows.state import State
from tests.model.search import search

LIMIT = 250_000
SMALL = 60_000


@pytest.mark.parametrize("case", [case for case in FULL if case.rows is InParts], ids=lambda case: case.name)
def test_the_full_rules_hold(case: Case) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", [case for case in WEAKENED if case.rows is InParts], ids=lambda case: case.name)
def test_a_violation_is_found(case: Case) -> None:
    assert search(case.model(), SMALL).violation is not None


def test_a_reading_shows_a_head_in_the_middle_of_a_write() -> None:
    """A write of three messages, of which one is in the part that was read after it landed."""

    def torn(state: State) -> bool:
        heads = [process.shown_head for process in state.processes]
        return len(state.row.messages) == 3 and 2 in heads

    bounds = IN_PARTS._replace(conversations=(0, 1, 0), puts=1, grants=0)
    result = search(Reaching(InParts(Rules(), bounds), torn), SMALL)
    assert result.violation == "the goal is reached", result.story()
