"""Users one of whom is there all the time, while Redis goes away under a load of sends, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.redis_server import PORT, RedisServer
from tests.integration.cluster.support.steady import Request, Steady, failures
from tests.integration.people.presence_history import JUDGED_S, Shown, presence_breaches, right_after
from tests.integration.support.client import UNKNOWN_OUTCOME, Refused
from tests.integration.support.server_process import DEADLINE_S

_BEAT_S: Final = 2.0
_LOOK_S: Final = 0.25
_STAYS_S: Final = 1.0
"""For so long it has to go on being right."""
_WRITERS: Final = 4
_SENDS_S: Final = 60.0
"""Within this time each writer has a send confirmed, Redis or no Redis: what else the machine does may delay one."""
_MOST_FAILED: Final = 0.25
"""Part of the requests that fail at their first try, on a machine that is busy with something else."""


class Watching:
    """`begin` it, then `run` it in a task; `without_redis` when nothing else is wrong, which ends that."""

    def __init__(self, fleet: Fleet, name: str, random: Random) -> None:
        """`name`: its users' begin with that."""
        self.shown: list[Shown] = []
        self.took_s: float | None = None
        """How long all was not right after Redis was back."""
        self.requests = 0
        """While Redis was away, and until all was right."""
        self.users = [f"{name}-{kind}" for kind in ("active", "never", "watcher")]
        self.writers = [f"{name}-writer-{number}" for number in range(_WRITERS)]
        self._fleet = fleet
        self._random = random
        self._failed: list[Request] = []
        self._back_s = float("inf")
        self._is_over = asyncio.Event()
        """All that is judged was shown."""

    async def begin(self) -> None:
        """Who watches is in a conversation with each of the two."""
        active, never, watcher = self.users
        for other in (active, never):
            await self._fleet.client(watcher).send(other, "hello", f"hello-{other}")

    async def run(self) -> None:
        """Until `without_redis` has ended: what a busy machine delays behind that says nothing of Redis."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._is_there())
            tasks.create_task(self._look())

    async def without_redis(self, redis: RedisServer) -> None:
        """Kills it under load; starts it once somebody is told that nothing is known, and each writer has sent without
        it; returns once all is right.
        """
        async with self._load() as load:
            await self._comes_to(lambda: self._newest() is True, JUDGED_S)
            await redis.kill()
            killed_s = time.monotonic()
            await self._comes_to(lambda: self._newest() is None, JUDGED_S)
            await self._comes_to(lambda: self._all_sent_since(load, killed_s), _SENDS_S)
            await redis.start()
            await _answers(redis)
            self._back_s = time.monotonic()
            with suppress(TimeoutError):
                await self._comes_to(self._stays_right, JUDGED_S + _STAYS_S)
        self.took_s = right_after(self.shown, self.users[0], self._back_s)
        self._is_over.set()

    def breaches(self) -> list[str]:
        """In what was shown, and where requests failed."""
        active, never, _ = self.users
        found = presence_breaches(self.shown, active, never, self._back_s)
        if len(self._failed) > _MOST_FAILED * self.requests:
            found.append(f"failed: {len(self._failed)} of {self.requests} requests, {self._failed[:3]}")
        return found

    @asynccontextmanager
    async def _load(self) -> AsyncIterator[Steady]:
        steady = Steady(self._fleet.client, self.writers, self._random)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(steady.run())
            yield steady
            steady.finish()
        self.requests = len(steady.requests)
        self._failed = failures(steady.requests)

    @property
    def failed(self) -> int:
        """How many of the requests failed at their first try."""
        return len(self._failed)

    def _all_sent_since(self, load: Steady, moment_s: float) -> bool:
        return {one.user_id for one in load.requests if one.began_s > moment_s and not one.failure} == {*self.writers}

    async def _is_there(self) -> None:
        client = self._fleet.client(self.users[0])
        while not self._is_over.is_set():
            with suppress(*UNKNOWN_OUTCOME, Refused):
                await client.heartbeat()
            await asyncio.sleep(_BEAT_S)

    async def _look(self) -> None:
        active, never, watcher = self.users
        client = self._fleet.client(watcher)
        while not self._is_over.is_set():
            asked_s = time.monotonic()
            with suppress(*UNKNOWN_OUTCOME, Refused):
                answer = await client.presence(active, never)
                if self._is_over.is_set():
                    return
                for user_id, one in answer.items():
                    self.shown.append(Shown(user_id, asked_s, None if one is None else one.online))
            await asyncio.sleep(_LOOK_S)

    def _newest(self) -> bool | None:
        return next((one.online for one in reversed(self.shown) if one.user_id == self.users[0]), None)

    def _stays_right(self) -> bool:
        took_s = right_after(self.shown, self.users[0], self._back_s)
        return took_s is not None and time.monotonic() > self._back_s + took_s + _STAYS_S

    async def _comes_to(self, is_so: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110 - a server has it
                await asyncio.sleep(_LOOK_S / 5)


async def _answers(redis: RedisServer) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(redis.place.address, PORT)
                writer.write(b"PING\r\n")
                answer = await reader.readline()
                writer.close()
                if answer == b"+PONG\r\n":
                    return
            await asyncio.sleep(_LOOK_S / 5)
