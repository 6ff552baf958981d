"""What all that carry who types promise: memory, a real Redis, and the memory of another process over a link.

`Pair` is two processes: what one says the other hears, and itself.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from rowbox.cacheserver.ephemeral import redis_signals
from rowbox.cacheserver.ephemeral.redis_signals import RedisSignals
from rowbox.cacheserver.ephemeral.signals import MemorySignals, Signals
from rowbox.cacheserver.remote.signals import RemoteSignals, signals_calls
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from tests.contract.redis_server import DEADLINE_S, RedisServer, redis_server

SECRET = b"a secret of at least 32 bytes, for tests"
ONE, TWO = "1" * 32, "2" * 32
REDIS = [pytest.mark.integration, pytest.mark.tools("redis-server")]


class Pair(NamedTuple):
    says: Signals
    hears: Signals


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[Pair]:
    signals = MemorySignals()
    yield Pair(signals, signals)


@asynccontextmanager
async def started(says: Signals, hears: Signals) -> AsyncIterator[Pair]:
    for one in (says, hears):
        one.start()
    try:
        yield Pair(says, hears)
    finally:
        for one in (says, hears):
            await one.close()


@asynccontextmanager
async def in_redis(folder: Path) -> AsyncIterator[Pair]:
    with redis_server(folder) as server:
        await server.answers()
        async with started(RedisSignals(server.url, "test"), RedisSignals(server.url, "test")) as pair:
            yield pair


@asynccontextmanager
async def over_a_link(folder: Path) -> AsyncIterator[Pair]:
    listener = Listener(Identity("test", "owner"), SECRET, signals_calls(MemorySignals()))
    endpoint = await listener.listen(UnixEndpoint(folder / "o.sock"))
    peers = [Peer(endpoint, Identity("test", name), SECRET) for name in ("api-1", "api-2")]
    for peer in peers:
        peer.start()
    try:
        for peer in peers:
            await peer.up()
        async with started(RemoteSignals(peers[0]), RemoteSignals(peers[1])) as pair:
            yield pair
    finally:
        for peer in peers:
            await peer.close()
        await listener.close()


@pytest.fixture(params=[in_memory, pytest.param(in_redis, marks=REDIS), over_a_link], ids=["memory", "redis", "link"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with request.param(tmp_path) as made:
        yield made


class Ear:
    """What was heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, conversation_id: str, user_id: str) -> None:
        self.heard.append((conversation_id, user_id))


