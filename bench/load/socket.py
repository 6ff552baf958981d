"""One WebSocket of the load generator: frames of text out, whole frames in (RFC 6455), and no more of it than that.

Its mask is zero, so that nothing has to be masked: a server cannot tell.
"""

import asyncio
from collections.abc import Callable
from typing import cast

_END_OF_HEADER = b"\r\n\r\n"
_HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: rowbox.v1\r\n\r\n"
)
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_FIN, _MASKED = 0x80, 0x80
_NO_MASK = bytes(4)

Receive = Callable[[bytes], None]
"""Gets the payload of a text frame."""


class Socket(asyncio.Protocol):
    """A socket whose handshake is under way or done. `on_frame` gets the text frames, `on_lost` why it ended."""

    def __init__(self, on_frame: Receive, on_lost: Callable[[str], None]) -> None:
        self.on_frame = on_frame
        self._on_lost = on_lost
        self._begun = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self._why = "the connection ended"
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses of asyncio's
        self._transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if not self._is_open:
            head, found, rest = self._begun.partition(_END_OF_HEADER)
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._why = head[:100].decode(errors="replace")
                self.abort()
                return
            self._is_open, self._begun = True, rest
            if not self.opened.done():
                self.opened.set_result(None)
        while (frame := self._next()) is not None:
            self._took(*frame)

    def _next(self) -> tuple[int, bytes] | None:
        """The first whole frame: its kind and its payload."""
        begun = self._begun
        if len(begun) < 2:
            return None
        size, start = begun[1], 2
        if size == 126:
            size, start = int.from_bytes(begun[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(begun[2:10]), 10
        if len(begun) < start + size:
            return None
        self._begun = begun[start + size :]
        return begun[0] & 0x0F, begun[start : start + size]

    def _took(self, kind: int, payload: bytes) -> None:
        if kind == _TEXT:
            self.on_frame(payload)
        elif kind == _PING:
            self._write(_PONG, payload)
        elif kind == _CLOSE:
            self._why = f"closed with {int.from_bytes(payload[:2])} {payload[2:].decode(errors='replace')}"
            self.abort()

    def say(self, text: bytes) -> None:
        """Sends a text frame."""
        self._write(_TEXT, text)

    def _write(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        long = b"" if size < 126 else size.to_bytes(2) if size < 1 << 16 else size.to_bytes(8)
        length = size if size < 126 else 126 if size < 1 << 16 else 127
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes((_FIN | kind, _MASKED | length)) + long + _NO_MASK + payload)

    def stop_reading(self) -> None:
        """Leaves what comes in the system's buffers from now on."""
        if self._transport is not None:
            self._transport.pause_reading()

    def abort(self) -> None:
        """Ends it without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(self._why))
            self.opened.exception()  # whoever waits for it sees it; nobody has to
        self._on_lost(str(exc or self._why))


async def connect(
    port: int, on_frame: Receive, on_lost: Callable[[str], None], host: str, address: str | None = None
) -> Socket:
    """An open socket, from the local `address` where there is one. OSError."""
    local = None if address is None else (address, 0)
    _, socket = await asyncio.get_running_loop().create_connection(
        lambda: Socket(on_frame, on_lost), host, port, local_addr=local
    )
    await socket.opened
    return socket
