"""The invariants of a row's fence, and which cells count: the loader's rules, written a second time to check them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from rowbox.mailbox.cells import KINDS, FenceCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.fence import Fence, Stamp, head_of, is_valid, newest
from rowbox.mailbox.two_states import ByKind, IndexCell, UnknownIndexCell, is_in_order


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

    def states(self, index: Sequence[IndexCell[Any]]) -> ByKind[Any]:
        """Of each key, whatever its kind, the state that counts and has the highest version."""
        chosen: ByKind[Any] = {kind: {} for kind in KINDS}
        for cell in index:
            self._check_cell(cell, f"{KINDS[cell.kind].name} {cell.key.hex()}".rstrip())
            known = chosen[cell.kind]
            for state in (cell.current, cell.previous):
                if state is None or not self.counts(state.epoch, state.version):
                    continue
                if cell.key not in known or state.version > known[cell.key].version:
                    known[cell.key] = state
        return chosen

    def head(self, states: ByKind[Any], unknown: Sequence[UnknownIndexCell] = ()) -> int:
        """The row's head, of the states that count and of those whose meaning only a newer Rowbox knows."""
        stamps = [Stamp(state.epoch, state.version) for of_kind in states.values() for state in of_kind.values()]
        for cell in unknown:
            self._check_cell(cell, f"a cell of kind {cell.kind!r}")
            known = [cell.current] if cell.previous is None else [cell.current, cell.previous]
            stamps += [stamp for stamp in known if self.counts(*stamp)]
        if not self.fenced:
            return max((stamp.version for stamp in stamps), default=0)
        return head_of(self.fence, stamps)

    def _check_cell(self, cell: IndexCell[Any] | UnknownIndexCell, what: str) -> None:
        if not is_in_order(cell):
            self._report(Code.INDEX_CELL, f"the states of {what} in the cell of epoch {cell.epoch:#x} are not in order")

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
