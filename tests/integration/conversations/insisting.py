"""The way of a client's request to a server that comes and goes: asked again until there is an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from tests.integration.support.client import UNKNOWN_OUTCOME, Refused

_RETRY_S: Final = 0.1
"""After a refusal a client comes back a little later: less than Retry-After asks for, so that no recovery is missed."""
_T = TypeVar("_T")


class Asked(Protocol):
    """What is noted of a request."""

    unknown_outcomes: int
    """Its tries of which nobody knows whether they were done, or still will be."""


class Insisting:
    """`patience_s`: how long one request may go without an answer. `lands_within_s`: for how long after a try was given
    up a server may still do what it asked for.
    """

    def __init__(self, patience_s: float, lands_within_s: float) -> None:
        self.is_up = asyncio.Event()
        """Set while the server runs; whoever kills it clears it before."""
        self.failures: list[str] = []
        """Requests that were not answered, and were made again."""
        self.patience_s = patience_s
        self._lands_within_s = lands_within_s
        self._in_flight: set[asyncio.Future[None]] = set()
        self._given_up_s = float("-inf")

    async def insist(self, call: Callable[[], Awaitable[_T]], asked: Asked | None = None) -> _T:
        """The call's answer, from whichever start of the server gives one. Refused where that is for good."""
        async with asyncio.timeout(self.patience_s):
            while True:
                await self.is_up.wait()
                try:
                    return await self._counted(call)
                except UNKNOWN_OUTCOME as error:
                    self.failures.append(repr(error))
                except Refused as refused:
                    if not refused.problem.retryable:
                        raise
                    self.failures.append(str(refused))
                    await asyncio.sleep(_RETRY_S)
                if asked is not None:
                    asked.unknown_outcomes += 1
                    self._given_up_s = time.monotonic()

    async def has_answers(self) -> None:
        """Returns when each request that is in flight now has been answered, or has failed."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def nothing_lands(self) -> None:
        """Returns when no try that was given up can still be done, if no further one is."""
        left_s = self._given_up_s + self._lands_within_s - time.monotonic()
        await asyncio.sleep(max(0.0, left_s))

    async def _counted(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """One request, in flight meanwhile."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight.add(ended)
        try:
            return await call()
        finally:
            self._in_flight.remove(ended)
            ended.set_result(None)
