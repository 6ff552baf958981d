"""One keep-alive connection of the load generator: bytes out, whole answers in.

It shares the machine with the server it measures, so it parses no more of an answer than where it ends.
"""

import asyncio
from collections.abc import Callable
from typing import cast

_END_OF_HEADER = b"\r\n\r\n"
_LENGTH = b"\r\nContent-Length: "


class Connection(asyncio.Protocol):
    """A connection that is kept alive.

    `on_answer(connection, answer)` gets header and body; `on_lost(error)` the end.
    """

    __slots__ = ("_begun", "_on_answer", "_on_lost", "_transport", "sent_at_s")

    def __init__(
        self, on_answer: Callable[["Connection", bytes], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._begun = b""
        self._transport: asyncio.WriteTransport | None = None
        self.sent_at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses of asyncio's

    def send(self, request: bytes, now_s: float) -> None:
        """Sends a request; the one before it has been answered."""
        assert self._transport is not None
        self.sent_at_s = now_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._begun + data if self._begun else data
        if is_whole(answer):
            self._begun = b""
            self._on_answer(self, answer)
        else:
            self._begun = answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(exc)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer has arrived."""
    header_bytes = answer.find(_END_OF_HEADER)
    if header_bytes < 0:
        return False
    begin = answer.index(_LENGTH, 0, header_bytes) + len(_LENGTH)
    return len(answer) >= header_bytes + len(_END_OF_HEADER) + int(answer[begin : answer.index(b"\r\n", begin)])


def body_of(answer: bytes) -> bytes:
    return answer.partition(_END_OF_HEADER)[2]
