"""A reader's mark on its way to the author: both rows with two owners in turn, and receipts that come in any order.

What is searched is what ships: rows are columns of the store, each mutation is a `Plan`, each load a `ClaimedRow`; what
is told and noted is told by `untold` and `Seen`. The model adds what the network and the store may do:

- a write is executed at once, later than its owner's patience, or never, whoever owns the row then
- an owner is replaced at any moment, also between its write and the answer; what it had still to tell is lost with it
- a receipt comes late, twice, in any order, and also long after the owner that told it was replaced; so does the answer

Claims, leases and puts that execute twice have a search of their own (tests/model/rows).
"""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.row_states import decoded
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.aggregate import untold
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import FenceCell
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import NO_MARKS, Receipt

Row = frozenset[tuple[bytes, bytes]]
"""The columns of family `i`: qualifier, value."""

AUTHOR, READER = "ann", "bob"
BOTH = (AUTHOR, READER)
CONVERSATION_ID = direct_conversation_id(*BOTH)
NOW_US = 1_800_000_000_000_000
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=8, window_bytes=1 << 20)
EPOCHS = (fences.make_epoch(1, 0), fences.make_epoch(2, 0))
MESSAGES = tuple(message_id(NOW_US + 10 * number, number) for number in (1, 2))
"""Of the author; the reader marks each read, in this order."""


class Rules(NamedTuple):
    """Both owners' side of the rules; each can be left out. Those of the core are left out by a fault in a function."""

    told_after_write: bool = True
    """A mark is told once the store has confirmed it. Else: when it is asked for."""
    noted_after_answer: bool = True
    """What was told is noted once the author's row has confirmed it. Else: when it is told."""
    told_on_load: bool = True
    """A load has told what no row says was told."""
    checked_after_write: bool = True
    """What was written is told, and a receipt confirmed, only by an owner that still is one."""


FULL = Rules()


class Writing(NamedTuple):
    """A mutation on its way. What a yes brings: `told` is told, and `answered` to who told it."""

    put: Row
    told: frozenset[Receipt] = frozenset()
    answered: bytes = b""
    is_executed: bool = False


class Owner(NamedTuple):
    """An owner of a row: what it knows of the index, and its mutation on its way."""

    number: int
    known: Row
    writing: Writing | None = None


class Side(NamedTuple):
    """One of the two rows, and who has to do with it."""

    row: Row
    owner: Owner | None
    """The one who has the row by now; None: the second one, who has not loaded it yet."""
    before: Owner | None = None
    """The first one, once it was replaced: it does not know, and may still be about to answer."""
    late: frozenset[Row] = frozenset()
    """Writes of whoever was replaced, which the store may execute at any time."""


class State(NamedTuple):
    reader: Side
    author: Side
    marks: tuple[bytes, ...]
    """What the reader has still to read."""
    told: frozenset[Receipt] = frozenset()
    """Receipts on their way: each may come at any time, and again."""
    answers: frozenset[bytes] = frozenset()
    """Marks of which the reader's owner was told that the author's row has them."""
    shown: bytes = b""
    """The highest mark that the author's row was confirmed to have."""


