"""Hints that there is a newer map: a version, which whoever hears of it reads from the store.

Nobody believes a hint, and everything works without: it takes until the next beat then. Whoever owns mailboxes gives
them, over its links and, where there is one, through Redis.
"""

from collections.abc import Callable, Sequence

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.shardmap.view import MapView

Tell = Callable[[int], None]
"""Tells others of a version. Never waits, never raises; a version that is told late or never does no harm."""


class Hints:
    """Gives and takes hints for one process. `loop`, which gives them, is to be started and closed."""

    def __init__(self, view: MapView, told: Sequence[Tell]) -> None:
        self._view = view
        self._told = told
        self._version = 0
        self.loop = BackgroundLoop("hints", self._round)

    def heard(self, version: int) -> None:
        """Has the map read where `version` is newer than what is known here. It need not be believed."""
        self._view.wanted(version)

    async def _round(self) -> float:
        self._version = (await self._view.newer_than(self._version)).version
        for tell in self._told:
            tell(self._version)
        return 0.0
