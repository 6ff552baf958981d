"""The model of one row whose index is read in parts (docs/adr/0022-loads-in-parts.md).

A load is several steps here, between which everything else may happen: it reads the fences, then the `i` cells of the
first conversation, then those of the others, which is of no one moment, again and again, until the head is the one that
it saw the time before. It claims with that, and keeps what it saw last. Once the claim is confirmed it reads `d` and
`o`, and serves. Under the weakened rule `same_head` it claims with what it saw first.

A row that this epoch has claimed before is read once.
"""

from collections.abc import Iterator

from rowbox.cacheserver.rows.row_parts import has_settled
from rowbox.mailbox.fence import make_epoch
from tests.model.rows import owner
from tests.model.rows.names import PROCESSES, name_call, name_epoch, name_history
from tests.model.rows.one_row import OneRow, Step
from tests.model.rows.row import Call, IndexCell, Row
from tests.model.rows.state import Process, State, put_process, with_t


class InParts(OneRow):
    """The model, under `rules`, within `bounds`: of more than one conversation, or nothing is torn."""

    def loads(self, state: State, me: int) -> Iterator[Step]:
        process, name = state.processes[me], PROCESSES[me]
        epoch = make_epoch(process.granted, process.n)
        if process.then is not None:
            yield from self.serves(state, me, process)
        elif not process.seen:
            fences = process._replace(seen=(Row(fences=state.row.fences),))
            yield f"{name} reads the fences for {name_epoch(epoch)}", put_process(state, me, fences)
        elif len(process.seen) == 1:
            cells = process._replace(seen=(*process.seen, first_part(state.row)))
            yield f"{name} reads the first part of the index", put_process(state, me, cells)
        else:
            yield from self.claims(state, me, process)

    def claims(self, state: State, me: int, process: Process) -> Iterator[Step]:
        fences, first = process.seen
        seen = whole(state.row, first)._replace(fences=fences.fences)
        loaded = self.loaded(state, process, seen)
        idle = process._replace(seen=(), shown_head=-1)
        if loaded is None:
            yield f"{PROCESSES[me]} was replaced", put_process(state, me, idle)
            return
        mailbox, must_claim = loaded
        what = f"{PROCESSES[me]} reads the rest: finds {name_history(mailbox.messages())}"
        if must_claim and self.rules.same_head and not has_settled(process.shown_head, mailbox.head):
            once_more = process._replace(seen=(fences,), shown_head=mailbox.head)
            yield f"{what}, reads once more", put_process(state, me, once_more)
            return
        if not must_claim:
            if process.lease:
                yield f"{what}, serves", put_process(state, me, idle._replace(mailbox=mailbox))
            return
        call = with_t(state, owner.fence_call(mailbox))
        yield f"{what}, sends {name_call(call)}", put_process(state, me, idle._replace(call=call, then=mailbox))

    def succeeded(self, state: State, me: int, call: Call) -> State:
        if not call.fences:
            return super().succeeded(state, me, call)
        return put_process(state, me, state.processes[me]._replace(call=None, executed=False))

    def serves(self, state: State, me: int, process: Process) -> Iterator[Step]:
        claimed = process.then
        assert claimed is not None
        if process.lease:
            mailbox = owner.read_rest(self.rules, state.row, claimed)
            what = f"{PROCESSES[me]} reads d and o, serves {name_history(mailbox.messages())}"
            yield what, put_process(state, me, process._replace(mailbox=mailbox, then=None))

    @staticmethod
    def granted(state: State, me: int) -> State:
        """Another owner's load ended with the grant before."""
        given = OneRow.granted(state, me)
        process = given.processes[me]
        return put_process(given, me, process if process.call else process._replace(then=None, seen=(), shown_head=-1))


def first_part(row: Row) -> Row:
    """What a read of the first conversation finds."""
    return Row(index_cells=frozenset(cell for cell in row.index_cells if _is_first(cell)))


def whole(row: Row, first: Row) -> Row:
    """The row as it is now, but for the part that was read before."""
    rest = frozenset(cell for cell in row.index_cells if not _is_first(cell))
    return row._replace(index_cells=first.index_cells | rest)


def _is_first(cell: IndexCell) -> bool:
    return cell.conversation == 0
