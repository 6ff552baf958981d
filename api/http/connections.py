"""All connections of one port: how many there may be, how many bytes they may hold, how long each may keep us waiting.

Three rules hold whatever clients do. Each connection that a rule closes is counted.

number    Each connection is a descriptor. When there would be one too many, the one that has been idle longest is
          closed. Where none is idle, the one that has held bytes longest is closed. Where none holds any, the new
          client is refused.
bytes     A connection holds bytes that its client sent and nobody took yet (a head that does not end, requests behind
          the one that is being answered, a body before its turn) and answers that its client does not read. Up to
          FREE_BYTES of each connection are not counted. Beyond that all connections share one budget; when it is used
          up, the connection that has held bytes longest is closed.
time      A head has to be whole in time, and an answer has to move on in time. A client that closed its half of the
          connection while it waits for an answer is probed every PROBE_S, to learn whether it is still there.

Of all that a rule could close, connections that never had a valid token are closed first.

A request that comes in one piece, and whose answer the kernel takes in one piece, costs no call of this module.
"""

import asyncio
import logging
from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal, Protocol

import msgspec

from rowbox.mailbox.timing.timer_queue import TimerQueue, step_of

FREE_BYTES: Final = 8 << 10
"""Bytes that each connection may hold uncounted: a head with a large token, or a small request behind another."""
REPORT_EVERY_S: Final = 10.0
"""Seconds between two log lines of one kind. Whoever can connect could otherwise cause thousands a second and fill a
disk."""
PROBE_S: Final = 1.0
"""Seconds between two probes of a client that closed its half. One that left is noticed after two probes."""
_log = logging.getLogger(__name__)


class Cut(Enum):
    """Why a connection was closed by the server, against its client's will."""

    ROOM = "room"
    BYTES = "bytes"
    HEAD = "head"
    WRITE = "write"


