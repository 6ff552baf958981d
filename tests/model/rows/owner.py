"""The owner's side of one row: what a load, a write, a sweep and a fold decide, by the rules of the fence that ship.

With all `Rules` on, `claim`, `fold`, `head_of`, `is_valid`, `newest` and `is_sweepable` of `rowbox.mailbox.fence`
decide; only where a variant leaves out a rule of the fence does something in here stand in for them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rowbox.mailbox.fence import (
    FOLD_AFTER_MS,
    MAX_EPOCH,
    Fence,
    FenceEntry,
    Stamp,
    claim,
    fold,
    head_of,
    is_sweepable,
    is_valid,
    newest,
)
from tests.model.rows.row import Call, Entry, FenceCell, History, IndexCell, Row
from tests.model.rows.rules import Rules


class Mailbox(NamedTuple):
    """What an owner keeps in memory of a row that it loaded."""

    epoch: int
    fence: Fence
    """The list it filters by: the one it claimed with."""
    head: int
    conversations: tuple[History, ...]
    """The state of each conversation."""
    ids: frozenset[int]
    """The messages it knows, for the dedupe."""
    written: frozenset[int] = frozenset()
    """The conversations that have a confirmed `i` cell of its own epoch."""
    queue: frozenset[Entry] = frozenset()
    """What is still to be delivered."""

    def messages(self) -> History:
        """All messages of all conversations in the order of their versions: what a full fetch answers."""
        return tuple(sorted((entry for history in self.conversations for entry in history), key=_version))


def _version(entry: Entry) -> int:
    return entry.version


def counts(rules: Rules, fence: Fence, epoch: int, version: int) -> bool:
    """`is_valid`, or what is left of it under weakened rules."""
    if not rules.fence_filter:
        return True
    if not rules.epoch_in_list and all(entry.epoch != epoch for entry in fence):
        return True
    return is_valid(fence, epoch, version)


def counting(rules: Rules, fence: Fence, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if counts(rules, fence, entry.epoch, entry.version)]


# ---- reading ---------------------------------------------------------------------------------------------------------


def load(rules: Rules, row: Row, epoch: int, conversations: int, now_ms: int) -> tuple[Mailbox, bool] | None:
    """The mailbox as read for `epoch`, and whether its list must be written first. None under a fence above `epoch`.

    A claim folds whenever it may. The owner reads `m` and `l` in several reads after the one of the rest, here it is
    one read: of the epochs to be folded nothing executes any more, so what is not there now is not there later.
    """
    listed = newest(cell.fence for cell in row.fences)
    if listed and listed[-1].epoch > epoch:
        return None
    head = _head(rules, row, listed)
    if listed and listed[-1].epoch == epoch:
        return _read(rules, row, epoch, listed, head, conversations), False
    fence = claim(_folded(rules, row, listed, now_ms), epoch, head, now_ms, "")
    if not rules.new_list:  # the list read ends nobody's versions
        fence = (*listed, FenceEntry(epoch, MAX_EPOCH, now_ms))
    return _read(rules, row, epoch, fence, head, conversations), True


def read_rest(rules: Rules, row: Row, claimed: Mailbox) -> Mailbox:
    """The mailbox with what is read after the claim, by the list that was claimed with."""
    ids = frozenset(entry.message for entry in counting(rules, claimed.fence, row.ids))
    return claimed._replace(ids=ids, queue=frozenset(counting(rules, claimed.fence, row.outbox)))


def _head(rules: Rules, row: Row, fence: Fence) -> int:
    stamps = _index_stamps(row) if rules.head_from_index else [_stamp(entry) for entry in row.messages]
    if rules.fence_filter and rules.epoch_in_list:
        return head_of(fence, stamps)
    starts = [entry.starts_after for entry in fence]
    return max([0, *starts, *(stamp.version for stamp in stamps if counts(rules, fence, *stamp))])


def _index_stamps(row: Row) -> list[Stamp]:
    """The stamps of all states in `i`, both of each cell."""
    return [_stamp(state[-1]) for cell in row.index_cells for state in cell.states()]


def _stamp(entry: Entry) -> Stamp:
    return Stamp(entry.epoch, entry.version)


def _read(rules: Rules, row: Row, epoch: int, fence: Fence, head: int, conversations: int) -> Mailbox:
    return Mailbox(
        epoch,
        fence,
        head,
        conversations=tuple(_newest_state(rules, row, fence, conversation) for conversation in range(conversations)),
        ids=frozenset(entry.message for entry in counting(rules, fence, row.ids)),
        written=frozenset(cell.conversation for cell in row.index_cells if cell.epoch == epoch),
        queue=frozenset(counting(rules, fence, row.outbox)),
    )


def _newest_state(rules: Rules, row: Row, fence: Fence, conversation: int) -> History:
    """Rule 7: the valid state with the highest version over all epochs' cells. Were there two, the wrong one."""
    states = [state for cell in row.index_cells if cell.conversation == conversation for state in cell.states()]
    valid = [state for state in states if counts(rules, fence, state[-1].epoch, state[-1].version)]
    return max(valid, key=lambda state: (state[-1].version, -state[-1].epoch), default=())


