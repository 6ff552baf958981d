"""The way of a batch to the store and back: a store call, the check of ownership, memory, then the answers.

Ownership is checked before each call and again after the store's yes, before anything is applied or answered
(docs/consistency.md, rule 4).
After an unknown outcome the owner leaves its epoch and drops the rows (rule 6): the next load finds what was written.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.commit.batch import Batch, resolve
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.stores.port import RowMutation, Store
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.plan import Plan, Sent
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreOutcomeUnknown, StoreUnavailable, StoreUnusable
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)


@dataclass
class CommitCounters:
    """What a Committer has done so far; every number only rises."""

    commands: int = 0
    batches: int = 0
    rows: int = 0
    cells: int = 0
    seconds: float = 0.0
    unknown_outcomes: int = 0
    sends: int = 0
    """Sends that made a message."""
    send_store_calls: int = 0
    """Store calls that sends waited for, one after the other: those of the sends, and those that delivered them."""

    def add(self, command: Command, answer: CommandResult | RowboxError) -> None:
        """Counts a command that is being answered with `answer`."""
        if isinstance(answer, Sent) and answer.message is not None:
            self.sends += 1
            self.send_store_calls += command.store_calls
        elif isinstance(answer, int):
            self.send_store_calls += answer * command.store_calls


class Committer:
    """Takes batches to the store, one call for each lane at a time.

    `on_applied(row, plan)` runs after each mutation became visible.
    """

    def __init__(
        self,
        store: Store,
        table: Table,
        cleaner: Cleaner,
        ownership: Ownership,
        clock: StoreClock,
        on_applied: Callable[[Row, Plan], None],
    ) -> None:
        self._store = store
        self._table = table
        self._cleaner = cleaner
        self._ownership = ownership
        self._clock = clock
        self._on_applied = on_applied
        self._loop = asyncio.get_running_loop()
        self.counters = CommitCounters()
        self._failures = Rarely(self._loop.time)

    async def commit(self, batch: Batch) -> None:
        """Writes a batch whose rows are locked, applies it, and answers its commands, with an error if need be.

        What is raised is a bug, or the end of the event loop: the commands were answered StoreOutcomeUnknown before.
        """
        began = self._loop.time()
        try:
            await self._write(batch)
            for command, _ in batch.decided:
                command.store_calls += 1
        except StoreOutcomeUnknown as error:
            self._report(batch, error)
            self._lose(batch, error)
        except (StoreUnavailable, HandoverInProgress) as error:
            self._report(batch, error)
            batch.fail(error)
        except StoreUnusable as error:
            self._report(batch, error)
            # The process is about to stop (the store told whoever runs it); the next one's load says what is true.
            batch.fail(StoreOutcomeUnknown(str(error)))
        except BaseException as error:
            # A bug, or the loop's end: nobody knows what the store did, so nobody may be told that it did nothing.
            self._lose(batch, StoreOutcomeUnknown(f"the write was interrupted: {type(error).__name__}"))
            raise
        else:
            self._apply(batch)
        finally:
            self.counters.seconds += self._loop.time() - began

    def _report(self, batch: Batch, error: RowboxError) -> None:
        """Callers hear their class of error; what the store said stands here. No error's text holds a message's."""
        number = self._failures.count(type(error).__name__)
        if number:
            level = logging.INFO if isinstance(error, HandoverInProgress) else logging.WARNING
            text = "a commit of %d rows failed, %s: %s (%d such since the last line)"
            log.log(level, text, len(batch.plans), error.code, error, number)

    def answer(self, batch: Batch) -> None:
        """Answers the commands, each only if its users are still owned (rule 5: refusals and duplicates too)."""
        for command, answer in batch.decided:
            try:
                for user_id in command.users:
                    self._ownership.check(user_id)
            except RowboxError as error:
                resolve(command, error)
            else:
                self.counters.add(command, answer)
                resolve(command, answer)
        self.counters.commands += len(batch.decided)

    def _check(self, batch: Batch) -> None:
        """HandoverInProgress where a row of the batch is not owned any more."""
        for row in batch.plans:
            try:
                self._ownership.check(row.user_id)
            except HandoverInProgress:
                self._table.drop(row)
                raise

    async def _write(self, batch: Batch) -> None:
        """One call, but for rows that need one of their own (StoreClock): theirs follow, one after the other.

        The check comes before each of them: whoever sleeps in the first may wake a day later.
        """
        apart = [] if not self._store.late_writes else [r for r, p in batch.plans.items() if self._is_ahead(p)]
        together = [row for row in batch.plans if row not in apart]
        calls = [rows for rows in (together, *([row] for row in apart)) if rows]
        for number, rows in enumerate(calls):
            try:
                self._check(batch)
                timestamp_ms = self._clock.next_ms(max([batch.plans[row].head for row in rows]))
                await self._store.mutate(self._mutations(batch, rows), timestamp_ms)
            except StoreOutcomeUnknown:
                raise
            except (StoreUnavailable, HandoverInProgress) as error:
                if number == 0:
                    raise
                raise StoreOutcomeUnknown(f"a part of the write is there, the other is not: {error}") from error

    def _is_ahead(self, plan: Plan) -> bool:
        return self._clock.is_ahead(plan.head)

    def _mutations(self, batch: Batch, rows: Sequence[Row]) -> list[RowMutation]:
        mutations = [RowMutation(row.key, list(map(codec.encode, batch.plans[row].cells()))) for row in rows]
        self.counters.batches += 1
        self.counters.rows += len(mutations)
        self.counters.cells += sum([len(puts) for _, puts in mutations])
        return mutations

    def _lose(self, batch: Batch, error: StoreOutcomeUnknown) -> None:
        self.counters.unknown_outcomes += 1
        self._ownership.leave_epoch()
        self._table.load_few()
        for row in batch.plans:
            self._table.drop(row)
        batch.fail(error)

    def _apply(self, batch: Batch) -> None:
        """Makes the batch visible, row by row, where the rows are still owned; then answers."""
        for row, plan in batch.plans.items():
            mailbox = row.mailbox
            assert mailbox is not None
            try:
                self._ownership.check(row.user_id)
            except RowboxError:
                self._table.drop(row)
                continue
            mailbox.apply(plan)
            stale = mailbox.take_stale(plan)
            if stale:
                columns = [(Family.INDEX, keys.state_qualifier(*cell)) for cell in stale]
                self._cleaner.remove(row.key, columns, mailbox.head)
            self._table.account(row)
            self._on_applied(row, plan)
        self.answer(batch)
