"""The server that owns no mailboxes (`--role api`): it reads the map from the store, and forwards every request."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rowbox.api.operator.erase import erase_call
from rowbox.api.operator.hidden import hidden_call
from rowbox.api.operator.sign_out import sign_out_call
from rowbox.api.operator.tokens import revocation_calls
from rowbox.cacheserver.clocks import StoreClock, wall_clock_us
from rowbox.cacheserver.routing.map_watch import MapWatch
from rowbox.cacheserver.shardmap.map_store import MapStore, Standing
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.port import Store
from rowbox.cli.secret import cluster_secret
from rowbox.cli.serving.backends import Backend, OnBroken
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable
from rowbox.mailbox.settings.config import Settings

OpenStore = Callable[[], Awaitable[Store]]
"""Opens the store of the map. StoreUnavailable: it is to be called again. StoreUnusable: calling again is of no use."""


class MapSource:
    """The map of a store that may be away when this process starts."""

    def __init__(self, open_store: OpenStore, name: str, on_broken: OnBroken) -> None:
        self._open_store = open_store
        self._name = name
        self._on_broken = on_broken
        self._store: Store | None = None
        self._maps: MapStore | None = None

    async def read(self) -> Standing:
        """See MapStore. StoreUnavailable where the store cannot be opened; `on_broken` hears why it never can be."""
        if self._maps is None:
            try:
                self._store = await self._open_store()
            except StoreUnusable as error:
                self._on_broken(error)
                raise StoreUnavailable("the store cannot be used") from error
            self._maps = MapStore(self._store, self._name, StoreClock(wall_clock_us).next_ms)
        return await self._maps.read()

    async def close(self) -> None:
        """Closes the store."""
        if self._store is not None:
            await self._store.close()


@asynccontextmanager
async def api_backend(settings: Settings, open_store: OpenStore, on_broken: OnBroken) -> AsyncIterator[Backend]:
    """What answers the API in a server that owns nothing. StoreUnusable where it has no secret of the cluster."""
    secret = cluster_secret(settings)
    name = f"api-{secrets.token_hex(8)}"
    view = MapView()
    source = MapSource(open_store, name, on_broken)
    watch = MapWatch(source, view, settings.lease.beat_ms / 1000)
    routing = Routing(settings.cluster, secret, view, lambda: name)
    watch.loop.start()
    routing.start()

    try:
        sources = (routing.samples, watch.samples)
        of_users = *revocation_calls(routing.router), sign_out_call(routing.router), hidden_call(routing.router)
        calls = (*of_users, erase_call(routing.router))
        yield Backend(routing.router, routing.router, routing.ready, sources, calls)
    finally:
        await watch.loop.close()
        await routing.close()
        await source.close()
