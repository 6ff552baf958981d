"""The model of one row whose index is read in parts (docs/adr/0022-loads-in-parts.md).

A load is several steps here, between which everything else may happen: it reads the fences, then the `i` cells of the
first conversation, then those of the others, and claims by what it saw, which is of no one moment. Once the claim is
confirmed it reads them again, in two steps as well, `d` and `o` with the last, and judges all by the list that it
claimed with. Under the weakened rule `read_again` it serves what it saw before the claim.

A row that this epoch has claimed before is read once.
"""

from collections.abc import Iterator

from rowbox.mailbox.fence import make_epoch
from tests.model import owner
from tests.model.names import PROCESSES, name_call, name_epoch, name_history
from tests.model.one_row import OneRow, Step
from tests.model.row import Call, IndexCell, Row
from tests.model.state import Process, State, put_process, with_t


class InParts(OneRow):
    """The model, under `rules`, within `bounds`: of more than one conversation, or nothing is torn."""

    def loads(self, state: State, me: int) -> Iterator[Step]:
        process, name = state.processes[me], PROCESSES[me]
        epoch = make_epoch(process.granted, process.n)
        if process.then is not None:
            yield from self.reads_again(state, me, process)
        elif not process.seen:
            fences = process._replace(seen=(Row(fences=state.row.fences),))
            yield f"{name} reads the fences for {name_epoch(epoch)}", put_process(state, me, fences)
        elif len(process.seen) == 1:
            cells = process._replace(seen=(*process.seen, first_part(state.row)))
            yield f"{name} reads the first part of the index", put_process(state, me, cells)
        else:
            yield from self.claims(state, me, process, epoch)

    def claims(self, state: State, me: int, process: Process, epoch: int) -> Iterator[Step]:
        fences, first = process.seen
        seen = whole(state.row, first)._replace(fences=fences.fences)
        loaded = owner.load(self.rules, seen, epoch, self.conversations, self.now_ms(state))
        idle = process._replace(seen=())
        if loaded is None:
            yield f"{PROCESSES[me]} was replaced", put_process(state, me, idle)
            return
        mailbox, must_claim = loaded
        what = f"{PROCESSES[me]} reads the rest: finds {name_history(mailbox.messages())}"
        if not must_claim:
            if process.lease:
                yield f"{what}, serves", put_process(state, me, idle._replace(mailbox=mailbox))
            return
        call = with_t(state, owner.fence_call(mailbox))
        yield f"{what}, sends {name_call(call)}", put_process(state, me, idle._replace(call=call, then=mailbox))

    def succeeded(self, state: State, me: int, call: Call) -> State:
        if not call.fences or not self.rules.read_again:
            return super().succeeded(state, me, call)
        return put_process(state, me, state.processes[me]._replace(call=None, executed=False))

    def reads_again(self, state: State, me: int, process: Process) -> Iterator[Step]:
        claimed, name = process.then, PROCESSES[me]
        assert claimed is not None
        if not process.seen:
            cells = process._replace(seen=(first_part(state.row),))
            yield f"{name} reads the first part of the index again", put_process(state, me, cells)
        elif process.lease:
            mailbox = owner.read_claimed(self.rules, whole(state.row, process.seen[0]), claimed, self.conversations)
            serving = process._replace(mailbox=mailbox, then=None, seen=())
            what = f"{name} reads the rest again: finds {name_history(mailbox.messages())}, serves"
            yield what, put_process(state, me, serving)

    @staticmethod
    def granted(state: State, me: int) -> State:
        """Another owner's load ended with the grant before."""
        given = OneRow.granted(state, me)
        process = given.processes[me]
        return put_process(given, me, process if process.call else process._replace(then=None, seen=()))


def first_part(row: Row) -> Row:
    """What a read of the first conversation finds."""
    return Row(index_cells=frozenset(cell for cell in row.index_cells if _is_first(cell)))


def whole(row: Row, first: Row) -> Row:
    """The row as it is now, but for the part that was read before."""
    rest = frozenset(cell for cell in row.index_cells if not _is_first(cell))
    return row._replace(index_cells=first.index_cells | rest)


def _is_first(cell: IndexCell) -> bool:
    return cell.conversation == 0
