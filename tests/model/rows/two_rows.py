"""The model of two rows: a sender's, which is the one-row model with an outbox, and a recipient's.

Added to the steps of `one_row`: an owner delivers what its queue holds, the delivery arrives (at any later time, or
never; the process that sent it may be gone by then), and the owner hears of it and removes the `o` cell, by a
deletion that executes at any later time, or never.

The recipient's row is abstracted to the set of what arrived. Its own protocol is `one_row` again, whose result is
that a write counts once it was confirmed, and otherwise counts or does not count for good from the next load on. A
delivery is known by its message's id (an `Entry`: two attempts at one message are two ids), and arriving again
changes nothing.

A takeover scan only finds rows: what follows is a load, which may happen at any time anyway, so the scan is no step.
Under the weakened rule `claimed_load` it is one: it reads the row without a claim and delivers the valid `o` cells.

What is checked, beside what `one_row` checks: the recipient never has a message twice, and whenever an owner with its
lease serves and has nothing left to deliver (recovery is over), the recipient has exactly the messages of the
sender's row, which is all that clients were shown.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rowbox.mailbox.fence import newest
from tests.model.rows.names import PROCESSES, name_entry, name_history
from tests.model.rows.one_row import OneRow
from tests.model.rows.owner import Mailbox, counting
from tests.model.rows.row import Call, Entry
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.state import Process, State, owns, put_process


class Rows(NamedTuple):
    sender: State
    arrived: frozenset[Entry] = frozenset()
    """The recipient's row."""
    underway: frozenset[Entry] = frozenset()
    """Deliveries sent that may still arrive."""


Step = tuple[str, Rows]


class TwoRows:
    """The model, under `rules`, within `bounds`."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self.rules, self.row = rules, OneRow(rules, bounds._replace(outbox=True))

    def initial(self) -> Rows:
        return Rows(self.row.initial())

    def successors(self, state: Rows) -> Iterator[Step]:
        for label, sender in self.row.successors(state.sender):
            hasty = frozenset() if self.rules.deliver_after_check else waiting(sender)
            yield label, send(state, hasty)._replace(sender=sender)
        for entry in state.underway:
            arrived = state._replace(arrived=state.arrived | {entry}, underway=state.underway - {entry})
            yield f"{name_entry(entry)} arrives at the recipient", arrived
        for me, process in enumerate(state.sender.processes):
            yield from self.deliveries(state, me, process)
            if not self.rules.claimed_load:
                yield from self.scans(state, me, process)

    def deliveries(self, state: Rows, me: int, process: Process) -> Iterator[Step]:
        for entry in process.mailbox.queue if process.mailbox is not None else ():
            who, what = PROCESSES[me], name_entry(entry)
            if entry in state.arrived:
                yield f"{who} hears that {what} arrived", settle(state, me, entry)
            elif entry not in state.underway:
                yield f"{who} delivers {what}", send(state, frozenset([entry]))
            elif not self.rules.remove_after_delivery:
                yield f"{who} is done with {what} before it arrived", settle(state, me, entry)

    def scans(self, state: Rows, me: int, process: Process) -> Iterator[Step]:
        row = state.sender.row
        fence = newest(cell.fence for cell in row.fences)
        found = frozenset(counting(self.rules, fence, row.outbox))
        if process.granted and not found <= state.underway | state.arrived:
            names = name_history(tuple(sorted(found)))
            yield f"{PROCESSES[me]} scans: finds and delivers {names}", send(state, found)

    def violation(self, state: Rows) -> str | None:
        return self.row.violation(state.sender) or doubled(state.arrived) or unequal(state)


def waiting(sender: State) -> frozenset[Entry]:
    """What the puts that processes wait for would send."""
    return frozenset(entry for process in sender.processes if process.call for entry in process.call.outbox)


def send(state: Rows, entries: frozenset[Entry]) -> Rows:
    return state._replace(underway=state.underway | (entries - state.arrived))


def settle(state: Rows, me: int, entry: Entry) -> Rows:
    """The owner is done with `entry`: it leaves the queue, and the deletion of its `o` cell is sent."""
    process = state.sender.processes[me]
    process = process._replace(mailbox=without(process.mailbox, entry), then=without(process.then, entry))
    deletion = Call(delete=True, outbox=frozenset([entry]))
    sender = put_process(state.sender, me, process)
    return state._replace(sender=sender._replace(underway=sender.underway | {deletion}))


def without(mailbox: Mailbox | None, entry: Entry) -> Mailbox | None:
    return mailbox and mailbox._replace(queue=mailbox.queue - {entry})


def doubled(arrived: frozenset[Entry]) -> str | None:
    if len({entry.message for entry in arrived}) == len(arrived):
        return None
    return f"the recipient has a message twice: {name_history(tuple(sorted(arrived)))}"


def unequal(state: Rows) -> str | None:
    """How the rows differ where recovery is over: an owner with its lease serves and has nothing to deliver."""
    for me, process in enumerate(state.sender.processes):
        mailbox = process.mailbox
        if mailbox is None or process.call is not None or mailbox.queue:
            continue
        if process.lease and owns(state.sender, me) and frozenset(mailbox.messages()) != state.arrived:
            has, arrived = name_history(mailbox.messages()), name_history(tuple(sorted(state.arrived)))
            return f"{PROCESSES[me]} has {has} and nothing to deliver, the recipient has {arrived}"
    return None
