"""Where a process is called: a Unix socket or a TCP port, with TLS or without.

    unix:/run/rowbox/owner.sock     in a folder that nobody else can enter: neither sealed nor encrypted
    cache-1.example:7400            sealed (seal.py) where there is no TLS
    [2001:db8::1]:7400

Certificates are verified against the cluster's own authority, and not for the name of the host: nodes come and go under
addresses that nobody knew when the certificate was made. Who the peer is, the handshake says. What binds that to
this TLS connection is the hash of the listener's certificate (RFC 5929, tls-server-end-point), because Python's ssl
offers no exporter of keys. So a proof that is passed on through a connection to another certificate does not fit there.
"""

import asyncio
import os
import ssl
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from rowbox.cacheserver.rpc.wire import Wire


class Tls(NamedTuple):
    """One node's side of TLS, for calling and for listening."""

    calling: ssl.SSLContext
    listening: ssl.SSLContext
    certificate: bytes
    """The own one, as DER: what a listener binds the handshake to."""


def load_tls(certificate: Path, key: Path, authority: Path) -> Tls:
    """TLS by files in PEM: the node's certificate (with its chain), its key, and the cluster's authority.

    Both sides show a certificate of that authority. OSError, ssl.SSLError (an OSError), ValueError: not to be read.
    """
    contexts = []
    for side in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER):
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate, key)
        contexts.append(context)
    text = certificate.read_text("ascii")
    first = text[: text.index(_END) + len(_END)]
    return Tls(contexts[0], contexts[1], ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :]))


_END = "-----END CERTIFICATE-----"


class UnixEndpoint(NamedTuple):
    """A socket in a folder of the process's user that nobody else can enter."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class TcpEndpoint(NamedTuple):
    """A TCP port. `host` may be a name, an IPv4 or an IPv6 address."""

    host: str
    port: int
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoint = UnixEndpoint | TcpEndpoint


def parse_endpoint(text: str, tls: Tls | None = None) -> Endpoint:
    """An endpoint as it stands in settings and in the cluster's row. ValueError."""
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute():
            raise ValueError(f"{text!r}: the path of a socket is absolute")
        return UnixEndpoint(path)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{text!r} is no HOST:PORT")
    if ":" in host and not text.startswith("["):
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
    return TcpEndpoint(host, int(port), tls)


async def dial(endpoint: Endpoint, make: Callable[[], Wire], connect_s: float) -> Wire:
    """A connection to a listener. OSError (ssl.SSLError is one); TimeoutError after `connect_s`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(connect_s):
        if isinstance(endpoint, UnixEndpoint):
            _, wire = await loop.create_unix_connection(make, str(endpoint.path))
        elif endpoint.tls is None:
            _, wire = await loop.create_connection(make, endpoint.host, endpoint.port)
        else:
            _, wire = await loop.create_connection(
                make, endpoint.host, endpoint.port, ssl=endpoint.tls.calling, server_hostname=""
            )
    return wire


async def listen(endpoint: Endpoint, make: Callable[[], Wire], connect_s: float) -> tuple[asyncio.Server, Endpoint]:
    """A server, and where it listens: port 0 is a free one. OSError; PermissionError: others can enter the folder.

    A connection whose TLS is not there after `connect_s` is closed. Its wire hears of nothing then, as it does where
    TLS fails: a connection is a wire's from when TLS is there.
    """
    loop = asyncio.get_running_loop()
    if isinstance(endpoint, UnixEndpoint):
        _make_private(endpoint.path.parent)
        return await loop.create_unix_server(make, str(endpoint.path)), endpoint
    tls = None if endpoint.tls is None else endpoint.tls.listening
    server = await loop.create_server(
        make,
        endpoint.host,
        endpoint.port,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else connect_s,
        reuse_address=True,
    )
    return server, endpoint._replace(port=server.sockets[0].getsockname()[1])


def binding_of_caller(wire: Wire) -> bytes:
    """What names this connection at its caller; b"" where there is no TLS."""
    tls: Any = wire.transport.get_extra_info("ssl_object")
    return b"" if tls is None else sha256(tls.getpeercert(binary_form=True)).digest()


def binding_of_listener(endpoint: Endpoint) -> bytes:
    """The same at the listener."""
    tls = endpoint.tls if isinstance(endpoint, TcpEndpoint) else None
    return b"" if tls is None else sha256(tls.certificate).digest()


def is_sealed(endpoint: Endpoint) -> bool:
    """Whether messages carry a MAC: on a network, where TLS does not see to it."""
    return isinstance(endpoint, TcpEndpoint) and endpoint.tls is None


def _make_private(folder: Path) -> None:
    """Makes the folder of a socket, where it is not there. PermissionError: it is not this user's alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(
            f"{folder} has to be of this user, and closed to all others (chmod 700): a socket is in it"
        )
