"""The bytes of request bodies that are being received, over all connections: one budget, and a limit for each user.

Room for a body is reserved before it is read: as many bytes as it announces or, where it comes in chunks, as many as
have come and a step more. Where the budget is used up, bodies wait in the order in which they came, for a limited time.
A body beyond its user's limit is refused at once, so one user cannot fill the queue for all others.

A body that came together with its head reserves nothing: it is in memory already, and at most one read long
(connection.py).
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Literal, NamedTuple

from rowbox.mailbox.errors import Overloaded
from rowbox.mailbox.settings.config import ServerSettings

RETRY_MS: Final = 1_000


class _Waiter(NamedTuple):
    size: int
    future: "asyncio.Future[None]"


class Bodies:
    """The budget: `most` bytes for all bodies, and `most_per_user` bytes for the bodies of one user."""

    def __init__(self, *, most: int, most_per_user: int) -> None:
        self._most = most
        self._most_per_user = most_per_user
        self._by_user: Counter[str] = Counter()
        self._waiters: deque[_Waiter] = deque()
        self.bytes = 0
        self.refused = 0

    async def reserve(self, user_id: str, size: int, wait_s: float) -> None:
        """Reserves `size` bytes more for this user, and waits up to `wait_s` seconds for room.

        Overloaded, with nothing reserved, where the user's limit is reached or no room came in time.
        """
        if self._by_user[user_id] + size > self._most_per_user:
            raise self._refusal("too much of this user is being received", user_id)
        self._by_user[user_id] += size
        if not self._waiters and self.bytes + size <= self._most:
            self.bytes += size
            return
        try:
            await self._wait(size, wait_s)
        except BaseException as error:
            self._leave(user_id, size)
            if isinstance(error, TimeoutError):
                raise self._refusal("too much is being received", user_id) from error
            raise

    def release(self, user_id: str, size: int) -> None:
        """Gives back `size` bytes that were reserved for this user."""
        self._leave(user_id, size)
        self.bytes -= size
        self._admit()

    def samples(self) -> Iterator[tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]]:
        """What is being received, for api/telemetry/metrics.py."""
        yield (
            "rowbox_http_bodies_bytes",
            "gauge",
            "Room that request bodies which are being received have.",
            {},
            self.bytes,
        )
        yield (
            "rowbox_http_bodies_limit_bytes",
            "gauge",
            "The room that all request bodies have together.",
            {},
            self._most,
        )
        yield (
            "rowbox_http_refused_bodies_total",
            "counter",
            "Request bodies for which there was no room.",
            {},
            self.refused,
        )

    async def _wait(self, size: int, wait_s: float) -> None:
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(wait_s):
                await waiter.future
        except BaseException:
            if waiter.future.done() and not waiter.future.cancelled():
                self.bytes -= size  # the room was given in the same moment in which the wait ended
            with suppress(ValueError):
                self._waiters.remove(waiter)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiters and self.bytes + self._waiters[0].size <= self._most:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                self.bytes += waiter.size
                waiter.future.set_result(None)

    def _leave(self, user_id: str, size: int) -> None:
        self._by_user[user_id] -= size
        if not self._by_user[user_id]:
            del self._by_user[user_id]

    def _refusal(self, message: str, user_id: str) -> Overloaded:
        self.refused += 1
        if not self._by_user[user_id]:
            del self._by_user[user_id]
        return Overloaded(message, retry_after_ms=RETRY_MS)


def bodies_of(settings: ServerSettings) -> Bodies:
    """The budget that `settings` give."""
    return Bodies(most=settings.bodies_bytes, most_per_user=settings.bodies_bytes_per_user)
