"""The commit pipeline: which commands go to the store together, and in which order.

A command waits in the queue of its first user's row. A batch takes, row by row and in order of arrival, every command
whose rows are loaded and idle, decides them on plans without awaiting anything, and goes to the store in one call
(committer.py). The rows of a batch are locked until it is over: so at most one mutation of a row is in flight, and
commands that come meanwhile join the next one. A row whose first command cannot go on is parked with the row it waits
for:

    cold        until the row is loaded              (the load is started here)
    busy        until its batch or its read is over
    apart       until it is known whether its range of the store answers (quarantine.py); refused if it does not
    reserved    until the row's own first command, which came earlier and needed a read, is decided
    Need        the row is made busy, what is needed is read, and the command is decided when that is done

First come, first served: of the rows that may go on, the one whose first command came first is taken first. A command
that needs a read reserves its row against all that came later, so their deliveries into the row neither keep the read
from beginning nor make void what it found. They do not hold up what came earlier, so no two commands wait for each
other, and the one that came first of all never waits for anything but a load, a read or a call in flight.

Where a write that a router sent is refused, or its outcome is unknown, what the router had sent behind it is refused as
well, in the same turn of the loop: the router sends it again, and nothing may have overtaken it (refused_turns.py).

Rows are parted into lanes by ranges of their keys, each with one batch in flight at a time. Embedded (`late_writes`
False) there is one, so that all rows of a send can be in one batch and no order of locks exists. A cluster's store may
have more (commit.lanes; docs/adr/0014-lanes.md says when). A call that is overdue is set aside: its rows stay busy, its
ranges are asked one by one, and the lane goes on with the others.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from rowbox.cacheserver.budget import Budget
from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import Time
from rowbox.cacheserver.commit.batch import Batch, resolve
from rowbox.cacheserver.commit.committer import Committer
from rowbox.cacheserver.port import Routed
from rowbox.cacheserver.refused_turns import COMES_AGAIN, RefusedTurns, comes_too_early
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.stores.quarantine import Quarantine
from rowbox.hbase_schema.keys import shard_of_row
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import NEEDS, Need
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RowboxError, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.timing.timer_queue import TimerQueue, step_of

log = logging.getLogger(__name__)

MOST_SET_ASIDE = 4
"""How many batches are set aside at once at most: each holds a connection until its deadline.

The next batch of a lane leaves out the ranges that were found to be silent.
"""


@dataclass(frozen=True, kw_only=True)
class PipelineLimits:
    """The bounds of a pipeline; rowbox.mailbox.settings.config.CommitSettings explains each."""

    batch_rows: int
    batch_bytes: int
    queue_commands: int
    queue_bytes: int
    timeout_s: float
    lanes: int
    """More than one only where every command has one row."""


class _Lane:
    """The rows of a range that may go on, and whether a batch of theirs is in flight."""

    __slots__ = ("batch", "begun_s", "is_in_flight", "is_scheduled", "ready")

    def __init__(self) -> None:
        self.ready: list[tuple[int, Row]] = []
        """A heap, by the number of each row's first command: a row is in it at most once (`Row.is_ready`)."""
        self.is_in_flight = False
        self.batch: Batch | None = None
        """The batch in flight; None where there is none or it was set aside. `begun_s` is when its call was begun."""
        self.begun_s = 0.0
        self.is_scheduled = False


