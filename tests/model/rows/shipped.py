"""The model's values as the cells and mailboxes of the product, and back: here the search calls what ships.

A state of a conversation is a real `Conversation`, made by the messages that its history names; the history itself
stands among its participants, whom nothing but the sender's own place is looked up in. So whatever the product chooses,
carries over or puts before something else is a history again, without a guess at which one is meant.

Everything here is a function of values, and remembered: many states of a search ask for the same.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.row_states import IndexColumn
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import cells, two_states
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.index_draft import index_of, stored
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import NewSend
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import Fence
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from tests.model.rows.row import Entry, FenceCell, History, IndexCell

USER, OTHER = "ann", "bob"
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=8, window_bytes=1 << 20)


class Useless(NamedTuple):
    """Columns that an owner may remove."""

    cells: frozenset[tuple[int, int]] = frozenset()
    """By conversation and epoch."""
    fences: frozenset[int] = frozenset()
    outbox: frozenset[Entry] = frozenset()


class Taken(NamedTuple):
    """What a load makes of a row by one list."""

    head: int
    conversations: tuple[History, ...]
    queue: frozenset[Entry]
    stale: frozenset[tuple[int, int]]
    """The cells of lower epochs that carry a conversation, by conversation and epoch."""
    useless: Useless


class Written(NamedTuple):
    """What a mutation writes, and what a mailbox is after it."""

    head: int
    conversations: tuple[History, ...]
    states: tuple[tuple[int, History, History], ...]
    """Of each conversation that changes: its state after the mutation, and the one before it."""
    entries: frozenset[Entry]
    outbox: frozenset[Entry]
    stale: frozenset[tuple[int, int]]
    """The cells of lower epochs that the mutation, once confirmed, has made garbage."""


@lru_cache(maxsize=1 << 16)
def taken(fence: Fence, index: frozenset[IndexCell], fences: frozenset[FenceCell], outbox: frozenset[Entry]) -> Taken:
    """What `ClaimedRow` takes in of cells, by the list `fence`. A history is () where nothing of it counts."""
    row = ClaimedRow(fence)
    row.add(index_columns(index, fences))
    row.add_outbox([parcel_column(entry) for entry in sorted(outbox)])
    mailbox = row.mailbox(USER, LIMITS, row.draft.index())
    last = max((cell.conversation for cell in index), default=-1)
    histories = [mailbox.index.get(conversation_id(number)) for number in range(last + 1)]
    return Taken(
        mailbox.head,
        tuple(history_of(state) if state is not None else () for state in histories),
        frozenset(entry_of(cell) for cell in row.outbox),
        frozenset(
            (number_of(key), lower) for of_kind in mailbox.stale_epochs.values() for key, lower in of_kind.items()
        ),
        _useless(row.removable, index, fences, outbox),
    )


@lru_cache(maxsize=1 << 16)
def written(
    epoch: int,
    fence: Fence,
    head: int,
    conversations: tuple[History, ...],
    stale: frozenset[tuple[int, int]],
    batch: tuple[tuple[int, int], ...],
    now_us: int,
    outbox: bool,
) -> Written:
    """What `Plan` makes of sends, each (message, conversation), and `Mailbox.apply` of the plan."""
    mailbox = mailbox_of(epoch, fence, head, conversations, stale)
    plan = mailbox.plan(now_us)
    for message, conversation in batch:
        plan.send(_new_send(message, conversation, outbox=outbox))
    put = plan.cells()
    copies = [cell for cell in put if isinstance(cell, cells.MessageCell)]
    new = {
        (number_of(cell.conversation_id), Entry(cell.epoch, cell.version, int(cell.content))) for cell in copies
    }  # the one cell that stands for what `m`, `l` and `d` have of a message
    others = [(cell.epoch, cell.version) for cell in put if isinstance(cell, cells.LogCell | cells.DedupeCell)]
    assert sorted(others) == sorted(2 * [(cell.epoch, cell.version) for cell in copies])
    index = [cell for cell in put if isinstance(cell, two_states.IndexCell)]
    assert all(cell.epoch == epoch for cell in index)
    mailbox.apply(plan)
    garbage = frozenset((number_of(key), lower) for _, key, lower in mailbox.take_stale(plan))
    after = [mailbox.index.get(conversation_id(number)) for number in range(len(conversations))]
    return Written(
        mailbox.head,
        tuple(_after(state, new, number) for number, state in enumerate(after)),
        tuple(
            (number, _after(cell.current, new, number), _after(cell.previous, new, number))
            for cell in index
            for number in [number_of(cell.key)]
        ),
        frozenset(entry for _, entry in new),
        frozenset(entry_of(cell) for cell in put if isinstance(cell, cells.OutboxCell)),
        garbage,
    )


@lru_cache(maxsize=1 << 16)
def judge(epoch: int, fence: Fence) -> Mailbox:
    """A mailbox to ask what `counts` and what `is_dead`, by its list and its epoch. Nobody writes to it."""
    return mailbox_of(epoch, fence, 0, (), frozenset())


@lru_cache(maxsize=1 << 16)
def index_columns(index: frozenset[IndexCell], fences: frozenset[FenceCell] = frozenset()) -> list[IndexColumn]:
    """The cells of `i`, in the order of their qualifiers."""
    of_conversations = [_index_cell(cell) for cell in sorted(index, key=lambda cell: cell.column)]
    return [*of_conversations, *(_fence_cell(cell) for cell in sorted(fences, key=lambda cell: cell.epoch))]


@lru_cache(maxsize=1 << 16)
def parcel_column(entry: Entry) -> Column:
    """A message's cell in `o`."""
    message = _message(entry, 0)
    _, qualifier, value = codec.encode(cells.OutboxCell(message.message_id, entry.epoch, entry.version, message))
    return qualifier, value


