"""The owner's side of one row: what a load, a write, a sweep and a fold decide, by the functions that ship.

Each decision is a call of the product's, with the model's values translated (`shipped.py`):

- whose the row is, and the list to claim it with: `access`, `newest`, `head_of`, `claim`, `fold`, `blocks_folding`,
  `has_settled`, `next_epoch`
- what counts of a row, what carries it, and what a load removes: `ClaimedRow`
- what a mutation writes, under which versions and above which states: `Plan`
- what a mailbox is after it, and what garbage it made: `Mailbox.apply`, `Mailbox.take_stale`
- what a read finds and has removed: `Mailbox.counts`, `Mailbox.is_dead`

A rule that is left out changes what these are given or what is made of their answers, so nothing here says a rule of
the product a second time. What is done in which order, between which awaits (`Loader`, `Committer`), is modelled by the
steps of `one_row` and `in_parts`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rowbox.cacheserver.rows.row_states import stamps_in
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.fence import (
    FOLD_AFTER_MS,
    MAX_EPOCH,
    Access,
    Fence,
    FenceEntry,
    Stamp,
    access,
    blocks_folding,
    claim,
    fold,
    head_of,
    is_valid,
    newest,
)
from tests.model.rows.row import Call, Entry, FenceCell, History, IndexCell, Row
from tests.model.rows.rules import Rules
from tests.model.rows.shipped import Useless, index_columns, judge, taken, written

NO_END = 1 << 50
"""As `starts_after`: no version of the entries before ends there."""
EVERYTHING_COUNTS: Fence = (FenceEntry(MAX_EPOCH, 0, 0, folded=True),)


class Mailbox(NamedTuple):
    """What an owner keeps in memory of a row that it loaded."""

    epoch: int
    fence: Fence
    """The list that the owner filters by: the one it claimed with."""
    head: int
    conversations: tuple[History, ...]
    """The state of each conversation."""
    ids: frozenset[int]
    """The messages it knows, for the dedupe."""
    queue: frozenset[Entry] = frozenset()
    """The messages that are still to be delivered."""
    stale: frozenset[tuple[int, int]] = frozenset()
    """Cells of lower epochs, garbage once its own mutation of their conversation was confirmed. Kept where it sweeps,
    and so is the next one."""
    useless: Useless = Useless()
    """The cells that the owner may have removed."""

    def messages(self) -> History:
        """All messages of all conversations in the order of their versions: what a full fetch answers."""
        return tuple(sorted((entry for history in self.conversations for entry in history), key=_version))


def _version(entry: Entry) -> int:
    return entry.version


def judged(rules: Rules, fence: Fence) -> Fence:
    """The list that cells are judged by; under weakened rules one that lets more of them count."""
    if not rules.fence_filter:
        return EVERYTHING_COUNTS
    if not rules.epoch_in_list:
        return tuple(entry._replace(folded=True) for entry in fence)
    return fence


def counting(rules: Rules, fence: Fence, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if is_valid(judged(rules, fence), entry.epoch, entry.version)]


# ---- reading ---------------------------------------------------------------------------------------------------------


def load(
    rules: Rules, row: Row, epoch: int, incarnation: str, conversations: int, now_ms: int, *, sweeps: bool
) -> tuple[Mailbox, bool] | None:
    """The mailbox as read for `epoch`, and whether its list must be written first. None where it was replaced.

    A claim folds whenever it may. The owner reads `m` and `l` in several reads after the one of the rest, here it is
    one read: of the epochs to be folded nothing executes any more, so what is not there now is not there later.
    """
    listed = newest(cell.fence for cell in row.fences)
    if not rules.named_claims and listed:  # whoever claimed, it is taken to have been this incarnation
        incarnation = listed[-1].incarnation
    allowed = access(listed, epoch, incarnation)
    if allowed is Access.REPLACED:
        return None
    head = head_of(judged(rules, listed), _head_stamps(rules, row))
    if allowed is Access.CLAIMED:
        return _read(rules, row, epoch, listed, head, conversations, sweeps=sweeps), False
    fence = claim(_folded(rules, row, listed, now_ms), epoch, head, now_ms, incarnation)
    if not rules.new_list:  # the list read ends nobody's versions
        fence = (*listed, FenceEntry(epoch, NO_END, now_ms, incarnation=incarnation))
    return _read(rules, row, epoch, fence, head, conversations, sweeps=sweeps), True


def without_garbage(mailbox: Mailbox | None) -> Mailbox | None:
    """The mailbox of an owner that removes nothing."""
    return mailbox and mailbox._replace(stale=frozenset(), useless=Useless())


def read_rest(rules: Rules, row: Row, claimed: Mailbox) -> Mailbox:
    """The mailbox with what is read after the claim, by the list that was claimed with."""
    rest = taken(judged(rules, claimed.fence), frozenset(), frozenset(), row.outbox)
    return claimed._replace(ids=_known_ids(rules, row, claimed.epoch, claimed.fence, claimed.head), queue=rest.queue)


def _head_stamps(rules: Rules, row: Row) -> Iterable[Stamp]:
    """What the head is taken from."""
    if rules.head_from_index:
        return stamps_in(index_columns(row.index_cells))
    return [_stamp(entry) for entry in row.messages]


def _stamp(entry: Entry) -> Stamp:
    return Stamp(entry.epoch, entry.version)


def _read(rules: Rules, row: Row, epoch: int, fence: Fence, head: int, conversations: int, *, sweeps: bool) -> Mailbox:
    found = taken(judged(rules, fence), row.index_cells, row.fences, row.outbox)
    if rules.head_from_index and rules.new_list:
        head = found.head
    histories = (*found.conversations, *[()] * (conversations - len(found.conversations)))
    queue, ids = found.queue, _known_ids(rules, row, epoch, fence, head)
    if not sweeps:
        return Mailbox(epoch, fence, head, histories, ids, queue)
    useless = found.useless
    if not rules.garbage_after_write:
        useless = useless._replace(cells=useless.cells | found.stale)
    return Mailbox(epoch, fence, head, histories, ids, queue, found.stale, useless)


def _known_ids(rules: Rules, row: Row, epoch: int, fence: Fence, head: int) -> frozenset[int]:
    """The messages that a retry is told of. The owner keeps their hashes and asks the row for what it knows of one;
    a hash of what does not count costs that read and nothing else.
    """
    return frozenset(entry.message for entry in row.ids if _is_part(rules, epoch, fence, entry, head))


def page(rules: Rules, row: Row, mailbox: Mailbox) -> History:
    """The messages that a read finds in `m` and `l` at this moment, up to the head, ascending."""
    entries = (entry for entry in row.messages if _is_part(rules, mailbox.epoch, mailbox.fence, entry, mailbox.head))
    return tuple(sorted(entries, key=_version))


def _is_part(rules: Rules, epoch: int, fence: Fence, entry: Entry, as_of: int) -> bool:
    """Whether a mailbox holds `entry`. Where the product meets a higher epoch it gives the whole answer up; the model
    goes on, because an answer from memory meets none.
    """
    try:
        return judge(epoch, judged(rules, fence)).counts(entry.epoch, entry.version, as_of)
    except HandoverInProgress:
        return not rules.fence_filter


# ---- writing ---------------------------------------------------------------------------------------------------------


def fence_call(mailbox: Mailbox) -> Call:
    """The put of the mailbox's list."""
    return Call(fences=frozenset([FenceCell(mailbox.epoch, fence=mailbox.fence)]))


