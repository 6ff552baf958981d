"""Long work in slices: one slice, whosever it is, between two turns of everybody else.

Whoever has much to read, to decode or to encode awaits `next` before each slice of it, which is a millisecond at most.
The slices of all who do so are in one queue, first come first served: a hundred large pages at once take longer, and
nobody who asks for a small thing waits for more than one slice.
"""

import asyncio


class Turns:
    """The queue of slices of one event loop. For one event loop."""

    def __init__(self) -> None:
        self._queue = asyncio.Lock()

    async def next(self) -> None:
        """Returns when everybody else had a turn, and all who asked before their slice."""
        async with self._queue:
            await asyncio.sleep(0)
