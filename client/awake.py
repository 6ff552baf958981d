"""Noticing that the machine slept: a laptop's lid, a virtual machine that was paused, a process that was stopped.

While it slept its connections died at their other ends, and nobody told it. Timers stood still as well, so a poll that
had 30 seconds left still has them. A tick each second sees it: much more time has passed than a second, by the wall
clock or by the one that never jumps (which counts a sleep on some systems only). A wall clock that was set forward
looks the same, and costs a repetition of what was under way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

TICK_S: Final = 1.0
GAP_S: Final = 5.0
"""A busy loop ticks late by less; a server and what stands between keep a silent connection for longer."""


class MachineSlept(Exception):
    """Why a try was ended that was under way: the cause of its OutcomeUnknown."""


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
        """For ever."""
        while True:
            before = [clock() for clock in self._clocks]
            await asyncio.sleep(self._tick_s)
            if max(clock() - then for clock, then in zip(self._clocks, before, strict=True)) > self._tick_s + GAP_S:
                await self._on_wake()
