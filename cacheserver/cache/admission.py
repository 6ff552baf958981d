"""A bound on how many tasks do something at once: low after a failure, and doubled by each second without one.

Loads over a cluster's store pass it. An outcome that is not known drops hundreds of rows at once, and each row comes
back by a read and a claim. All loads at once would meet the store at the moment at which it has too much to do.
"""

import asyncio
from collections import deque
from types import TracebackType

FEW = 4
"""Tasks let in at once right after a failure: at 5 ms a call, the owner reads and claims 400 rows a second."""


class Admission:
    """Lets `most` tasks at once into its `async with` block, first come, first served; fewer after `narrow`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._narrowed_s: float | None = None

    def narrow(self) -> None:
        """Lets in FEW tasks from now on, because something failed. Tasks that are inside stay."""
        self._narrowed_s = self._loop.time()

    async def __aenter__(self) -> None:
        if not self._waiting and self._inside < self._width():
            self._inside += 1
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in, and gone in the same moment
                self._leave()
            raise

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        width = self._width()
        while self._waiting and self._inside < width:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever waited may have left
                turn.set_result(None)
                self._inside += 1

    def _width(self) -> int:
        if self._narrowed_s is None:
            return self._most
        seconds = int(self._loop.time() - self._narrowed_s)
        width = FEW << min(seconds, 32)
        if width < self._most:
            return width
        self._narrowed_s = None
        return self._most
