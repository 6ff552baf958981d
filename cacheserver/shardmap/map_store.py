"""The standing map in the store: a cell that names a body, and the bodies, which never change.

    meta/cluster  map                                        {version, body, digest}: changed by compare-and-set alone
    meta/map      <version:16 hex>-<incarnation>-<nonce>     a body (map_body.py)

A change reads what stands, edits it, writes a body, and swaps the cell for one that names this body:

body      Its put is confirmed before the cell names it. One that is not is left behind, and another nonce is drawn: two
          proposers of one version never write the same column, nor does one of them twice.
swap      Nobody trusts its answer. What was sent is over when the cell is read and holds another value than the one
          that was expected: then it stands, or never will. Until then the same swap is sent again. Values are unique,
          so whichever of the two executes, and however late, the map is the same.
reading   A body that is missing, or has another digest, says that the cell is stale: it is read again. If it still
          names that body, the store is damaged. No map is never an empty map.
removal   Whoever has swapped version v removes bodies of versions up to v - KEPT, also those that never stood.
"""

import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, MapRoot, decode_map_cell
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, MapCell
from rowbox.cacheserver.shardmap.map_body import decode_map, digest_of, encode_map
from rowbox.cacheserver.shardmap.shard_map import ShardMap, empty_map
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation, Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW, MAP_ROW
from rowbox.mailbox.errors import StoreDamaged, StoreOutcomeUnknown, StoreUnavailable

KEPT: Final = 16
"""The versions whose bodies stay: who has read a cell a moment ago still finds what it names."""
_MOST_REMOVED: Final = 64
"""In one change: the others go with the next."""
_TRIES: Final = 64
_READS: Final = 3

Edit = Callable[[ShardMap], ShardMap | None]
"""What a map becomes, under a higher version; None: nothing is to change."""


class Standing(NamedTuple):
    """What stands. `raw`: the bytes of the map's cell, None where there is none: then the map is empty, version 0.

    `old_owner`: an older Rowbox's cell stands, which gives everything to this incarnation. Then the map is empty, too,
    under that cell's version, and nobody may change it before that incarnation has ended.
    """

    raw: bytes | None
    map: ShardMap
    old_owner: str | None = None