class Receipts:
    """The model."""

    def __init__(self, rules: Rules = FULL) -> None:
        self._rules = rules
        # Of one model: a fault in a function that ships is for that model alone.
        self._taken, self._noted = cache(_taken), cache(_noted)
        self._marked, self._claimed = cache(_marked), cache(_claimed)

    def initial(self) -> State:
        return State(_begun(READER), _begun(AUTHOR), MESSAGES)

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        for label, reader, told, _ in self._of_side(state.reader, READER):
            yield f"reader: {label}", state._replace(reader=reader, told=state.told | told)
        for label, author, _, answered in self._of_side(state.author, AUTHOR):
            yield f"author: {label}", _answered(state._replace(author=author), answered)
        yield from self._of_reader(state)
        yield from self._of_author(state)

    def violation(self, state: State) -> str | None:
        reads, noted = _read_in(state.reader), _noted_in(state.reader)
        seen = _seen_in(state.author)
        if seen > reads:
            return "the author's row says more than the reader's"
        if seen < state.shown:
            return "a mark went back"
        if noted > seen:
            return "the reader's row says that it has told what the author's row does not say"
        reader = state.reader.owner
        if reader is None or reader.writing is not None or state.author.owner is None:
            return None
        is_to_come = any(receipt.read >= reads for receipt in state.told)
        if seen < reads and not is_to_come and not state.author.owner.writing:
            return "nobody will tell the author"
        return None

    # ------------------------------------------------------------------ what both have in common

    def _of_side(self, side: Side, user_id: str) -> Iterator[tuple[str, Side, frozenset[Receipt], bytes]]:
        owner, before = side.owner, side.before
        if owner is None:
            loaded, told = self._loaded(side, user_id)
            yield "the second owner loads the row", loaded, told, b""
        elif owner.writing is not None:
            yield from self._goes_on(side, owner, is_owner=True)
        if owner is not None and owner.number == 0:
            yield "the owner is replaced", side._replace(owner=None, before=owner), frozenset(), b""
        if before is not None and before.writing is not None:
            if not before.writing.is_executed:
                late = side.late | {before.writing.put}
                yield "the replaced owner's write hangs", side._replace(before=None, late=late), frozenset(), b""
            yield from self._goes_on(side, before, is_owner=False)
        for put in side.late:
            after = side._replace(row=_written(side.row, put), late=side.late - {put})
            yield "the store executes a late write", after, frozenset(), b""

    def _goes_on(
        self, side: Side, owner: Owner, *, is_owner: bool
    ) -> Iterator[tuple[str, Side, frozenset[Receipt], bytes]]:
        writing = owner.writing
        assert writing is not None
        if not writing.is_executed:
            done = owner._replace(writing=writing._replace(is_executed=True))
            after = side._replace(row=_written(side.row, writing.put))
            after = after._replace(owner=done) if is_owner else after._replace(before=done)
            yield "the store executes it", after, frozenset(), b""
        elif is_owner:
            known = Owner(owner.number, _written(owner.known, writing.put))
            yield "the owner hears yes", side._replace(owner=known), writing.told, writing.answered
        elif self._rules.checked_after_write:
            yield "the replaced owner hears yes, and says nothing", side._replace(before=None), frozenset(), b""
        else:
            yield "the replaced owner hears yes", side._replace(before=None), writing.told, writing.answered

    def _loaded(self, side: Side, user_id: str) -> tuple[Side, frozenset[Receipt]]:
        """The claim is read and written at one moment here."""
        row, told = self._claimed(side.row, user_id)
        return side._replace(row=row, owner=Owner(1, row)), told if self._rules.told_on_load else frozenset()

    # ------------------------------------------------------------------ the reader

    def _of_reader(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.reader.owner
        if owner is None:
            return
        if owner.number == 0 and state.told:
            yield (
                "what the reader's owner had to tell is lost with it",
                state._replace(reader=state.reader._replace(owner=None, before=owner), told=frozenset()),
            )
        if owner.writing is not None:
            return
        if state.marks:
            yield "reads on", self._reads(state, owner)
        for read in state.answers:
            put = self._noted(owner.number, owner.known, read)
            if put is not None:
                writing = Writing(put)
                yield (
                    "the reader's owner notes what was told",
                    state._replace(reader=state.reader._replace(owner=owner._replace(writing=writing))),
                )

    def _reads(self, state: State, owner: Owner) -> State:
        mark, *left = state.marks
        put, receipt = self._marked(owner.number, owner.known, mark)
        writing, state = Writing(put, frozenset([receipt])), state._replace(marks=tuple(left))
        if not self._rules.told_after_write:
            state = state._replace(told=state.told | writing.told)
        if not self._rules.noted_after_answer:
            state = state._replace(answers=state.answers | {mark})
        return state._replace(reader=state.reader._replace(owner=owner._replace(writing=writing)))

    # ------------------------------------------------------------------ the author

    def _of_author(self, state: State) -> Iterator[tuple[str, State]]:
        owner = state.author.owner
        if owner is None or owner.writing is not None:
            return
        for receipt in sorted(state.told, key=lambda one: (one.read, one.read_us)):
            put = self._taken(owner.number, owner.known, receipt)
            if put is not None:
                writing = Writing(put, answered=receipt.read)
                author = state.author._replace(owner=owner._replace(writing=writing))
                yield "a receipt comes", state._replace(author=author)
            elif receipt.read not in state.answers:
                yield "a receipt comes that is known", _answered(state, receipt.read)


def _answered(state: State, read: bytes) -> State:
    if not read:
        return state
    return state._replace(answers=state.answers | {read}, shown=max(state.shown, read))


# ---------------------------------------------------------------------- rows as what ships


def _taken(number: int, known: Row, receipt: Receipt) -> Row | None:
    """What an owner of the author's row writes of a receipt; None: it is known."""
    plan = _mailbox(number, known, AUTHOR).plan(NOW_US)
    return _put_by(plan) if plan.take_receipt(receipt) else None


def _noted(number: int, known: Row, read: bytes) -> Row | None:
    """What an owner of the reader's row writes when the author's has confirmed a mark; None: that is noted."""
    plan = _mailbox(number, known, READER).plan(NOW_US)
    return _put_by(plan) if plan.note_told({CONVERSATION_ID: read}) else None


def _marked(number: int, known: Row, mark: bytes) -> tuple[Row, Receipt]:
    """What an owner of the reader's row writes when the next message comes and is read, and what it tells of it."""
    mailbox = _mailbox(number, known, READER)
    plan = mailbox.plan(NOW_US)
    plan.deliver_new(_message(mark))
    plan.mark_read(CONVERSATION_ID, mark)
    put = _put_by(plan)
    mailbox.apply(plan)
    found = untold.read_receipt(mailbox, CONVERSATION_ID)
    assert found is not None
    return put, found[1]


def _claimed(row: Row, user_id: str) -> tuple[Row, frozenset[Receipt]]:
    """The row as the second owner has claimed it, and what it tells then."""
    claimed = ClaimedRow(_fence_in(row))
    claimed.add(decoded(row))
    fence = fences.claim(_fence_in(row), EPOCHS[1], claimed.head, NOW_US // 1000, "second")
    row = _written(row, _columns([FenceCell(EPOCHS[1], fence)]))
    return row, frozenset(receipt for _, receipt in untold.untold_reads(_mailbox(1, row, user_id)))


def _message(identifier: bytes) -> Message:
    return Message(identifier, CONVERSATION_ID, AUTHOR, BOTH, "hello")


def _begun(user_id: str) -> Side:
    """A row in which the conversation has come into being, by a message before those that are read."""
    row = _columns([FenceCell(EPOCHS[0], fences.claim((), EPOCHS[0], 0, NOW_US // 1000, "first"))])
    plan = _mailbox(0, row, user_id).plan(NOW_US)
    plan.deliver_new(Message(message_id(NOW_US - 1, 0), CONVERSATION_ID, AUTHOR, BOTH, "first"))
    row = _written(row, _put_by(plan))
    return Side(row, Owner(0, row))


def _columns(cells: Iterable[object]) -> Row:
    encoded = (codec.encode(cell) for cell in cells)  # type: ignore[arg-type]
    return frozenset((qualifier, value) for family, qualifier, value in encoded if family is Family.INDEX)


def _put_by(plan: Plan) -> Row:
    return _columns(plan.cells())


def _written(row: Row, put: Row) -> Row:
    places = {qualifier for qualifier, _ in put}
    return frozenset(column for column in row if column[0] not in places) | put


def _fence_in(row: Row) -> fences.Fence:
    return fences.newest(cell.fence for cell in decoded(row) if isinstance(cell, FenceCell))


@lru_cache(maxsize=1 << 14)
def _fence_known(number: int, row: Row) -> fences.Fence:
    return tuple(entry for entry in _fence_in(row) if entry.epoch in EPOCHS[: number + 1])


def _mailbox(number: int, known: Row, user_id: str) -> Mailbox:
    """The mailbox of an owner that knows this of the index."""
    claimed = ClaimedRow(_fence_known(number, known))
    claimed.add(decoded(known))
    return claimed.mailbox(user_id, LIMITS, claimed.whole_draft().index())


@lru_cache(maxsize=1 << 14)
def _counted(row: Row) -> tuple[bytes, bytes, bytes]:
    """What counts in a row by the newest list in it: what is read, what of it is noted as told, what the other read."""
    mailbox = _mailbox(1, row, READER)
    state, marks = mailbox.index.get(CONVERSATION_ID), mailbox.receipts.get(CONVERSATION_ID, NO_MARKS)
    assert state is not None
    return state.read_of_others, marks.told_read, marks.read


def _read_in(side: Side) -> bytes:
    return _counted(side.row)[0]


def _noted_in(side: Side) -> bytes:
    return _counted(side.row)[1]


def _seen_in(side: Side) -> bytes:
    return _counted(side.row)[2]
