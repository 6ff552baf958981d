"""A real server, in process, over the memory store; and its openapi.json as a file."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.search.workers import WorkerThreads
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from tests.http.api import SETTINGS, Api, serving


@pytest.fixture
async def rowbox(tmp_path: Path) -> AsyncIterator[Api]:
    store = MemoryStore(16, ttl_ms(SETTINGS.store), late_writes=False, now_ms=lambda: time.time_ns() // 1_000_000)
    owner = Owner(store, SETTINGS, search=SearchPlace(tmp_path / "search", WorkerThreads()))
    await owner.start()
    async with serving(owner, SETTINGS) as api:
        yield api
    await owner.close()


@pytest.fixture
async def document(rowbox: Api, tmp_path: Path) -> Path:
    """As who makes a client takes it from a server."""
    file = tmp_path / "openapi.json"
    file.write_bytes((await rowbox.get("/openapi.json", None, headers={"Accept-Encoding": "identity"})).body)
    return file