def mailbox_of(
    epoch: int, fence: Fence, head: int, conversations: tuple[History, ...], stale: Iterable[tuple[int, int]]
) -> Mailbox:
    """The product's mailbox of these values, without any client ids."""
    states = ((number, _state(number, history)) for number, history in enumerate(conversations))
    return Mailbox(
        USER,
        LIMITS,
        epoch=epoch,
        fence=fence,
        head=head,
        index=index_of(stored(conversation_id(number), state) for number, state in states if state is not None),
        client_ids=ClientIds(),
        stale_epochs={cells.CONVERSATION.letter: {conversation_id(number): lower for number, lower in stale}},
    )


@lru_cache(maxsize=1 << 16)
def _index_cell(cell: IndexCell) -> two_states.IndexCell[Conversation]:
    current = _state(cell.conversation, cell.now)
    assert current is not None
    before = _state(cell.conversation, cell.before)
    return two_states.IndexCell(
        cells.CONVERSATION.letter, conversation_id(cell.conversation), cell.epoch, current, before
    )


def _qualifier(cell: IndexCell) -> bytes:
    return keys.state_qualifier(cells.CONVERSATION.letter, conversation_id(cell.conversation), cell.epoch)


@lru_cache(maxsize=1 << 16)
def _fence_cell(cell: FenceCell) -> cells.FenceCell:
    return cells.FenceCell(cell.epoch, cell.fence)


@lru_cache(maxsize=1 << 16)
def _state(conversation: int, history: History) -> Conversation | None:
    """As its messages made it, of the mutation of the last one; its participants tell the history."""
    if not history:
        return None
    named = (USER, *(f"{entry.epoch} {entry.version} {entry.message}" for entry in history))
    state = Conversation.new(named, history[0].version)
    for entry in history:
        state = state.with_sent(_message(entry, conversation), entry.version, entry.epoch)
    return state


def history_of(state: Conversation) -> History:
    """The history that a state is of. AssertionError where its stamp is another one's."""
    history = _named(state.participants)
    assert (state.epoch, state.version) == history[-1][:2]
    return history


@lru_cache(maxsize=1 << 16)
def _named(participants: tuple[str, ...]) -> History:
    return tuple(Entry(*map(int, name.split())) for name in participants if " " in name)


def _after(state: Conversation | None, new: Iterable[tuple[int, Entry]], conversation: int) -> History:
    """The history of a state of a plan: what it went on from, and what the plan has added by the state's version."""
    if state is None:
        return ()
    added = sorted(entry for number, entry in new if number == conversation and entry.version <= state.version)
    history = (*_named(state.participants), *(entry for entry in added if entry not in _named(state.participants)))
    assert (state.epoch, state.version) == history[-1][:2]
    return history


def _new_send(message: int, conversation: int, *, outbox: bool) -> NewSend:
    participants = (USER, OTHER) if outbox else (USER,)
    hashed = message.to_bytes(16, "big")
    return NewSend(USER, conversation_id(conversation), participants, str(message), str(message), hashed, b"", message)


def _message(entry: Entry, conversation: int) -> Message:
    identifier = message_id(entry.version, entry.message)
    return Message(identifier, conversation_id(conversation), USER, (USER, OTHER), str(entry.message))


def entry_of(cell: cells.OutboxCell) -> Entry:
    """What a cell in `o` is in the model's row."""
    return Entry(cell.epoch, cell.version, int(cell.message.content))


@lru_cache(maxsize=1 << 16)
def conversation_id(number: int) -> bytes:
    """The id of the conversation with this number."""
    return number.to_bytes(16, "big")


def number_of(conversation_id: bytes) -> int:
    """The inverse of `conversation_id`."""
    return int.from_bytes(conversation_id, "big")


def _useless(
    columns: Iterable[tuple[Family, bytes]],
    index: Iterable[IndexCell],
    fences: Iterable[FenceCell],
    outbox: Iterable[Entry],
) -> Useless:
    """Columns that a load would remove, by what they are in the model's row."""
    gone = set(columns)
    return Useless(
        frozenset(cell.column for cell in index if (Family.INDEX, _qualifier(cell)) in gone),
        frozenset(cell.epoch for cell in fences if (Family.INDEX, keys.fence_qualifier(cell.epoch)) in gone),
        frozenset(entry for entry in outbox if (Family.OUTBOX, parcel_column(entry)[0]) in gone),
    )
