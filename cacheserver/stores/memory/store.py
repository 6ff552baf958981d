"""The memory store, for tests and simulations: the store port, as an embedded store or with late writes, and with
faults on demand.

It keeps the port's promises and no more: a call yields to the loop, a scan is not atomic, and with `late_writes` a
mutate is atomic per row only, and executes late, twice or partly when a test asks for it (`faults`, `land`). Several
stores may share the same cells: nodes of one cluster, or a process and the one that follows it (`reopen`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Self, TypeVar

from rowbox.cacheserver.stores.memory.cells import MemoryCells
from rowbox.cacheserver.stores.memory.faults import Fault, Faults, Op
from rowbox.cacheserver.stores.memory.gates import Gate, Point
from rowbox.cacheserver.stores.memory.ranges import MemoryRanges
from rowbox.cacheserver.stores.port import Column, Part, Put, RowDelete, RowMutation, StoreStats, part_of
from rowbox.hbase_schema.families import Family, TtlMs
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable, StoreUnusable

_Step = Callable[[], object]
"""Executes one row's part of a write."""
_T = TypeVar("_T")
_UNKNOWN = frozenset({Fault.FAIL_AFTER, Fault.EXECUTE_LATE, Fault.EXECUTE_PARTLY})
_ASKED_FOR = "a fault that the test asked for"


