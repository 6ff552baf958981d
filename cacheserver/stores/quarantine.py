"""Ranges of the store that do not answer are kept apart, so that what waits for them holds up nobody else.

A range (Ranges in port.py: a table's region) works or fails as one. Each range is in one of three states:

    open      no call has complained of it; almost always all ranges are open
    suspect   a call that holds rows of it failed, or is without an answer for `patience_s`: its rows wait
    away      it has not answered probes for `away_s` either: calls for its rows are refused at once

A call over many ranges that failed does not say which one did: all of them become suspect, and each is probed by a
small call of its own, which those that work answer within milliseconds. A range that is away goes on being probed, with
growing pauses, until it answers. What was asked before a range last proved itself is no complaint.

A store of one range, or one that does not say which ranges it has, has no other range to protect: nothing is done.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.stores.port import Ranges
from rowbox.mailbox.errors import RowboxError, StoreUnavailable

log = logging.getLogger(__name__)

FIRST_TIMEOUT_S = 0.25
"""The timeout of a suspect's first probe. A range that works answers in milliseconds, and others wait for a probe."""
LONGEST_TIMEOUT_S = 2.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SUSPECT_PROBES = 8
"""Probes of suspects at once: a dead server's hundred ranges are told from two hundred others in some 3 s."""
AWAY_PROBES = 2
"""Probes of ranges that are away at once: each may hold a connection until its deadline."""
RETRY_AFTER_MS = 5000
REPORT_EVERY_S = 30.0
REFRESH_EVERY_S = 5.0
"""At most so often, and only when something failed, is the store asked anew which ranges it has."""


