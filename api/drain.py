"""Stopping without cutting anybody off: whether the process is stopping, and how many requests are in flight."""

import asyncio


class Drain:
    """Shared by the applications, which count, and the server, which waits."""

    def __init__(self) -> None:
        self.has_begun = False
        self.in_flight = 0
        self._idle = asyncio.Event()

    def enter(self) -> None:
        """A request came."""
        self.in_flight += 1

    def leave(self) -> None:
        """It has its answer, or its client left."""
        self.in_flight -= 1
        if self.has_begun and not self.in_flight:
            self._idle.set()

    def begin(self) -> None:
        """From now on each connection is closed after the answer it waits for, and readiness is off."""
        self.has_begun = True

    async def idle(self) -> None:
        """Returns when no request is being answered. Only after `begin`."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()
