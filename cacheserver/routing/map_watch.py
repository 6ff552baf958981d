"""How a process that owns nothing learns of the map: it reads the map's cell each beat, and when it is wanted sooner.

A node learns of it with its own beats (node/membership.py). A hint, by a link or by Redis, makes either read sooner:
what counts is what was read from the store.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Protocol

from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.map_store import Standing
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

LEAST_PAUSE_S: Final = 0.1
"""Between two reads, however often it is wanted: thousands of requests may learn in one moment that they went wrong."""
SAID_EVERY_S: Final = 60.0


class Maps(Protocol):
    """Where the map stands: a MapStore, or what opens one."""

    async def read(self) -> Standing:
        """What stands. StoreUnavailable."""
        ...


class MapWatch:
    """Feeds `view` with the map that stands. `loop` is to be started and closed."""

    def __init__(self, maps: Maps, view: MapView, beat_s: float) -> None:
        self._maps = maps
        self._view = view
        self._beat_s = beat_s
        self._time_s = asyncio.get_running_loop().time
        self._began_s = float("-inf")
        self._lines = Rarely(self._time_s, SAID_EVERY_S)
        self.missed = 0
        """Reads that failed: the map that is known goes on to count."""
        self.loop = BackgroundLoop("map", self._round)
        view.on_wanted = self.loop.wake

    def samples(self) -> Iterable[Sample]:
        """What this process knows, for the metrics."""
        yield from self._view.samples()
        yield from background_samples((self.loop,))

    async def _round(self) -> float:
        await asyncio.sleep(max(0.0, self._began_s + LEAST_PAUSE_S - self._time_s()))
        self._began_s = self._time_s()
        try:
            standing = await self._maps.read()
        except StoreUnavailable as error:
            self.missed += 1
            if count := self._lines.count(None):
                log.warning("the map of the cluster could not be read (%d times): %s", count, error)
        else:
            self._view.show(standing.map)
            self._view.looked(self._began_s)
        return max(0.0, self._began_s + self._beat_s - self._time_s())
