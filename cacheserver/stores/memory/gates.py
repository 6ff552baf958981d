"""Gates of the memory store, at which a test stops calls on their way and lets them go on, without sleeping.

Every call passes its gates and yields to the loop at each of them, held or not. So code that works only because a store
answers without yielding fails in tests. A gate may also take time of the loop's clock.
"""

import asyncio
from enum import Enum, auto


class Point(Enum):
    """A place on a call's way."""

    READ = auto()
    """A read, before it looks."""
    WRITE = auto()
    """A write, before it executes."""
    ANSWER = auto()
    """A write that has executed (or failed), before its caller is told."""


class Gate:
    """A gate, which is open or held."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = 0
        self.pause_s = 0.0
        """Seconds that a call takes to pass the gate."""

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def pass_through(self) -> None:
        """Yields at least once, and then for as long as the gate is held."""
        await asyncio.sleep(self.pause_s)
        self.waiting += 1
        try:
            while not self._open.is_set():
                await self._open.wait()
        finally:
            self.waiting -= 1
