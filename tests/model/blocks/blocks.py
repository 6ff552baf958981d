"""Bob blocks Ann, and what she has sent comes: Bob's row with two owners in turn.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan` (mailbox/account/blocks), each
load a `ClaimedRow`, and what counts is told by `View`. The model adds what the network and the store may do:

- a write is executed at once, later than its owner's patience, or never, whoever owns the row then
- the owner is replaced at any moment, also between its write and the answer
- what Ann has sent, and what she has done to it, comes at any time, in any order, as often as it likes
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rowbox.cacheserver.rows.view import View, current
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.account import blocks
from rowbox.mailbox.account.account_row import AccountRow
from rowbox.mailbox.account.deeds import BlockUser, UnblockUser
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import CopyNeed, Fact, HeldMessages, MessageNeed, Need
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import FenceCell, MessageCell
from rowbox.mailbox.ids import hidden_conversation_id, message_id
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction
from tests.model.changes.rows import (
    ANN,
    BOB,
    BOTH,
    CONVERSATION_ID,
    EPOCHS,
    NOW_US,
    Row,
    claimed,
    fence_in,
    first_fence,
    index_of,
    mailbox_of,
    stored,
    superseded,
    without,
    written,
)

HIDDEN_ID = hidden_conversation_id(CONVERSATION_ID)
IDS = tuple(message_id(NOW_US - 100 + number, number) for number in range(2))
ONE, TWO = (Message(one, CONVERSATION_ID, ANN, BOTH, f"text {number}") for number, one in enumerate(IDS))
EDIT = Message(IDS[0], CONVERSATION_ID, ANN, BOTH, "edited", Change(NOW_US - 50))
UNSEND = Message(IDS[0], CONVERSATION_ID, ANN, BOTH, "", Change(NOW_US - 40, is_unsent=True))
REACT = Message(IDS[0], CONVERSATION_ID, ANN, BOTH, "", None, Reaction(ANN, "!", NOW_US - 45))


class Rules(NamedTuple):
    """The owner's side of the rules; each can be left out. Those of the core are left out by a fault in a function."""

    check_after_write: bool = True
    """What was written is said only by an owner that still is one."""


FULL = Rules()
Told = tuple[bytes, int, int]
"""A message, and the versions of its change and of Ann's reaction; 0: none."""


class Writing(NamedTuple):
    """A mutation on its way, and what its yes says: of a message that it is here, of a deed which."""

    put: Row
    garbage: Row
    brings: bytes
    deed: str
    is_executed: bool = False


class Owner(NamedTuple):
    """An owner of the row: what it knows of the index, and its mutation on its way."""

    number: int
    known: Row
    writing: Writing | None = None


class State(NamedTuple):
    row: Row
    owner: Owner | None
    """The one who has the row by now; None: the second one, who has not loaded it yet."""
    before: Owner | None
    """The first one, once it was replaced: it does not know, and may still be about to answer."""
    late: frozenset[Row]
    left: tuple[str, ...]
    """What Bob still asks for, in this order."""
    arrived: frozenset[bytes]
    """The messages of which Ann's owner was told that they are there."""
    shown: frozenset[Told] | None
    """While a block is in force, by its answer and with no unblock asked for: what Bob was shown before. Else None."""
    was_hidden: frozenset[Told]
    """What was hidden of Ann at some time."""
    wrong: str | None = None