class Pipeline:
    """The queues of one owner's commands, and the batches made of them."""

    def __init__(
        self,
        table: Table,
        reader: RowReader,
        committer: Committer,
        quarantine: Quarantine,
        time: Time,
        limits: PipelineLimits,
    ) -> None:
        self._table = table
        self._reader = reader
        self._committer = committer
        self._quarantine = quarantine
        quarantine.on_change = self._ranges_changed
        self._apart: list[Row] = []
        """Rows whose first command needs a row of a range of which it is not known whether it answers."""
        self.set_aside = 0
        """How many batches are in flight for which no lane waits."""
        self._time = time
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._lanes = [_Lane() for _ in range(limits.lanes)]
        self._outstanding = TimerQueue[Command](self._loop, _took_too_long, step_s=step_of(limits.timeout_s))
        """The commands that are not answered yet. A command leaves as soon as it is answered: otherwise thousands of
        texts would stay in memory behind one command that hangs."""
        self.waiting = Budget(limits.queue_commands, limits.queue_bytes)
        """Counts the commands that are in no batch yet."""
        self.refused = 0
        """How many commands found no room in the queue."""
        self._refused_turns = RefusedTurns()
        self._submitted = 0
        self._watched: set[Row] = set()
        """Rows whose load is under way for a command that waits here."""
        self._in_flight: dict[asyncio.Task[None], Collection[Row]] = {}
        """The batches and reads that are under way, each with the rows that it has locked."""

    def submit(self, command: Command) -> None:
        """Queues a command behind those of its first user; its future gets the result.

        Not queued: Overloaded; NotTheOwner where it comes too early in its turn; and NotTheOwner, LeaseLapsed where the
        first user's row admits no command.
        """
        if command.routed is not None:
            self._refused_turns.admit(command.users[0], command.routed)
        row = self._table.admitted(command.users[0])
        if self.waiting.refuses(len(row.waiting), row.waiting_bytes):
            self.refused += 1
            self._table.forget_if_empty(row)
            raise Overloaded("too many writes are waiting", retry_after_ms=1000)
        self._submitted += 1
        command.number = self._submitted
        self._outstanding.add(command, self._limits.timeout_s)
        self.waiting.add(command.size_bytes)
        row.enqueue(command)
        if len(row.waiting) == 1:
            self._make_ready(row)

    def refused_before(self, user_id: str, routed: Routed) -> None:
        """Says that a write was refused that comes again, and never queued: what was sent behind it comes too early."""
        self._refused_turns.refuse(user_id, routed)

    async def idle(self) -> None:
        """Returns when no command waits and no batch or read is in flight. The caller sees to it that none is added."""
        while pending := self._unanswered() | self._in_flight.keys():
            await asyncio.wait(pending)

    def refuse(self, rows: Iterable[Row], error: RowboxError) -> None:
        """Ends the commands that wait in these rows and are in no batch yet. The caller sees to it that none is added.

        A command of another row that needs one of these as well ends when it is looked at.
        """
        for row in rows:
            while row.waiting:
                self._refuse(row, error)
            self._table.forget_if_empty(row)

    async def ended(self, shards: Collection[int]) -> None:
        """Returns when the batches and reads that are in flight now over rows of these shards have ended."""
        tasks = [task for task, rows in self._in_flight.items() if any(row.grant.shard in shards for row in rows)]
        if tasks:
            await asyncio.wait(tasks)

    def _unanswered(self) -> set["asyncio.Future[CommandResult]"]:
        return {command.future for command in self._outstanding if not command.future.done()}

    def _make_ready(self, row: Row) -> None:
        """Has a row that has commands taken in its turn."""
        lane = self._lane_of(row)
        if not row.is_ready:
            row.mark_ready()
            heappush(lane.ready, (row.waiting[0].number, row))
        self._schedule(lane)

    def _lane_of(self, row: Row) -> _Lane:
        if len(self._lanes) == 1:
            return self._lanes[0]
        return self._lanes[shard_of_row(row.key) * len(self._lanes) // self._table.shards]

    def _schedule(self, lane: _Lane) -> None:
        if not lane.is_scheduled and not lane.is_in_flight:
            lane.is_scheduled = True
            self._loop.call_soon(self._fill_batch, lane)

    def _fill_batch(self, lane: _Lane) -> None:
        lane.is_scheduled = False
        if lane.is_in_flight:
            return
        batch = Batch(self._time, self._limits.batch_rows, self._limits.batch_bytes)
        while lane.ready and not batch.is_full:
            _, row = heappop(lane.ready)
            row.take_turn()
            self._take_from(row, batch)
        if batch.decided:
            self._begin(batch, lane)
        if lane.ready:
            self._schedule(lane)

    def _take_from(self, row: Row, batch: Batch) -> None:
        """Decides the commands of a row up to the first that has to wait."""
        while row.waiting:
            if batch.is_full:
                self._make_ready(row)
                return
            command = row.waiting[0]
            if command.future.done():  # whoever asked has left before it began, or was told something else
                self._refuse(row, None)
                self._refuse_behind(row, command)
                continue
            rows: Sequence[Row] | None = None
            try:
                rows = self._rows_of(command, row, batch)
                if rows is None:
                    return
                outcome: CommandResult | Need | RowboxError = command.decide([batch.plan_of(needed) for needed in rows])
            except RowboxError as error:
                outcome, batch.has_refused = error, True
            except Exception:
                log.exception("a command could not be decided; its batch is given up, nothing was written")
                self._refuse(row, RowboxError("internal error"))
                self._give_up(batch, row)
                return
            if isinstance(outcome, NEEDS):
                self._fetch_fact(row, command, outcome, batch)
                return
            batch.add(command, rows or (row,), outcome)
            self._pop(row)
        self._table.forget_if_empty(row)  # its last command was refused, or its caller has left

    def _give_up(self, batch: Batch, row: Row) -> None:
        """Forgets a batch that has not begun: its plans may be half made."""
        batch.fail(StoreUnavailable("the write was given up before it began"))
        self._forget_answered(batch)
        given_up = [*batch.plans, row]
        batch.clear()
        for freed in given_up:  # rows may be parked with any of them
            self._release(freed)

    def _pop(self, row: Row) -> None:
        was_reserved = row.reserved_for is not None
        self.waiting.remove(row.dequeue().size_bytes)
        if was_reserved:
            self._wake_blocked(row)

    def _refuse(self, row: Row, error: BaseException | None) -> None:
        """Ends a row's first command before it is in a batch, with an error unless its caller has left."""
        command = row.waiting[0]
        self._pop(row)
        self._outstanding.remove(command)
        if error is not None:
            resolve(command, error)
            self._refuse_behind(row, command)

    def _refuse_behind(self, row: Row, command: Command) -> None:
        """Where a command was refused that comes again, refuses what its router had sent behind it."""
        routed, future = command.routed, command.future
        if routed is None or not future.done() or future.cancelled():
            return
        if not isinstance(future.exception(), COMES_AGAIN):
            return
        if self._refused_turns.refuse(row.user_id, routed):
            for behind in row.waiting:  # each leaves the queue when it is looked at
                later = behind.routed
                if later is not None and later.router == routed.router and later.turn <= routed.turn:
                    resolve(behind, comes_too_early())

    def _wake_blocked(self, row: Row) -> None:
        """Those that waited for a row look again, each in its turn."""
        for waiter in row.take_parked():
            if waiter.waiting:
                self._make_ready(waiter)

    def _rows_of(self, command: Command, first: Row, batch: Batch) -> list[Row] | None:
        """A command's rows; None where it has to wait for one of them, and is parked there.

        `first` is the row whose queue it is in, that of its first user.

        Raises what starting a load and Grant.admit raise, StoreUnavailable where a row's range is away.
        """
        rows: list[Row] = []
        for user_id in command.users:
            row = first if user_id == first.user_id else self._table.row(user_id)
            if row not in batch.plans:
                row.grant.admit()
                if not self._quarantine.is_open(row.key):
                    self._quarantine.check(row.key)
                    self._apart.append(first)
                    return None
                if row.mailbox is None:
                    self._watch_load(row)
                    row.park(first)
                    return None
                if row.is_busy or (row.reserved_for is not None and row.reserved_for.number < command.number):
                    row.park(first)
                    return None
            rows.append(row)
        return rows

    def _watch_load(self, row: Row) -> None:
        if row in self._watched:
            return
        task = self._table.load(row)
        self._watched.add(row)
        task.add_done_callback(lambda done: self._after_load(row, done))

    def _after_load(self, row: Row, task: "asyncio.Task[None]") -> None:
        """Goes on with those that waited for a load, or tells them that it failed."""
        self._watched.discard(row)
        error = task.exception() if not task.cancelled() else StoreUnavailable("the server is stopping")
        if error is not None:
            for waiter in dict.fromkeys((row, *row.blocked)):  # a row may be parked with itself
                if waiter.waiting and row.user_id in waiter.waiting[0].users:
                    self._refuse(waiter, error)
        self._release(row)

    def _fetch_fact(self, row: Row, command: Command, need: Need, batch: Batch) -> None:
        """Reserves the row, and reads what its first command needs under its lock.

        Where the row is part of this batch already, the read begins after that: the batch's end makes the row ready.
        """
        row.reserve()
        if row in batch.plans and not batch.plans[row].changes_nothing:
            return
        batch.plans.pop(row, None)
        row.lock()
        assert row.mailbox is not None
        task = self._loop.create_task(self._read_fact(row, row.mailbox, command, need), name="read-fact")
        self._add_in_flight(task, (row,))

    def _add_in_flight(self, task: "asyncio.Task[None]", rows: Collection[Row]) -> None:
        self._in_flight[task] = rows
        task.add_done_callback(self._in_flight.pop)

    async def _read_fact(self, row: Row, mailbox: Mailbox, command: Command, need: Need) -> None:
        """`mailbox` was the row's when this was begun. A row that has lost it by now decides no command any more."""
        try:
            command.store_calls += 1
            command.fact = await self._reader.answer(View(row.key, mailbox, self._time.seen_us()), need)
        except RowboxError as error:
            if isinstance(error, HandoverInProgress):
                self._table.drop(row)
            self._refuse_read(row, command, error)
        except Exception:
            log.exception("what a command needs could not be read")
            self._refuse_read(row, command, RowboxError("internal error"))  # else it would be read again at once
        finally:
            row.unlock()
            self._release(row)

    def _refuse_read(self, row: Row, command: Command, error: RowboxError) -> None:
        """Ends a command whose read failed. Its caller may have left, and another command be the row's first."""
        if row.waiting and row.waiting[0] is command:
            self._refuse(row, error)

    def _release(self, row: Row) -> None:
        """A row is free again: it and those that waited for it may go on."""
        if row.waiting:
            self._make_ready(row)
        self._wake_blocked(row)
        self._table.forget_if_empty(row)

    def _ranges_changed(self) -> None:
        """Looks again at what was kept apart, and sets calls aside that are overdue."""
        apart, self._apart = self._apart, []
        for row in apart:
            if row.waiting:
                self._make_ready(row)
        overdue_s = self._loop.time() - self._quarantine.patience_s
        for lane in self._lanes:
            if lane.batch is not None and lane.begun_s <= overdue_s and self.set_aside < MOST_SET_ASIDE:
                lane.is_in_flight, lane.batch = False, None
                self.set_aside += 1
                if lane.ready:
                    self._schedule(lane)

    def _begin(self, batch: Batch, lane: _Lane) -> None:
        batch.drop_idle_plans()
        if not batch.plans:
            self._committer.answer(batch)
            self._forget_answered(batch)
            return
        for row in batch.plans:
            row.lock()
        lane.is_in_flight = True
        lane.batch, lane.begun_s = batch, self._loop.time()
        task = self._loop.create_task(self._commit(batch, lane), name="commit")
        self._add_in_flight(task, batch.plans)

    async def _commit(self, batch: Batch, lane: _Lane) -> None:
        try:
            await self._committer.commit(batch)
        finally:
            if lane.batch is batch:
                lane.is_in_flight, lane.batch = False, None
            else:
                self.set_aside -= 1
            self._forget_answered(batch)
            for row in batch.plans:
                row.unlock()
                self._release(row)
            if lane.ready:
                self._schedule(lane)

    def _forget_answered(self, batch: Batch) -> None:
        for command, _, _ in batch.decided:
            self._outstanding.remove(command)
        if batch.has_refused:
            for command, rows, _ in batch.decided:
                self._refuse_behind(rows[0], command)


def _took_too_long(command: Command) -> None:
    """Tells the caller of an overdue command that its outcome is unknown. What was begun for the command goes on."""
    resolve(command, StoreOutcomeUnknown("the write took too long; its outcome is unknown"))
