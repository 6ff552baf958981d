"""Presence in a real Redis that is killed, paused and flushed while messages are sent: it costs dots, and no message.

Everything goes five times as fast here; at its own pace, in virtual time, tests/unit/cacheserver/ephemeral has the
promise that all is right within 15 s.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rowbox.cacheserver.ephemeral import beats, redis_store, watches
from rowbox.cacheserver.ephemeral.redis_store import RedisEphemeral
from rowbox.cacheserver.ephemeral.store import EphemeralAway
from rowbox.cacheserver.owner.owner import Owner
from tests.contract.redis_server import DEADLINE_S, RedisServer, redis_server
from tests.http.api import Api, serving
from tests.http.sockets.talk import Talk, opened
from tests.support.cluster import cluster

pytestmark = [pytest.mark.integration, pytest.mark.tools("redis-server")]

RIGHT_WITHIN_S = 15.0
ONLINE = {"online": True, "lastSeen": None}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as redis:
        yield redis


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    async with cluster(late=False) as made:
        yield made.node.owner


class Load:
    """Sends all the time, and remembers what was not confirmed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.sent = 0
        self.failed: list[int] = []

    async def run(self) -> None:
        while True:
            answer = await self._api.send(f"load-{self.sent}", sender="alice", recipient="bob")
            self.sent += 1
            if answer.status != 201:
                self.failed.append(answer.status)
            await asyncio.sleep(0.02)


async def told(talk: Talk) -> Any:
    """What alice is told of bob next."""
    while True:
        frame = await talk.hears()
        if frame["t"] == "presence":
            return frame["users"]["bob"]


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def comes(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():  # noqa: ASYNC110 - another process has it, and no event tells of it
        await asyncio.sleep(0.05)


@pytest.fixture
def five_times_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((beats, "ROUND_S"), (beats, "EACH_S"), (watches, "ROUND_S"), (redis_store, "AGAIN_S")):
        monkeypatch.setattr(module, name, getattr(module, name) / 5)


@pytest.mark.usefixtures("five_times_as_fast")
async def test_redis_killed_paused_and_flushed_under_load(server: RedisServer, owner: Owner) -> None:
    await server.answers()
    async with serving(owner, ephemeral=RedisEphemeral(server.url, "test")) as api:
        load = Load(api)
        sending = asyncio.create_task(load.run())
        await asyncio.sleep(0.1)
        async with opened(api, "bob") as bob, opened(api, "alice") as alice:
            looking = asyncio.create_task(_looks(bob))
            await alice.say(t="watch", users=["bob"])
            async with within(DEADLINE_S):
                while await told(alice) != ONLINE:
                    pass

            server.tell(signal.SIGKILL)
            async with within(DEADLINE_S):
                assert await told(alice) is None
            answer = await api.get("/v1/fetchPresence?userIds=bob")
            assert (answer.status, answer.json()) == (200, {"users": {"bob": None}})
            assert (await api.admin("/readyz")).status == 200
            assert b"rowbox_ephemeral_up 0.0" in (await api.admin("/metrics")).body
            server.start()
            await server.answers()
            async with within(RIGHT_WITHIN_S):
                assert await told(alice) == ONLINE

            server.tell(signal.SIGSTOP)
            async with within(DEADLINE_S):
                assert await told(alice) is None
            server.tell(signal.SIGCONT)
            async with within(RIGHT_WITHIN_S):
                assert await told(alice) == ONLINE
            assert b"rowbox_ephemeral_up 1.0" in (await api.admin("/metrics")).body

            await server.flush()

            async def is_shown() -> bool:
                shown = (await api.get("/v1/fetchPresence?userIds=bob")).json()
                return bool(shown["users"]["bob"] == ONLINE)

            async with within(RIGHT_WITHIN_S):
                await comes(is_shown)
            looking.cancel()
        sending.cancel()
        await asyncio.gather(sending, looking, return_exceptions=True)
        assert load.failed == []
        assert load.sent > 50


async def _looks(talk: Talk) -> None:
    """A page that somebody looks at."""
    while True:
        await talk.say(t="ping", active=True)
        await asyncio.sleep(0.5)


async def test_a_redis_that_is_silent_holds_nobody_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks while it is known to be silent is told so at once; and it is asked again by itself."""
    monkeypatch.setattr(redis_store, "AGAIN_S", 0.3)
    await server.answers()
    store = RedisEphemeral(server.url, "test")
    await store.beat({"ann": 0})
    server.tell(signal.SIGSTOP)
    with pytest.raises(EphemeralAway):
        await store.ages(["ann"])
    failures = store.failures
    for _ in range(100):
        with pytest.raises(EphemeralAway) as caught:
            await store.ages(["ann"])
        assert 0 < caught.value.again_s <= 0.3
    assert (store.is_up, store.failures - failures < 5) == (False, True)
    server.tell(signal.SIGCONT)

    async def answers() -> bool:
        try:
            (age_ms,) = await store.ages(["ann"])
        except EphemeralAway:
            return False
        return age_ms is not None

    async with within(DEADLINE_S):
        await comes(answers)
    await server.flush()  # which forgets the scripts as well
    assert list(await store.ages(["ann"])) == [None]
    await store.beat({"ann": 0})
    assert (await store.ages(["ann"]))[0] is not None
    assert store.is_up
    await store.close()
