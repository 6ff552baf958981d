"""Where the other servers of a cluster ask this one for the mailboxes that it owns."""

from collections.abc import Callable, Sequence

from rowbox.cacheserver.remote.mailboxes import mailbox_calls, owner_calls, revocation_calls
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.cacheserver.routing.targets import Target
from rowbox.cacheserver.rpc.calls import Handlers, Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Window
from rowbox.cacheserver.rpc.endpoint import Endpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.status import StatusPublisher
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cli.serving.cluster.peers import BEAT, MAP
from rowbox.mailbox.settings.config import Settings


class PeerSide:
    """Serves `node` to the other servers. `listen` before the first call, `close` after the last.

    `tell` is to be called with each version of the map once this server has applied it (Routing.told), and `become`
    when it is another incarnation: whoever reads of that one in the map finds it here.
    """

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        view: MapView,
        incarnation: Callable[[], str],
        node: Target,
        more: Handlers | None = None,
    ) -> None:
        """`incarnation` gives this server's name now; a server that is replaced goes on under another one.

        `more`: what it serves beside the mailboxes.
        """
        self._cluster = settings.cluster.name
        self._incarnation = incarnation
        self._view = view
        in_turn = InTurn(node)
        handlers = mailbox_calls(in_turn, self._check_route)
        handlers.merge(owner_calls(in_turn))
        handlers.merge(revocation_calls(in_turn))
        if more is not None:
            handlers.merge(more)
        waits = Window(settings.poll.max_per_server, WINDOWS[Lane.WAITS].size_bytes)
        windows = {**WINDOWS, Lane.WAITS: waits}
        self.listener = Listener(Identity(self._cluster, incarnation()), secret, handlers, windows=windows)
        self._status = StatusPublisher(self.listener, node)

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """Begins to accept. Returns where: port 0 is a free one. OSError."""
        bound = await self.listener.listen(endpoint)
        self._status.loop.start()
        return bound

    async def close(self, finish_s: float = 0.0) -> None:
        """Accepts nothing more, lets what is in flight end for up to `finish_s`, and ends the links."""
        await self._status.loop.close()
        await self.listener.close(finish_s)

    def become(self) -> None:
        """From now on this server answers to the name of its incarnation at hand, and to no earlier one."""
        self.listener.become(Identity(self._cluster, self._incarnation()))

    def tell(self, version: int) -> None:
        """See Tell."""
        self.listener.publish(MAP, version)

    def tell_beat(self, incarnations: Sequence[str], beat: int) -> None:
        """See TellBeat."""
        self.listener.tell(incarnations, BEAT, beat)

    def _check_route(self, _user_id: str, version: int) -> None:
        """Has the map read where a caller knows a newer one: it may have given this server what it is asked for."""
        self._view.wanted(version)
