"""Noticing that the machine slept: a laptop's lid, a virtual machine that was paused, a process that was stopped.

While a machine sleeps, the other ends of its connections close them, and it does not learn of that. Its timers stand
still as well, so a poll that had 30 seconds left still has them afterwards. A tick each second notices the sleep: much
more than a second has passed since the last tick, by the wall clock or by the monotonic one (which counts a sleep on
some systems only). A wall clock that was set forward looks the same; then the requests under way are made again for
nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

TICK_S: Final = 1.0
GAP_S: Final = 5.0
"""A tick that is later than this means a sleep. A busy loop ticks late by less than this, and servers and networks keep
a silent connection for longer."""


class MachineSlept(Exception):
    """The cause of the OutcomeUnknown of a try that was ended because the machine slept."""


class Alarm:
    """Calls `on_wake` after each sleep, while `run` runs. The clocks count seconds."""

    def __init__(
        self,
        on_wake: Callable[[], Awaitable[None]],
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        tick_s: float = TICK_S,
    ) -> None:
        self._on_wake = on_wake
        self._clocks = (wall_clock, clock)
        self._tick_s = tick_s

    async def run(self) -> None:
        """Watches the clocks for ever. To be ended by cancelling."""
        while True:
            before = [clock() for clock in self._clocks]
            await asyncio.sleep(self._tick_s)
            if max(clock() - then for clock, then in zip(self._clocks, before, strict=True)) > self._tick_s + GAP_S:
                await self._on_wake()
