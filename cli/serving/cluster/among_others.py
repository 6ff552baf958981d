"""A node among the other servers of its cluster: it serves them what it owns, and asks them for what it does not."""

from collections.abc import Iterable
from typing import NamedTuple

from rowbox.cacheserver.node.judgement import Contacts
from rowbox.cacheserver.node.node import Node
from rowbox.cacheserver.routing.targets import Local
from rowbox.cacheserver.rpc.endpoint import parse_endpoint
from rowbox.cacheserver.samples import Sample
from rowbox.cli.secret import cluster_secret
from rowbox.cli.serving.cluster.hand_overs import hand_over_calls
from rowbox.cli.serving.cluster.peer_side import PeerSide
from rowbox.cli.serving.cluster.peers import cluster_tls
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import ClusterSettings, Settings

FINISH_S = 1.0
"""How long what others have asked for may take when this server stops: what waits for mailboxes has ended by then."""


class AmongOthers(NamedTuple):
    """Both directions. `start` before the node's first beat, `close` after its last."""

    routing: Routing
    peers: PeerSide

    async def start(self, cluster: ClusterSettings) -> None:
        """Listens for the other servers. StoreUnusable where it cannot."""
        listen = cluster.peer_listen
        try:
            await self.peers.listen(parse_endpoint(listen, cluster_tls(cluster)))
        except OSError as error:
            raise StoreUnusable(f"cannot listen on {listen} for the other servers: {error.strerror}") from error
        self.routing.start()

    def contacts(self) -> Contacts:
        """With whom there are links now."""
        return contacts_of(self.routing, self.peers)

    def samples(self) -> Iterable[Sample]:
        """The metrics of both."""
        yield from self.routing.samples()
        yield from self.peers.listener.counts.samples()

    async def close(self) -> None:
        """Ends all links."""
        await self.peers.close(FINISH_S)
        await self.routing.close()


def contacts_of(routing: Routing, peers: PeerSide) -> Contacts:
    """With whom a server has links now."""
    up = frozenset(incarnation for incarnation, target in routing.targets.remote.items() if target.is_up)
    return Contacts(up, frozenset(peers.listener.peers))


def among_others(settings: Settings, node: Node) -> AmongOthers:
    """StoreUnusable where there is no secret of the cluster."""
    secret = cluster_secret(settings)
    peers = PeerSide(settings, secret, node.view, lambda: node.incarnation, node, hand_over_calls(node))
    node.on_incarnation, node.tell_beat = peers.become, peers.tell_beat
    local = Local(lambda: node.incarnation, node, node.standing)
    routing = Routing(
        settings.cluster,
        secret,
        node.view,
        lambda: node.incarnation,
        local=local,
        told=[peers.tell],
        heard_beat=node.heard_beat,
    )
    return AmongOthers(routing, peers)
