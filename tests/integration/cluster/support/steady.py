"""Users who send and fetch at a steady pace, and note of each request whether it failed and how long it took.

Nothing is asked again: what fails is a failure. (chat.py does what clients do, and judges what they were told.)
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Final, NamedTuple, TypeVar

from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused

_PACE_S: Final = 0.4
"""Between two requests of one user, on average."""
_T = TypeVar("_T")


class Request(NamedTuple):
    """One. `failure` is "" where it was answered. Times are of time.monotonic()."""

    user_id: str
    began_s: float
    took_s: float
    failure: str

    @property
    def ended_s(self) -> float:
        return self.began_s + self.took_s


class Steady:
    """`run` it in a task, `finish` it in the end."""

    def __init__(self, client: Callable[[str], Client], users: Sequence[str], random: Random) -> None:
        self.requests: list[Request] = []
        self._client = client
        self._users = users
        self._random = random
        self._is_over = asyncio.Event()
        self._name = secrets.token_hex(4)
        """Another load over the same users sends other messages."""

    async def run(self) -> None:
        """Returns once `finish` was called and the last request has ended."""
        async with asyncio.TaskGroup() as tasks:
            for user_id in self._users:
                tasks.create_task(self._use(self._client(user_id)))

    def finish(self) -> None:
        self._is_over.set()

    async def all_answered_since(self, moment_s: float) -> None:
        """Returns when each user has had an answer to a request that began after that."""
        missing = set(self._users)
        seen = 0
        while missing:
            await self._pause(_PACE_S)
            missing -= {one.user_id for one in self.requests[seen:] if not one.failure and one.began_s >= moment_s}
            seen = len(self.requests)

    async def _use(self, client: Client) -> None:
        token: str | None = None
        number = 0
        while not self._is_over.is_set():
            await self._pause(self._random.uniform(0, 2 * _PACE_S))
            number += 1
            if number % 2:
                recipient = self._random.choice(self._users)
                text = f"{self._name}.{client.user_id}.{number}"
                await self._noted(client.user_id, client.send(recipient, text, text))
            else:
                page = await self._noted(client.user_id, client.messages(last_updated_timestamp=token, page_size=20))
                token = page.last_updated_timestamp if page is not None else token

    async def _noted(self, user_id: str, call: Awaitable[_T]) -> _T | None:
        began_s = time.monotonic()
        failure, answer = "", None
        try:
            answer = await call
        except Refused as refused:
            if not refused.problem.retryable:
                raise
            failure = str(refused)
        except UNKNOWN_OUTCOME as error:
            failure = repr(error)
        self.requests.append(Request(user_id, began_s, time.monotonic() - began_s, failure))
        return answer

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._is_over.wait()
        except TimeoutError:
            pass


def between(requests: Iterable[Request], first_s: float, last_s: float) -> list[Request]:
    """Those of which some part lies in the time."""
    return [one for one in requests if one.ended_s >= first_s and one.began_s <= last_s]


def failures(requests: Iterable[Request]) -> list[Request]:
    return [one for one in requests if one.failure]


def percentile(values: Iterable[float], part: float) -> float:
    """The value below which `part` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
