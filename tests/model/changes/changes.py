"""A message that is changed: its author's row with two owners in turn, and the recipient's row. Both users react to it.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan`, each load a `ClaimedRow`, and
what counts of a message is told by `View` (`current`). The model adds what the network and the store may do:

- a write is executed at once, later than its owner's patience, or never, whoever owns the row then
- an owner is replaced at any moment, also between its write and the answer
- an event goes to the other row late, twice, in any order; also one that an owner hands over long after it was replaced
- a superseded cell is removed at once, later, or never

Claims, leases and puts that execute twice have a search of their own (tests/model/rows).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.aggregate.changes import Changed, NewChange, NewReaction
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import Fact, HeldMessages, MessageNeed
from rowbox.mailbox.aggregate.plan import NewSend, Plan, Sent
from rowbox.mailbox.cells import FenceCell, MessageCell
from rowbox.mailbox.errors import MessageUnsent
from rowbox.mailbox.ids import client_id_hash, payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import reaction_of
from tests.model.changes.rows import (
    A_YEAR_MS,
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
    held_in,
    index_of,
    mailbox_of,
    stored,
    superseded,
    without,
    written,
)

WINDOW_US = A_YEAR_MS * 1000


class Edit(NamedTuple):
    """Of the author."""

    content: str


class Unsend(NamedTuple):
    """Of the author."""


class React(NamedTuple):
    """Of either; "": takes it back."""

    user_id: str
    emoji: str


Asked = Edit | Unsend | React


class Rules(NamedTuple):
    """The owner's side of the rules; each can be left out. Those of the core are left out by a fault in a function."""

    check_after_write: bool = True
    """What was written is shown and delivered only by an owner that still is one."""
    remove_after_write: bool = True
    """The cell before a change is removed once the change was confirmed. Else: when it is sent."""
    outbox_on_load: bool = True
    """A load has everything delivered that is in the row's outbox."""


FULL = Rules()


class Seen(NamedTuple):
    """What one of both was shown or told last."""

    change: int = 0
    """The version of the last change by the author."""
    is_unsent: bool = False
    own: int = 0
    """The version of his own reaction, of which he was told that it is stored."""
    others: int = 0
    """That of the other's."""


class Writing(NamedTuple):
    """A mutation on its way. `put` is what it writes; a yes tells of `version`, shows `shows`, and sends events."""

    put: Row
    garbage: Row
    events: frozenset[Message]
    version: int
    shows: MessageCell
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
    left: tuple[Asked, ...]
    """What is still asked for."""
    told: int
    """The version that the author was told last."""
    ann: Seen
    bob: Seen
    wrong: str | None = None