class MapStore:
    """Reads and changes the standing map. Raises StoreUnavailable, and StoreDamaged where what stands does not read."""

    def __init__(
        self,
        store: Store,
        incarnation: str,
        next_ms: Callable[[], int],
        draw_nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        """`incarnation`: who writes; of a command line any name that no other process has. `next_ms`: StoreClock's."""
        self._store = store
        self._reader = ClusterReader(store)
        self._incarnation = incarnation
        self._next_ms = next_ms
        self._draw_nonce = draw_nonce
        self._newest: Standing | None = None

    async def read(self) -> Standing:
        """What stands. The body is read once for each version: a read of what is known costs the cell alone."""
        return await self.of(await self._read_cell())

    async def of(self, raw: bytes | None) -> Standing:
        """What the map's cell means, whose value the caller has read. Where that is stale, what stands now."""
        missed: bytes | None = None
        for _ in range(_READS):
            if (standing := await self._meant(raw)) is not None:
                return standing
            if raw == missed:
                raise StoreDamaged("the cluster's map is not in the store, or is not what was written there")
            missed, raw = raw, await self._read_cell()
        raise StoreUnavailable("the cluster's map changes faster than it can be read")

    async def change(self, edit: Edit, on_send: Callable[[ShardMap], None] | None = None) -> ShardMap:
        """Has `edit` done to the map that stands, and returns the map that stands then.

        `edit` is asked anew, about what stands, each time that somebody else's change was read. What was sent before
        may stand below that, so it answers None to a map that has all that it wants. StoreOutcomeUnknown: the last swap
        may still execute, until the cell is read with another value than before.

        `on_send` is told of the map over which a swap is sent, just before that. Before it is told, nothing is under
        way that changes the map, and cancelling this call leaves it as it is.
        """
        standing = await self.read()
        for _ in range(_TRIES):
            if (edited := edit(standing.map)) is None:
                return standing.map
            if edited.version <= standing.map.version:
                raise ValueError(f"version {standing.map.version} of the map stands, and {edited.version} is no later")
            if edited.shards != self._store.shards:
                raise ValueError(f"the store has {self._store.shards} shards, the map {edited.shards}")
            await self._wait_for_old_owner(standing)
            root = await self._write_body(edited)
            if on_send is not None:
                on_send(standing.map)
            after = await self._swap(standing, root)
            if after.raw == msgspec.json.encode(root):
                await self._remove_old(edited.version)
                return after.map
            standing = after
        raise StoreUnavailable("the cluster's map changes all the time")

    async def _read_cell(self) -> bytes | None:
        return (await self._reader.named([MAP_PLACE])).raw.get(MAP_PLACE)

    async def _meant(self, raw: bytes | None) -> Standing | None:
        if raw is None:
            return Standing(None, empty_map(self._store.shards))
        if self._newest is not None and self._newest.raw == raw:
            return self._newest
        cell = decode_map_cell(raw)
        if isinstance(cell, MapCell):
            return Standing(raw, empty_map(self._store.shards, cell.version), cell.owner)
        bodies = await self._store.get_columns(MAP_ROW, Family.INDEX, [cell.body.encode()])
        if not bodies or digest_of(bodies[0][1]) != cell.digest:
            return None
        shard_map = decode_map(bodies[0][1])
        if shard_map.version != cell.version or shard_map.shards != self._store.shards:
            raise StoreDamaged("the cluster's map is of another version or of another number of shards than the store")
        self._newest = Standing(raw, shard_map)
        return self._newest

    async def _wait_for_old_owner(self, standing: Standing) -> None:
        """Whoever lives under the old cell must be able to believe that it owns everything as long as that stands."""
        owner = standing.old_owner
        if owner is not None and not (await self._reader.whole()).has_ended(owner):
            raise StoreUnavailable("a server of an older version owns all mailboxes: it has to be stopped first")

    async def _write_body(self, shard_map: ShardMap) -> MapRoot:
        """Writes the body, under one nonce after another, until a put is confirmed."""
        body = encode_map(shard_map)
        for _ in range(_TRIES):
            qualifier = f"{shard_map.version:016x}-{self._incarnation}-{self._draw_nonce()}"
            put = Put(Family.INDEX, qualifier.encode(), body)
            try:
                await self._store.mutate([RowMutation(MAP_ROW, [put])], self._next_ms())
            except StoreOutcomeUnknown:
                continue
            return MapRoot(shard_map.version, qualifier, digest_of(body))
        raise StoreUnavailable("the store confirms no write of the cluster's map")

    async def _swap(self, standing: Standing, root: MapRoot) -> Standing:
        """Sends the swap until the cell holds another value than `standing`. Returns what it holds."""
        value, may_execute = msgspec.json.encode(root), False
        for _ in range(_TRIES):
            try:
                await self._store.compare_and_set(CLUSTER_ROW, Family.INDEX, MAP_PLACE, standing.raw, value)
                may_execute = True
                after = await self.read()
            except StoreOutcomeUnknown:
                may_execute = True
                continue
            except StoreUnavailable as error:
                if may_execute:
                    raise StoreOutcomeUnknown(f"whether the cluster's map was changed is not known: {error}") from error
                raise
            if after.raw != standing.raw:
                return after
        raise StoreOutcomeUnknown("whether the cluster's map was changed is not known")

    async def _remove_old(self, version: int) -> None:
        """Removes what nobody reads any more. What stays, because the store does not answer, goes with a later one."""
        stop = f"{max(version - KEPT + 1, 0):016x}".encode()
        try:
            old = await self._store.get_range(MAP_ROW, Family.INDEX, b"", stop, _MOST_REMOVED, keys_only=True)
            if old:
                columns = [(Family.INDEX, qualifier) for qualifier, _ in old]
                await self._store.delete([RowDelete(MAP_ROW, columns)], self._next_ms())
        except StoreUnavailable:
            pass
