"""Gateways that are made here and need no HBase: of Thrift in each of its ways, and ones that speak something else."""
# mypy: allow-untyped-calls

import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import error as StructError  # noqa: N812 - an exception, whatever its case
from threading import Thread
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from thriftpy2.protocol.cybin.cybin import ProtocolError
from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TMemoryBuffer, TSocket, TTransportException

from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire

_NOT_THRIFT: Final = (
    *(TTransportException, TProtocolException, ProtocolError, SystemError, MemoryError, UnicodeError, RecursionError),
    *(StructError, TypeError, KeyError, ValueError, OverflowError, AssertionError),
)
"""What thriftpy2's parsers raise at bytes that are not what they read: the first line, of C; the second, of Python."""

Handle = Callable[[Any], None]
"""Handles the socket of a connection, which is closed afterwards."""

Reply = Callable[[bytes, bytes], bytes]
"""What is sent, of the true reply and of the one to the request before it on the connection, b"" where there was none.
"""


class _Named:
    """A protocol that leaves bytes as they are, but for the names of calls, by which a processor finds its methods."""

    def read_message_begin(self) -> tuple[str, int, int]:
        name, kind, number = super().read_message_begin()  # type: ignore[misc]
        return (name.decode() if isinstance(name, bytes) else name), kind, number


@contextmanager
def thrift_gateway(service: Any, handler: object, wire: Wire = DEFAULT) -> Iterator[tuple[str, int]]:
    """The address of a gateway that answers the calls of `service` by the methods of `handler`.

    What it cannot read ends the connection, as HBase's gateway does.
    """
    processor = TProcessor(service, handler)
    protocol_class = type("Named", (_Named, wire.protocol_class), {})

    def handle(connection: Any) -> None:
        transport = wire.transport_class(TSocket(sock=connection), 4096)
        protocol = protocol_class(transport, decode_response=False)
        with suppress(OSError, *_NOT_THRIFT):
            while True:
                processor.process(protocol, protocol)

    with foreign_gateway(handle) as address:
        yield address


@contextmanager
def replying_gateway(service: Any, handler: object, wire: Wire, reply: Reply) -> Iterator[tuple[str, int]]:
    """The address of a gateway that sends what `reply` makes of each true reply."""
    processor = TProcessor(service, handler)
    protocol_class = type("Named", (_Named, wire.protocol_class), {})

    def handle(connection: Any) -> None:
        before = b""
        requests = wire.transport_class(TSocket(sock=connection), 4096)
        with suppress(OSError, *_NOT_THRIFT):
            while True:
                true = TMemoryBuffer()
                transport = wire.transport_class(true, 4096)
                processor.process(
                    protocol_class(requests, decode_response=False), protocol_class(transport, decode_response=False)
                )
                connection.sendall(reply(true.getvalue(), before))
                before = true.getvalue()

    with foreign_gateway(handle) as address:
        yield address


@contextmanager
def foreign_gateway(handle: Handle) -> Iterator[tuple[str, int]]:
    """The address of a gateway that handles each connection by `handle`, in a thread of its own."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection, bind_and_activate=False) as server:
        server.daemon_threads, server.block_on_close, server.request_queue_size = True, False, 64
        server.server_bind()
        server.server_activate()
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def speaks_http(connection: Any) -> None:
    """Answers as Jetty does, to requests that are HTTP and to those that are not."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def asks_for_sasl(connection: Any) -> None:
    """Acts as libthrift's TSaslServerTransport: refuses a mechanism in words, and ends at anything else."""
    head = connection.recv(4096)
    if head.startswith(b"\1\0\0\0"):
        text = b"Unsupported mechanism type " + head[5:]
        connection.sendall(b"\3" + len(text).to_bytes(4, "big") + text)


def is_deaf(connection: Any) -> None:
    """Reads all that comes, and answers nothing."""
    while connection.recv(4096):
        pass


def hangs_up(connection: Any) -> None:
    """Ends each connection, as a proxy does whose server is away."""
    connection.recv(4096)


def speaks_tls(folder: Path) -> Handle:
    """A gateway behind a certificate of its own, which is made in `folder`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))

    def handle(connection: Any) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4096)

    return handle


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "gateway.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path
