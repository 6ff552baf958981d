"""Hand-overs between the servers of a cluster: the call of a link, and the moves of a node that make and serve it."""

from collections.abc import Awaitable, Callable
from typing import Final

from rowbox.cacheserver.node.moves import MoveCounters, MoveLimits, Moves, Tenure
from rowbox.cacheserver.node.node import MakeMoves, Node
from rowbox.cacheserver.routing.targets import Targets
from rowbox.cacheserver.rows.stash import HandOver
from rowbox.cacheserver.rpc.calls import CallSpec, Handlers, Inbound, Lane
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cli.serving.cluster.peers import PeerTarget
from rowbox.mailbox.errors import LinkLost
from rowbox.mailbox.settings.config import ClusterSettings

HAND_OVER: Final = CallSpec("hand_over", HandOver, int, Lane.MOVES, writes=True)


def hand_over_calls(node: Node) -> Handlers:
    """What a server does with what the others hand over to it. Who they are, their links have proven."""

    def take_in(hand_over: HandOver, inbound: Inbound) -> Awaitable[int]:
        return node.take_in(hand_over, inbound.incarnation, inbound.map_version, inbound.timeout_s)

    handlers = Handlers()
    handlers.add(HAND_OVER, take_in)
    return handlers


def makes_moves(settings: ClusterSettings, targets: Callable[[], Targets | None]) -> MakeMoves:
    """Moves whose hand-overs go over the links of `targets`; None: this server has no links."""
    limits = MoveLimits(handover_bytes=settings.handover_bytes)

    async def send(to: ListedNode, hand_over: HandOver, map_version: int, timeout_s: float) -> int:
        at_hand = targets()
        target = None if at_hand is None else at_hand.remote.get(to.incarnation)
        if not isinstance(target, PeerTarget):
            raise LinkLost(f"there is no link to {to.node_id}")
        return await target.peer.call(HAND_OVER, hand_over, timeout_s=timeout_s, map_version=map_version)

    def make(tenure: Tenure, shards: int, counters: MoveCounters) -> Moves:
        return Moves(tenure, shards, send, limits, counters)

    return make
