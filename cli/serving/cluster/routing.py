"""What finds the owners of users for one process of a cluster, put together: links, router, hints, deliveries."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final

from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.hints import Hints, Tell
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Local, Targets
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cli.serving.cluster.peers import HeardBeat, Peers, cluster_tls
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import ClusterSettings

if TYPE_CHECKING:
    from rowbox.cacheserver.routing.redis_hints import RedisHints

LOOK_S: Final = 0.25


class Routing:
    """One process's. `router` answers the API, `deliveries` are the owner's, where this process has one.

    `start` before the first request, `close` after the last.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        secret: bytes,
        view: MapView,
        incarnation: Callable[[], str],
        *,
        local: Local | None = None,
        told: Sequence[Tell] = (),
        heard_beat: HeardBeat | None = None,
    ) -> None:
        """`told` are given each newer version, by whoever owns mailboxes; who owns none only hears of versions.

        `heard_beat` is given what other servers tell of their leases, where this process watches over them.

        StoreUnusable where TLS is asked for, and its files cannot be used.
        """
        self._local = local
        self._redis = _redis_hints(settings, self._heard) if settings.redis_url else None
        by_redis = [] if self._redis is None or local is None else [self._redis.tell]
        self.hints = Hints(view, [*told, *by_redis])
        tls = cluster_tls(settings)
        peers = Peers(lambda: Identity(settings.name, incarnation()), secret, view, self.hints.heard, tls, heard_beat)
        self._counts = peers.counts
        self.targets = Targets(view, peers.connect, local)
        peers.stirred = self.targets.stir
        random = Random(secrets.randbits(128))  # tells requests apart, and keeps no secret
        self.router = Router(view, self.targets, patience_s=settings.patience_ms / 1000, random=random)
        self.deliveries = Deliveries(view, self.targets)

    def start(self) -> None:
        """Begins to follow the map, and to make links."""
        self.targets.start()
        self.hints.loop.start()
        if self._redis is not None:
            self._redis.start()

    async def deliver(self, user_id: str, messages: Sequence[Message]) -> int:
        """See DeliveryPort."""
        route = self.targets.of(user_id)
        if route is not None and route.remote is None and self._local is not None:
            return await self._local.target.deliver(user_id, messages)
        return await self.deliveries.deliver(user_id, messages)

    async def ready(self) -> None:
        """Returns when requests are answered. It looks by itself as well: a node may have reasons of its own."""
        while self.router.unready_reasons():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.targets.stirred()

    async def close(self) -> None:
        """Ends all links."""
        await self.hints.loop.close()
        if self._redis is not None:
            await self._redis.close()
        await self.router.followings.close()
        await self.targets.close()

    def samples(self) -> Iterable[Sample]:
        """The metrics of all of it."""
        yield from self.router.samples()
        yield from self._counts.samples()
        yield from background_samples((self.hints.loop,))
        if self._redis is not None:
            yield from self._redis.samples()

    def _heard(self, version: int) -> None:
        self.hints.heard(version)


def _redis_hints(settings: ClusterSettings, heard: Callable[[int], None]) -> "RedisHints":
    from rowbox.cacheserver.routing.redis_hints import RedisHints  # redis is a sixth of a server's start

    return RedisHints(settings.redis_url, settings.name, heard)
