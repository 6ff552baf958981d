"""What every place for presence promises: memory, a real Redis, and the memory of another process over a link.

How long ago somebody was active is an argument, so nothing here waits.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rowbox.cacheserver.ephemeral.memory import MemoryEphemeral
from rowbox.cacheserver.ephemeral.redis_store import RedisEphemeral
from rowbox.cacheserver.ephemeral.store import MOST_AT_ONCE, EphemeralStore
from rowbox.cacheserver.remote.ephemeral import RemoteEphemeral, ephemeral_calls
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.people.presence import KEPT_MS
from tests.contract.redis_server import redis_server

SECRET = b"a secret of at least 32 bytes, for tests"
BETWEEN_MS = 20_000
"""More than any of these tests takes between writing and reading."""


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[EphemeralStore]:
    yield MemoryEphemeral()


@asynccontextmanager
async def in_redis(folder: Path) -> AsyncIterator[EphemeralStore]:
    with redis_server(folder) as server:
        await server.answers()
        store = RedisEphemeral(server.url, "test")
        yield store
        await store.close()


@asynccontextmanager
async def over_a_link(folder: Path) -> AsyncIterator[EphemeralStore]:
    listener = Listener(Identity("test", "owner"), SECRET, ephemeral_calls(MemoryEphemeral()))
    peer = Peer(await listener.listen(UnixEndpoint(folder / "o.sock")), Identity("test", "api"), SECRET)
    peer.start()
    try:
        await peer.up()
        yield RemoteEphemeral(peer)
    finally:
        await peer.close()
        await listener.close()


@pytest.fixture(
    params=[
        in_memory,
        pytest.param(in_redis, marks=[pytest.mark.integration, pytest.mark.tools("redis-server")]),
        over_a_link,
    ],
    ids=["memory", "redis", "link"],
)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EphemeralStore]:
    async with request.param(tmp_path) as made:
        yield made


async def is_about(store: EphemeralStore, user_id: str, age_ms: int) -> bool:
    (found,) = await store.ages([user_id])
    return found is not None and age_ms - 1 <= found < age_ms + BETWEEN_MS


async def test_nobody_knows_who_was_never_active(store: EphemeralStore) -> None:
    assert list(await store.ages(["ann"])) == [None]
    assert list(await store.ages([])) == []
    assert list(await store.beat({})) == []


async def test_the_age_of_the_last_activity_is_kept(store: EphemeralStore) -> None:
    assert list(await store.beat({"ann": 0, "bob": 3_600_000})) == []
    assert await is_about(store, "ann", 0)
    assert await is_about(store, "bob", 3_600_000)
    assert store.is_up


async def test_the_youngest_beat_wins_whichever_comes_last(store: EphemeralStore) -> None:
    await store.beat({"ann": 3_600_000})
    await store.beat({"ann": 60_000})
    assert await is_about(store, "ann", 60_000)
    await store.beat({"ann": 3_600_000})
    assert await is_about(store, "ann", 60_000)


async def test_it_is_not_known_for_ever(store: EphemeralStore) -> None:
    await store.beat({"ann": KEPT_MS - BETWEEN_MS, "bob": KEPT_MS, "cid": 2 * KEPT_MS})
    assert [age is None for age in await store.ages(["ann", "bob", "cid"])] == [False, True, True]


async def test_of_who_hides_nothing_is_written(store: EphemeralStore) -> None:
    await store.beat({"ann": 0, "bob": 0})
    await store.hide("ann")
    assert list(await store.ages(["ann"])) == [None]
    assert list(await store.beat({"bob": 0, "ann": 0})) == ["ann"]
    assert list(await store.ages(["ann"])) == [None]
    assert await is_about(store, "bob", 0)
    await store.show("ann")
    assert list(await store.ages(["ann"])) == [None]
    assert list(await store.beat({"ann": 0})) == []
    assert await is_about(store, "ann", 0)


async def test_to_show_oneself_again_takes_nothing_from_who_was_shown(store: EphemeralStore) -> None:
    await store.beat({"ann": 60_000})
    await store.show("ann")
    assert await is_about(store, "ann", 60_000)


async def test_who_left_is_forgotten_and_who_hides_goes_on_hiding(store: EphemeralStore) -> None:
    await store.beat({"ann": 0})
    await store.forget("ann")
    await store.forget("ann")
    assert list(await store.ages(["ann"])) == [None]
    await store.hide("ann")
    await store.forget("ann")
    assert list(await store.beat({"ann": 0})) == ["ann"]


async def test_as_many_at_once_as_there_may_be(store: EphemeralStore) -> None:
    users = [f"user-{number:04}" for number in range(MOST_AT_ONCE)]
    await store.beat({user_id: 1_000 * at for at, user_id in enumerate(users)})
    ages_ms = await store.ages(users[::-1])
    assert all(age is not None and 1_000 * at - 1 <= age for at, age in zip(range(999, -1, -1), ages_ms, strict=True))
