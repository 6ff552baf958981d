"""One connection to a Thrift gateway of HBase, for the few calls that make, describe and probe a table.

It is opened by the first call and closed by any failure: after a timeout the next call would be given the answer of
the one before, which nothing in the protocol tells apart. No exception of Thrift or of a socket leaves this module.

Made for an operator's verbs, which make one call at a time; the store has a pool of its own (cacheserver/stores).
"""

from typing import Any, Final

from thriftpy2.rpc import make_client
from thriftpy2.thrift import TApplicationException, TException
from thriftpy2.transport import TTransportException

from rowbox.hbase_schema.thrift.wire import NOT_THRIFT, wire_of
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.settings.config import HBaseSettings

CREATE_TIMEOUT_MS: Final = 60_000
"""A table with hundreds of regions takes a busy cluster many seconds."""
_MOST_SHOWN: Final = 300

Address = tuple[str, int]
"""A gateway's host and port."""


class HBaseRefused(StoreOutcomeUnknown):
    """HBase answered with an error. `exception` is the Java class that it names, "" where there is none.

    Of a write it is as unknown as without an answer whether it happened: HBase may have given up waiting for itself.
    """

    def __init__(self, message: str, exception: str = "") -> None:
        super().__init__(message)
        self.exception = exception


class ThriftConnection:
    """Calls of one Thrift service on one gateway."""

    def __init__(self, address: Address, service: Any, settings: HBaseSettings, timeout_ms: int | None = None) -> None:
        """`timeout_ms` of a call takes the place of the settings'."""
        self.name = f"{address[0]}:{address[1]}"
        self._address = address
        self._service = service
        self._wire = wire_of(settings)
        self._timeout_ms = settings.call_timeout_ms if timeout_ms is None else timeout_ms
        self._client: Any = None

    def call(self, name: str, *args: object, writes: bool = False) -> Any:
        """What the gateway answers to the call `name`, within the connection's timeout.

        HBaseRefused: it answered with an error. StoreUnavailable: it is away, silent, or no such gateway.
        StoreOutcomeUnknown: the same, of a call that `writes` and had been begun.
        """
        client = self._opened()
        try:
            return getattr(client, name)(*args)
        except (OSError, TTransportException, *NOT_THRIFT) as error:
            self.close()
            kind = StoreOutcomeUnknown if writes else StoreUnavailable
            raise kind(f"gateway {self.name} gave no answer to {name}: {_text(error)}") from error
        except TException as error:
            self.close()
            raise self._refused(name, error) from error

    def _opened(self) -> Any:
        if self._client is None:
            try:
                self._client = make_client(
                    self._service,
                    *self._address,
                    proto_factory=self._wire.protocol_factory,
                    trans_factory=self._wire.transport_factory,
                    timeout=self._timeout_ms,
                )
            except (OSError, TTransportException) as error:
                raise StoreUnavailable(f"gateway {self.name} cannot be reached: {_text(error)}") from error
        return self._client

    def _refused(self, call: str, error: TException) -> HBaseRefused:
        if isinstance(error, TApplicationException) and error.type == TApplicationException.UNKNOWN_METHOD:
            return HBaseRefused(f"gateway {self.name} knows no call {call}")
        reason = _text(error)
        exception = reason.partition(":")[0].rpartition(".")[2] if ":" in reason else type(error).__name__
        return HBaseRefused(f"gateway {self.name} answered {call} with: {reason[:_MOST_SHOWN]}", exception)

    def close(self) -> None:
        """Gives the socket back. The next call opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _text(error: Exception) -> str:
    """The error in one line: of a Java stack trace what stands before the stack, and what it says was the cause."""
    message = getattr(error, "message", None) or (error.args[0] if error.args else None) or type(error).__name__
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("\t", "  ")))
