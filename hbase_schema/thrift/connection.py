"""A connection to a Thrift gateway of HBase: what the store, `rowbox schema` and `rowbox doctor` all call through.

It is thriftpy2's client with what that lacks, for either Thrift interface. Of every call made through it holds:

- It has one deadline, for sending and for the reply to its last byte (deadline_socket.py).
- A reply to something else is never taken for its own (sequenced.py). A request whose reply was not read by the call
  that sent it counts as such.
- After any exception the connection is closed, whatever raised it: what of which reply is still on its way, nobody
  knows. It is not opened again.
- No request is larger than a frame that the gateway takes.
- What goes wrong is said in Rowbox's words (errors.py): no exception of Thrift or of a socket leaves it.

Whose turn it is, which gateway, and whether to ask again is its users' concern: the store's pool
(cacheserver/stores/hbase/pool.py) and the verbs' GatewayCalls (calls.py).
"""
# mypy: allow-untyped-calls

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Generic, TypeAlias, TypeVar

from rowbox.hbase_schema.thrift.deadline_socket import DeadlineSocket
from rowbox.hbase_schema.thrift.errors import Blame, blame, failed_call, said
from rowbox.hbase_schema.thrift.sequenced import Sequenced, sequenced
from rowbox.hbase_schema.thrift.wire import Wire
from rowbox.mailbox.errors import StoreUnavailable, StoreUnreachable

BUFFER_BYTES: Final = 64 * 1024
"""A batch of 256 rows is 200 kB: with thriftpy2's 4 kB it is 53 writes to the socket, with this 4."""

Address: TypeAlias = tuple[str, int]
"""A gateway's host and port."""

_Client = TypeVar("_Client")
_T = TypeVar("_T")


class GatewayConnection(Generic[_Client]):
    """One connection: `open` it once, then `run` calls on it, by one thread at a time."""

    def __init__(
        self, gateway: Address, client_of: Callable[[Any], _Client], wire: Wire, frame_bytes: int | None = None
    ) -> None:
        """`client_of` makes the client of an interface out of a protocol; `frame_bytes`: see DeadlineSocket."""
        self.gateway = gateway
        self._socket = DeadlineSocket(*gateway, frame_bytes)
        self._transport = wire.transport_class(self._socket, BUFFER_BYTES)
        self._protocol: Sequenced = sequenced(wire, self._transport)
        self._client = client_of(self._protocol)
        self.used_s = 0.0
        """When it was opened, or a call on it was last answered, of `monotonic`."""
        self.has_answered = False
        """Whether a call on it was ever answered."""
        self.failure: Blame | None = None
        """Whose failure ended it; None: nobody's that concerns the gateway."""

    @property
    def round_trips(self) -> int:
        """Of the last call."""
        return self._socket.round_trips

    def open(self, deadline_s: float) -> None:
        """Connects by `deadline_s` of `monotonic`. StoreUnreachable: it could not."""
        self._socket.begin(deadline_s)
        try:
            self._transport.open()
        except OSError as error:
            raise StoreUnreachable(f"{named(self.gateway)} cannot be reached: {said(error)}") from None
        self.used_s = monotonic()

    def run(self, work: Callable[[_Client], _T], deadline_s: float, *, writes: bool) -> _T:
        """What `work` returns, which makes calls of the client until `deadline_s`.

        StoreUnavailable: they were not answered, or with an error (HBaseRefused). StoreOutcomeUnknown: the same, where
        they write and something of them was sent. A StoreUnavailable that `work` raises before anything was sent, to
        refuse, is passed on as it is. Whatever is raised, the connection is closed.
        """
        self._socket.begin(deadline_s)
        self._protocol.call = ""
        try:
            result = work(self._client)
            self._protocol.require_no_reply_is_owed()
        except BaseException as error:
            self.close()
            if not isinstance(error, Exception) or self._is_refusal(error):
                raise
            self.failure = blame(error)
            raise failed_call(
                error, named(self.gateway), self._protocol.call, writes=writes, has_sent=self._socket.has_sent
            ) from None
        self.used_s, self.has_answered = monotonic(), True
        return result

    def _is_refusal(self, error: Exception) -> bool:
        return isinstance(error, StoreUnavailable) and not self._socket.has_sent

    def is_usable(self, idle_s: float) -> bool:
        """Whether it may carry a call: open, not idle for longer than `idle_s`, not closed or spoken on meanwhile."""
        return monotonic() - self.used_s <= idle_s and self._socket.is_silent()

    def interrupt(self) -> None:
        """From another thread: whatever is waited for on it, its connecting too, fails now."""
        self._socket.interrupt()

    def close(self) -> None:
        """Gives the socket back; twice is once."""
        self._transport.close()


def named(gateway: Address) -> str:
    """As it stands in messages."""
    return f"gateway {gateway[0]}:{gateway[1]}"
