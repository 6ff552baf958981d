"""Outbox and delivery: what is confirmed to the sender reaches the recipient exactly once, whoever dies when."""

import pytest

from tests.model.cases import FULL, WEAKENED, Case
from tests.model.goals import Reaching
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.two_rows import Rows, TwoRows
from tests.model.search import search

LIMIT = 100_000
SMALL = 20_000


@pytest.mark.parametrize("case", [case for case in FULL if case.rows is TwoRows], ids=lambda case: case.name)
def test_the_full_rules_hold(case: Case) -> None:
    result = search(case.model(), LIMIT)
    assert result.violation is None, result.story()


@pytest.mark.parametrize("case", [case for case in WEAKENED if case.rows is TwoRows], ids=lambda case: case.name)
def test_a_violation_is_found(case: Case) -> None:
    assert search(case.model(), SMALL).violation is not None


def test_the_next_owner_inherits_what_is_to_be_delivered() -> None:
    def inherited(rows: Rows) -> bool:
        mailbox = rows.sender.processes[1].mailbox
        return bool(mailbox and mailbox.queue and not rows.underway and not rows.arrived and rows.sender.world.shown)

    result = search(Reaching(TwoRows(Rules(), Bounds((0,), puts=1, warm=True)), inherited), SMALL)
    assert result.violation == "the goal is reached", result.story()