class Peer(Protocol):
    """A connection, as far as Connections knows it."""

    is_known: bool
    """Whether a request on it had a valid token."""

    def held_bytes(self) -> int:
        """Bytes that its client sent and nobody took yet, beyond FREE_BYTES."""
        ...

    def unsent_bytes(self) -> int:
        """Bytes of answers that wait for the client to read."""
        ...

    def probe(self) -> None:
        """Sends something that fails where the client is gone, if anything may be sent now."""
        ...

    def abort(self) -> None:
        """Closes it now. Bytes that were not sent are lost."""
        ...


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the connections of one port may take. Times are seconds."""

    most: int
    held_bytes: int
    head_s: float
    write_s: float
    probe_s: float = PROBE_S


class Connections:
    """The connections of one port, and the three rules that they keep."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.cuts = dict.fromkeys(Cut, 0)
        self.refused = 0
        self.accept_failures = 0
        """Times the system had no descriptor for a client (acceptor.py)."""
        self.broken = 0
        """Times a client sent broken HTTP."""
        self._reported_at_s, self._reported = float("-inf"), 0
        self._loop = asyncio.get_running_loop()
        self.held_bytes = 0
        self._coming = 0
        self._open: set[Peer] = set()
        self._idle = _Ranks()
        self._holding = _Ranks()
        self._held: dict[Peer, int] = {}
        self._unsent: dict[Peer, int] = {}
        """Unsent bytes at the last look. A client whose number has not shrunk since then does not read."""
        self._heads = TimerQueue[Peer](self._loop, self._head_is_late, step_s=step_of(limits.head_s))
        self._writes = TimerQueue[Peer](self._loop, self._look_at_write, step_s=step_of(limits.write_s))
        self._probes = TimerQueue[Peer](self._loop, self._probe, step_s=step_of(limits.probe_s))

    def __len__(self) -> int:
        return len(self._open)

    # ------------------------------------------------------------------ number

    def let_in(self) -> bool:
        """Whether one more client may connect. It may close another connection for it, and keeps a place for the client
        until `opened` or `did_not_come` is called.
        """
        if len(self._open) + self._coming >= self.limits.most and not self.make_way():
            self.refused += 1
            return False
        self._coming += 1
        return True

    def did_not_come(self) -> None:
        """A client that was let in left before its connection was opened."""
        self._coming -= 1

    def make_way(self) -> bool:
        """Closes an idle connection, else one that holds bytes. False where there is neither."""
        peer = self._idle.first() or self._holding.first()
        if peer is not None:
            self._cut(peer, Cut.ROOM)
        return peer is not None

    def opened(self, peer: Peer) -> None:
        """The connection of a client that was let in is open. Its first head has to come in time."""
        self._coming -= 1
        self._open.add(peer)
        self._idle.add(peer)
        self._heads.add(peer, self.limits.head_s)

    def lost(self, peer: Peer) -> None:
        """The connection is closed, or is about to be."""
        self._open.discard(peer)
        self._idle.remove(peer)
        self._heads.remove(peer)
        self._writes.remove(peer)
        self._probes.remove(peer)
        self._unsent.pop(peer, None)
        self._count(peer, 0)

    def idle(self) -> Iterator[Peer]:
        """The connections that have no request in flight."""
        return iter(list(self._idle))

    def close(self) -> None:
        """Aborts all connections that are left."""
        for peer in list(self._open):
            self.lost(peer)
            peer.abort()
        self._heads.close()
        self._writes.close()
        self._probes.close()

    def samples(self) -> Iterator[tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]]:
        """The metrics of these connections, for api/telemetry/metrics.py. Cheap: it reads integers."""
        yield "rowbox_http_connections", "gauge", "Connections to the API.", {}, len(self._open)
        yield (
            "rowbox_http_connections_limit",
            "gauge",
            "How many connections to the API there may be.",
            {},
            self.limits.most,
        )
        yield (
            "rowbox_http_held_bytes",
            "gauge",
            "Bytes that connections hold: sent and not taken, or not read.",
            {},
            self.held_bytes,
        )
        yield (
            "rowbox_http_held_limit_bytes",
            "gauge",
            "How many bytes all connections may hold.",
            {},
            self.limits.held_bytes,
        )
        yield (
            "rowbox_http_refused_connections_total",
            "counter",
            "Connections refused: no room for another.",
            {},
            self.refused,
        )
        text = "Times that a client could not be accepted for want of a descriptor."
        yield "rowbox_http_accept_failures_total", "counter", text, {}, self.accept_failures
        yield (
            "rowbox_http_broken_requests_total",
            "counter",
            "Times that a client sent what is no HTTP.",
            {},
            self.broken,
        )
        text = "Connections closed against their clients' will: for room, for bytes, or because one did not move on."
        for why, number in self.cuts.items():
            yield "rowbox_http_cut_connections_total", "counter", text, {"reason": why.value}, number

    # ------------------------------------------------------------------ what a connection tells

    def asks(self, peer: Peer) -> None:
        """An idle connection has a request again."""
        (self._idle.known if peer.is_known else self._idle.strangers).pop(peer, None)

    def head_ended(self, peer: Peer) -> None:
        """A head that had begun is whole."""
        self._heads.remove(peer)

    def head_begun(self, peer: Peer) -> None:
        """A part of a head came, and more has to come in time."""
        if peer in self._open:
            self._heads.add(peer, self.limits.head_s)

    def answered(self, peer: Peer) -> None:
        """Every request of the connection was answered: it is idle."""
        if peer in self._open:
            (self._idle.known if peer.is_known else self._idle.strangers)[peer] = None

    def holds(self, peer: Peer) -> None:
        """The connection's `held_bytes` has changed."""
        self._count(peer, self._unsent.get(peer, 0) + peer.held_bytes())

    def stalls(self, peer: Peer) -> None:
        """The kernel takes no more of the connection's answer, because its client does not read as fast as we write."""
        if peer in self._open:
            self._writes.add(peer, self.limits.write_s)
            self.lies_unsent(peer)

    def lies_unsent(self, peer: Peer) -> None:
        """The kernel takes no more of what goes to an upgraded connection, which itself sees to it that it moves on."""
        if peer in self._open:
            self._unsent[peer] = peer.unsent_bytes()
            self.holds(peer)

    def flows(self, peer: Peer) -> None:
        """The kernel has all of the connection's answer again."""
        if self._unsent.pop(peer, None) is not None:
            self._writes.remove(peer)
            self.holds(peer)

    def half_closed(self, peer: Peer) -> None:
        """The client closed its half of the connection: it waits for an answer, or is gone."""
        if peer in self._open:
            self._probes.add(peer, self.limits.probe_s)

    def sent_no_http(self, name: object, why: object) -> None:
        """A client at the address `name` sent broken HTTP; `why` says what was wrong."""
        self.broken += 1
        now_s = self._loop.time()
        if now_s - self._reported_at_s >= REPORT_EVERY_S:
            _log.info("not HTTP from %s: %s (%d such since the last line)", name, why, self.broken - self._reported)
            self._reported_at_s, self._reported = now_s, self.broken

    # ------------------------------------------------------------------ what follows

    def _count(self, peer: Peer, size: int) -> None:
        if peer not in self._open:
            size = 0
        self.held_bytes += size - self._held.pop(peer, 0)
        if not size:
            self._holding.remove(peer)
            return
        self._held[peer] = size
        self._holding.add(peer)
        while self.held_bytes > self.limits.held_bytes and (longest := self._holding.first()) is not None:
            self._cut(longest, Cut.BYTES)

    def _head_is_late(self, peer: Peer) -> None:
        self._cut(peer, Cut.HEAD)

    def _look_at_write(self, peer: Peer) -> None:
        if peer.unsent_bytes() < self._unsent[peer]:
            self.stalls(peer)
        else:
            self._cut(peer, Cut.WRITE)

    def _probe(self, peer: Peer) -> None:
        peer.probe()
        self.half_closed(peer)

    def _cut(self, peer: Peer, why: Cut) -> None:
        self.cuts[why] += 1
        self.lost(peer)
        peer.abort()


class _Ranks:
    """Connections in the order in which they are closed: those without a valid token first, then the oldest first."""

    def __init__(self) -> None:
        self.strangers: dict[Peer, None] = {}
        self.known: dict[Peer, None] = {}

    def add(self, peer: Peer) -> None:
        """Adds `peer` at the end. One that is in it keeps its place, unless it has shown a valid token meanwhile."""
        if peer.is_known:
            self.strangers.pop(peer, None)
            self.known[peer] = None
        else:
            self.strangers[peer] = None

    def remove(self, peer: Peer) -> None:
        self.known.pop(peer, None)
        self.strangers.pop(peer, None)

    def first(self) -> Peer | None:
        return next(iter(self.strangers), None) or next(iter(self.known), None)

    def __iter__(self) -> Iterator[Peer]:
        yield from self.strangers
        yield from self.known
