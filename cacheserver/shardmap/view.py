"""The newest map of the cluster that a process knows, for whoever sends requests to the owners of users.

One feeds it: the membership of a node, which has applied the map by then, or a watch of the map's cell in a process
that owns nothing. It says nothing of who may answer: that is for the owner to know, which refuses where a map is old.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap

MOST_NAMED: Final = 3
"""Servers that a reason names; of the others it says how many there are."""


class MapView:
    """The newest map. Versions only rise, but for `forget`."""

    def __init__(self) -> None:
        self._risen = asyncio.Event()
        self.newest: ShardMap | None = None
        """None until a map was read."""
        self.on_wanted: Callable[[], None] | None = None
        """Has the feeder read the map's cell soon. It bounds how often it does."""

    @property
    def version(self) -> int:
        """The version of the newest map; 0 where none is known."""
        return 0 if self.newest is None else self.newest.version

    def show(self, newer: ShardMap) -> bool:
        """Takes in a map that stands or stood in the store. Whether it is newer than what was known; else it is not
        taken.
        """
        if newer.version <= self.version:
            return False
        self.newest = newer
        risen, self._risen = self._risen, asyncio.Event()
        risen.set()
        return True

    def forget(self) -> None:
        """Forgets what is known: the store was put back from a copy, and versions begin anew."""
        self.newest = None

    async def newer_than(self, version: int) -> ShardMap:
        """The newest map, as soon as one with a higher version is known. The caller bounds the wait."""
        while self.newest is None or self.newest.version <= version:
            await self._risen.wait()
        return self.newest

    def wanted(self) -> None:
        """Says that somebody has heard of a newer map than is known here."""
        if self.on_wanted is not None:
            self.on_wanted()

    # For people

    def who_has(self, shard: int) -> str:
        """Says which server owns a shard."""
        owner = None if self.newest is None else self.newest.owner_of(shard)
        return "nobody owns this mailbox now" if owner is None else f"the server {_name(owner)} owns this mailbox"

    def who_owns(self) -> str:
        """Says which servers own shards."""
        owners = [] if self.newest is None else _owning(self.newest)
        if not owners:
            return "nobody owns the mailboxes now"
        names = ", ".join(sorted(map(_name, owners))[:MOST_NAMED])
        more = f" and {len(owners) - MOST_NAMED} others" if len(owners) > MOST_NAMED else ""
        return f"the server {names} owns the mailboxes" if len(owners) == 1 else f"{names}{more} own the mailboxes"


def _name(node: ListedNode) -> str:
    return node.url or node.node_id


def _owning(shard_map: ShardMap) -> list[ListedNode]:
    return [node for node in shard_map.nodes if shard_map.shards_of(node.incarnation)]
