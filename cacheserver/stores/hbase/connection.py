"""One connection to a Thrift1 gateway: happybase's, with the three things that it lacks.

A deadline for a whole call: a socket's timeout is per `recv`, so a gateway that sends a byte now and then holds a
caller for ever. Replies told apart: neither happybase nor thriftpy2 looks at the sequence id, so after a call that was
given up the next one gets the previous reply, another user's mail. And two requests in one round trip.

A connection is used by one thread at a time. Whoever sees any exception closes it (hbase_pool): nobody knows what of
which reply is still on its way.
"""
# mypy: allow-untyped-calls
# (thriftpy2 is typed in part only)

from collections import deque
from contextlib import suppress
from socket import MSG_PEEK, SHUT_RDWR
from time import monotonic
from typing import Any, TypeAlias

import happybase
from happybase.connection import Hbase
from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.thrift import TClient
from thriftpy2.transport import TSocket

from rowbox.hbase_schema.thrift.wire import Wire

BUFFER_BYTES = 64 * 1024
"""A batch of 256 rows is 200 kB: with thriftpy2's 4 kB it is 53 writes to the socket, with this 4."""

Gateway: TypeAlias = tuple[str, int]
"""Host and port."""


class CrossedReply(Exception):
    """What came is not the reply to what was asked."""


class DeadlineSocket(TSocket):
    """A socket whose every wait ends at `deadline_s` (of `monotonic`), with TimeoutError."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(*gateway)
        self.deadline_s = 0.0
        self.has_sent = False
        self.round_trips = 0
        self._is_asking = False

    def begin(self, deadline_s: float) -> None:
        """A new call: nothing of it was sent yet."""
        self.deadline_s, self.has_sent, self.round_trips, self._is_asking = deadline_s, False, 0, False

    def read(self, sz: int) -> bytes:
        if self._is_asking:
            self._is_asking = False
            self.round_trips += 1
        self._limit_wait()
        data: bytes = super().read(sz)
        return data

    def write(self, buf: bytes) -> None:
        self._limit_wait()
        self.has_sent = self._is_asking = True
        super().write(buf)

    def is_silent(self) -> bool:
        """Whether the other side neither closed it nor said anything that nobody asked for."""
        try:
            self.sock.settimeout(0)
            self.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _limit_wait(self) -> None:
        left_s = self.deadline_s - monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.sock.settimeout(left_s)


class _Sequenced:
    """A protocol that numbers its requests, and takes replies only in their order and under their numbers and names."""

    def __init__(self, transport: Any) -> None:
        super().__init__(transport, decode_response=False)  # type: ignore[call-arg]
        self._last = 0
        self._asked: deque[tuple[str, int]] = deque()

    def write_message_begin(self, name: str, ttype: int, seqid: int) -> None:
        self._last = self._last % 0x7FFFFFFF + 1
        self._asked.append((name, self._last))
        super().write_message_begin(name, ttype, self._last)  # type: ignore[misc]

    def read_message_begin(self) -> tuple[str, int, int]:
        asked = self._asked.popleft()  # first: a reply that does not come in time must not answer the next request
        name, kind, seqid = super().read_message_begin()  # type: ignore[misc]
        if isinstance(name, bytes):  # the compact protocol decodes no text at all then, its own name included
            name = name.decode(errors="replace")
        if (name, seqid) != asked:
            raise CrossedReply(f"asked {asked[0]} {asked[1]}, got a reply to {name} {seqid}")
        return name, kind, seqid


class SequencedBinary(_Sequenced, TBinaryProtocol):
    """See _Sequenced."""


class SequencedCompact(_Sequenced, TCompactProtocol):
    """See _Sequenced."""


class GatewayClient(TClient):
    """All calls of Thrift1, as methods under their names in HBase's interface definition, and one made of two."""

    def last_rows(self, scanner: int, limit: int) -> list[Any]:
        """Up to `limit` rows of a scanner, which is closed: two requests in one round trip."""
        self._send("scannerGetList", id=scanner, nbRows=limit)
        self._send("scannerClose", id=scanner)
        rows: list[Any] = self._recv("scannerGetList")
        self._recv("scannerClose")
        return rows


class GatewayConnection:
    """A connection: `open` it, once. Calls go through `client`, after `begin`."""

    def __init__(self, gateway: Gateway, connect_timeout_s: float, wire: Wire) -> None:
        self.gateway = gateway
        self.socket = DeadlineSocket(gateway)
        self.socket.connect_timeout = connect_timeout_s
        transport = wire.transport_class(self.socket, BUFFER_BYTES)
        sequenced = SequencedCompact if wire.protocol == "compact" else SequencedBinary
        self.client = GatewayClient(Hbase, sequenced(transport))
        self._connection = happybase.Connection(*gateway, autoconnect=False)
        self._connection.transport, self._connection.client = transport, self.client
        self.used_s = 0.0
        self.has_answered = False
        """Whether a call on it was ever answered."""

    def open(self) -> None:
        """Connects; raises TTransportException or OSError."""
        self._connection.open()
        self.used_s = monotonic()

    def interrupt(self) -> None:
        """From another thread: whatever is waited for on it, its connecting too, fails now."""
        with suppress(OSError, AttributeError):  # not connected, or without a socket: not yet, or not any more
            self.socket.sock.shutdown(SHUT_RDWR)

    def begin(self, deadline_s: float) -> None:
        """The next call is to end by `deadline_s` of `monotonic`."""
        self.socket.begin(deadline_s)

    def is_usable(self, idle_s: float) -> bool:
        """Whether it may carry a call: neither idle for longer than `idle_s` nor closed or spoken on meanwhile."""
        return monotonic() - self.used_s <= idle_s and self.socket.is_silent()

    def close(self) -> None:
        self._connection.close()
