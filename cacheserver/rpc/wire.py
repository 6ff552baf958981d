"""A connection that carries messages: lengths, seals, beats, batches, and when it is given up.

A message is its length (4 bytes, big-endian) and that many bytes. Until the handshake is over a message is small, and
the whole handshake has a deadline. From then on:

- What is to be said in one turn of the loop leaves as one message (`put`), in the order in which it was put.
- While the peer does not read, what is put waits here as objects (Leaving) and is made bytes when it leaves. What
  waits is bounded by the credit of the link; a wire that gets nothing rid for SILENT_BEATS beats is given up.
- Each side says something in each beat, at least that it lives. A wire on which nothing came for SILENT_BEATS beats is
  given up. Beats that this process was late to count do not count: it was stopped itself, and the peer's bytes may be
  waiting unread.
- Whatever breaks a rule (a length, a seal, a frame) ends the connection, once, with a reason of few words.

Measured against aiohttp's WebSocket, for messages of one frame: 6.6 us of CPU a side for a message against 13.4 us
(docs/adr/0045-links.md). So the messages are behind asyncio's own protocol.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

import msgspec

from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.handshake import LONGEST_MESSAGE_BYTES
from rowbox.cacheserver.rpc.seal import MAC_BYTES, Seal

LENGTH_BYTES: Final = 4
BATCH_BYTES: Final = 128 << 10
"""A message is closed when it is larger than this, so that one that is on its way is never many bodies."""
MOST_BUFFERED_BYTES: Final = 256 << 10
"""In the transport: beyond, what is to leave waits as objects."""
SILENT_BEATS: Final = 2


class LinkTiming(msgspec.Struct, frozen=True):
    """`connect_s` is for a connection and its handshake. Pauses between attempts grow from the first to the longest."""

    beat_s: float = 1.0
    connect_s: float = 2.0
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0


class Leaving(Protocol):
    """What waits to leave."""

    def leave(self) -> bytes:
        """The frame as bytes, now that it leaves; b"" where there is nothing to be said any more."""
        ...


class Said:
    """A frame that is bytes already."""

    __slots__ = ("_frame",)

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def leave(self) -> bytes:
        return self._frame


class Wire(asyncio.Protocol):
    """One connection. `receive` is called with each message, `lost` once with the reason when it is over.

    `receive` may raise ValueError for what breaks a rule. Nothing is received after `lost`.
    """

    def __init__(self, timing: LinkTiming, receive: Callable[[bytes], None], lost: Callable[[str], None]) -> None:
        self.receive = receive
        self.lost = lost
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pending = bytearray()
        self._most_bytes = LONGEST_MESSAGE_BYTES
        self._leaving: deque[Leaving] = deque()
        self._has_flush = False
        self._is_paused = False
        self._seals: tuple[Seal, Seal] | None = None
        self._timer = self._loop.call_later(timing.connect_s, self.give_up, "the handshake took too long")
        self._looked_at_s = 0.0
        self._has_heard = False
        self._left_bytes = 0
        self._silent_beats = self._stuck_beats = 0
        self.reason = ""
        """Why it is over; "" while it is not."""
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    # ------------------------------------------------------------------ before and after the handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        if self.reason:  # given up before there was a connection
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=MOST_BUFFERED_BYTES)

    def say(self, message: bytes) -> None:
        """Sends a message of the handshake."""
        if not self.reason:
            self.transport.write(len(message).to_bytes(LENGTH_BYTES) + message)

    def open(self, seals: tuple[Seal, Seal] | None) -> None:
        """The handshake is over: from the next message on they are large and sealed, for sending and for receiving."""
        self._seals = seals
        self._most_bytes = frames.MOST_MESSAGE_BYTES + (MAC_BYTES if seals else 0)
        self._set_timer()

    # ------------------------------------------------------------------ sending

    def put(self, leaving: Leaving) -> None:
        """Has something leave in this turn of the loop, or when the peer reads again. Nothing leaves a lost wire."""
        self._leaving.append(leaving)
        if not (self._has_flush or self._is_paused):
            self._has_flush = True
            self._loop.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._has_flush = False
        self._flush()

    def _flush(self) -> None:
        while self._leaving and not self._is_paused and not self.reason:
            batch: list[bytes] = []
            size = 0
            while self._leaving and size < BATCH_BYTES and len(batch) < frames.MOST_FRAMES:
                frame = self._leaving.popleft().leave()
                if frame:
                    batch.append(frame)
                    size += len(frame)
            if batch:
                self._write(frames.message_of(batch))

    def _write(self, message: bytes) -> None:
        mac = b"" if self._seals is None else self._seals[0].mac(message)
        size = len(mac) + len(message)
        self.sent_bytes += size
        self.transport.write(b"".join((size.to_bytes(LENGTH_BYTES), mac, message)))

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_paused = False
        self._flush()

    # ------------------------------------------------------------------ receiving

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._has_heard = True
        self.received_bytes += len(data)
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted(self._pending, 0):
                return  # of a large message the most: it is not copied with each piece
            data = bytes(self._pending)
            self._pending.clear()
        has_flush, self._has_flush = self._has_flush, True  # what is put meanwhile leaves below, without another turn
        try:
            rest = self._take(data)
        except ValueError as error:  # Garbage, BrokenSeal, and what a link finds wrong
            self.give_up(str(error))
        else:
            if rest < len(data) and not self.reason:
                self._pending += data[rest:]
        finally:
            self._has_flush = has_flush
        if self._leaving and not has_flush:
            self._flush()

    def _take(self, data: bytes) -> int:
        """Receives the whole messages in `data`; where the rest begins."""
        position = 0
        while not self.reason:
            end = position + self._wanted(data, position)
            if end > len(data):
                break
            message = data[position + LENGTH_BYTES : end]
            position = end
            self.receive(message if self._seals is None else self._seals[1].open(message))
        return position

    def _wanted(self, data: bytes | bytearray, position: int) -> int:
        """How many bytes the message at `position` has, with its length. ValueError: more than a message may have."""
        if len(data) < position + LENGTH_BYTES:
            return LENGTH_BYTES + 1
        size = int.from_bytes(data[position : position + LENGTH_BYTES])
        if size > self._most_bytes:
            raise ValueError(f"a message of {size} bytes, where {self._most_bytes} are the most")
        return LENGTH_BYTES + size

    # ------------------------------------------------------------------ its end

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end("the connection was closed" if exc is None else f"the connection broke: {exc}")

    def give_up(self, reason: str) -> None:
        """Ends the connection at once, whatever was to leave. Does nothing to one that is over."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def close(self, reason: str) -> None:
        """Ends the connection when what was put has left."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.reason:
            return
        self.reason = reason
        self._timer.cancel()
        self._leaving.clear()
        self._pending.clear()
        self.lost(reason)

    # ------------------------------------------------------------------ beats

    def _set_timer(self) -> None:
        self._timer.cancel()
        self._looked_at_s = self._loop.time()
        self._timer = self._loop.call_later(self._timing.beat_s, self._look)

    def _look(self) -> None:
        """Once in a beat: say something, and see whether the peer lives."""
        is_late = self._loop.time() - self._looked_at_s > 1.5 * self._timing.beat_s
        self._silent_beats = 0 if self._has_heard or is_late else self._silent_beats + 1
        left_bytes = self.sent_bytes - self.transport.get_write_buffer_size()
        is_stuck = self._is_paused and left_bytes == self._left_bytes and not is_late
        self._stuck_beats = self._stuck_beats + 1 if is_stuck else 0
        self._left_bytes = left_bytes
        if self._silent_beats >= SILENT_BEATS:
            self.give_up("the peer is silent")
        elif self._stuck_beats >= SILENT_BEATS:
            self.give_up("the peer does not read")
        else:
            self._has_heard = False
            self._set_timer()
            if not self._leaving:
                self.put(_BEAT)


_BEAT: Final = Said(frames.BEAT)
