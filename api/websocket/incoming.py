"""The frames of a client of a WebSocket, which aiohttp's parser makes of its bytes.

aiohttp has a task read them from a queue. To put one in, wake the task and have it run costs more than most frames
themselves: so a frame is given to `take` in the same moment, as long as everything before it was dealt with at once.
What cannot be dealt with at once waits in the queue, and so does each frame behind it, until the task has read them
all: frames are never out of order, and what lies in the queue is bounded as aiohttp bounds it, by not reading on.

The compiled parser takes no queue but aiohttp's own, which is not public: tests/http/connections/test_aiohttp.py has
what Rowbox knows of aiohttp's inside.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from aiohttp import WSMessage, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader

QUEUE_BYTES = 1 << 16
"""What may lie in the queue, about, before the connection is read no further (aiohttp's own number)."""
_Rest = TypeVar("_Rest")


class Incoming(WebSocketDataQueue, Generic[_Rest]):
    """The frames of one connection.

    `take` is given a frame, and returns what is left to do about it by whoever reads: None where nothing is; the frame
    itself, or anything else. What it raises, `read_on` raises.
    """

    __slots__ = ("_is_waited_for", "_take")

    def __init__(
        self,
        connection: web.RequestHandler,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[WSMessage], WSMessage | _Rest | None],
    ) -> None:
        super().__init__(connection, QUEUE_BYTES, loop=loop)
        self._take = take
        self._is_waited_for = False
        """Whether everything that came was dealt with, so that the next frame may be."""

    def begin(self, connection: web.RequestHandler, max_frame_bytes: int) -> WebSocketReader:
        """Has the connection's bytes read as frames from now on, those that came with the handshake too.

        A larger frame ends them, and so does what is no frame: then `read_on` raises WebSocketError. The parser is
        returned for the caller to hold: nobody else does.
        """
        parser = WebSocketReader(self, max_frame_bytes, compress=False, decode_text=True)
        connection.set_parser(parser)
        return parser

    def feed_data(self, data: WSMessage, size: int) -> None:  # type: ignore[override]
        """See WebSocketDataQueue: the parser has made a frame."""
        rest = self._take(data) if self._is_waited_for else data
        if rest is not None:
            self._is_waited_for = False
            super().feed_data(cast("WSMessage", rest), size)

    async def read_on(self) -> WSMessage | _Rest:
        """What is left of the next frame that cannot be dealt with at once.

        EofStream where the connection has ended, WebSocketError where what came is no frame.
        """
        self._is_waited_for = not self._buffer
        try:
            return cast("WSMessage | _Rest", await self.read())
        finally:
            self._is_waited_for = False
