"""How Thrift is put on a connection to a gateway: its transport and its protocol, as the gateway was started.

    buffered, binary   HBase's default
    framed             `-f`, hbase.regionserver.thrift.framed; always so with -nonblocking, -hsha, -threadedselector
    compact            `-c`, hbase.regionserver.thrift.compact

Neither side says which it speaks: a mismatch shows as a connection that ends or stays silent (spoken.py finds out).
Both are thriftpy2's. Its compact protocol is written in Python, the binary one in C.
"""
# mypy: allow-untyped-calls

from struct import error as StructError  # noqa: N812 - an exception, whatever its case
from typing import Any, Final, NamedTuple

from thriftpy2.protocol import (
    TBinaryProtocol,
    TBinaryProtocolFactory,
    TCompactProtocol,
    TCompactProtocolFactory,
)
from thriftpy2.protocol.cybin.cybin import ProtocolError
from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.transport import (
    TBufferedTransport,
    TBufferedTransportFactory,
    TFramedTransport,
    TFramedTransportFactory,
)

from rowbox.mailbox.settings.config import HBaseSettings, ThriftProtocol, ThriftTransport

NOT_THRIFT: Final = (
    *(ProtocolError, TProtocolException, SystemError, MemoryError, UnicodeError, RecursionError),
    *(StructError, TypeError, KeyError, ValueError, OverflowError, AssertionError),
)
"""What thriftpy2's parsers raise at bytes that are not what they read: the first line, of C; the second, of Python."""


class Wire(NamedTuple):
    """A transport and a protocol."""

    transport: ThriftTransport
    protocol: ThriftProtocol

    @property
    def transport_class(self) -> Any:
        """Takes a socket and the size of its buffer in bytes."""
        return TFramedTransport if self.transport == "framed" else TBufferedTransport

    @property
    def protocol_class(self) -> Any:
        """Takes a transport."""
        return TCompactProtocol if self.protocol == "compact" else TBinaryProtocol

    @property
    def transport_factory(self) -> Any:
        return TFramedTransportFactory() if self.transport == "framed" else TBufferedTransportFactory()

    @property
    def protocol_factory(self) -> Any:
        return TCompactProtocolFactory() if self.protocol == "compact" else TBinaryProtocolFactory()

    def __str__(self) -> str:
        return f"{self.transport} transport and {self.protocol} protocol"


DEFAULT: Final = Wire("buffered", "binary")
"""HBase's, and the settings'."""


def wire_of(settings: HBaseSettings) -> Wire:
    """The one that the settings say."""
    return Wire(settings.transport, settings.protocol)