class Blocks:
    """The model. `asked`: what Bob asks for, "block" or "unblock", one after the other. `events`: what comes of Ann."""

    def __init__(self, asked: tuple[str, ...], events: tuple[Message, ...], rules: Rules = FULL) -> None:
        self._asked = asked
        self._events = events
        self._rules = rules

    def initial(self) -> State:
        row = stored([first_fence()])
        nothing: frozenset[bytes] = frozenset()
        return State(row, Owner(0, row), None, frozenset(), self._asked, nothing, None, frozenset())

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        yield from self._of_owner(state)
        yield from self._of_replaced(state)
        for put in state.late:
            after = state._replace(row=written(state.row, put), late=state.late - {put})
            yield "the store executes a late write", after

    def violation(self, state: State) -> str | None:
        if state.wrong is not None or state.owner is None or state.owner.writing is not None:
            return state.wrong
        mailbox = _mailbox(state.owner)
        shown, hidden = _counted(mailbox, state.row, CONVERSATION_ID), _counted(mailbox, state.row, HIDDEN_ID)
        if state.shown is not None and not set(map(_told, shown.values())) <= state.shown:
            return "what came behind the block is shown"
        if state.was_hidden & set(map(_told, shown.values())):
            return "what was hidden is shown"
        for one in state.arrived:
            if one not in shown and one not in hidden:
                return "a message that arrived is lost"
        whole = {one for one in hidden if one not in shown}
        if any(_told(hidden[one]) == _told(shown[one]) for one in hidden.keys() & shown.keys()):
            return "a message is there twice"
        block = blocks.block_of(mailbox, ANN)
        if (block.hidden if block is not None else 0) != len(whole):
            return f"{len(whole)} messages are hidden, and the block says {block}"
        return None

    def _of_owner(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.owner
        if owner is None:
            yield "the second owner loads the row", _loaded(state)
            return
        if owner.writing is not None:
            yield from self._goes_on(state, owner, is_owner=True)
        else:
            for event in self._events:
                yield f"{event.content or event.reaction or 'an unsend'} comes", _delivers(state, owner, event)
            if state.left:
                yield f"Bob asks for {state.left[0]}", _does(state, owner)
        if owner.number == 0:
            yield "the owner is replaced", state._replace(owner=None, before=owner)

    def _of_replaced(self, state: State) -> Iterator[tuple[str, State]]:
        before = state.before
        if before is None or before.writing is None:
            return
        if not before.writing.is_executed:
            yield "its write hangs", state._replace(before=None, late=state.late | {before.writing.put})
        yield from self._goes_on(state, before, is_owner=False)

    def _goes_on(self, state: State, owner: Owner, *, is_owner: bool) -> Iterator[tuple[str, State]]:
        writing = owner.writing
        assert writing is not None
        if not writing.is_executed:
            done = owner._replace(writing=writing._replace(is_executed=True))
            after = state._replace(row=written(state.row, writing.put))
            yield "the store executes it", after._replace(owner=done) if is_owner else after._replace(before=done)
        elif is_owner:
            known = written(owner.known, index_of(writing.put))
            after = state._replace(owner=Owner(owner.number, known), row=without(state.row, writing.garbage))
            yield "the owner hears yes", _said(after, writing)
        elif self._rules.check_after_write:
            yield "the replaced owner hears yes, and says nothing", state._replace(before=None)
        else:
            yield "the replaced owner hears yes", _said(state._replace(before=None), writing)


def _delivers(state: State, owner: Owner, event: Message) -> State:
    plan, version = None, None
    fact: Fact | None = None
    while not isinstance(version, int):
        plan = _mailbox(owner).plan(NOW_US)
        version = blocks.deliver(plan, event, fact)
        if not isinstance(version, int):
            fact = Fact(version, plan.head, _answer(version, _mailbox(owner), state.row))
    assert plan is not None
    is_message = event.reaction is None and event.change is None
    brings = event.message_id if is_message else b""
    if plan.changes_nothing:
        return state._replace(arrived=state.arrived | {brings} - {b""})
    return _begins(state, owner, plan, brings, "")


def _does(state: State, owner: Owner) -> State:
    deed = state.left[0]
    plan = _mailbox(owner).plan(NOW_US)
    AccountRow(plan).do(BlockUser(ANN) if deed == "block" else UnblockUser(ANN))
    state = state._replace(left=state.left[1:], shown=None)
    if plan.changes_nothing:  # it was so already, by what an owner that was replaced has written
        return _said(state, Writing(frozenset(), frozenset(), b"", deed))
    return _begins(state, owner, plan, b"", deed)


def _begins(state: State, owner: Owner, plan: Plan, brings: bytes, deed: str) -> State:
    writing = Writing(stored(plan.cells()), superseded(plan), brings, deed)
    return state._replace(owner=owner._replace(writing=writing))


def _said(state: State, writing: Writing) -> State:
    """The answer to what was written, and what Bob sees in that moment."""
    state = state._replace(arrived=state.arrived | {writing.brings} - {b""})
    if state.owner is None:
        return state
    mailbox = _mailbox(state.owner)
    hidden = _counted(mailbox, state.row, HIDDEN_ID).values()
    state = state._replace(was_hidden=state.was_hidden | {_told(one) for one in hidden})
    if writing.deed == "block":
        shown = _counted(mailbox, state.row, CONVERSATION_ID).values()
        return state._replace(shown=frozenset(map(_told, shown)))
    return state


def _loaded(state: State) -> State:
    """The claim is read and written at one moment here."""
    row = claimed(fence_in(state.row), state.row)
    fence = fences.claim(fence_in(state.row), EPOCHS[1], row.head, NOW_US // 1000, "second")
    after = written(state.row, stored([FenceCell(EPOCHS[1], fence)]))
    return state._replace(row=after, owner=Owner(1, index_of(after)))


def _mailbox(owner: Owner) -> Mailbox:
    return mailbox_of(owner.number, owner.known, BOB)


def _answer(need: Need, mailbox: Mailbox, row: Row) -> bool | HeldMessages:
    """What RowReader reads for a delivery's need."""
    if isinstance(need, CopyNeed):
        is_shown = need.message_id in _counted(mailbox, row, CONVERSATION_ID)
        return is_shown or (need.or_hidden and need.message_id in _counted(mailbox, row, HIDDEN_ID))
    assert isinstance(need, MessageNeed)
    held = _counted(mailbox, row, CONVERSATION_ID).get(need.message_id)
    hidden = (_counted(mailbox, row, HIDDEN_ID).get(need.message_id),) if need.with_hidden else ()
    return HeldMessages((held,), hidden)


def _counted(mailbox: Mailbox, row: Row, conversation_id: bytes) -> dict[bytes, MessageCell]:
    """What counts of each message under a conversation id."""
    view = View(keys.row_key(BOB, 64), mailbox, NOW_US)
    cells: dict[bytes, list[MessageCell]] = {}
    for family, *column in row:
        if family is Family.MESSAGES:
            cell = codec.decode_message(*column)
            if cell.conversation_id == conversation_id:
                cells.setdefault(cell.message_id, []).append(cell)
    found = {one: current(view, of_one) for one, of_one in cells.items()}
    return {one: cell for one, cell in found.items() if cell is not None}


def _told(cell: MessageCell) -> Told:
    reacted = next((one.version for one in cell.reactions if one.user_id == ANN), 0)
    return cell.message_id, cell.change.version if cell.change is not None else 0, reacted
