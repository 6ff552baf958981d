"""Every interleaving of the changes of a message with a takeover, late writes and late deliveries."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate import plan
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.message import Change
from rowbox.mailbox.reactions import with_reaction
from tests.model.changes.changes import Asked, Changes, Edit, React, Rules, State, Unsend
from tests.model.changes.rows import ANN, BOB
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 60_000
TWO_EDITS = (Edit("one"), Edit("two"))
EDITS_AND_UNSEND = (*TWO_EDITS, Unsend())
OF_BOTH = (React(ANN, "a"), React(BOB, "b"))
TAKEN_BACK = (React(ANN, "a"), React(ANN, ""), React(BOB, "b"))
TAKEN_BACK_BY_BOB = (React(BOB, "b"), React(BOB, ""), Unsend())
AND_UNSENT = (*OF_BOTH, Unsend())
OWN_AND_EDITED = (React(ANN, "a"), Edit("one"))
OTHERS_AND_EDITED = (React(BOB, "b"), Edit("one"))


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(TWO_EDITS, id="two edits"),
        pytest.param((Edit("one"), Unsend()), id="an edit and an unsend"),
        pytest.param(EDITS_AND_UNSEND, id="two edits and an unsend"),
        pytest.param(TAKEN_BACK, id="two reactions, one is taken back"),
        pytest.param(TAKEN_BACK_BY_BOB, id="Bob's is taken back, and the message"),
        pytest.param(AND_UNSENT, id="two reactions and an unsend"),
        pytest.param(OWN_AND_EDITED, id="Ann's reaction and an edit"),
        pytest.param(OTHERS_AND_EDITED, id="Bob's reaction and an edit"),
    ],
)
def test_no_change_is_lost_undone_or_shown_before_its_time(asked: tuple[Asked, ...]) -> None:
    result = search(Changes(asked), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 200


@pytest.mark.parametrize("asked", [EDITS_AND_UNSEND, TAKEN_BACK], ids=["texts", "reactions"])
@pytest.mark.parametrize("rule", Rules._fields)
def test_without_a_rule_of_the_owner_a_violation_is_found(rule: str, asked: tuple[Asked, ...]) -> None:
    rules = Rules(**{rule: False})
    assert search(Changes(asked, rules), LIMIT).violation is not None


def an_edit_follows_whatever_stands(new: Any, held: Any, user_id: str, now_us: int) -> bool:
    return bool(new.content != held.content)


def a_reaction_follows_whatever_stands(new: Any, held: Any, user_id: str, now_us: int) -> bool:
    return bool(new.emoji)


def any_reaction_applies(reactions: Any, new: Any) -> Any:
    return (*(one for one in reactions if one.user_id != new.user_id), new)


def taken_back_is_forgotten(reactions: Any, new: Any) -> Any:
    after = with_reaction(reactions, new)
    return after if after is None else tuple(one for one in after if one.emoji)


def without_a_look_at_the_end(self: Plan, conversation_id: bytes, reaction: Any, held: Any) -> int:
    whole = msgspec.structs.replace(held, change=None, content="?")
    return _take_reaction(self, conversation_id, reaction, whole)


def without_reactions(self: Plan, held: Any, *change: Any) -> None:
    _change(self, msgspec.structs.replace(held, reactions=()), *change)


def with_all_reactions(self: Plan, held: Any, message: Any, version: int, reactions: Any = ()) -> None:
    _replace(self, held, message, version, reactions or held.reactions)


_take_reaction, _change, _replace = Plan._take_reaction, Plan._change, Plan.replace

FAULTS: dict[str, tuple[tuple[Asked, ...], Any, str, Callable[..., Any]]] = {
    "any change applies": (EDITS_AND_UNSEND, Change, "supersedes", lambda *_: True),
    "an older change applies": (
        EDITS_AND_UNSEND,
        Change,
        "supersedes",
        lambda _, other: other is None or not other.is_unsent,
    ),
    "what was taken back is edited": (EDITS_AND_UNSEND, plan, "is_due", an_edit_follows_whatever_stands),
    "late writes count": (EDITS_AND_UNSEND, View, "holds", lambda *_: True),
    "any reaction applies": (TAKEN_BACK, plan, "with_reaction", any_reaction_applies),
    "a reaction that was taken back is forgotten": (TAKEN_BACK, plan, "with_reaction", taken_back_is_forgotten),
    "one reacts to what was taken back": (AND_UNSENT, plan, "is_reaction_due", a_reaction_follows_whatever_stands),
    "a reaction comes to what was taken back": (AND_UNSENT, Plan, "_take_reaction", without_a_look_at_the_end),
    "an edit has no reactions": (OTHERS_AND_EDITED, Plan, "_change", without_reactions),
    "an unsend keeps reactions": (AND_UNSENT, Plan, "replace", with_all_reactions),
}
"""The rules of the core, each with a fault that leaves it out, and what is asked for meanwhile."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_core_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    assert search(Changes(asked), LIMIT).violation is not None


def a_late_write_lies_beside_what_counts(state: State) -> bool:
    return state.owner is not None and state.owner.number == 1 and not state.late and len(state.row) > 12


def an_older_event_comes_after_a_newer_one(state: State) -> bool:
    versions = [event.change.version for event in state.events if event.change is not None]
    return len(versions) > 1 and state.bob.change == max(versions)


def an_older_reaction_comes_after_a_newer_one(state: State) -> bool:
    versions = [event.reaction.version for event in state.events if event.reaction and event.sender_id == ANN]
    return len(versions) > 1 and state.bob.others == max(versions)


@pytest.mark.parametrize(
    ("asked", "goal"),
    [
        (EDITS_AND_UNSEND, a_late_write_lies_beside_what_counts),
        (TAKEN_BACK, a_late_write_lies_beside_what_counts),
        (EDITS_AND_UNSEND, an_older_event_comes_after_a_newer_one),
        (TAKEN_BACK, an_older_reaction_comes_after_a_newer_one),
    ],
)
def test_the_search_gets_into_trouble(asked: tuple[Asked, ...], goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Changes(asked), goal), LIMIT).violation == "the goal is reached"
