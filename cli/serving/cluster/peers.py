"""The links of this process to the servers that own mailboxes, as its router uses them."""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from rowbox.cacheserver.link_counts import LinkCounts
from rowbox.cacheserver.routing.hints import Tell
from rowbox.cacheserver.routing.targets import RemoteTarget
from rowbox.cacheserver.rpc.endpoint import parse_endpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.mailboxes import RemoteMailboxes
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.shardmap.view import MapView

log = logging.getLogger(__name__)

MAP: Final = "map"
"""The kind under which a server publishes the newest version of the map that it has applied."""
_version = msgspec.msgpack.Decoder(int)


class PeerTarget(RemoteMailboxes):
    """An owner in another process, and which map it says that it has applied."""

    @property
    def map_version(self) -> int:
        """See RemoteTarget."""
        return version_of(self.peer.published.get(MAP))


class Peers:
    """Makes the links. `stirred` is called when a link is there or its server has applied a map.

    `heard` is called with the version of that map.
    """

    def __init__(self, identity: Callable[[], Identity], secret: bytes, view: MapView, heard: Tell) -> None:
        """`identity` gives the name of this process's incarnation at the moment."""
        self._identity = identity
        self._secret = secret
        self._view = view
        self._heard = heard
        self.counts = LinkCounts("calls")
        """Of all the links that were ever made here."""
        self.stirred: Callable[[], None] = _nothing

    def connect(self, node: ListedNode) -> RemoteTarget | None:
        """A link to the incarnation, and to no other one at its address; None where that is no address."""
        try:
            endpoint = parse_endpoint(node.peer)
        except ValueError as error:
            log.warning("the server %s says that peers reach it at %r: %s", node.node_id, node.peer, error)
            return None
        peer = Peer(
            endpoint,
            self._identity(),
            self._secret,
            expects=node.incarnation,
            on_published=self._published,
            counts=self.counts,
        )
        peer.start()
        return PeerTarget(peer, map_version=lambda: self._view.version)

    def _published(self, kind: str, value: bytes) -> None:
        """Each new link begins with what its server has published, so whoever waits for a link is told here as well."""
        self.stirred()
        if kind == MAP:
            self._heard(version_of(value))


def version_of(value: bytes | None) -> int:
    """The version in what was published under MAP; 0 where that is none."""
    if value is None:
        return 0
    try:
        return _version.decode(value)
    except msgspec.DecodeError:
        return 0


def _nothing() -> None:
    """Nobody waits yet."""
