"""Ranges of the memory store that fall silent, one by one, when a test says so.

A call with rows of a silent range waits until the range answers again, or for `deadline_s`. After that its writes there
are late, and it raises what a store raises at a call's deadline.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from rowbox.mailbox.errors import StoreUnavailable


class MemoryRanges:
    """The Ranges (cacheserver/stores/port.py) of a memory store.

    `firsts` has the first key of each range, in ascending order; the first of them is b"".
    """

    def __init__(self, firsts: Sequence[bytes], deadline_s: float = 5.0) -> None:
        self._firsts = list(firsts)
        self.deadline_s = deadline_s
        self._silent: dict[bytes, asyncio.Event] = {}
        self.probed: list[bytes] = []
        """The ranges of all probes so far."""

    def __len__(self) -> int:
        return len(self._firsts)

    def of(self, row: bytes) -> bytes:
        return self._firsts[bisect_right(self._firsts, row) - 1]

    async def refresh(self) -> None:
        await asyncio.sleep(0)

    async def probe(self, row: bytes, timestamp_ms: int, timeout_s: float) -> None:
        del timestamp_ms
        self.probed.append(self.of(row))
        if not await self.speak([row], timeout_s):
            raise StoreUnavailable("a range is silent, as the test asked for")

    def silence(self, *firsts: bytes) -> None:
        """Makes these ranges, named by their first keys, silent: calls with rows of them get no answer."""
        for first in firsts:
            self._silent.setdefault(first, asyncio.Event())

    def restore(self) -> None:
        """Lets all ranges answer again. Calls that wait for them go on."""
        for event in self._silent.values():
            event.set()
        self._silent.clear()

    def is_silent(self, row: bytes) -> bool:
        """Whether the row's range is silent."""
        return self.of(row) in self._silent

    async def speak(self, rows: Iterable[bytes], timeout_s: float) -> bool:
        """Waits until the ranges of all `rows` answer, for up to `timeout_s`. Returns whether they all do."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(timeout_s):
                for first in {self.of(row) for row in rows}:
                    if first in self._silent:
                        await self._silent[first].wait()
        except TimeoutError:
            return False
        return True
