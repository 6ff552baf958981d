"""Every interleaving of blocks with what comes of who is blocked, a takeover and late writes."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.account import blocks
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.block import Block
from tests.model.blocks.blocks import EDIT, ONE, REACT, TWO, UNSEND, Blocks, Rules, State
from tests.model.goals import Reaching
from tests.model.search import search

LIMIT = 60_000
BLOCK = ("block",)
ENDED = ("block", "unblock")
AGAIN = ("block", "unblock", "block")
MESSAGES = (ONE, TWO)
CHANGED = (ONE, EDIT)
Case = tuple[tuple[str, ...], tuple[Message, ...]]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((BLOCK, MESSAGES), id="a block"),
        pytest.param((ENDED, MESSAGES), id="that ends"),
        pytest.param((AGAIN, (ONE,)), id="and comes again"),
        pytest.param((ENDED, CHANGED), id="an edit"),
        pytest.param((AGAIN, CHANGED), id="an edit, and the block comes again"),
        pytest.param((ENDED, (ONE, UNSEND)), id="an unsend"),
        pytest.param((ENDED, (ONE, REACT)), id="a reaction"),
    ],
)
def test_nothing_that_comes_behind_a_block_is_shown_or_lost_or_there_twice(case: Case) -> None:
    result = search(Blocks(*case), LIMIT)
    assert result.violation is None, result.story()
    assert result.states > 200


def test_without_the_check_after_the_write_a_violation_is_found() -> None:
    assert search(Blocks(ENDED, MESSAGES, Rules(check_after_write=False)), LIMIT).violation is not None


def only_what_is_shown_is_asked_for(self: Plan, message: Any, fact: Any, *, may_be_hidden: bool = False) -> Any:
    return _holds(self, message, fact)


def only_what_is_hidden_is_asked_for(self: Plan, message: Any, fact: Any, *, may_be_hidden: bool = False) -> Any:
    return _holds(self, message, fact, may_be_hidden=True) if may_be_hidden else False


def an_ended_block_is_forgotten(row: Any, user_id: str) -> Block | None:
    block = _block_of(row, user_id)
    return block if block is not None and block.is_on else None


def the_newest_hidden_is_not_kept(self: Block, message_id: bytes, version: int, epoch: int) -> Block:
    return msgspec.structs.replace(_with_hidden(self, message_id, version, epoch), kept_up_to=b"")


def a_change_applies_to_what_is_shown(plan: Plan, message: Message, block: Block, held: Any, hidden: Any) -> int:
    return plan.take_change(message, held)


def a_change_goes_by_the_block_alone(plan: Plan, message: Message, block: Block, held: Any, hidden: Any) -> int:
    if not block.is_on:
        return plan.take_change(message, held)
    return _take_change(plan, message, block, held, hidden)


_holds, _block_of, _with_hidden, _take_change = Plan.holds, blocks.block_of, Block.with_hidden, blocks._take_change

FAULTS: dict[str, tuple[Case, Any, str, Callable[..., Any]]] = {
    "what is hidden is not asked for": ((ENDED, MESSAGES), Plan, "holds", only_what_is_shown_is_asked_for),
    "what is shown is not asked for": ((BLOCK, MESSAGES), Plan, "holds", only_what_is_hidden_is_asked_for),
    "an ended block is forgotten": ((ENDED, MESSAGES), blocks, "block_of", an_ended_block_is_forgotten),
    "the newest hidden is not kept": ((BLOCK, MESSAGES), Block, "with_hidden", the_newest_hidden_is_not_kept),
    "late writes count": ((BLOCK, MESSAGES), View, "holds", lambda *_: True),
    "a block is not asked for": ((BLOCK, MESSAGES), blocks, "deliver_new", Plan.deliver_new),
    "a change applies to what is shown": ((BLOCK, CHANGED), blocks, "_take_change", a_change_applies_to_what_is_shown),
    "a change goes by the block alone": ((ENDED, CHANGED), blocks, "_take_change", a_change_goes_by_the_block_alone),
    "a hidden change is not known again": ((ENDED, CHANGED), blocks, "_is_known", lambda *_: False),
    "what was done before the block is not known again": ((BLOCK, CHANGED), blocks, "_is_known", lambda *_: False),
    "a hidden reaction is not known again": ((ENDED, (ONE, REACT)), blocks, "_is_known", lambda *_: False),
}
"""The rules of the core, each with a fault that leaves it out, and what happens meanwhile."""


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_rule_of_the_core_a_violation_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, place, name, without = FAULTS[fault]
    monkeypatch.setattr(place, name, without)
    assert search(Blocks(*case), LIMIT).violation is not None


def a_late_write_lies_beside_a_hidden_message(state: State) -> bool:
    is_second = state.owner is not None and state.owner.number == 1
    return is_second and not state.late and bool(state.was_hidden) and len(state.row) > 7


def a_hidden_message_comes_again_behind_the_end(state: State) -> bool:
    return not state.left and len(state.was_hidden) == 2 and len(state.arrived) == 2


@pytest.mark.parametrize(
    "goal", [a_late_write_lies_beside_a_hidden_message, a_hidden_message_comes_again_behind_the_end]
)
def test_the_search_gets_into_trouble(goal: Callable[[State], bool]) -> None:
    assert search(Reaching(Blocks(ENDED, MESSAGES), goal), LIMIT).violation == "the goal is reached"
