"""The frames of WebSocket (RFC 6455) that the server sends: whole ones, neither masked nor compressed.

They are written here and not by aiohttp's writer, because that one waits: its waiter for a full transport is shared by
all who send on a connection, and a timeout around one of them cancels the others. Nothing here waits.
"""

from struct import Struct
from typing import Final

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
MAX_REASON_BYTES: Final = 123
_short = Struct("!BB").pack
_medium = Struct("!BBH").pack
_long = Struct("!BBQ").pack
_code = Struct("!H").pack


def frame(kind: int, payload: bytes) -> bytes:
    """One frame. A control frame's payload has at most 125 bytes."""
    size = len(payload)
    if size < 126:
        return _short(kind, size) + payload
    if size < 1 << 16:
        return _medium(kind, 126, size) + payload
    return _long(kind, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; the reason is cut to what fits, at the end of a character."""
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
    return frame(CLOSE, _code(code) + text.encode())
