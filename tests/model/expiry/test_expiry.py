"""Every interleaving of two users' settings of a ttl, messages under it, and what they are told of these."""

from collections.abc import Callable

import pytest

from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.ttls.ttl_row import set_ttl, take_ttl
from tests.model.expiry.expiry import ANN, AT_ONCE, BOB, EDITED, Deed, Expiry, Sets, State
from tests.model.goals import Reaching
from tests.model.mutants import Mutant, planted
from tests.model.search import search

LIMIT = 60_000


@pytest.mark.parametrize("deeds", [AT_ONCE, EDITED], ids=["two settings at once", "an edit"])
def test_both_rows_come_to_one_ttl_and_no_message_is_there_after_its_end_or_with_another_one(
    deeds: tuple[Deed, ...],
) -> None:
    result = search(Expiry(deeds), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 100


FAULTS = (
    Mutant(take_ttl, "message.message_id <= known.set_by", "message.message_id == known.set_by", "whatever comes last"),
    Mutant(take_ttl, "message.message_id <= known.set_by", "known.set_by != b''", "whatever comes first"),
    Mutant(set_ttl, "max(version, known_us + 1)", "version", "a setting may stand before the one that was seen"),
    Mutant(set_ttl, "if plan.is_fenced and", "if plan.is_fenced and False and", "the other one is not told"),
    Mutant(Plan.change, "expires_us=held.expires_us", "expires_us=0", "an edit travels without the end"),
    Mutant(Plan.add_copy, "message.expires_us,\n", "0,\n", "a copy is stored without its end"),
    Mutant(
        View.is_there, "not 0 < expires_us <= self.now_us", "True", "what has ended is shown as long as it is there"
    ),
)
"""Each with what counts, or happens, without the rule."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.found_in)
def test_without_a_rule_a_violation_is_found(fault: Mutant) -> None:
    with planted(fault):
        assert any(search(Expiry(deeds), LIMIT).violation is not None for deeds in (AT_ONCE, EDITED))


def both_have_set_it_and_neither_was_told(state: State) -> bool:
    set_it = {message.sender_id for message in state.told if message.ttl_ms is not None}
    return set_it == {ANN, BOB} and not any(isinstance(deed, Sets) for deed in state.left)


def a_message_has_ended_on_its_way(state: State) -> bool:
    return state.is_later and not state.left and any(message.expires_us for message in state.told)


@pytest.mark.parametrize("goal", [both_have_set_it_and_neither_was_told, a_message_has_ended_on_its_way])
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Expiry(AT_ONCE), goal), LIMIT).violation == "the goal is reached"
