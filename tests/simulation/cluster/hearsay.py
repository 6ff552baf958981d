"""What servers hear of newer maps by a Redis: late, sometimes not at all, sometimes what is not true.

It stands in the place of routing/redis_hints.py, which is tested with a real Redis: it is given the same versions, and
has the same thing done with what arrives.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.cluster.server import Surroundings

LATEST_S = 2.0


class Hearsay:
    """The channel that all servers of a cluster have. `lies`: somebody else writes into it, too."""

    def __init__(self, world: "Surroundings", *, lies: bool) -> None:
        self._dice = world.dice
        self._world = world
        self._lies = lies

    def tell(self, version: int) -> None:
        """See Tell. All servers hear of it, or none, each after a time of its own."""
        if self._dice.random() < 0.2:
            return
        if self._lies and self._dice.random() < 0.3:
            version += self._dice.choice([-5, 1, 1, 1_000_000])
        loop = asyncio.get_running_loop()
        for server in tuple(self._world.servers.values()):
            latest_s = LATEST_S if self._dice.random() < 0.1 else 0.01
            context = server.machine.new_context()
            loop.call_later(self._dice.uniform(0.0, latest_s), self._heard, server.heard, version, context=context)

    @staticmethod
    def _heard(heard: Callable[[int], None], version: int) -> None:
        heard(version)
