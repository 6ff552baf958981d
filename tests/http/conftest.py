"""The HTTP side over a scripted port (`scripted`, `edge`) and over the real owner (`owner`, `api`)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from rowbox.api.http.connection import Connection
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.search.workers import WorkerThreads
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.settings.config import Settings
from tests.http.api import SETTINGS, Api, Reach, reach, serving
from tests.http.scripted_port import ScriptedPort

SHARDS = 64
ON_BOTH_LOOPS = frozenset({"test_slow_clients", "test_door", "test_half_closed"})
"""Modules whose subject is what the loop's transports do: the server runs on uvloop where that is installed."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in ON_BOTH_LOOPS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(params=list(Reach), ids=lambda reach: reach.value)
def reached(request: pytest.FixtureRequest) -> Iterator[Reach]:
    """Every test that goes through the port runs twice: with the owner in its process, and over a link to it."""
    token = reach.set(request.param)
    yield request.param
    reach.reset(token)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over a link once: with one kind of store, and not where a test says that it is about one process."""
    twice = [item for item in items if _is_once_too_often(item)]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]


def _is_once_too_often(item: pytest.Item) -> bool:
    asked = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    is_over_link = asked.get("reached") is Reach.LINK
    return is_over_link and (asked.get("store") is True or item.get_closest_marker("in_process") is not None)


@pytest.fixture
def scripted(reached: Reach) -> ScriptedPort:
    return ScriptedPort()


@pytest.fixture
async def edge(scripted: ScriptedPort) -> AsyncIterator[Api]:
    async with serving(scripted) as api:
        yield api


@pytest.fixture
def settings() -> Settings:
    """What the owner and the API run with; a module that needs another has a fixture of this name."""
    return SETTINGS


@pytest.fixture(params=[False, True], ids=["embedded", "late_writes"])
def store(request: pytest.FixtureRequest, settings: Settings) -> MemoryStore:
    """Both kinds of store: what an HTTP client sees is the same."""
    return MemoryStore(SHARDS, ttl_ms(settings.store), late_writes=request.param, now_ms=_now_ms)


@pytest.fixture
async def owner(store: MemoryStore, settings: Settings, reached: Reach, tmp_path: Path) -> AsyncIterator[Owner]:
    owner = Owner(store, settings, search=SearchPlace(tmp_path / "search", WorkerThreads()))
    await owner.start()
    yield owner
    await owner.close()


@pytest.fixture
async def api(owner: Owner, settings: Settings) -> AsyncIterator[Api]:
    async with serving(owner, settings) as api:
        yield api


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The server's sides of all connections."""
    connections: list[Connection] = []
    original = Connection.connection_made

    def remember(self: Connection, transport: asyncio.BaseTransport) -> None:
        connections.append(self)
        original(self, transport)

    monkeypatch.setattr(Connection, "connection_made", remember)
    return connections
