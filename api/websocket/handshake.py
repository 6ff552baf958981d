"""The handshake of a WebSocket (RFC 6455, 4.2): whether a request is one, and the answer that switches to frames.

It is written here and not by aiohttp's WebSocketResponse, which takes four times as long for it: ten thousand clients
whose network comes back do nothing else.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from hashlib import sha1
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from rowbox.mailbox.errors import BadRequest

VERSION: Final = "13"
_KEY_BYTES: Final = 16
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""With which a server shows that it has read the key."""
_HEAD: Final = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\nServer: rowbox\r\n\r\n"
)
"""The Server header as in every answer (api/http/wire.py)."""


def accept_of(headers: CIMultiDictProxy[str]) -> str:
    """What answers the key of a handshake with these headers. BadRequest where they are those of no handshake."""
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "")
    if (
        "websocket" not in _listed(headers, hdrs.UPGRADE)
        or "upgrade" not in _listed(headers, hdrs.CONNECTION)
        or headers.get(hdrs.SEC_WEBSOCKET_VERSION) != VERSION
        or not _is_key(key)
    ):
        raise BadRequest("this is no handshake of a WebSocket (RFC 6455)")
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def offers(headers: CIMultiDictProxy[str], protocol: str) -> bool:
    """Whether the client offers to speak this subprotocol. Its case counts."""
    return any(protocol == one.strip() for one in _members(headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())))


def switch(accept: str, protocol: str) -> bytes:
    """The answer to a handshake whose key `accept` answers: frames follow."""
    return _HEAD.format(accept=accept, protocol=protocol).encode()


def _listed(headers: CIMultiDictProxy[str], name: str) -> set[str]:
    return {one.strip().lower() for one in _members(headers.getall(name, ()))}


def _members(lines: Iterable[str]) -> list[str]:
    return ",".join(lines).split(",")


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == _KEY_BYTES
    except (Error, ValueError):
        return False
