"""The Signals of another process, over a link: API processes share those of the server that started them."""

from typing import Final

import msgspec

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.ephemeral.signals import Heard, Hearers, Signals
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import CallSpec, Handlers, Inbound, Lane, ServedLink
from rowbox.cacheserver.rpc.link import Waiting
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.errors import BadRequest, RowboxError

CALL_S: Final = 5.0
AGAIN_S: Final = 1.0
AT_ONCE: Final = 1_000
"""Conversations of one call."""
MOST_WAITING: Final = 1_000
"""Signals that wait for one link. More are dropped."""
MOST_SAID: Final = 100
"""Signals whose call is under way. More are dropped: the lane is that of what users ask."""
TYPED: Final = "typed"
"""The kind of the Push that tells who types: a TypedNow."""


class Typed(msgspec.Struct, frozen=True, array_like=True):
    """The argument of Signals.say."""

    conversation_id: str
    user_id: str


class TypedNow(msgspec.Struct, frozen=True, array_like=True):
    """What was said in one turn of the loop, as far as it is heard over a link."""

    typed: tuple[Typed, ...]


class HearOver(msgspec.Struct, frozen=True, array_like=True):
    """Of which conversations is to be heard over the link from now on, and of which no more."""

    add: tuple[str, ...]
    drop: tuple[str, ...] = ()


SAY = CallSpec("signals_say", Typed, type(None), Lane.REQUESTS, writes=False)
HEAR = CallSpec("signals_hear", HearOver, type(None), Lane.REQUESTS, writes=False)
_typed_now: Final = msgspec.msgpack.Decoder(TypedNow)


class _Served:
    """What is heard over one link."""

    def __init__(self, link: ServedLink, signals: Signals) -> None:
        self._link = link
        self._signals = signals
        self._heard_of: set[str] = set()
        self._waiting: list[Typed] = []

    def change(self, asked: HearOver) -> None:
        for conversation_id in set(asked.add) - self._heard_of:
            self._heard_of.add(conversation_id)
            self._signals.hear(conversation_id, self._heard)
        for conversation_id in self._heard_of & set(asked.drop):
            self._heard_of.discard(conversation_id)
            self._signals.unhear(conversation_id, self._heard)

    def close(self) -> None:
        self.change(HearOver((), tuple(self._heard_of)))
        self._waiting.clear()

    def _heard(self, conversation_id: str, user_id: str) -> None:
        if len(self._waiting) >= MOST_WAITING:
            return
        if not self._waiting:
            self._link.push(self._leave)
        self._waiting.append(Typed(conversation_id, user_id))

    def _leave(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return frames.push(TYPED, TypedNow(tuple(waiting))) if waiting else b""


def signals_calls(signals: Signals) -> Handlers:
    """The handlers of the Signals of this process."""
    by_link: dict[ServedLink, _Served] = {}

    def say(asked: Typed, _: Inbound) -> None:
        signals.say(asked.conversation_id, asked.user_id)

    def hear(asked: HearOver, inbound: Inbound) -> None:
        link = inbound.link
        if link is None:
            raise BadRequest("signals are told over a link, and this call has none")
        served = by_link.get(link)
        if served is None:
            served = by_link[link] = _Served(link, signals)
            link.at_end(lambda: by_link.pop(link).close())
        served.change(asked)

    handlers = Handlers()
    handlers.add(SAY, say)
    handlers.add(HEAR, hear)
    return handlers


class RemoteSignals:
    """The Signals of the process behind `peer`, which is the caller's to close."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._hearers = Hearers()
        self._said = 0
        """Calls under way."""
        self._known: set[str] = set()
        """Of which the other process tells."""
        self.loop = BackgroundLoop("typing-hear", self._round)
        peer.hear(TYPED, self._typed, self._lost)

    def start(self) -> None:
        """See Signals."""
        self.loop.start()

    async def close(self) -> None:
        """See Signals."""
        await self.loop.close()

    def say(self, conversation_id: str, user_id: str) -> None:
        """See Signals."""
        if self._said >= MOST_SAID:
            return
        try:
            saying = self._peer.call(SAY, Typed(conversation_id, user_id), timeout_s=CALL_S)
        except RowboxError:
            return
        self._said += 1
        saying.add_done_callback(self._answered)

    def hear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.add(conversation_id, heard)
        self.loop.wake()

    def unhear(self, conversation_id: str, heard: Heard) -> None:
        """See Signals."""
        self._hearers.remove(conversation_id, heard)
        self.loop.wake()

    async def _round(self) -> float | None:
        wanted = self._hearers.conversations
        add, drop = sorted(wanted - self._known)[:AT_ONCE], sorted(self._known - wanted)[:AT_ONCE]
        if not add and not drop:
            return None
        try:
            await self._peer.call(HEAR, HearOver(tuple(add), tuple(drop)), timeout_s=CALL_S)
        except RowboxError:
            return AGAIN_S
        self._known = (self._known | set(add)) - set(drop)
        return 0.0

    def _typed(self, value: bytes) -> None:
        try:
            now = _typed_now.decode(value)
        except frames.UNREADABLE as error:
            raise frames.Garbage(f"told what cannot be read: {error}") from error
        for typed in now.typed:
            self._hearers.tell(typed.conversation_id, typed.user_id)

    def _lost(self) -> None:
        """The link is lost, and with it all that was heard over it."""
        self._known = set()
        self.loop.wake()

    def _answered(self, said: "Waiting[None]") -> None:
        """What comes of it is of no interest: it is over in a moment."""
        self._said -= 1
        if not said.cancelled():
            said.exception()
