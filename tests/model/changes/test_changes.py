"""Every interleaving of an author's changes with a takeover, late writes and late deliveries."""

from collections.abc import Callable
from typing import Any

import pytest

from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate import plan
from rowbox.mailbox.message import Change
from tests.model.changes.changes import UNSEND, Changes, Rules, State
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 60_000
TWO_EDITS = ("one", "two")
EDITS_AND_UNSEND = ("one", "two", UNSEND)


@pytest.mark.parametrize("asked", [TWO_EDITS, ("one", UNSEND), EDITS_AND_UNSEND])
def test_no_change_is_lost_undone_or_shown_before_its_time(asked: tuple[str | None, ...]) -> None:
    result = search(Changes(asked), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 300


@pytest.mark.parametrize("rule", Rules._fields)
def test_without_a_rule_of_the_owner_a_violation_is_found(rule: str) -> None:
    rules = Rules(**{rule: False})
    assert search(Changes(EDITS_AND_UNSEND, rules), LIMIT).violation is not None


def an_edit_follows_whatever_stands(new: Any, held: Any, user_id: str, now_us: int) -> bool:
    return bool(new.content != held.content)


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "any change applies": (Change, "supersedes", lambda *_: True),
    "an older change applies": (Change, "supersedes", lambda _, other: other is None or not other.is_unsent),
    "what was taken back is edited": (plan, "is_due", an_edit_follows_whatever_stands),
    "late writes count": (View, "holds", lambda *_: True),
}
"""The rules of the core, each with a fault that leaves it out."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_core_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    assert search(Changes(EDITS_AND_UNSEND), LIMIT).violation is not None


def a_late_write_lies_beside_what_counts(state: State) -> bool:
    return state.owner is not None and state.owner.number == 1 and not state.late and len(state.row) > 12


def an_older_event_comes_after_a_newer_one(state: State) -> bool:
    versions = [event.change.version for event in state.events if event.change is not None]
    return len(versions) > 1 and state.seen[0] == max(versions)


@pytest.mark.parametrize("goal", [a_late_write_lies_beside_what_counts, an_older_event_comes_after_a_newer_one])
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Changes(EDITS_AND_UNSEND), goal), LIMIT).violation == "the goal is reached"
