"""Hints by a real Redis, which is killed, paused, flushed and started again. It is never more than a hint."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from rowbox.cacheserver.routing.redis_hints import RedisHints
from tests.contract.redis_server import DEADLINE_S, RedisServer, redis_server

pytestmark = [pytest.mark.integration, pytest.mark.tools("redis-server")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as redis:
        yield redis


class Pair:
    """One process that tells versions and one that hears them."""

    def __init__(self, url: str) -> None:
        self.heard: list[int] = []
        self.teller = RedisHints(url, "test", lambda _: None)
        self.hearer = RedisHints(url, "test", self.heard.append)
        self.teller.start()
        self.hearer.start()

    async def hears(self, version: int) -> None:
        """Each version is published once, and one that nobody listened to is lost: so tell rising ones."""
        async with asyncio.timeout(DEADLINE_S):
            while not (self.heard and self.heard[-1] >= version):
                version += 1
                self.teller.tell(version)
                await self._a_while()

    async def listens(self, *, is_listening: bool) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.hearer.is_listening is not is_listening:
                await self._a_while()

    async def fails(self) -> None:
        before = self.teller.failures
        async with asyncio.timeout(DEADLINE_S):
            while self.teller.failures == before:
                self.teller.tell(self.teller._newest + 1)
                await self._a_while()

    async def close(self) -> None:
        await self.teller.close()
        await self.hearer.close()

    @staticmethod
    async def _a_while() -> None:
        await asyncio.sleep(0.05)


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[Pair]:
    pair = Pair(server.url)
    yield pair
    await pair.close()


async def test_a_version_that_is_told_is_heard(pair: Pair) -> None:
    await pair.listens(is_listening=True)
    pair.teller.tell(7)
    await pair.hears(7)


async def test_what_is_no_version_is_ignored(server: RedisServer, pair: Pair) -> None:
    await pair.listens(is_listening=True)
    client = Redis.from_url(server.url)
    for nonsense in (b"", b"x", b"-1", b"1" * 21, b"\xff"):
        await client.publish("rowbox:test:map", nonsense)
    await client.publish("rowbox:another:map", b"9")
    await client.aclose()
    pair.teller.tell(3)
    await pair.hears(3)
    assert all(0 < version < 1000 for version in pair.heard)


async def test_a_redis_that_is_killed_and_comes_back_is_used_again(server: RedisServer, pair: Pair) -> None:
    await pair.hears(1)
    server.tell(signal.SIGKILL)
    await pair.listens(is_listening=False)
    await pair.fails()
    server.start()
    await pair.listens(is_listening=True)
    await pair.hears(1000)


async def test_a_redis_that_is_paused_is_given_up_and_used_again(server: RedisServer, pair: Pair) -> None:
    await pair.hears(1)
    server.tell(signal.SIGSTOP)
    await pair.fails()
    await pair.listens(is_listening=False)
    server.tell(signal.SIGCONT)
    await pair.listens(is_listening=True)
    await pair.hears(1000)


async def test_a_redis_that_is_flushed_loses_nothing(server: RedisServer, pair: Pair) -> None:
    await pair.hears(1)
    client = Redis.from_url(server.url)
    await client.flushall()
    await client.aclose()
    await pair.hears(1000)


async def test_telling_never_waits_and_the_log_is_bounded(
    server: RedisServer, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await pair.hears(1)
    server.tell(signal.SIGKILL)
    for _ in range(3):
        await pair.fails()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for version in range(2_000, 12_000):
        pair.teller.tell(version)
    assert loop.time() - began_s < 1
    assert len(caplog.records) <= 4  # one of each kind in a minute, of each of the two
