"""The newest map of the cluster that a process knows, for whoever sends requests to the owners of users.

One feeds it: the membership of a node, which has applied the map by then, or a watch of the map's cell in a process
that owns nothing. It says nothing of who may answer: that is for the owner to know, which refuses where a map is old.

Others say which versions they know: callers, peers, a Redis. Nobody is believed: what they say has the map's cell read
sooner than the next beat would. Whoever talks of versions that do not stand can have that done MOST_IN_VAIN times, and
once in a VAIN_PAUSE_S from then on, until a newer map does stand.
"""

import asyncio
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import Final

from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap

MOST_NAMED: Final = 3
"""Servers that a reason names; of the others it says how many there are."""
MOST_IN_VAIN: Final = 20
VAIN_PAUSE_S: Final = 1.0
READING_S: Final = 0.1
"""How long a reading that was asked for is waited for: thousands of requests may learn in one moment that they went
wrong, and one reading is enough for all of them."""


class MapView:
    """The newest map. Versions only rise, but for `forget`."""

    def __init__(self) -> None:
        self._risen = asyncio.Event()
        self.newest: ShardMap | None = None
        """None until a map was read."""
        self.on_wanted: Callable[[], None] | None = None
        """Has the feeder read the map's cell soon."""
        self._asked_for = 0
        self._asked_at_s = float("-inf")
        self._in_vain = 0.0
        self._behind_since_s: float | None = None
        self._moving_since_s: Mapping[int, float] = {}

    @property
    def version(self) -> int:
        """The version of the newest map; 0 where none is known."""
        return 0 if self.newest is None else self.newest.version

    @property
    def features(self) -> Collection[str]:
        """What is switched on by the newest map (cacheserver/features.py)."""
        return () if self.newest is None else self.newest.features

    def show(self, newer: ShardMap) -> bool:
        """Takes in a map that stands or stood in the store. Whether it is newer than what was known; else it is not
        taken.
        """
        if newer.version <= self.version:
            return False
        self.newest = newer
        self._in_vain = 0.0
        if newer.moving or self._moving_since_s:
            now_s, before = asyncio.get_running_loop().time(), self._moving_since_s
            self._moving_since_s = {shard: before.get(shard, now_s) for shard in newer.moving}
        risen, self._risen = self._risen, asyncio.Event()
        risen.set()
        return True

    def forget(self) -> None:
        """Forgets what is known: the store was put back from a copy, and versions begin anew."""
        self.newest = None
        self._asked_for = 0
        self._moving_since_s = {}

    async def newer_than(self, version: int) -> ShardMap:
        """The newest map, as soon as one with a higher version is known. The caller bounds the wait."""
        while self.newest is None or self.newest.version <= version:
            await self._risen.wait()
        return self.newest

    def wanted(self, version: int) -> None:
        """Says that somebody knows a map of `version`. Has the map's cell read soon where none so new is known here."""
        if version <= self.version:
            return
        now_s = asyncio.get_running_loop().time()
        if self._behind_since_s is None:
            self._behind_since_s = now_s
        is_being_read = version <= self._asked_for and now_s - self._asked_at_s < READING_S
        if is_being_read or self.on_wanted is None:
            return
        in_vain = max(0.0, self._in_vain - (now_s - self._asked_at_s) / VAIN_PAUSE_S)
        if in_vain > MOST_IN_VAIN - 1:
            return  # the next beat reads it
        self._in_vain = in_vain + 1
        self._asked_for, self._asked_at_s = max(version, self._asked_for), now_s
        self.on_wanted()

    def looked(self, since_s: float) -> None:
        """Says that a reading which began at `since_s`, by the loop's clock, showed what stands, and `show` has it."""
        if self._behind_since_s is not None and self._behind_since_s <= since_s:
            self._behind_since_s = None

    @property
    def lag_s(self) -> float:
        """For how long this process has heard of a newer map, and not looked at what stands; 0: it has not."""
        since_s = self._behind_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    def oldest_move_s(self, shards: Container[int] | None = None) -> float:
        """For how long the oldest move in the map has been known here, of any shard or of these; 0: there is none."""
        began_s = min(
            [since_s for shard, since_s in self._moving_since_s.items() if shards is None or shard in shards],
            default=None,
        )
        return 0.0 if began_s is None else asyncio.get_running_loop().time() - began_s

    def samples(self) -> Iterable[Sample]:
        """What this process knows, for the metrics."""
        text = "The newest map of the cluster that this server knows; one that owns mailboxes goes by it."
        yield "rowbox_map_version", "gauge", text, {}, self.version
        text = "For how long this server has heard of a newer map, and could not read it."
        yield "rowbox_map_lag_seconds", "gauge", text, {}, self.lag_s
        newest = self.newest
        yield "rowbox_map_nodes", "gauge", "Servers that the map lists.", {}, 0 if newest is None else len(newest.nodes)
        text = "Shards of the store, among which all mailboxes are."
        yield "rowbox_map_shards", "gauge", text, {}, 0 if newest is None else newest.shards
        text = "Shards that nobody owns, by the map: their users are answered 503."
        yield "rowbox_map_ownerless_shards", "gauge", text, {}, 0 if newest is None else len(newest.ownerless)
        text = "Shards that are on the move from one server to another, by the map."
        yield "rowbox_map_moving_shards", "gauge", text, {}, len(self._moving_since_s)
        text = "For how long the oldest of these moves has been in the map, since this server knows of it."
        yield "rowbox_map_oldest_move_seconds", "gauge", text, {}, self.oldest_move_s()

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