class _Shut:
    """A range that is not open. `row`: one of its rows, to probe it with."""

    def __init__(self, row: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.row = row
        self.is_away = False
        self.failed_probes = 0
        self.verdict: asyncio.Future[None] = loop.create_future()
        """Done when the range is no longer suspect."""
        self.hurry = asyncio.Event()


class Quarantine:
    """The states of one store's ranges. The owner closes it by `close`, which ends the probes."""

    def __init__(self, ranges: Ranges | None, clock: StoreClock, *, patience_s: float, away_s: float) -> None:
        self._ranges = ranges
        self._clock = clock
        self.patience_s = patience_s
        self._away_s = away_s
        self._loop = asyncio.get_running_loop()
        self._shut: dict[bytes, _Shut] = {}
        self._proven_s: dict[bytes, float] = {}
        """When each range last answered a probe."""
        self._turns = {False: asyncio.Semaphore(SUSPECT_PROBES), True: asyncio.Semaphore(AWAY_PROBES)}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshed_s = float("-inf")
        self._said_s, self._said = float("-inf"), 0
        """When it was last logged how many are away, and how many."""
        self._report: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = _nothing
        """Called when a range became suspect, away or open, and when a call was found to be overdue."""
        self.probes = 0

    # ------------------------------------------------------------------ what callers ask

    @property
    def is_active(self) -> bool:
        """Whether there is more than one range."""
        return self._ranges is not None and len(self._ranges) > 1

    @property
    def count(self) -> int:
        """How many ranges the store has, as far as is known."""
        return len(self._ranges) if self._ranges is not None else 1

    @property
    def suspects(self) -> int:
        """How many ranges are suspect."""
        return len(self._shut) - self.away

    @property
    def away(self) -> int:
        """How many ranges are away."""
        return sum(shut.is_away for shut in self._shut.values())

    def is_open(self, row: bytes) -> bool:
        """Whether calls may be made for `row`: its range is open."""
        return not self._shut or self._shut_of(row) is None

    def check(self, row: bytes) -> None:
        """StoreUnavailable, and nothing was written, where the row's range is away."""
        shut = self._shut_of(row) if self._shut else None
        if shut is not None and shut.is_away:
            raise StoreUnavailable("this part of the store does not answer", retry_after_ms=RETRY_AFTER_MS)

    async def settled(self, row: bytes) -> None:
        """Returns when the row's range is open. StoreUnavailable when it is away, or found to be so."""
        while self._shut and (shut := self._shut_of(row)) is not None:
            self.check(row)
            await asyncio.shield(shut.verdict)

    def check_between(self, start: bytes, stop: bytes) -> None:
        """StoreUnavailable where a range with rows from `start` to before `stop` is not open."""
        if self._shut and (not self.is_open(start) or any(start < first < stop for first in self._shut)):
            raise StoreUnavailable("a part of the store does not answer", retry_after_ms=RETRY_AFTER_MS)

    # ------------------------------------------------------------------ what is found out

    def complain(self, rows: Iterable[bytes], begun_s: float) -> None:
        """A call over `rows`, begun at `begun_s` of the loop's time, failed, or is overdue."""
        if self._ranges is None or not self.is_active:
            return
        for row in rows:
            first = self._ranges.of(row)
            if first not in self._shut and self._proven_s.get(first, float("-inf")) < begun_s:
                shut = self._shut[first] = _Shut(row, self._loop)
                self._start(self._settle(self._ranges, first, shut))
        self.on_change()

    async def close(self) -> None:
        """Stops probing; whoever waits for a verdict hears that there is none."""
        if self._report is not None:
            self._report.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for shut in self._shut.values():
            shut.is_away = True
            _decide(shut)
        self.on_change()

    def _shut_of(self, row: bytes) -> _Shut | None:
        assert self._ranges is not None
        return self._shut.get(self._ranges.of(row))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name="probe")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, ranges: Ranges, first: bytes, shut: _Shut) -> None:
        """Probes a range until it answers."""
        since_s = self._loop.time()
        timeout_s, pause_s = FIRST_TIMEOUT_S, FIRST_PAUSE_S
        while not await self._answers(ranges, shut, timeout_s):
            timeout_s = min(2 * timeout_s, LONGEST_TIMEOUT_S)
            if not shut.is_away and self._loop.time() - since_s >= self._away_s:
                self._give_up(shut)
            await self._refresh(ranges)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await shut.hurry.wait()
            shut.hurry.clear()
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._open(first, shut)

    async def _answers(self, ranges: Ranges, shut: _Shut, timeout_s: float) -> bool:
        async with self._turns[shut.is_away]:
            self.probes += 1
            try:
                await ranges.probe(shut.row, self._clock.next_ms(), timeout_s)
            except RowboxError:
                return False
            except Exception:
                log.exception("a part of the store could not be probed")
                return False
        return True

    async def _refresh(self, ranges: Ranges) -> None:
        """A range that split, or became another's, is not to be kept apart under its old bounds."""
        now_s = self._loop.time()
        if now_s - self._refreshed_s < REFRESH_EVERY_S:
            return
        self._refreshed_s = now_s
        with suppress(RowboxError):
            await ranges.refresh()

    def _give_up(self, shut: _Shut) -> None:
        shut.is_away = True
        _decide(shut)
        self._tell()
        self.on_change()

    def _open(self, first: bytes, shut: _Shut) -> None:
        self._proven_s[first] = self._loop.time()
        del self._shut[first]
        _decide(shut)
        if shut.is_away:
            self._tell()
            for other in self._shut.values():  # a server that came back brings all of its ranges with it
                other.hurry.set()
        self.on_change()

    # ------------------------------------------------------------------ what is told

    def _tell(self) -> None:
        """A line about what is away, one in REPORT_EVERY_S at most: what follows meanwhile is told then."""
        if self._report is None:
            at_s = max(self._loop.time(), self._said_s + REPORT_EVERY_S)
            self._report = self._loop.call_at(at_s, self._say)

    def _say(self) -> None:
        self._report = None
        if self.away == self._said:
            return
        self._said_s, self._said = self._loop.time(), self.away
        if self.away:
            rows = [shut.row.decode(errors="replace") for shut in self._shut.values() if shut.is_away]
            text = "%d of %d ranges of the store do not answer; one of them holds %s"
            log.error(text, len(rows), self.count, rows[0])
        else:
            log.warning("all ranges of the store answer again")


def _decide(shut: _Shut) -> None:
    if not shut.verdict.done():
        shut.verdict.set_result(None)


def _nothing() -> None:
    """Nobody wants to hear of changes."""
