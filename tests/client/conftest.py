"""A scripted server, with the time its client lives in; and a real one, in process, over the memory store."""

import time as real_time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.search.workers import WorkerThreads
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.client import Client
from rowbox.hbase_schema.families import ttl_ms
from tests.client.scripted_server import ScriptedServer, Time, client_of
from tests.http.api import SETTINGS, Api, serving


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().listening() as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def client(server: ScriptedServer, time: Time) -> AsyncIterator[Client]:
    async with client_of(server, time) as client:
        yield client


@pytest.fixture
async def rowbox(tmp_path: Path) -> AsyncIterator[Api]:
    """The real thing: what the client may expect is not what its tests made up."""
    store = MemoryStore(16, ttl_ms(SETTINGS.store), late_writes=False, now_ms=lambda: real_time.time_ns() // 1_000_000)
    owner = Owner(store, SETTINGS, search=SearchPlace(tmp_path / "search", WorkerThreads()))
    await owner.start()
    async with serving(owner, SETTINGS) as api:
        yield api
    await owner.close()
