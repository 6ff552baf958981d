"""The operator's calls about a cluster: what its page shows, and what can be changed there."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import orjson

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.shardmap.desk import Desk
from rowbox.cacheserver.shardmap.edits import moves_of_plan, wished
from rowbox.cacheserver.shardmap.overview import as_fields, changes_between
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.mailbox.errors import BadRequest, StoreUnavailable

CLUSTER: Final = "cluster"
PREVIEW: Final = "clusterPreview"
WISH: Final = "clusterWish"
_KEPT: Final = 16
"""Maps that are remembered, so that whoever has seen one is told what has changed since."""
_T = TypeVar("_T")


class Since(msgspec.Struct, frozen=True):
    """The version of the map that the caller has seen; 0: none."""

    since: int = 0


class NodeWish(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a node is to give all its shards away."""

    node_id: str
    draining: bool


def cluster_calls(desk: Callable[[], Desk | None]) -> Sequence[OperatorCall]:
    """The calls, over the desk of this process; None: its store could not be opened yet."""
    known: OrderedDict[int, ShardMap] = OrderedDict()

    def opened() -> Desk:
        at_hand = desk()
        if at_hand is None:
            raise StoreUnavailable("the store could not be opened yet")
        return at_hand

    async def cluster(body: bytes) -> bytes:
        since = _decoded(body, Since).since
        at_hand = opened()
        seen = await at_hand.look()
        before = known.get(since)
        known[seen.map.version] = seen.map
        while len(known) > _KEPT:
            known.popitem(last=False)
        changes = () if before is None else changes_between(before, seen.map)
        return orjson.dumps({**as_fields(at_hand.overview(seen)), "runs": list(_runs(seen.map)), "changes": changes})

    async def preview(body: bytes) -> bytes:
        wish = _decoded(body, NodeWish)
        seen = await opened().look()
        after = wished(wish.node_id, draining=wish.draining)(seen)
        if after is None:
            return orjson.dumps({"changes": ["nothing: that is wished already"]})
        return orjson.dumps(
            {"changes": [*changes_between(seen.map, after), *await asyncio.to_thread(moves_of_plan, after)]}
        )

    async def make_wish(body: bytes) -> bytes:
        wish = _decoded(body, NodeWish)
        standing = await opened().change(wished(wish.node_id, draining=wish.draining))
        return orjson.dumps({"version": standing.version})

    handlers = {CLUSTER: cluster, PREVIEW: preview, WISH: make_wish}
    return [OperatorCall(name, handle, is_for_page=True) for name, handle in handlers.items()]


def _runs(shard_map: ShardMap) -> Iterator[tuple[int, str | None, str | None]]:
    """How many adjacent shards have the same owner and go to the same node, by node ids."""
    run: list[Any] = [0, None, None]
    for shard in range(shard_map.shards):
        owner, target = shard_map.owner_of(shard), shard_map.target_of(shard)
        names = [None if node is None else node.node_id for node in (owner, target)]
        if run[0] and run[1:] != names:
            yield tuple(run)
            run = [0]
        run = [run[0] + 1, *names]
    yield tuple(run)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is no {kind.__name__}: {error}") from error