def page(rules: Rules, row: Row, mailbox: Mailbox) -> History:
    """The messages that a read finds in `m` and `l` at this moment, up to the head, ascending."""
    found = [entry for entry in counting(rules, mailbox.fence, row.messages) if entry.version <= mailbox.head]
    return tuple(sorted(found, key=_version))


# ---- writing ---------------------------------------------------------------------------------------------------------


def fence_call(mailbox: Mailbox) -> Call:
    """The put of the mailbox's list."""
    return Call(fences=frozenset([FenceCell(mailbox.epoch, fence=mailbox.fence)]))


def mutation(rules: Rules, mailbox: Mailbox, batch: Sequence[tuple[int, int]], step: int) -> tuple[Mailbox, Call]:
    """One mutation that stores each (message, conversation) of `batch`: the mailbox after it, and the put."""
    index, head, entries = list(mailbox.conversations), mailbox.head, []
    before = list(mailbox.conversations)
    for message, conversation in batch:
        head += step
        entries.append(Entry(mailbox.epoch, head, message))
        if not rules.whole_mutation:
            before[conversation] = index[conversation]
        index[conversation] = (*index[conversation], entries[-1])
    if not rules.second_state:
        before = [()] * len(index)
    touched = frozenset(conversation for _, conversation in batch)
    put = Call(
        index_cells=frozenset(IndexCell(each, mailbox.epoch, 0, index[each], before[each]) for each in touched),
        fences=frozenset() if rules.claim_on_load else fence_call(mailbox).fences,
        entries=frozenset(entries),
    )
    ids = mailbox.ids | {message for message, _ in batch}
    return mailbox._replace(head=head, conversations=tuple(index), ids=ids, written=mailbox.written | touched), put


# ---- tidying ---------------------------------------------------------------------------------------------------------


def sweep(rules: Rules, row: Row, mailbox: Mailbox) -> Call | None:
    """The deletion of what the owner finds useless in the row: late writes, superseded `i` cells, lower fences."""
    index = [cell for cell in row.index_cells if _is_useless(rules, cell, mailbox)]
    entries = _removable(rules, mailbox, sorted(row.messages | row.ids | row.outbox))
    fences = [cell for cell in row.fences if cell.epoch < mailbox.epoch]
    if not index and not entries and not fences:
        return None
    return Call(
        delete=True,
        index_cells=frozenset(IndexCell(*cell.column) for cell in index),
        fences=frozenset(FenceCell(cell.epoch) for cell in fences),
        entries=frozenset(entries),
        outbox=frozenset(entries) & row.outbox,
    )


def _removable(rules: Rules, mailbox: Mailbox, entries: Sequence[Entry]) -> list[Entry]:
    below = mailbox.epoch if rules.only_lower else MAX_EPOCH
    return [entry for entry in entries if is_sweepable(mailbox.fence, below, *_stamp(entry))]


def _is_useless(rules: Rules, cell: IndexCell, mailbox: Mailbox) -> bool:
    """Whether the owner's own confirmed cell of the conversation has replaced `cell`, or no state in it counts."""
    if cell.epoch < mailbox.epoch and (cell.conversation in mailbox.written or not rules.garbage_after_write):
        return True
    stamps = [state[-1] for state in cell.states()]
    # the state before may be of a lower epoch than its cell, so the cell's epoch is asked, too
    lower = cell.epoch < mailbox.epoch or not rules.only_lower
    return lower and _removable(rules, mailbox, stamps) == stamps


def _folded(rules: Rules, row: Row, listed: Fence, now_ms: int) -> Fence:
    """The list that a claim goes on from: the one read, folded where there is something to fold and nothing forbids."""
    fence = fold(listed, now_ms if rules.fold_old_only else now_ms + FOLD_AFTER_MS)
    if fence == listed or (rules.fold_swept and not _is_swept(rules, row, listed, fence[0].epoch)):
        return listed
    return fence


def _is_swept(rules: Rules, row: Row, listed: Fence, up_to: int) -> bool:
    """Whether the row, read now, holds nothing invalid of the epochs `up_to` this one: once folded, it would count."""
    stamps = [_stamp(entry) for entry in row.messages | row.ids | row.outbox]
    if rules.fold_both_states:
        stamps += _index_stamps(row)
    return all(counts(rules, listed, *stamp) for stamp in stamps if stamp.epoch <= up_to)
