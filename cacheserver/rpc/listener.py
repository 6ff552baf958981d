"""The process that is called: it accepts links, serves nothing before the proof, and tells all callers what is new.

- Whoever has proven nothing gets LONGEST_MESSAGE_BYTES of memory, `connect_s` of time (TLS included), and is one of
  MOST_STRANGERS. Where all places are taken, who came first gives way: a caller that knows the secret needs its place
  for two round trips, and whoever is silent keeps none of the places from it.
- A refusal is logged once in a while, by its kind, whatever knocks how often.
- An incarnation has one link. A new one takes the place of the old one, which its caller has lost already.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rowbox.cacheserver.link_counts import Between, LinkCounts
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import PING, Handlers, Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Windows
from rowbox.cacheserver.rpc.endpoint import Endpoint, binding_of_listener, is_sealed, listen
from rowbox.cacheserver.rpc.handshake import (
    NONCE_BYTES,
    PASSING,
    REASONS,
    HandshakeError,
    Identity,
    Listening,
    Session,
    refusal,
)
from rowbox.cacheserver.rpc.serving import Reports, ServingLink
from rowbox.cacheserver.rpc.wire import LinkTiming, Wire
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

MOST_STRANGERS: Final = 64
MOST_LINKS: Final = 4_096
SILENT: Final = "silent"
"""Why there is no link, where a caller ended its connection or said nothing, or there was no room for it."""


def serving_counts(between: Between = "servers") -> LinkCounts:
    """For a listener, which has nothing counted yet."""
    return LinkCounts("serves", between, tuple(Lane), (*sorted(REASONS), SILENT))


class Listener:
    """Serves `handlers` to callers of its cluster. `listen` before the first, `close` after the last."""

    def __init__(
        self,
        identity: Identity,
        secret: bytes,
        handlers: Handlers,
        *,
        windows: Windows = WINDOWS,
        timing: LinkTiming | None = None,
        ends_level: int = logging.INFO,
        counts: LinkCounts | None = None,
    ) -> None:
        """`ends_level` is that of the log's lines about links that ended: whose callers are watched by other means need
        none.
        """
        self._ends_level = ends_level
        self._identity = identity
        self._secret = secret
        self._handlers = Handlers()
        self._handlers.add(PING, lambda asked, _: asked)
        self._handlers.merge(handlers)
        self.counts = counts if counts is not None else serving_counts()
        self._windows = windows
        self._timing = timing if timing is not None else LinkTiming()
        loop = asyncio.get_running_loop()
        self._lines = Rarely(loop.time)
        self._reports = Reports(loop.time)
        self._servers: list[asyncio.Server] = []
        self._strangers: dict[_Stranger, None] = {}
        self._links: dict[str, ServingLink] = {}
        self._published: dict[str, bytes] = {}
        self._is_closing = False

    @property
    def refused(self) -> int:
        """Connections that proved nothing, or the wrong thing."""
        return self.counts.refused.total()

    @property
    def peers(self) -> Sequence[str]:
        """The incarnations that have a link."""
        return tuple(self._links)

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return sum(map(len, self._links.values()))

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """Begins to accept at one more endpoint. Returns where: port 0 is a free one. OSError."""
        binding, sealed = binding_of_listener(endpoint), is_sealed(endpoint)
        server, bound = await listen(
            endpoint, lambda: _Stranger(self, binding, sealed=sealed).wire, self._timing.connect_s
        )
        self._servers.append(server)
        return bound

    def become(self, identity: Identity) -> None:
        """This process is another incarnation from now on: whoever calls the earlier one has no link to it any more."""
        self._identity = identity
        for stranger in tuple(self._strangers):
            stranger.wire.give_up("this process is another incarnation now")
        for link in tuple(self._links.values()):
            link.wire.close("this process is another incarnation now")

    def publish(self, kind: str, value: object) -> None:
        """Tells all callers the newest value of a kind, and each new one first thing. A kind is one of few words."""
        frame = self._published[kind] = frames.push(kind, value)
        for link in self._links.values():
            link.say(frame)

    def tell(self, incarnations: Iterable[str], kind: str, value: object) -> None:
        """Tells those of these callers that have a link a value of a kind, once. A kind is one of few words."""
        frame = frames.push(kind, value)
        for link in [self._links[name] for name in incarnations if name in self._links]:
            link.say(frame)

    async def close(self, finish_s: float = 0.0) -> None:
        """Accepts nothing more, lets what is in flight end for up to `finish_s`, and ends the links."""
        self._is_closing = True
        for server in self._servers:
            server.close()
        for stranger in tuple(self._strangers):
            stranger.wire.give_up("this process ends")
        links = tuple(self._links.values())
        if links and finish_s > 0:
            await asyncio.wait([link.stop() for link in links], timeout=finish_s)
        for link in links:
            link.wire.close("this process ends")
        for server in self._servers:
            await server.wait_closed()

    # ------------------------------------------------------------------ connections

    def came(self, stranger: "_Stranger") -> bool:
        """Somebody connects: whether there is a handshake to be made."""
        if self._is_closing:
            return False
        self._strangers[stranger] = None
        if len(self._strangers) > MOST_STRANGERS:
            next(iter(self._strangers)).wire.give_up("others came, and it had proven nothing")
        return True

    def went(self, stranger: "_Stranger") -> None:
        self._strangers.pop(stranger, None)

    def refuse(self, reason: str, why: str) -> None:
        """Somebody was refused: counts, and logs a line where one is due."""
        self.counts.refused[reason] += 1
        if number := self._lines.count(reason):
            level = logging.INFO if reason in PASSING else logging.WARNING
            log.log(level, "a peer was refused: %s (%d times since this was last said)", why, number)

    def wire(self, receive: Callable[[bytes], None], lost: Callable[[str], None]) -> Wire:
        return Wire(self._timing, receive, lost)

    def handshake(self) -> Listening:
        return Listening(self._identity, self._secret, secrets.token_bytes(NONCE_BYTES), self._windows)

    def established(self, wire: Wire, session: Session) -> None:
        """A caller has proven itself."""
        name = session.remote.incarnation
        older = self._links.get(name)
        if older is not None:
            older.wire.give_up("the caller made another link")
        if len(self._links) >= MOST_LINKS:
            wire.give_up("too many links")
            return
        link = self._links[name] = ServingLink(wire, session, self._handlers, self._reports, self._link_ended)
        self.counts.began(link)
        for frame in self._published.values():
            link.say(frame)

    def _link_ended(self, link: ServingLink, reason: str) -> None:
        self.counts.ended(link)
        name = link.session.remote.incarnation
        if self._links.get(name) is link:
            del self._links[name]
        if not self._is_closing and (number := self._lines.count(f"lost: {reason.partition(':')[0]}")):
            text = "the link of %s ended: %s (%d times since this was last said)"
            log.log(self._ends_level, text, name, reason, number)

    def links(self) -> Iterable[ServingLink]:
        """The links that there are."""
        return tuple(self._links.values())


class _Stranger:
    """One connection that has proven nothing yet."""

    def __init__(self, listener: Listener, binding: bytes, *, sealed: bool) -> None:
        self._listener = listener
        self._binding = binding
        self._sealed = sealed
        self._handshake = listener.handshake()
        self._has_greeted = self._is_refused = False
        self.wire = listener.wire(self._received, self._lost)
        if not listener.came(self):
            self.wire.give_up("this process ends")

    def _received(self, message: bytes) -> None:
        try:
            if not self._has_greeted:
                self.wire.say(self._handshake.greeted(message, self._binding))
                self._has_greeted = True
            else:
                self._prove(message)
        except HandshakeError as error:
            self._is_refused = True
            self._listener.refuse(error.reason, str(error))
            self.wire.say(refusal(error))
            self.wire.close(str(error))

    def _prove(self, message: bytes) -> None:
        welcome, session = self._handshake.proven(message)
        self.wire.say(welcome)
        self.wire.open(session.seals() if self._sealed else None)
        self._listener.went(self)
        self._listener.established(self.wire, session)

    def _lost(self, reason: str) -> None:
        self._listener.went(self)
        if not self._is_refused:
            self._listener.refuse(SILENT, f"no handshake: {reason}")