async def comes(is_so: Callable[[], bool], *deeds: Callable[[], None]) -> None:
    """Does the deeds again and again until it is so: a signal may be lost while nobody hears it yet."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for deed in deeds:
                deed()
            for _ in range(10):
                if is_so():
                    return
                await asyncio.sleep(0.005)


async def test_who_hears_a_conversation_is_told_who_types_there_and_nothing_else(pair: Pair) -> None:
    ear, other = Ear(), Ear()
    pair.hears.hear(ONE, ear)
    pair.hears.hear(TWO, other)
    await comes(lambda: bool(other.heard), lambda: pair.says.say(ONE, "ann"), lambda: pair.says.say(TWO, "bob@x+1"))
    assert set(ear.heard) == {(ONE, "ann")}
    assert set(other.heard) == {(TWO, "bob@x+1")}


async def test_a_process_hears_itself(pair: Pair) -> None:
    ear = Ear()
    pair.says.hear(ONE, ear)
    await comes(lambda: (ONE, "ann") in ear.heard, lambda: pair.says.say(ONE, "ann"))


async def test_who_hears_no_more_is_told_no_more_and_others_are(pair: Pair) -> None:
    ear, other, last = Ear(), Ear(), Ear()
    for hearer in (ear, other):
        pair.hears.hear(ONE, hearer)
    pair.hears.hear(TWO, last)
    await comes(
        lambda: bool(other.heard and last.heard), *(lambda at=at: pair.says.say(at, "ann") for at in (ONE, TWO))
    )
    pair.hears.unhear(ONE, ear)
    ear.heard.clear()
    other.heard.clear()
    await comes(lambda: bool(other.heard), lambda: pair.says.say(ONE, "bob"))
    pair.hears.unhear(ONE, other)
    pair.hears.unhear(ONE, other)
    last.heard.clear()
    await comes(lambda: bool(last.heard), lambda: pair.says.say(TWO, "bob"))
    other.heard.clear()
    pair.says.say(ONE, "cid")
    last.heard.clear()
    await comes(lambda: (TWO, "dan") in last.heard, lambda: pair.says.say(TWO, "dan"))
    assert (ear.heard, other.heard) == ([], [])
    pair.hears.hear(ONE, ear)
    await comes(lambda: bool(ear.heard), lambda: pair.says.say(ONE, "eve"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEST_S", "AGAIN_S", "LOOK_S"):
        monkeypatch.setattr(redis_signals, name, getattr(redis_signals, name) / 25)


class TestInRedis:
    pytestmark = REDIS

    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncIterator[RedisServer]:
        with redis_server(tmp_path) as server:
            await server.answers()
            yield server

    @pytest.mark.usefixtures("quick")
    async def test_a_redis_that_was_away_is_heard_again_with_all_conversations(self, server: RedisServer) -> None:
        ear = Ear()
        async with started(RedisSignals(server.url, "test"), RedisSignals(server.url, "test")) as pair:
            for conversation_id in (ONE, TWO):
                pair.hears.hear(conversation_id, ear)
            await comes(lambda: bool(ear.heard), lambda: pair.says.say(ONE, "ann"))
            server.tell(signal.SIGKILL)
            for _ in range(3_000):  # more than may wait
                pair.says.say(ONE, "lost")
            server.start()
            await server.answers()
            ear.heard.clear()
            await comes(
                lambda: {(ONE, "bob"), (TWO, "bob")} <= set(ear.heard),
                *(lambda at=at: pair.says.say(at, "bob") for at in (ONE, TWO)),
            )

    @pytest.mark.usefixtures("quick")
    async def test_a_subscription_that_is_silent_without_an_error_is_begun_anew(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ear = Ear()
        async with started(RedisSignals(server.url, "test"), signals := RedisSignals(server.url, "test")):
            signals.hear(ONE, ear)
            await comes(lambda: bool(ear.heard), lambda: signals.say(ONE, "ann"))
            begun = signals._tested_s
            listened = 0
            listen = RedisSignals._listen

            async def counted(self: RedisSignals, pubsub: object) -> None:
                nonlocal listened
                listened += 1
                await listen(self, pubsub)  # type: ignore[arg-type]

            monkeypatch.setattr(RedisSignals, "_listen", counted)
            await comes(lambda: signals._tested_s > begun)
            assert listened == 0  # a subscription that hears its own tests stays
            monkeypatch.setattr(signals, "_own", "rowbox:test:t:!other")  # what is published is not heard any more
            await comes(lambda: listened > 0)

    async def test_it_can_be_closed_at_any_moment(self, server: RedisServer) -> None:
        loop = asyncio.get_running_loop()
        for turns in range(60):  # more than it takes to tell; a turn in which the client lost its cancellation hung
            signals = RedisSignals(server.url, "test")
            signals.start()
            signals.hear(ONE, Ear())
            signals.say(ONE, "ann")
            for _ in range(turns):
                await asyncio.sleep(0)
            begun_s = loop.time()
            async with asyncio.timeout(DEADLINE_S):
                await signals.close()
            assert loop.time() - begun_s < DEADLINE_S
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("typing-")]

    async def test_what_anybody_writes_into_the_channel_is_a_user_or_nothing(self, server: RedisServer) -> None:
        ear = Ear()
        client: Redis = Redis.from_url(server.url)
        async with started(RedisSignals(server.url, "test"), signals := RedisSignals(server.url, "test")):
            signals.hear(ONE, ear)
            await comes(lambda: bool(ear.heard), lambda: signals.say(ONE, "ann"))
            for text in (b"", b"a b", b"\xff\xfe", b"u" * 129, "\u00fc".encode(), b"bob\n"):
                await client.publish(f"rowbox:test:t:{ONE}", text)
            ear.heard.clear()
            await comes(lambda: (ONE, "last") in ear.heard, lambda: signals.say(ONE, "last"))
            assert {user for _, user in ear.heard} <= {"ann", "last"}
        await client.aclose()
