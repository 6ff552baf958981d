"""The way of a batch to the store and back: a store call, the check of each row's grant, memory, then the answers.

Grants are checked before each call and again after the store's yes, before anything is applied or answered
(docs/consistency.md, rule 4).
After an unknown outcome the rows are dropped and the epochs of their grants are left (rule 6): the next load finds what
was written.

A batch fails row by row: a row that is owned no more, or whose call fails, fails the commands that need it and no
others. Where the store commits several rows at once, a batch is one call and one outcome, because a command may have
several rows.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rowbox.cacheserver.cache.commands import Command, CommandResult
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.commit.batch import Batch, resolve
from rowbox.cacheserver.commit.durations import Durations
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.stores.port import RowMutation, Store
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.plan import Plan, Sent
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreOutcomeUnknown, StoreUnavailable, StoreUnusable
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

_NONE: Final[Mapping[Row, RowboxError]] = {}


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
        clock: StoreClock,
        on_applied: Callable[[Row, Plan], None],
    ) -> None:
        self._store = store
        self._table = table
        self._cleaner = cleaner
        self._clock = clock
        self._on_applied = on_applied
        self._loop = asyncio.get_running_loop()
        self.counters = CommitCounters()
        self.durations = Durations()
        """Of writing store calls, as `counters.seconds` is their sum."""
        self._failures = Rarely(self._loop.time)

    async def commit(self, batch: Batch) -> None:
        """Writes a batch whose rows are locked, applies what the store took, and answers its commands.

        What is raised is a bug, or the end of the event loop: the commands were answered StoreOutcomeUnknown before.
        """
        began = self._loop.time()
        failed: dict[Row, RowboxError] = {}
        try:
            for rows in self._calls(batch):
                await self._write(batch, rows, failed)
        except BaseException as error:
            # A bug, or the loop's end: nobody knows what the store did, so nobody may be told that it did nothing.
            unknown = StoreOutcomeUnknown(f"the write was interrupted: {type(error).__name__}")
            self._lose([row for row in batch.plans if row not in failed])
            batch.fail(unknown)
            raise
        else:
            for command, _, _ in batch.decided:
                command.store_calls += 1
            self._apply(batch, failed)
        finally:
            took_s = self._loop.time() - began
            self.counters.seconds += took_s
            self.durations.add(took_s)

    def _report(self, rows: Sequence[Row], error: RowboxError) -> None:
        """Callers hear their class of error; what the store said stands here. No error's text holds a message's."""
        number = self._failures.count(type(error).__name__)
        if number:
            level = logging.INFO if isinstance(error, HandoverInProgress) else logging.WARNING
            text = "a commit of %d rows failed, %s: %s (%d such since the last line)"
            log.log(level, text, len(rows), error.code, error, number)

    def answer(self, batch: Batch, failed: Mapping[Row, RowboxError] = _NONE) -> None:
        """Answers the commands, each only if its rows' grants still hold (rule 5: refusals and duplicates too).

        Those of a row that has failed get its error.
        """
        for command, rows, answer in batch.decided:
            try:
                for row in rows:
                    if row in failed:
                        raise failed[row]
                    row.grant.check()
            except RowboxError as error:
                batch.has_refused = True
                resolve(command, error)
            else:
                self.counters.add(command, answer)
                resolve(command, answer)
        self.counters.commands += len(batch.decided)

    def _calls(self, batch: Batch) -> Iterator[Sequence[Row]]:
        """The rows of each store call: one call, and one for each row that needs a call of its own (StoreClock)."""
        if not self._store.late_writes:
            yield list(batch.plans)
            return
        apart = [row for row, plan in batch.plans.items() if self._is_ahead(plan)]
        together = [row for row in batch.plans if row not in apart] if apart else list(batch.plans)
        if together:
            yield together
        for row in apart:
            yield [row]

    async def _write(self, batch: Batch, rows: Sequence[Row], failed: dict[Row, RowboxError]) -> None:
        """One store call. Rows that are not written for sure get an error in `failed`.

        The check comes before each call: whoever sleeps in the first may wake a day later. Where the outcome of a call
        is unknown, the calls after it are not made: each might take as long.
        """
        if any(isinstance(error, StoreOutcomeUnknown) for error in failed.values()):
            failed.update(dict.fromkeys(rows, StoreUnavailable("the write before this one has not ended")))
            return
        owned = self._owned(rows, failed)
        if not owned:
            return
        try:
            timestamp_ms = self._clock.next_ms(max([batch.plans[row].head for row in owned]))
            await self._store.mutate(self._mutations(batch, owned), timestamp_ms)
        except StoreOutcomeUnknown as error:
            self._report(owned, error)
            self._lose(owned)
            failed.update(dict.fromkeys(owned, error))
        except StoreUnavailable as error:
            self._report(owned, error)
            failed.update(dict.fromkeys(owned, error))
        except StoreUnusable as error:
            self._report(owned, error)
            # The process is about to stop (the store told whoever runs it); the next one's load says what is true.
            failed.update(dict.fromkeys(owned, StoreOutcomeUnknown(str(error))))

    def _owned(self, rows: Sequence[Row], failed: dict[Row, RowboxError]) -> Sequence[Row]:
        """Those of `rows` whose grants hold. The others are dropped, and have failed."""
        refused: dict[Row, RowboxError] = {}
        for row in rows:
            try:
                row.grant.check()
            except HandoverInProgress as error:
                self._table.drop(row)
                refused[row] = error
        if not refused:
            return rows
        self._report(list(refused), next(iter(refused.values())))
        failed.update(refused)
        return [row for row in rows if row not in refused]

    def _is_ahead(self, plan: Plan) -> bool:
        return self._clock.is_ahead(plan.head)

    def _mutations(self, batch: Batch, rows: Sequence[Row]) -> list[RowMutation]:
        mutations = [RowMutation(row.key, list(map(codec.encode, batch.plans[row].cells()))) for row in rows]
        self.counters.batches += 1
        self.counters.rows += len(mutations)
        self.counters.cells += sum([len(puts) for _, puts in mutations])
        return mutations

    def _lose(self, rows: Sequence[Row]) -> None:
        """Nobody knows whether these rows were written."""
        self.counters.unknown_outcomes += 1
        for grant in {row.grant for row in rows}:
            grant.leave_epoch()
        self._table.load_few()
        for row in rows:
            self._table.drop(row)

    def _apply(self, batch: Batch, failed: Mapping[Row, RowboxError]) -> None:
        """Makes what was written visible, row by row, where the grants still hold; then answers."""
        for row, plan in batch.plans.items():
            if row in failed:
                continue
            try:
                row.grant.check()
            except RowboxError:
                self._table.drop(row)
                continue
            mailbox = row.mailbox
            assert mailbox is not None
            mailbox.apply(plan)
            stale = mailbox.take_stale(plan)
            if stale or plan.superseded:
                columns = [(Family.INDEX, keys.state_qualifier(*cell)) for cell in stale]
                columns += [codec.encode(cell)[:2] for cell in plan.superseded]
                self._cleaner.remove(row.key, columns, mailbox.head)
            self._table.account(row)
            self._on_applied(row, plan)
        self.answer(batch, failed)
