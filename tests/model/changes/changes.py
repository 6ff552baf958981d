"""A message that its author changes: the author's row with two owners in turn, and the recipient's row.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan`, each load a `ClaimedRow`, and
what counts of a message is told by `View` (`current`). The model adds what the network and the store may do:

- a write is executed at once, later than its owner's patience, or never, whoever owns the row then
- an owner is replaced at any moment, also between its write and the answer
- an event goes to the recipient late, twice, in any order; also one that an owner hands over long after it was replaced
- a superseded cell is removed at once, later, or never

Claims, leases and puts that execute twice have a search of their own (tests/model/rows).
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.row_states import decoded
from rowbox.cacheserver.rows.view import View, current
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.aggregate.changes import Changed, NewChange
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import Fact, HeldMessages, MessageNeed
from rowbox.mailbox.aggregate.plan import NewSend, Plan, Sent
from rowbox.mailbox.cells import FenceCell, MessageCell
from rowbox.mailbox.errors import MessageUnsent
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, payload_hash
from rowbox.mailbox.message import Message

Cell = tuple[Family, bytes, bytes]
Row = frozenset[Cell]

ANN, BOB = "ann", "bob"
BOTH = (ANN, BOB)
CONVERSATION_ID = direct_conversation_id(*BOTH)
NOW_US = 1_800_000_000_000_000
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=8, window_bytes=1 << 20)
EPOCHS = (fences.make_epoch(1, 0), fences.make_epoch(2, 0))
UNSEND = None


class Rules(NamedTuple):
    """The owner's side of the rules; each can be left out. Those of the core are left out by a fault in a function."""

    check_after_write: bool = True
    """What was written is shown and delivered only by an owner that still is one."""
    remove_after_write: bool = True
    """The cell before a change is removed once the change was confirmed. Else: when it is sent."""
    outbox_on_load: bool = True
    """A load has everything delivered that is in the row's outbox."""


FULL = Rules()


class Writing(NamedTuple):
    """A mutation on its way. `put` is what it writes; a yes tells the caller of `version`, and the recipient events."""

    put: Row
    garbage: Row
    events: frozenset[Message]
    version: int
    is_executed: bool = False


class Owner(NamedTuple):
    """An owner of the author's row: what it knows of the index, and its mutation on its way."""

    number: int
    known: Row
    writing: Writing | None = None


class State(NamedTuple):
    row: Row
    peer: Row
    owner: Owner | None
    """The one who has the row by now; None: the second one, who has not loaded it yet."""
    before: Owner | None
    """The first one, once it was replaced: it does not know, and may still be about to answer."""
    late: frozenset[Row]
    """Writes of whoever was replaced, which the store may execute at any time."""
    events: frozenset[Message]
    garbage: Row
    left: tuple[str | None, ...]
    """What the author still asks for."""
    told: int
    """The version that she was told last."""
    seen: tuple[int, bool]
    """What the recipient was shown last: the author's version of it, and whether it was taken back."""
    wrong: str | None = None


