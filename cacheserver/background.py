"""Work that a server does by itself, in rounds: scans, removals, purges, figures, beats.

One class owns every such loop. While each had a loop of its own, each had a way of its own to end: an error that nobody
had expected ended the task, and nobody heard of it. The rules here:

- A round that fails is logged and counted, and another round follows, after a pause that grows.
- A loop logs at most one failure in REPORT_EVERY_S. The line says how many there were since the last one.
- Only `close` ends a loop. A store that is broken for good is counted like any failure and not logged: the store told
  whoever runs it, once, and the process is about to end.

What else runs by itself in a server is no round of anything, and each has an end: it is awaited by somebody (a load, a
commit, a reading of keys), or it ends when what it is about does (the probes of a range that does not answer, for which
every failure is an answer: stores/quarantine.py). Reading the keys again at SIGHUP waits for a signal, not for a time.
tests/house/test_tasks.py lists them, and fails on a task or a timer that is not in its list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError, StoreDamaged, StoreUnusable

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
REPORT_EVERY_S = 60.0

Work = Callable[[], Awaitable[float | None]]
"""Does one round. Returns the pause before the next round in seconds; None: until the loop is woken."""


class BackgroundLoop:
    """One kind of work, in rounds that only `close` ends.

    `name` is the task's, and the metrics' label: one word that an operator understands.
    """

    def __init__(self, name: str, work: Work) -> None:
        self.name = name
        self._work = work
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures_in_a_row = 0
        self._reported_at_s = float("-inf")
        self._unreported = 0
        self.rounds = 0
        """Rounds that ended without an error."""
        self.failures = 0

    def start(self) -> None:
        """Begins the first round now. Does nothing to a loop that runs already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Ends the pause before the next round; a round under way is followed by another at once.

        The pause after a failure is not cut short: what wakes a loop may come more often than its work can be tried.
        """
        self._wake.set()

    async def close(self) -> None:
        """Cancels the loop, whatever its round is at, and waits for its end. A second call does nothing.

        A round in which the cancellation is lost ends the loop behind itself (asyncio.wait_for of Python 3.11 loses it
        where what it waits for ends in the same moment, and libraries call it).
        """
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        task = asyncio.current_task()
        while True:
            self._wake.clear()
            pause_s = failed_s = None
            try:
                pause_s = await self._work()
            except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and the next round may do better
                failed_s = self._failed(error)
            else:
                self.rounds += 1
                self._failures_in_a_row = 0
            if self._task is not task:  # its cancellation was lost (task.cancelling counts those of groups as well)
                return
            if failed_s is not None:
                await asyncio.sleep(failed_s)
            else:
                await self._pause(pause_s)

    async def _pause(self, pause_s: float | None) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _failed(self, error: Exception) -> float:
        """Counts a failure and tells of it; the pause that follows, in seconds."""
        self.failures += 1
        if not isinstance(error, StoreUnusable) or isinstance(error, StoreDamaged):
            self._report(error)
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failures_in_a_row, 16)))
        self._failures_in_a_row += 1
        return pause_s

    def _report(self, error: Exception) -> None:
        self._unreported += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._reported_at_s >= REPORT_EVERY_S:
            unexpected = None if isinstance(error, RowboxError) else error
            text = "background work (%s) failed, %d times since this was last said; it is tried again: %r"
            log.error(text, self.name, self._unreported, error, exc_info=unexpected)
            self._reported_at_s, self._unreported = now_s, 0


def background_samples(loops: Iterable[BackgroundLoop]) -> Iterable[Sample]:
    """How many rounds each loop has done, and how many failed, for the metrics."""
    for loop in loops:
        of_loop = {"loop": loop.name}
        yield (
            "rowbox_background_rounds_total",
            "counter",
            "Rounds of background work that were done.",
            of_loop,
            loop.rounds,
        )
        text = "Rounds of background work that failed and are tried again."
        yield "rowbox_background_failures_total", "counter", text, of_loop, loop.failures