def mutation(
    rules: Rules, mailbox: Mailbox, batch: Sequence[tuple[int, int]], *, ahead: int, outbox: bool
) -> tuple[Mailbox, Call]:
    """One mutation that stores each (message, conversation) of `batch`: the mailbox after it, and the put.

    The time is that of the head or before it, or by `ahead` behind the next version: then the clock is ahead.
    """
    now_us = mailbox.head + 1 + ahead if ahead else 0
    epoch, fence, head, histories = mailbox.epoch, mailbox.fence, mailbox.head, mailbox.conversations
    made = written(epoch, fence, head, histories, mailbox.stale, tuple(batch), now_us, outbox)
    put = Call(
        index_cells=frozenset(
            IndexCell(number, epoch, 0, after, _second_state(rules, after, before, made.entries))
            for number, after, before in made.states
        ),
        fences=frozenset() if rules.claim_on_load else fence_call(mailbox).fences,
        entries=made.entries,
        outbox=made.outbox,
    )
    after_it = mailbox._replace(
        head=made.head,
        conversations=made.conversations,
        ids=mailbox.ids | {message for message, _ in batch},
        queue=mailbox.queue | made.outbox,
        stale=mailbox.stale - made.stale,
        useless=mailbox.useless._replace(cells=mailbox.useless.cells | made.stale),
    )
    return after_it, put


def _second_state(rules: Rules, after: History, before: History, entries: frozenset[Entry]) -> History:
    """The state before the mutation, or what is kept instead under weakened rules."""
    if not rules.second_state:
        return ()
    if not rules.whole_mutation and after[-1] in entries:
        return after[:-1]
    return before


# ---- tidying ---------------------------------------------------------------------------------------------------------


def sweep(rules: Rules, row: Row, mailbox: Mailbox) -> Call | None:
    """The deletion of what the owner found useless: when it loaded the row, by its own writes since, and of what a
    read of the messages meets now.
    """
    own = mailbox.epoch if rules.only_lower else MAX_EPOCH
    met = row.messages | row.ids
    dead = {entry for entry in met if judge(own, mailbox.fence).is_dead(entry.epoch, entry.version)}
    index, fences, outbox = mailbox.useless
    if not dead and not index and not fences and not outbox:
        return None
    return Call(
        delete=True,
        index_cells=frozenset(IndexCell(*column) for column in index),
        fences=frozenset(FenceCell(epoch) for epoch in fences),
        entries=frozenset(dead),
        outbox=outbox,
    )


def _folded(rules: Rules, row: Row, listed: Fence, now_ms: int) -> Fence:
    """The list that a claim goes on from: the one read, folded where there is something to fold and nothing forbids."""
    fence = fold(listed, now_ms if rules.fold_old_only else now_ms + FOLD_AFTER_MS)
    if fence == listed or (rules.fold_swept and not _is_swept(rules, row, listed, fence[0].epoch)):
        return listed
    return fence


def _is_swept(rules: Rules, row: Row, listed: Fence, through: int) -> bool:
    """Whether the row, read now, holds nothing that forbids to fold the epochs `through` this one."""
    stamps = [_stamp(entry) for entry in row.messages | row.ids | row.outbox]
    if rules.fold_both_states:
        stamps += stamps_in(index_columns(row.index_cells))
    return not any(blocks_folding(judged(rules, listed), through, *stamp) for stamp in stamps)