class Changes:
    """The model of one message. `asked` are the changes, asked for in any order, each once."""

    def __init__(self, asked: tuple[str | None, ...], rules: Rules = FULL) -> None:
        self._asked = asked
        self._rules = rules

    def initial(self) -> State:
        row = frozenset([_cell(FenceCell(EPOCHS[0], _fence_of(0)))])
        mailbox = _mailbox(0, row)
        mailbox.client_ids.add_read((), None)
        plan = mailbox.plan(NOW_US)
        hashes = client_id_hash("1"), payload_hash(CONVERSATION_ID, "sent")
        sent = plan.send(NewSend(ANN, CONVERSATION_ID, BOTH, "sent", "1", *hashes, 1))
        assert isinstance(sent, Sent)
        assert sent.message is not None
        put = frozenset(map(_cell, plan.cells()))
        row = _written(row, frozenset(cell for cell in put if cell[0] is not Family.OUTBOX))
        peer = frozenset([_cell(FenceCell(EPOCHS[0], _fence_of(0)))])
        to_peer = _mailbox(0, peer, BOB).plan(NOW_US)
        to_peer.deliver(sent.message)
        peer = _written(peer, frozenset(map(_cell, to_peer.cells())))
        owner = Owner(0, _index(row))
        return State(row, peer, owner, None, frozenset(), frozenset(), frozenset(), self._asked, 0, (0, False))

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        yield from self._of_owner(state)
        yield from self._of_replaced(state)
        yield from _of_store(state)
        for event in sorted(state.events, key=lambda event: event.change.version if event.change else 0):
            yield f"delivers {event.content or 'unsend'}", _delivered(state, event)

    def violation(self, state: State) -> str | None:
        if state.wrong is not None:
            return state.wrong
        at_peer = _shown(0, state.peer, _index(state.peer), BOB)
        if at_peer is None:
            return "the recipient has lost the message"
        if state.owner is None or state.owner.writing is not None:
            return None
        own = _shown(state.owner.number, state.row, state.owner.known)
        if own is None:
            return "the author has lost the message"
        if own.version < state.told:
            return f"the author was told of version {state.told}, and reads {own.version}"
        all_arrived = not state.left and all(_delivered(state, event) == state for event in state.events)
        if all_arrived and at_peer.content != own.content:
            return f"the author has {own.content!r}, the recipient keeps {at_peer.content!r}"
        return None

    # ------------------------------------------------------------------ the owners

    def _of_owner(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.owner
        if owner is None:
            yield "the second owner loads the row", self._loaded(state)
            return
        if owner.writing is None:
            for asked in dict.fromkeys(state.left):
                yield f"asks for {asked or 'unsend'}", self._asks(state, owner, asked)
        else:
            yield from self._goes_on(state, owner, is_owner=True)
        if owner.number == 0:
            yield "the owner is replaced", state._replace(owner=None, before=owner)

    def _of_replaced(self, state: State) -> Iterator[tuple[str, State]]:
        before = state.before
        if before is None or before.writing is None:
            return
        if not before.writing.is_executed:
            late = state.late | {before.writing.put}
            yield "the replaced owner's write hangs", state._replace(before=None, late=late)
        yield from self._goes_on(state, before, is_owner=False)

    def _goes_on(self, state: State, owner: Owner, *, is_owner: bool) -> Iterator[tuple[str, State]]:
        writing = owner.writing
        assert writing is not None
        if not writing.is_executed:
            done = owner._replace(writing=writing._replace(is_executed=True))
            after = state._replace(row=_written(state.row, writing.put))
            yield "the store executes it", after._replace(owner=done) if is_owner else after._replace(before=done)
            return
        if is_owner:
            yield "the owner hears yes", self._confirmed(state, owner, writing)
        elif self._rules.check_after_write:
            yield "the replaced owner hears yes, and says nothing", state._replace(before=None)
        else:
            events, told = state.events | writing.events, max(state.told, writing.version)
            yield "the replaced owner hears yes", state._replace(before=None, events=events, told=told)

    def _confirmed(self, state: State, owner: Owner, writing: Writing) -> State:
        index = _written(owner.known, frozenset(cell for cell in writing.put if cell[0] is Family.INDEX))
        return state._replace(
            owner=Owner(owner.number, index),
            events=state.events | writing.events,
            garbage=state.garbage | writing.garbage,
            told=max(state.told, writing.version),
        )

    def _asks(self, state: State, owner: Owner, asked: str | None) -> State:
        left = list(state.left)
        left.remove(asked)
        state = state._replace(left=tuple(left))
        mailbox = _mailbox(owner.number, owner.known)
        plan = mailbox.plan(NOW_US)
        held = _held(mailbox, state.row)
        assert held is not None
        new = NewChange(CONVERSATION_ID, held.message_id, asked, A_YEAR_MS * 1000, entropy=1)
        need = MessageNeed(new.conversation_id, new.message_id)
        try:
            answer = plan.change(new, Fact(need, plan.head, HeldMessages((held,))))
        except MessageUnsent:
            return state
        assert isinstance(answer, Changed)
        if answer.message is None:
            return state._replace(told=max(state.told, answer.version))
        events = frozenset(cell.message for cell in plan.outbox)
        writing = Writing(frozenset(map(_cell, plan.cells())), _superseded(plan), events, answer.version)
        if not self._rules.remove_after_write:
            state = state._replace(garbage=state.garbage | writing.garbage)
            writing = writing._replace(garbage=frozenset())
        return state._replace(owner=owner._replace(writing=writing))

    def _loaded(self, state: State) -> State:
        """The claim is read and written at one moment here."""
        row = _claimed(_fence_in(state.row), state.row)
        fence = fences.claim(_fence_in(state.row), EPOCHS[1], row.head, NOW_US // 1000, "second")
        written = _written(state.row, frozenset([_cell(FenceCell(EPOCHS[1], fence))]))
        events = state.events
        if self._rules.outbox_on_load:
            events |= {cell.message for cell in _claimed(fence, written).outbox}
        return state._replace(row=written, owner=Owner(1, _index(written)), events=events)


def _of_store(state: State) -> Iterator[tuple[str, State]]:
    for put in state.late:
        after = state._replace(row=_written(state.row, put), late=state.late - {put})
        yield "the store executes a late write", after
    for cell in sorted(state.garbage):
        row = frozenset(one for one in state.row if one[:2] != cell[:2])
        yield "a superseded cell is removed", state._replace(row=row, garbage=state.garbage - {cell})


def _delivered(state: State, event: Message) -> State:
    mailbox = _mailbox(0, state.peer, BOB)
    plan = mailbox.plan(NOW_US)
    need = MessageNeed(CONVERSATION_ID, event.message_id)
    plan.deliver(event, Fact(need, plan.head, HeldMessages((_held(mailbox, state.peer),))))
    if plan.changes_nothing:
        return state
    peer = _written(state.peer, frozenset(map(_cell, plan.cells())))
    gone = {cell[:2] for cell in _superseded(plan)}
    state = state._replace(peer=frozenset(cell for cell in peer if cell[:2] not in gone))
    cell = _shown(0, state.peer, _index(state.peer), BOB)
    if cell is None or cell.change is None:
        return state._replace(wrong="a change was delivered, and is not shown")
    seen, was_unsent = state.seen
    if was_unsent:
        return state._replace(wrong="the recipient is shown another change of what was taken back")
    if cell.change.version < seen:
        return state._replace(wrong="the recipient is shown an older change than before")
    return state._replace(seen=(cell.change.version, cell.change.is_unsent))


# ---------------------------------------------------------------------- rows as what ships


def _cell(cell: object) -> Cell:
    family, qualifier, value = codec.encode(cell)  # type: ignore[arg-type]
    return family, qualifier, value


def _superseded(plan: Plan) -> Row:
    return frozenset(map(_cell, plan.superseded))


def _written(row: Row, put: Row) -> Row:
    places = {cell[:2] for cell in put}
    return frozenset(cell for cell in row if cell[:2] not in places) | put


def _columns(row: Row, family: Family) -> list[Column]:
    return sorted((qualifier, value) for one, qualifier, value in row if one is family)


def _index(row: Row) -> Row:
    return frozenset(cell for cell in row if cell[0] is Family.INDEX)


def _fence_of(number: int) -> fences.Fence:
    return fences.claim((), EPOCHS[number], 0, NOW_US // 1000, "first")


def _fence_in(row: Row) -> fences.Fence:
    cells = decoded(_columns(row, Family.INDEX))
    return fences.newest(cell.fence for cell in cells if isinstance(cell, FenceCell))


def _claimed(fence: fences.Fence, row: Row) -> ClaimedRow:
    claimed = ClaimedRow(fence)
    claimed.add(decoded(_columns(row, Family.INDEX)))
    claimed.add_outbox(_columns(row, Family.OUTBOX))
    return claimed


@lru_cache(maxsize=1 << 14)
def _fence_known(number: int, index: Row) -> fences.Fence:
    fence = _fence_in(index)
    return tuple(entry for entry in fence if entry.epoch in EPOCHS[: number + 1])


def _mailbox(number: int, index: Row, user_id: str = ANN) -> Mailbox:
    """The mailbox of an owner that knows this of the index."""
    claimed = _claimed(_fence_known(number, _index(index)), _index(index))
    return claimed.mailbox(user_id, LIMITS, claimed.draft.index())


def _held(mailbox: Mailbox, row: Row) -> MessageCell | None:
    view = View(keys.row_key(mailbox.user_id, 64), mailbox, NOW_US)
    cells = [codec.decode_message(*column) for column in _columns(row, Family.MESSAGES)]
    return current(view, cells)


def _shown(number: int, row: Row, index: Row, user_id: str = ANN) -> MessageCell | None:
    return _held(_mailbox(number, index, user_id), row)
