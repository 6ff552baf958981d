"""A start and a stop that cut nobody off: whether clients are to come, and how many requests are in flight.

Code that waits for a client, or for anybody but the owner, waits within `patience`, which ends when the stop begins.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Literal


class Drain:
    """Shared by the applications, which count their requests, and the server, which waits for these to end."""

    def __init__(self) -> None:
        self.is_open = False
        """Whether clients can connect, or could until the stop began."""
        self.has_begun = False
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._patience: set[asyncio.Timeout] = set()
        self._when_begun: list[Callable[[], object]] = []

    def when_begun(self, call: Callable[[], object]) -> None:
        """Has `call` made as soon as the stop begins: by whoever holds clients for longer than a request."""
        self._when_begun.append(call)

    def open(self) -> None:
        """Clients can connect from now on."""
        self.is_open = True

    def enter(self) -> None:
        """A request began."""
        self.in_flight += 1

    def leave(self) -> None:
        """A request ended: it has its answer, or its client left."""
        self.in_flight -= 1
        if self.has_begun and not self.in_flight:
            self._idle.set()

    def begin(self) -> None:
        """The stop begins: readiness is off, and each connection is closed after the answer it waits for."""
        self.has_begun = True
        now = asyncio.get_running_loop().time()
        for timeout in self._patience:
            if not timeout.expired():
                timeout.reschedule(now)
        calls, self._when_begun = self._when_begun, []
        for call in calls:
            call()

    def samples(self) -> Iterator[tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]]:
        """How many requests are in flight, for api/telemetry/metrics.py."""
        text = "Requests being answered, long polls included."
        yield "rowbox_http_requests_in_flight", "gauge", text, {}, self.in_flight

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Bounds what is awaited within it. TimeoutError after `seconds`, or as soon as the stop begins."""
        async with asyncio.timeout(0 if self.has_begun else seconds) as timeout:
            self._patience.add(timeout)
            try:
                yield
            finally:
                self._patience.discard(timeout)

    async def idle(self) -> None:
        """Returns when no request is in flight. To be called after `begin`."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()