class Changes:
    """The model of one message. `asked` are the changes, asked for in any order, each once."""

    def __init__(self, asked: tuple[Asked, ...], rules: Rules = FULL) -> None:
        self._asked = asked
        self._rules = rules

    def initial(self) -> State:
        row = stored([first_fence()])
        mailbox = mailbox_of(0, row)
        mailbox.client_ids.add_read((), None)
        plan = mailbox.plan(NOW_US)
        hashes = client_id_hash("1"), payload_hash(CONVERSATION_ID, "sent")
        sent = plan.send(NewSend(ANN, CONVERSATION_ID, BOTH, "sent", "1", *hashes, 1))
        assert isinstance(sent, Sent)
        assert sent.message is not None
        row = written(row, frozenset(cell for cell in stored(plan.cells()) if cell[0] is not Family.OUTBOX))
        peer = stored([first_fence()])
        to_peer = mailbox_of(0, peer, BOB).plan(NOW_US)
        to_peer.deliver(sent.message)
        peer = written(peer, stored(to_peer.cells()))
        owner = Owner(0, index_of(row))
        nothing: Row = frozenset()
        return State(row, peer, owner, None, frozenset(), frozenset(), nothing, self._asked, 0, Seen(), Seen())

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        yield from self._of_owner(state)
        yield from self._of_replaced(state)
        yield from _of_store(state)
        yield from _of_peer(state)

    def violation(self, state: State) -> str | None:
        if state.wrong is not None:
            return state.wrong
        at_peer = held_in(mailbox_of(0, index_of(state.peer), BOB), state.peer)
        if at_peer is None:
            return "the recipient has lost the message"
        if state.owner is None or state.owner.writing is not None:
            return None
        own = held_in(mailbox_of(state.owner.number, state.owner.known), state.row)
        if own is None:
            return "the author has lost the message"
        if own.version < state.told:
            return f"the author was told of version {state.told}, and reads {own.version}"
        has_all = not state.left and all(self._is_known(state, event) for event in state.events)
        if has_all and (at_peer.content, at_peer.reactions) != (own.content, own.reactions):
            return f"the author has {_told(own)}, the recipient keeps {_told(at_peer)}"
        return _lost_reaction(own, ANN, state.ann) or _lost_reaction(at_peer, BOB, state.bob)

    # ------------------------------------------------------------------ the owners

    def _of_owner(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.owner
        if owner is None:
            yield "the second owner loads the row", self._loaded(state)
            return
        if owner.writing is None:
            for asked in dict.fromkeys(state.left):
                if not (isinstance(asked, React) and asked.user_id == BOB):
                    yield f"Ann asks for {asked}", self._asks(state, owner, asked)
            for event in _sorted(state.events, BOB):
                yield f"delivers {event.reaction} to Ann", self._delivers(state, owner, event)
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
            after = state._replace(row=written(state.row, writing.put))
            yield "the store executes it", after._replace(owner=done) if is_owner else after._replace(before=done)
            return
        if is_owner:
            yield "the owner hears yes", _confirmed(state, owner, writing)
        elif self._rules.check_after_write:
            yield "the replaced owner hears yes, and says nothing", state._replace(before=None)
        else:
            events, told = state.events | writing.events, max(state.told, writing.version)
            yield "the replaced owner hears yes", state._replace(before=None, events=events, told=told)

    def _asks(self, state: State, owner: Owner, asked: Asked) -> State:
        mailbox = mailbox_of(owner.number, owner.known)
        state = _without_asked(state, asked)
        plan, answer = _asked(mailbox, state.row, asked)
        if answer is None:
            return state
        if answer.message is None:
            return state._replace(told=max(state.told, answer.version))
        return self._begins(state, owner, plan, answer.version)

    def _delivers(self, state: State, owner: Owner, event: Message) -> State:
        plan = mailbox_of(owner.number, owner.known).plan(NOW_US)
        version = _delivered(plan, held_in(mailbox_of(owner.number, owner.known), state.row), event)
        return state if plan.changes_nothing else self._begins(state, owner, plan, version)

    def _begins(self, state: State, owner: Owner, plan: Plan, version: int) -> State:
        """Sends the mutation of a plan to the store."""
        events = frozenset(cell.message for cell in plan.outbox)
        writing = Writing(stored(plan.cells()), superseded(plan), events, version, _cell_of(plan))
        if not self._rules.remove_after_write:
            state = state._replace(garbage=state.garbage | writing.garbage)
            writing = writing._replace(garbage=frozenset())
        return state._replace(owner=owner._replace(writing=writing))

    def _loaded(self, state: State) -> State:
        """The claim is read and written at one moment here."""
        row = claimed(fence_in(state.row), state.row)
        fence = fences.claim(fence_in(state.row), EPOCHS[1], row.head, NOW_US // 1000, "second")
        after = written(state.row, stored([FenceCell(EPOCHS[1], fence)]))
        events = state.events
        if self._rules.outbox_on_load:
            events |= {cell.message for cell in claimed(fence, after).outbox}
        return state._replace(row=after, owner=Owner(1, index_of(after)), events=events)

    def _is_known(self, state: State, event: Message) -> bool:
        """Whether an event changes nothing where it goes."""
        if event.sender_id == ANN:
            return _taken(state, event) == state
        assert state.owner is not None
        return self._delivers(state, state.owner, event) == state


# ---------------------------------------------------------------------- both rows


def _asked(mailbox: Mailbox, row: Row, asked: Asked) -> tuple[Plan, Changed | None]:
    """The plan of what a user asks for; None: it is refused."""
    plan = mailbox.plan(NOW_US)
    held = held_in(mailbox, row)
    assert held is not None
    place = CONVERSATION_ID, held.message_id
    fact = Fact(MessageNeed(*place), plan.head, HeldMessages((held,)))
    try:
        if isinstance(asked, React):
            answer = plan.react(NewReaction(*place, asked.emoji, WINDOW_US, entropy=1), fact)
        else:
            content = asked.content if isinstance(asked, Edit) else None
            answer = plan.change(NewChange(*place, content, WINDOW_US, entropy=1), fact)
    except MessageUnsent:
        return plan, None
    assert isinstance(answer, Changed)
    return plan, answer


def _delivered(plan: Plan, held: MessageCell | None, event: Message) -> int:
    need = MessageNeed(CONVERSATION_ID, event.message_id)
    version = plan.deliver(event, Fact(need, plan.head, HeldMessages((held,))))
    assert isinstance(version, int)
    return version


def _confirmed(state: State, owner: Owner, writing: Writing) -> State:
    return _shown(
        state._replace(
            owner=Owner(owner.number, written(owner.known, index_of(writing.put))),
            events=state.events | writing.events,
            garbage=state.garbage | writing.garbage,
            told=max(state.told, writing.version),
        ),
        ANN,
        writing.shows,
    )


def _of_store(state: State) -> Iterator[tuple[str, State]]:
    for put in state.late:
        after = state._replace(row=written(state.row, put), late=state.late - {put})
        yield "the store executes a late write", after
    for cell in sorted(state.garbage):
        row = without(state.row, frozenset([cell]))
        yield "a superseded cell is removed", state._replace(row=row, garbage=state.garbage - {cell})


def _of_peer(state: State) -> Iterator[tuple[str, State]]:
    """The recipient's row has one owner, whose writes are executed and confirmed at once."""
    for event in _sorted(state.events, ANN):
        yield f"delivers {event.reaction or event.content or 'unsend'} to Bob", _taken(state, event)
    for asked in dict.fromkeys(state.left):
        if isinstance(asked, React) and asked.user_id == BOB:
            plan, _ = _asked(mailbox_of(0, index_of(state.peer), BOB), state.peer, asked)
            events = state.events | {cell.message for cell in plan.outbox}
            yield f"Bob asks for {asked}", _at_peer(_without_asked(state, asked)._replace(events=events), plan)


def _taken(state: State, event: Message) -> State:
    mailbox = mailbox_of(0, index_of(state.peer), BOB)
    plan = mailbox.plan(NOW_US)
    _delivered(plan, held_in(mailbox, state.peer), event)
    return _at_peer(state, plan)


def _at_peer(state: State, plan: Plan) -> State:
    if plan.changes_nothing:
        return state
    peer = without(written(state.peer, stored(plan.cells())), superseded(plan))
    return _shown(state._replace(peer=peer), BOB, _cell_of(plan))


def _shown(state: State, user_id: str, cell: MessageCell) -> State:
    """A user is shown `cell`: what he was shown before may not come back."""
    other = BOB if user_id == ANN else ANN
    seen = state.ann if user_id == ANN else state.bob
    now = Seen(
        cell.change.version if cell.change is not None else 0,
        _is_unsent(cell),
        _version(cell, user_id),
        _version(cell, other),
    )
    if seen.is_unsent:
        return state._replace(wrong=f"{user_id} is shown another change of what was taken back")
    if now.is_unsent and cell.reactions:
        return state._replace(wrong=f"{user_id} is shown reactions to what was taken back")
    if now.change < seen.change:
        return state._replace(wrong=f"{user_id} is shown an older change than before")
    if not now.is_unsent and (now.own < seen.own or now.others < seen.others):
        return state._replace(wrong=f"{user_id} is shown an older reaction than before")
    return state._replace(ann=now) if user_id == ANN else state._replace(bob=now)


def _lost_reaction(own: MessageCell, user_id: str, seen: Seen) -> str | None:
    if seen.is_unsent or _is_unsent(own) or _version(own, user_id) >= seen.own:
        return None
    return f"{user_id} was told of a reaction at {seen.own}, and reads {_version(own, user_id)}"


def _is_unsent(cell: MessageCell) -> bool:
    return cell.change is not None and cell.change.is_unsent


def _version(cell: MessageCell, user_id: str) -> int:
    reaction = reaction_of(cell.reactions, user_id)
    return reaction.version if reaction is not None else 0


def _told(cell: MessageCell) -> str:
    return f"{cell.content!r} with {[(one.user_id, one.emoji) for one in cell.reactions]}"


def _cell_of(plan: Plan) -> MessageCell:
    (cell,) = [cell for cell in plan.cells() if isinstance(cell, MessageCell)]
    return cell


def _without_asked(state: State, asked: Asked) -> State:
    left = list(state.left)
    left.remove(asked)
    return state._replace(left=tuple(left))


def _sorted(events: Iterable[Message], sender_id: str) -> list[Message]:
    """The events of one sender, always in the same order."""
    return sorted((one for one in events if one.sender_id == sender_id), key=_version_of)


def _version_of(event: Message) -> int:
    told = event.reaction or event.change
    return told.version if told is not None else 0
