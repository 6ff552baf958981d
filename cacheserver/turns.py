"""Long work in slices: the event loop does one slice, of whichever work, between two turns of everything else.

Whoever has much to read, to decode or to encode awaits `next` before each slice of it, which is a millisecond at most.
The slices of all who do so are in one queue, first come first served: a hundred large pages at once take longer, and
nobody who asks for a small thing waits for more than one slice.
"""

import asyncio


class Turns:
    """The queue in which the slices of one event loop wait for their turn."""

    def __init__(self) -> None:
        self._queue = asyncio.Lock()

    async def next(self) -> None:
        """Returns when it is the caller's turn: all callers before it had their slice, and all other tasks a turn."""
        async with self._queue:
            await asyncio.sleep(0)
