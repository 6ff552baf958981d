"""How many may do something at once; few after a failure, and twice as many after each second without another.

For loads over a cluster's store: an outcome that is not known drops hundreds of rows at once, and each comes back by a
read and a claim. All at once they would meet the store at the moment at which it has too much to do.
"""

import asyncio
from collections import deque
from types import TracebackType

FEW = 4
"""Let in at once right after a failure: at 5 ms a call, 400 rows a second are read and claimed."""


class Admission:
    """`async with` it. First come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._narrowed_s: float | None = None

    def narrow(self) -> None:
        """Something failed: lets in few from now on. Those that are inside stay."""
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
