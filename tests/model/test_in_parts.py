"""A row that is read in parts: what a load shows is as good as of one moment."""

import pytest

from tests.model.cases import FULL, IN_PARTS, WEAKENED, Case
from tests.model.goals import Reaching
from tests.model.in_parts import InParts
from tests.model.rules import Rules
from tests.model.search import search
from tests.model.state import State

LIMIT = 250_000
SMALL = 60_000


@pytest.mark.parametrize("case", [case for case in FULL if case.rows is InParts], ids=lambda case: case.name)
def test_the_full_rules_hold(case: Case) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", [case for case in WEAKENED if case.rows is InParts], ids=lambda case: case.name)
def test_a_violation_is_found(case: Case) -> None:
    assert search(case.model(), SMALL).violation is not None


def test_a_claim_is_decided_on_a_torn_row() -> None:
    """A write of two conversations is in the part that was read after it landed, and not in the other."""

    def torn(state: State) -> bool:
        claiming = (process.then for process in state.processes if process.call and process.call.fences)
        whole_write = len(state.row.messages) == 2
        return whole_write and any(then is not None and len(then.messages()) == 1 for then in claiming)

    bounds = IN_PARTS._replace(puts=1)
    result = search(Reaching(InParts(Rules(), bounds), torn), SMALL)
    assert result.violation == "the goal is reached", result.story()
