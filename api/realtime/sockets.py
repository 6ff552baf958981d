"""Everybody who is connected for changes: how many there may be, who has to go for whom, what is counted of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from random import randrange
from typing import Final, Literal, Protocol

from rowbox.api.http.drain import Drain
from rowbox.api.realtime.closing import CODES, UNHEARD
from rowbox.mailbox.errors import HandoverInProgress, Overloaded
from rowbox.mailbox.settings.config import SocketSettings

SPREAD_MS: Final = 3_000
"""Over so long the clients of a server that stops come back, each at a moment of its own."""
RETRY_MS: Final = 1_000
_TOLD_APART: Final = (1000, 1001, 1002, 1005, UNHEARD, 1007, 1009, *(one.code for one in CODES))
_OTHER: Final = "other"
Kind = Literal["socket", "stream"]


class Connected(Protocol):
    """One socket or stream."""

    @property
    def kind(self) -> Kind: ...

    def displaced(self, reason: str) -> None:
        """Its place is another one's: it is closed."""
        ...

    def drain(self, retry_after_ms: int) -> None:
        """The server stops: its client is to come back after this time."""
        ...


class Sockets:
    """The connections of one process that wait for changes. `chance(n)` gives a number below n."""

    def __init__(
        self,
        settings: SocketSettings,
        drain: Drain,
        clock: Callable[[], float] | None = None,
        chance: Callable[[int], int] = randrange,
    ) -> None:
        self._settings = settings
        self._drain = drain
        self._clock = clock or asyncio.get_running_loop().time
        self.chance = chance
        self._open: dict[Connected, None] = {}
        self._by_user: dict[str, dict[Connected, str | None]] = {}
        """By user: his connections, the oldest first, each with its device."""
        self._second_s = float("-inf")
        self._handshakes = 0
        """In the second that began at `_second_s`."""
        self.refused = 0
        self.frames_in = 0
        self.frames_out = 0
        self.deltas_pulled = 0
        self.deltas_pushed = 0
        self._closes = dict.fromkeys((*map(str, _TOLD_APART), _OTHER), 0)
        drain.when_begun(self._begin_drain)

    def __len__(self) -> int:
        return len(self._open)

    def let_in(self, one: Connected) -> None:
        """Has a place for one more, until `leave`. Overloaded, HandoverInProgress where the server stops."""
        now_s = self._clock()
        if now_s - self._second_s >= 1.0:
            self._second_s, self._handshakes = now_s, 0
        if self._drain.has_begun:
            self.refused += 1
            raise HandoverInProgress("this server is stopping", retry_after_ms=self.chance(SPREAD_MS))
        is_full = len(self._open) >= self._settings.max_per_server
        if is_full or self._handshakes >= self._settings.handshakes_per_second:
            self.refused += 1
            text = "all the sockets that it can have" if is_full else "too many clients that connect at once"
            raise Overloaded(f"this server has {text}", retry_after_ms=RETRY_MS + self.chance(SPREAD_MS))
        self._handshakes += 1
        self._open[one] = None

    def enter(self, one: Connected, user_id: str, device_id: str | None) -> None:
        """`one` is a connection of this user's. Whose place it takes is closed: the same device's, or the oldest."""
        own = self._by_user.setdefault(user_id, {})
        if device_id is not None:
            for other in [other for other, device in own.items() if device == device_id]:
                del own[other]
                other.displaced("this device has connected elsewhere")
        if len(own) >= self._settings.max_per_user:
            oldest = next(iter(own))
            del own[oldest]
            oldest.displaced(f"the user has more than {self._settings.max_per_user} connections")
        own[one] = device_id

    def leave(self, one: Connected, user_id: str | None) -> None:
        """The connection has ended. `user_id`: whose it was, if that was known."""
        self._open.pop(one, None)
        own = None if user_id is None else self._by_user.get(user_id)
        if own is not None and user_id is not None:
            own.pop(one, None)
            if not own:
                del self._by_user[user_id]

    def closed(self, code: int) -> None:
        """A socket or stream has ended with this code. Clients may choose theirs: only known ones are told apart."""
        self._closes[str(code) if code in _TOLD_APART else _OTHER] += 1

    def _begin_drain(self) -> None:
        for one in list(self._open):
            one.drain(self.chance(SPREAD_MS))

    def samples(self) -> Iterator[tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]]:
        """The metrics, for api/telemetry/metrics.py."""
        text = "Connections that wait for changes: sockets, and event streams."
        kinds = Counter(one.kind for one in self._open)
        for kind in ("socket", "stream"):
            yield "rowbox_sockets_open", "gauge", text, {"kind": kind}, kinds[kind]
        text = "How many connections may wait for changes."
        yield "rowbox_sockets_limit", "gauge", text, {}, self._settings.max_per_server
        text = "Sockets and streams refused before they began: too many, too many at once, or the server stops."
        yield "rowbox_sockets_refused_total", "counter", text, {}, self.refused
        text = "Frames of sockets: `in` from clients, `out` to them; events of streams are `out`."
        yield "rowbox_socket_frames_total", "counter", text, {"direction": "in"}, self.frames_in
        yield "rowbox_socket_frames_total", "counter", text, {"direction": "out"}, self.frames_out
        text = "Deltas sent: as the commit's own bytes (`commit`), or after the log was asked (`pull`)."
        yield "rowbox_socket_deltas_total", "counter", text, {"way": "commit"}, self.deltas_pushed
        yield "rowbox_socket_deltas_total", "counter", text, {"way": "pull"}, self.deltas_pulled
        text = "Sockets closed, by the code that ended them; 1006: without a word; streams as sockets."
        for code, number in self._closes.items():
            yield "rowbox_socket_closes_total", "counter", text, {"code": code}, number