class MemoryStore:
    """A store in memory whose test decides what goes wrong."""

    def __init__(
        self,
        shards: int,
        ttl_ms: TtlMs,
        *,
        late_writes: bool,
        now_ms: Callable[[], int],
        cells: MemoryCells | None = None,
        late: list[_Step] | None = None,
    ) -> None:
        """`cells` and `late` (writes that have not landed yet) may be those of another store, with which they are
        shared.
        """
        self._cells = MemoryCells(shards, ttl_ms, now_ms, by_time=late_writes) if cells is None else cells
        self._late_writes = late_writes
        self._late: list[_Step] = [] if late is None else late
        self.faults = Faults(late_writes=late_writes)
        self.gates = {point: Gate() for point in Point}
        self.ranges: MemoryRanges | None = None
        self._in_flight: set[asyncio.Task[object]] = set()
        self._error: type[StoreUnavailable | StoreUnusable] | None = None
        self.syncs = 0

    @property
    def late_writes(self) -> bool:
        return self._late_writes

    @property
    def shards(self) -> int:
        return self._cells.shards

    # Reading

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        await self._begin_read(row)
        return {family: self._cells.columns(row, family) for family in families}

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        await self._begin_read(row)
        columns = {family: self._cells.columns(row, family) for family in families}
        return columns if sum(map(len, columns.values())) <= most else None

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        await self._begin_read(row)
        wanted = frozenset(qualifiers)
        return [column for column in self._cells.columns(row, family) if column[0] in wanted]

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        await self._begin_read(row)
        found = [column for column in self._cells.columns(row, family) if start <= column[0] < stop][:limit]
        return [(qualifier, b"") for qualifier, _ in found] if keys_only else found

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        await self._begin_read(row)
        found = [column for column in self._cells.columns(row, family) if start <= column[0] < stop]
        return part_of(found[: limit + 1], limit, limit_bytes)

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        found: list[tuple[bytes, list[Column]]] = []
        await self._begin_read()
        for row in self._cells.rows_of(shards):
            if len(found) == limit:
                break
            if after_row is None or row > after_row:
                await self._hear(row)
                await asyncio.sleep(0)  # a scan is not atomic
                if columns := self._cells.columns(row, family):
                    found.append((row, columns))
        return found

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        return [row for row, _ in await self.scan(shards, family, after_row, limit)]

    async def stats(self) -> StoreStats:
        return StoreStats(self._cells.row_count(), -1, -1, -1, self.syncs)

    async def verify(self) -> None:
        await self._begin_read()

    async def close(self) -> None:
        self._error = self._error or StoreUnavailable
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    # Writing

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        _check(mutations)
        steps = [partial(self._cells.put, mutation, timestamp_ms) for mutation in mutations]
        await self._finish(self._write(Op.MUTATE, [mutation.row for mutation in mutations], steps))

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        steps = [partial(self._cells.delete, delete, timestamp_ms) for delete in deletes]
        await self._finish(self._write(Op.DELETE, [delete.row for delete in deletes], steps))

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        put = Put(family, qualifier, value)
        _check([RowMutation(row, [put])])
        step = partial(self._cells.put_if, row, put, expected)
        answers = await self._finish(self._write(Op.COMPARE_AND_SET, [row], [step]))
        return answers[-1] is True

    # For tests only

    def hold(self, point: Point = Point.WRITE) -> None:
        """Stops calls at `point` until `release` is called."""
        self.gates[point].hold()

    def release(self, point: Point = Point.WRITE) -> None:
        self.gates[point].release()

    @property
    def late_count(self) -> int:
        """How many writes, counted by rows, have not landed yet."""
        return len(self._late)

    def land_one(self, position: int = 0) -> None:
        """Executes one of the late writes, one row's part of a call; 0 is the oldest."""
        self._late.pop(position)()

    def land(self) -> None:
        """Executes all late writes, the oldest first."""
        while self._late:
            self.land_one()

    def forget_late(self) -> None:
        """Drops the late writes: they never land."""
        self._late.clear()

    def compact(self) -> None:
        """Does a major compaction (MemoryCells.compact)."""
        self._cells.compact()

    @property
    def cells(self) -> MemoryCells:
        """The cells that have been written, by all that share them."""
        return self._cells

    def snapshot(self) -> MemoryCells:
        """A copy of the cells that have been written: the disk at this moment."""
        return self._cells.copy()

    def beside(self, cells: MemoryCells | None = None) -> Self:
        """Another process's store over the same cells (or over a `snapshot`), with gates and faults of its own."""
        own = self._cells if cells is None else cells
        store = type(self)(
            own.shards, own.ttl_ms, late_writes=self._late_writes, now_ms=own.now_ms, cells=own, late=self._late
        )
        store.ranges = self.ranges
        return store

    def reopen(self, cells: MemoryCells | None = None) -> Self:
        """The process dies now and another one opens the store: writes that had not executed never do.

        With late_writes the ones that wait to land still may. The old store fails from now on.
        """
        self._error = StoreUnavailable
        for task in self._in_flight:
            task.cancel()
        return self.beside(cells)

    async def _begin_read(self, row: bytes | None = None) -> None:
        self._check_usable()
        await self.gates[Point.READ].pass_through()
        if row is not None:
            await self._hear(row)
        if self.faults.take(Op.READ) is not None:
            raise StoreUnavailable(_ASKED_FOR)

    async def _hear(self, row: bytes) -> None:
        """Waits while the row's range is silent. Raises as at a call's deadline."""
        ranges = self.ranges
        if ranges is not None and ranges.is_silent(row) and not await ranges.speak([row], ranges.deadline_s):
            raise StoreUnavailable(_ASKED_FOR)

    async def _finish(self, write: Coroutine[object, object, _T]) -> _T:
        """Runs a write in a task of the store, so that cancelling its caller only ends the waiting."""
        task = asyncio.ensure_future(write)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(task)

    async def _write(self, op: Op, rows: Sequence[bytes], steps: Sequence[_Step]) -> list[object]:
        self._check_usable()
        await self.gates[Point.WRITE].pass_through()
        if self.ranges is not None and any(map(self.ranges.is_silent, rows)):
            return await self._write_to_silent(self.ranges, op, rows, steps)
        fault = self.faults.take(op)
        answers = self._execute(op, fault, steps)
        await self.gates[Point.ANSWER].pass_through()
        self._fail(fault)
        return answers

    async def _write_to_silent(
        self, ranges: MemoryRanges, op: Op, rows: Sequence[bytes], steps: Sequence[_Step]
    ) -> list[object]:
        """Writes the rows whose ranges answer at once, and the others when their ranges answer, or late."""
        silent = [step for row, step in zip(rows, steps, strict=True) if ranges.is_silent(row)]
        answers = self._execute(op, None, [step for step in steps if step not in silent])
        if not await ranges.speak(rows, ranges.deadline_s):
            self._late.extend(silent)
            raise StoreOutcomeUnknown(_ASKED_FOR)
        return answers + self._execute(op, None, silent)

    def _execute(self, op: Op, fault: Fault | None, steps: Sequence[_Step]) -> list[object]:
        """Executes the steps that `fault` lets happen now, and keeps those that happen later."""
        now = {Fault.FAIL_BEFORE: 0, Fault.BREAK: 0, Fault.EXECUTE_LATE: 0, Fault.EXECUTE_PARTLY: len(steps) // 2}
        first = len(steps) if fault is None else now.get(fault, len(steps))
        answers = [step() for step in steps[:first]]
        self.syncs += op is not Op.DELETE and first > 0
        if fault is Fault.EXECUTE_TWICE and op is Op.COMPARE_AND_SET:
            return [step() for step in steps]  # the gateway's own retry: it meets its first try and answers False
        if fault is Fault.EXECUTE_TWICE:
            self._late.extend(steps)
        elif fault in _UNKNOWN:
            self._late.extend(steps[first:])
        return answers

    def _fail(self, fault: Fault | None) -> None:
        if fault is Fault.BREAK:
            self._error = StoreUnusable
        if fault in _UNKNOWN:
            raise StoreOutcomeUnknown(_ASKED_FOR)
        if fault is Fault.FAIL_BEFORE:
            raise StoreUnavailable(_ASKED_FOR)
        if fault is Fault.BREAK:
            raise StoreUnusable(_ASKED_FOR)

    def _check_usable(self) -> None:
        if self._error is not None:
            raise self._error("the store is closed" if self._error is StoreUnavailable else _ASKED_FOR)


def _check(mutations: Sequence[RowMutation]) -> None:
    """ValueError where the call breaks the port's rules for callers. Only this store checks them, because tests run
    over it, and a server need not pay for it.
    """
    rows = [mutation.row for mutation in mutations]
    if len(set(rows)) != len(rows):
        raise ValueError("a row stands twice in one mutate")
    if any(not value for _, puts in mutations for _, _, value in puts):
        raise ValueError("an empty value: Thrift1 cannot tell it from an absent one")
