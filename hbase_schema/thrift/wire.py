"""How Thrift is put on a connection to a gateway: its transport and its protocol, as the gateway was started.

    buffered, binary   HBase's default
    framed             `-f`, hbase.regionserver.thrift.framed; always so with -nonblocking, -hsha, -threadedselector
    compact            `-c`, hbase.regionserver.thrift.compact

Neither side says which it speaks: a mismatch shows as a connection that ends or stays silent (spoken.py finds out).
Both are thriftpy2's. Its compact protocol is written in Python, the binary one in C.
"""

from typing import Any, Final, NamedTuple

from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.transport import TBufferedTransport, TFramedTransport

from rowbox.mailbox.settings.config import HBaseSettings, ThriftProtocol, ThriftTransport


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

    def __str__(self) -> str:
        return f"{self.transport} transport and {self.protocol} protocol"


DEFAULT: Final = Wire("buffered", "binary")
"""HBase's, and the settings'."""


def wire_of(settings: HBaseSettings) -> Wire:
    """The one that the settings say."""
    return Wire(settings.transport, settings.protocol)


def frame_bytes_of(settings: HBaseSettings) -> int | None:
    """The largest request that the gateways take, in bytes; None where they are not framed, and take any."""
    return settings.frame_bytes if settings.transport == "framed" else None
