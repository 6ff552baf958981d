"""The commit pipeline: from waiting commands to store calls, and back to answers.

A command waits in the queue of its first user's row. A batch takes, row by row and in order of arrival, every command
whose rows are loaded and idle, decides them on plans without awaiting anything, and goes to the store in one call. The
rows of a batch are busy until it is over: so at most one mutation of a row is in flight, and commands that come
meanwhile join the next one. A row whose first command cannot go on is parked with the row it waits for:

    cold        until the row is loaded              (the load is started here)
    busy        until its batch or its read is over
    Need        the row is made busy, what is needed is read, and the command goes first when that is done

Embedded (`late_writes` False): one batch at a time, with all rows of a send in it, so no order of locks exists. A
cluster's store: a few batches over disjoint rows.

After the store's yes, and before anything is applied or answered, ownership is checked (docs/consistency.md, rule 4).
After an unknown outcome the epoch is left and the rows are dropped (rule 6): what is true is for the next load to say.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rowbox.cacheserver.cleaner import Cleaner
from rowbox.cacheserver.commands import Answer, Command
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.row_reader import RowReader
from rowbox.cacheserver.store import Put, RowMutation, Store
from rowbox.cacheserver.store_clock import NowUs, StoreClock
from rowbox.cacheserver.table import Row, Table
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import (
    HandoverInProgress,
    Overloaded,
    RowboxError,
    StoreOutcomeUnknown,
    StoreUnavailable,
    StoreUnusable,
)
from rowbox.mailbox.mailbox import Change
from rowbox.mailbox.plan import Marked, Need, Plan, Sent

log = logging.getLogger(__name__)

EXPIRY_INTERVAL_S = 0.25
"""How often commands that waited too long are looked for."""


@dataclass(frozen=True, kw_only=True)
class PipelineLimits:
    """Bounds; see rowbox.mailbox.config.CommitSettings."""

    batch_rows: int
    batch_bytes: int
    queue_commands: int
    timeout_s: float
    batches_in_flight: int


@dataclass
class PipelineCounters:
    """What happened so far."""

    commands: int = 0
    batches: int = 0
    rows: int = 0
    cells: int = 0
    seconds: float = 0.0
    unknown_outcomes: int = 0


@dataclass
class _Batch:
    """One store call in the making, and then on its way."""

    now_us: int
    plans: dict[Row, Plan] = field(default_factory=dict)
    decided: list[tuple[Command, Answer | RowboxError]] = field(default_factory=list)
    size_bytes: int = 0


class Pipeline:
    """See the module's text. `on_applied(row, plan, changes)` runs after each mutation became visible."""

    def __init__(
        self,
        store: Store,
        table: Table,
        reader: RowReader,
        cleaner: Cleaner,
        ownership: Ownership,
        clock: StoreClock,
        now_us: NowUs,
        limits: PipelineLimits,
        on_applied: Callable[[Row, Plan, Sequence[Change]], None],
    ) -> None:
        self._store = store
        self._table = table
        self._reader = reader
        self._cleaner = cleaner
        self._ownership = ownership
        self._clock = clock
        self._now_us = now_us
        self._limits = limits
        self._on_applied = on_applied
        self._loop = asyncio.get_running_loop()
        self._ready: OrderedDict[Row, None] = OrderedDict()
        self._queued: deque[Command] = deque()
        """Every command not yet answered, in order of arrival (and answered ones, until they come to the front)."""
        self._waiting = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._batches_in_flight = 0
        self._is_scheduled = False
        self._expiry: asyncio.TimerHandle | None = None
        self.counters = PipelineCounters()

    @property
    def waiting(self) -> int:
        """Commands that are in no batch yet."""
        return self._waiting

    def submit(self, command: Command) -> None:
        """Queues a command behind those of its first user; its future gets the answer. Overloaded: not queued."""
        if self._waiting >= self._limits.queue_commands:
            raise Overloaded("too many writes are waiting", retry_after_ms=1000)
        command.deadline = self._loop.time() + self._limits.timeout_s
        self._waiting += 1
        self._queued.append(command)
        row = self._table.row(command.users[0])
        row.waiting.append(command)
        if len(row.waiting) == 1:
            self._make_ready(row)
        if self._expiry is None:
            self._expiry = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

    async def idle(self) -> None:
        """Returns when nothing is waiting or in flight. Callers see to it that nothing new comes."""
        while pending := [command.future for command in self._queued if not command.future.done()] + [*self._in_flight]:
            await asyncio.wait(pending)

    # ------------------------------------------------------------------ making a batch

    def _make_ready(self, row: Row) -> None:
        self._ready[row] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._batches_in_flight < self._limits.batches_in_flight:
            self._is_scheduled = True
            self._loop.call_soon(self._fill_batch)

    def _fill_batch(self) -> None:
        self._is_scheduled = False
        if self._batches_in_flight >= self._limits.batches_in_flight:
            return
        batch = _Batch(self._now_us())
        while self._ready and not self._is_full(batch):
            row, _ = self._ready.popitem(last=False)
            self._take_from(row, batch)
        if batch.decided:
            self._begin(batch)
        if self._ready:
            self._schedule()

    def _is_full(self, batch: _Batch) -> bool:
        most = self._limits.batch_rows
        return len(batch.plans) >= most or len(batch.decided) >= most or batch.size_bytes >= self._limits.batch_bytes

    def _take_from(self, row: Row, batch: _Batch) -> None:
        """Decides the commands of a row up to the first that has to wait."""
        while row.waiting:
            if self._is_full(batch):
                self._ready[row] = None
                return
            command = row.waiting[0]
            if command.future.done():  # whoever asked has left before it began
                self._pop(row)
                continue
            try:
                blocker = self._blocker(command, batch)
                if blocker is not None:
                    blocker.blocked.append(row)
                    return
                outcome: Answer | Need | RowboxError = self._decide(command, batch)
            except RowboxError as error:
                outcome = error
            except Exception:
                log.exception("a command could not be decided; its batch is given up, nothing was written")
                self._pop(row)
                _fail(command, RowboxError("internal error"))
                self._give_up(batch, row)
                return
            if not isinstance(outcome, Sent | Marked | int | RowboxError):
                self._fetch_fact(row, command, outcome, batch)
                return
            batch.decided.append((command, outcome))
            batch.size_bytes += command.size_bytes
            self._pop(row)
        self._table.forget_if_empty(row)  # its last command was refused, or its caller has left

    def _give_up(self, batch: _Batch, row: Row) -> None:
        """Forgets a batch that has not begun: its plans may be half made."""
        self._fail_batch(batch, StoreUnavailable("the write was given up before it began"), drop=False)
        given_up = [*batch.plans, row]
        batch.plans.clear()
        batch.decided.clear()
        batch.size_bytes = 0
        for freed in given_up:  # rows may be parked with any of them
            self._release(freed)

    def _pop(self, row: Row) -> None:
        row.waiting.popleft()
        self._waiting -= 1

    def _blocker(self, command: Command, batch: _Batch) -> Row | None:
        """The first of a command's rows that is cold or busy; its load is started. Raises what starting it raises."""
        for user_id in command.users:
            row = self._table.row(user_id)
            if row in batch.plans:
                continue
            if row.mailbox is None:
                if not row.blocked:  # else its load is watched already
                    self._watch_load(row)
                return row
            if row.is_busy:
                return row
        return None

    def _decide(self, command: Command, batch: _Batch) -> Answer | Need:
        def plan_of(user_id: str) -> Plan:
            row = self._table.row(user_id)
            plan = batch.plans.get(row)
            if plan is None:
                assert row.mailbox is not None
                plan = batch.plans[row] = row.mailbox.plan(batch.now_us)
            return plan

        return command.decide(plan_of)

    def _watch_load(self, row: Row) -> None:
        task = self._table.load(row)
        task.add_done_callback(lambda done: self._after_load(row, done))

    def _after_load(self, row: Row, task: "asyncio.Task[None]") -> None:
        """Goes on with those that waited for a load, or tells them that it failed."""
        error = task.exception() if not task.cancelled() else StoreUnavailable("the server is stopping")
        if error is not None:
            for waiter in (row, *row.blocked):
                if waiter.waiting and row.user_id in waiter.waiting[0].users:
                    command = waiter.waiting[0]
                    self._pop(waiter)
                    _fail(command, error)
        self._release(row)

    def _fetch_fact(self, row: Row, command: Command, need: Need, batch: _Batch) -> None:
        """Reads what a command needs under the row's lock; a row that is part of this batch waits for its end first."""
        if row in batch.plans and not batch.plans[row].changes_nothing:
            row.blocked.append(row)
            return
        batch.plans.pop(row, None)
        row.is_busy = True
        task = self._loop.create_task(self._read_fact(row, command, need), name="read-fact")
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _read_fact(self, row: Row, command: Command, need: Need) -> None:
        assert row.mailbox is not None
        try:
            command.fact = await self._reader.answer(row.mailbox, row.key, need)
        except RowboxError as error:
            if isinstance(error, HandoverInProgress):
                self._table.drop(row)
            self._pop(row)
            _fail(command, error)
        finally:
            row.is_busy = False
            self._release(row, first=True)

    def _release(self, row: Row, *, first: bool = False) -> None:
        """A row is free again: it and those that waited for it may go on."""
        blocked, row.blocked = row.blocked, []
        if row.waiting:
            self._ready[row] = None
            self._ready.move_to_end(row, last=not first)
        for waiter in blocked:
            if waiter.waiting:
                self._ready[waiter] = None
        if self._ready:
            self._schedule()
        self._table.forget_if_empty(row)

    # ------------------------------------------------------------------ its way to the store and back

    def _begin(self, batch: _Batch) -> None:
        for row, plan in list(batch.plans.items()):
            if plan.changes_nothing:
                del batch.plans[row]
            else:
                row.is_busy = True
        if not batch.plans:
            self._answer(batch)
            return
        self._batches_in_flight += 1
        task = self._loop.create_task(self._commit(batch), name="commit")
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _commit(self, batch: _Batch) -> None:
        began = self._loop.time()
        try:
            await self._store.mutate(self._mutations(batch), self._clock.next_ms())
        except StoreOutcomeUnknown as error:
            self.counters.unknown_outcomes += 1
            self._ownership.leave_epoch()
            self._fail_batch(batch, error, drop=True)
        except StoreUnavailable as error:
            self._fail_batch(batch, error, drop=False)
        except StoreUnusable as error:
            # The process is about to stop (the store told whoever runs it); the next one's load says what is true.
            self._fail_batch(batch, StoreOutcomeUnknown(str(error)), drop=False)
        except BaseException as error:
            # A bug, or the loop's end: nobody knows what the store did, so nobody may be told that it did nothing.
            self._ownership.leave_epoch()
            self._fail_batch(
                batch, StoreOutcomeUnknown(f"the write was interrupted: {type(error).__name__}"), drop=True
            )
            raise
        else:
            self._apply(batch)
        finally:
            self._batches_in_flight -= 1
            self.counters.seconds += self._loop.time() - began
            for row in batch.plans:
                row.is_busy = False
                self._release(row)
            self._schedule()

    def _mutations(self, batch: _Batch) -> list[RowMutation]:
        mutations = [
            RowMutation(row.key, [Put(*codec.encode(cell)) for cell in plan.cells()])
            for row, plan in batch.plans.items()
        ]
        self.counters.batches += 1
        self.counters.rows += len(mutations)
        self.counters.cells += sum(len(mutation.puts) for mutation in mutations)
        return mutations

    def _apply(self, batch: _Batch) -> None:
        """Makes the batch visible, row by row, where the rows are still owned; then answers."""
        for row, plan in batch.plans.items():
            mailbox = row.mailbox
            assert mailbox is not None
            try:
                self._ownership.check(row.user_id)
            except RowboxError:
                self._table.drop(row)
                continue
            changes = mailbox.apply(plan)
            stale = mailbox.take_stale(plan)
            if stale:
                self._cleaner.remove(row.key, [(Family.INDEX, keys.conversation_qualifier(*cell)) for cell in stale])
            self._table.account(row)
            self._on_applied(row, plan, changes)
        self._answer(batch)

    def _answer(self, batch: _Batch) -> None:
        """Gives the answers, each only where its users are still owned (rule 5: refusals and duplicates too)."""
        for command, answer in batch.decided:
            try:
                for user_id in command.users:
                    self._ownership.check(user_id)
            except RowboxError as error:
                _fail(command, error)
            else:
                _resolve(command, answer)
        self.counters.commands += len(batch.decided)
        self._forget_answered()

    def _fail_batch(self, batch: _Batch, error: RowboxError, *, drop: bool) -> None:
        for row in batch.plans:
            if drop:
                self._table.drop(row)
        for command, _ in batch.decided:
            _resolve(command, error)
        self._forget_answered()

    # ------------------------------------------------------------------ those that wait too long

    def _expire(self) -> None:
        """Tells callers that waited too long that the outcome is unknown; what was begun goes on."""
        self._expiry = None
        now = self._loop.time()
        for command in self._queued:
            if command.deadline > now:
                break
            if not command.future.done():
                command.future.set_exception(StoreOutcomeUnknown("the write took too long; its outcome is unknown"))
        self._forget_answered()
        if self._queued:
            self._expiry = self._loop.call_later(EXPIRY_INTERVAL_S, self._expire)

    def _forget_answered(self) -> None:
        while self._queued and self._queued[0].future.done():
            self._queued.popleft()


def _resolve(command: Command, outcome: Answer | RowboxError) -> None:
    if isinstance(outcome, RowboxError):
        _fail(command, outcome)
    elif not command.future.done():
        command.future.set_result(outcome)


def _fail(command: Command, error: BaseException) -> None:
    if not command.future.done():
        command.future.set_exception(error)
