"""The invariants of a row's fence, and with it which cells count: what the loader decides, written a second time."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from rowbox.mailbox.cells import FenceCell, IndexCell, RevocationCell, UnknownIndexCell, states_of
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import Fence, Stamp, head_of, is_valid, newest
from rowbox.mailbox.revocation import Revocation

_State = Conversation | Revocation


class FenceCheck:
    """Judges every cell of one row. `fenced`: writes can be late in this store."""

    def __init__(self, fences: Sequence[FenceCell], report: Report, *, fenced: bool) -> None:
        self._report = report
        self._epoch: int | None = None
        self.fenced = fenced
        self.fence: Fence = newest(cell.fence for cell in fences) if fenced else ()
        if fenced and not self.fence:
            report(Code.FENCE_MISSING, "the row has cells, but nobody ever claimed it")
        if fences and not fenced:
            report(Code.FENCE_UNEXPECTED, "the row has a fence in a store in which no write can be late")
        for cell in fences:
            _check_order(cell, report)
        _check_claimers(fences, report)

    def counts(self, epoch: int, version: int) -> bool:
        """Whether a cell counts; reports an epoch that no cell can have."""
        if not self.fenced:
            return self._is_only_epoch(epoch)
        if self.fence and epoch > self.fence[-1].epoch:
            self._report(Code.EPOCH_ABOVE_FENCE, f"a cell is of epoch {epoch:#x}, the fence ends in {self.fence[-1]}")
            return False
        return is_valid(self.fence, epoch, version)

    def states(self, index: Sequence[IndexCell]) -> dict[bytes, Conversation]:
        """Of each conversation the state that counts and has the highest version."""
        chosen: dict[bytes, Conversation] = {}
        for cell in index:
            _check_index_cell(cell, self._report)
            for state in states_of(cell):
                known = chosen.get(cell.conversation_id)
                is_newer = known is None or state.version > known.version
                if self.counts(state.epoch, state.version) and is_newer:
                    chosen[cell.conversation_id] = state
        return chosen

    def head(self, states: Iterable[Conversation], others: Sequence[UnknownIndexCell | RevocationCell] = ()) -> int:
        """The row's head, of the conversations' states that count and of all others in the index."""
        stamps = [Stamp(state.epoch, state.version) for state in states]
        for cell in others:
            stamps += [Stamp(one.epoch, one.version) for one in (cell.current, cell.previous) if one is not None]
        if not self.fenced:
            return max((stamp.version for stamp in stamps), default=0)
        return head_of(self.fence, stamps)

    def revocations(self, cells: Sequence[RevocationCell]) -> None:
        """Looks at what the row says of revoked tokens. Of a state that does not count nothing is asked."""
        for cell in cells:
            self.counts(cell.current.epoch, cell.current.version)
            if not _is_of_cell(cell.epoch, cell.current, cell.previous) or not _is_dated(cell):
                text = f"the revoked tokens in the cell of epoch {cell.epoch:#x} are not of their cell"
                self._report(Code.INDEX_CELL, text)

    def _is_only_epoch(self, epoch: int) -> bool:
        if self._epoch is None:
            self._epoch = epoch
        if epoch != self._epoch:
            self._report(Code.EPOCH_MIXED, f"a cell is of epoch {epoch:#x}, others are of {self._epoch:#x}")
        return epoch == self._epoch


def _check_order(cell: FenceCell, report: Report) -> None:
    fence = cell.fence
    ascends = all(one.epoch < two.epoch and one.starts_after <= two.starts_after for one, two in pairwise(fence))
    is_own = bool(fence) and fence[-1].epoch == cell.epoch
    if not ascends or not is_own or any(entry.folded for entry in fence[1:]):
        report(Code.FENCE_ORDER, f"the fence of epoch {cell.epoch:#x} is {list(map(tuple, fence))}")


def _check_claimers(fences: Iterable[FenceCell], report: Report) -> None:
    """No epoch is of two incarnations, in whichever lists it stands. An entry of the first format names none."""
    claimers: dict[int, str] = {}
    for entry in (entry for cell in fences for entry in cell.fence if entry.incarnation):
        if claimers.setdefault(entry.epoch, entry.incarnation) != entry.incarnation:
            two = f"{claimers[entry.epoch]} and {entry.incarnation}"
            report(Code.FENCE_CLAIMED_TWICE, f"epoch {entry.epoch:#x} was claimed by {two}")


def _check_index_cell(cell: IndexCell, report: Report) -> None:
    if not _is_of_cell(cell.epoch, cell.current, cell.previous):
        report(Code.INDEX_CELL, f"the states of conversation {cell.conversation_id.hex()} are not of their cell")


def _is_of_cell(epoch: int, current: _State, previous: _State | None) -> bool:
    return current.epoch == epoch and (previous is None or previous.version < current.version)


def _is_dated(cell: RevocationCell) -> bool:
    """Whether no token is revoked that is issued after the revocation, as far as its version tells."""
    return cell.current.before_s * US_PER_S <= cell.current.version + US_PER_S
