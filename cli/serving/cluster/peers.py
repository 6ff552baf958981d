"""The links of this process to the servers that own mailboxes, as its router uses them."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from rowbox.cacheserver.remote.mailboxes import RemoteMailboxes
from rowbox.cacheserver.routing.hints import Tell
from rowbox.cacheserver.routing.targets import RemoteTarget
from rowbox.cacheserver.rpc.endpoint import Tls, load_tls, parse_endpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.peer import Peer, calling_counts
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import ClusterSettings

log = logging.getLogger(__name__)

MAP: Final = "map"
"""The kind under which a server publishes the newest version of the map that it has applied."""
BEAT: Final = "beat"
"""The kind under which a server tells who watches over it which beat it has begun (watch.py of node)."""
_number = msgspec.msgpack.Decoder(int)
HeardBeat = Callable[[str, int], None]


class PeerTarget(RemoteMailboxes):
    """An owner in another process, and which map it says that it has applied."""

    @property
    def map_version(self) -> int:
        """See RemoteTarget."""
        return number_of(self.peer.published.get(MAP))


class Peers:
    """Makes the links. `stirred` is called when a link is there or its server has applied a map.

    `heard` is called with the version of that map; `heard_beat` with a server's incarnation and the beat that it tells.
    """

    def __init__(
        self,
        identity: Callable[[], Identity],
        secret: bytes,
        view: MapView,
        heard: Tell,
        tls: Tls | None = None,
        heard_beat: HeardBeat | None = None,
    ) -> None:
        """`identity` gives the name of this process's incarnation at the moment."""
        self._heard_beat = heard_beat
        self._tls = tls
        self._identity = identity
        self._secret = secret
        self._view = view
        self._heard = heard
        self.counts = calling_counts()
        """Of all the links that were ever made here."""
        self.stirred: Callable[[], None] = _nothing

    def connect(self, node: ListedNode) -> RemoteTarget | None:
        """A link to the incarnation, and to no other one at its address; None where that is no address."""
        try:
            endpoint = parse_endpoint(node.peer, self._tls)
        except ValueError as error:
            log.warning("the server %s says that peers reach it at %r: %s", node.node_id, node.peer, error)
            return None
        peer = Peer(
            endpoint,
            self._identity(),
            self._secret,
            expects=node.incarnation,
            on_published=partial(self._published, node.incarnation),
            counts=self.counts,
        )
        peer.start()
        return PeerTarget(peer, map_version=lambda: self._view.version)

    def _published(self, incarnation: str, kind: str, value: bytes) -> None:
        """Each new link begins with what its server has published, so whoever waits for a link is told here as well."""
        if kind == BEAT:
            if self._heard_beat is not None:
                self._heard_beat(incarnation, number_of(value))
            return
        self.stirred()
        if kind == MAP:
            self._heard(number_of(value))


def cluster_tls(settings: ClusterSettings) -> Tls | None:
    """What TLS among the servers needs; None where it is not asked for. StoreUnusable: the files cannot be used."""
    if not settings.tls_certificate:
        return None
    files = [Path(path) for path in (settings.tls_certificate, settings.tls_key, settings.tls_authority)]
    unread = next((path for path in files if not path.is_file()), None)
    if unread is not None:
        raise StoreUnusable(f"{unread} is no file; TLS among the servers of the cluster needs it")
    try:
        return load_tls(*files)
    except (OSError, ValueError) as error:
        names = ", ".join(map(str, files))
        raise StoreUnusable(f"the files for TLS among the servers cannot be used ({names}): {error}") from error


def number_of(value: bytes | None) -> int:
    """What was published under MAP or BEAT; 0 where that is no number."""
    if value is None:
        return 0
    try:
        return _number.decode(value)
    except msgspec.DecodeError:
        return 0


def _nothing() -> None:
    """Nobody waits yet."""
