"""A program: one of several owners that share the mailboxes, over a memory store of its own, until it is told to stop.

It prints its port, and reads a line with the addresses of all. For each line that comes then it prints what it has
counted: store calls that wrote, and deliveries that it gave to links.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.remote.mailboxes import mailbox_calls, owner_calls
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.cacheserver.routing.targets import Local, RemoteTarget, Targets
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint, parse_endpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.cli.serving import runtime
from rowbox.cli.serving.cluster.peers import PeerTarget
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.settings.config import RateLimitSettings, Settings

SECRET = b"the secret of this measurement's links"
SHARDS = 4_096
WRITE_S = 0.005
"""How long a write takes, as over a cluster's store."""
_CLUSTER = "bench"
_SETTINGS = Settings(rate_limits=RateLimitSettings(enabled=False))


class _SlowStore(MemoryStore):
    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await asyncio.sleep(WRITE_S)
        await super().mutate(mutations, timestamp_ms)

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        await asyncio.sleep(WRITE_S)
        await super().delete(deletes, timestamp_ms)


def name_of(number: int) -> str:
    return f"owner-{number}"


def map_of(peers: Sequence[str]) -> ShardMap:
    """The map in which the shards are dealt out to the owners at these addresses, one after the other."""
    nodes = [ListedNode(name_of(number), name_of(number), peer) for number, peer in enumerate(peers)]
    standing = empty_map(SHARDS).listing(nodes).next()
    for number, node in enumerate(nodes):
        standing = standing.giving(range(number, SHARDS, len(nodes)), node.incarnation)
    return standing


def connecting(me: str, secret: bytes) -> Callable[[ListedNode], RemoteTarget]:
    """What makes the links of a process to the owners."""

    def connect(node: ListedNode) -> RemoteTarget:
        peer = Peer(parse_endpoint(node.peer), Identity(_CLUSTER, me), secret, expects=node.incarnation)
        peer.start()
        return PeerTarget(peer)

    return connect


async def serve(number: int, owners: int) -> None:
    """Owns its part of the shards until the end of its input."""
    me, view = name_of(number), MapView()
    ownership = EpochOwnership(1, me, range(number, SHARDS, owners))

    store = _SlowStore(SHARDS, ttl_ms(_SETTINGS.store), late_writes=True, now_ms=lambda: time.time_ns() // 1_000_000)
    targets = Targets(view, connecting(me, SECRET))
    deliveries = Deliveries(view, targets)
    owner = Owner(store, _SETTINGS, ownership=ownership, elsewhere=deliveries)
    targets.local = Local(lambda: me, owner, tuple)
    await owner.start()
    handlers = mailbox_calls(InTurn(owner))
    handlers.merge(owner_calls(InTurn(owner)))
    listener = Listener(Identity(_CLUSTER, me), SECRET, handlers)
    bound = await listener.listen(TcpEndpoint("127.0.0.1", 0))
    assert isinstance(bound, TcpEndpoint)
    print(bound.port, flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    view.show(map_of(json.loads(await lines.readline())))
    targets.start()
    runtime.started()
    while await lines.readline():
        print(json.dumps([owner.committer.counters.batches, deliveries.calls]), flush=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # in the end the owners are stopped one after the other, and miss each other
    runtime.tune()
    runtime.run(serve(int(sys.argv[1]), int(sys.argv[2])))
