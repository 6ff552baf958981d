"""Two users who talk: one sends, and the send is done when both have been told of it, by sockets or by long polls.

Both follow their mailboxes, as the two sides of a chat do. A sender is told of the own message, too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Final, Protocol

from bench.load import socket
from bench.load.closed_loop import HOST, WrongAnswer, connect
from bench.load.connection import Connection
from bench.load.workload import CONTENT, Caller

WAIT_S: Final = 55
_TOKEN: Final = b'"lastUpdatedTimestamp":"'
_DELTA: Final = b'{"t":"delta"'
_REPLY: Final = b'{"t":"reply"'
_SENT: Final = b'"status":201'
_OF_DELTA: Final = b'"token":"'
_MESSAGE: Final = b'"messageId"'


class Ended(Protocol):
    """Is told when everybody has a send: after how many seconds the recipient had it, and its sender the answer."""

    def __call__(self, pair: "Pair", received_s: float, answered_s: float, /) -> None: ...


class Pair:
    """A sender and a recipient. `failed` is called with what goes wrong: the numbers mean nothing then."""

    def __init__(self, sender: tuple[str, Caller], recipient: tuple[str, Caller], failed: Callable[[str], None]):
        self.sender, self.recipient = sender, recipient
        self.failed = failed
        self.ended: Ended | None = None
        self._began_s = 0.0
        self._received_s = self._answered_s = self._told_s = 0.0

    async def open(self, port: int) -> None:
        """Connects both. They are told of everything from then on."""
        raise NotImplementedError

    def send(self, serial: bytes, began_s: float) -> None:
        """Sends one message; the one before has ended. Times count from `began_s`."""
        self._began_s = began_s
        self._received_s = self._answered_s = self._told_s = 0.0
        self._write(serial)

    def close(self) -> None:
        """Ends its connections. What they say of that is of no interest."""
        self.failed = _ignored
        self._disconnect()

    def _disconnect(self) -> None:
        raise NotImplementedError

    def _write(self, serial: bytes) -> None:
        raise NotImplementedError

    def _lost(self, why: str) -> None:
        self.failed(why)

    def _answered(self) -> None:
        self._answered_s = perf_counter()
        self._look()

    def _told(self, *, is_recipient: bool) -> None:
        if is_recipient:
            self._received_s = perf_counter()
        else:
            self._told_s = perf_counter()
        self._look()

    def _look(self) -> None:
        if self._received_s and self._answered_s and self._told_s and self.ended is not None:
            self.ended(self, self._received_s - self._began_s, self._answered_s - self._began_s)


class SocketPair(Pair):
    """By a socket for each."""

    async def open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._ready = [loop.create_future(), loop.create_future()]
        self._sides = [await socket.connect(port, self._hears(number), self._lost, HOST) for number in range(2)]
        for side, (_, caller) in zip(self._sides, (self.sender, self.recipient), strict=True):
            side.say(b'{"t":"hello","token":"%b"}' % caller.token.encode())
            side.say(b'{"t":"follow"}')
        await asyncio.gather(*self._ready)

    def _hears(self, number: int) -> socket.Receive:
        def hear(frame: bytes) -> None:
            if frame.startswith(_DELTA):
                begin = frame.index(_OF_DELTA) + len(_OF_DELTA)
                self._sides[number].say(b'{"t":"ack","token":"%b"}' % frame[begin : frame.index(b'"', begin)])
                if not self._ready[number].done():
                    self._ready[number].set_result(None)
                elif _MESSAGE in frame:
                    self._told(is_recipient=number == 1)
            elif frame.startswith(_REPLY):
                if _SENT not in frame:
                    self.failed(frame.decode(errors="replace"))
                self._answered()

        return hear

    def _write(self, serial: bytes) -> None:
        self._sides[0].say(call_of(self.recipient[0], serial))

    def _disconnect(self) -> None:
        for side in self._sides:
            side.abort()


def call_of(recipient: str, serial: bytes) -> bytes:
    """The frame of a send."""
    args = b'{"recipientId":"%b","messageContent":"%b","clientMessageId":"%b"}'
    sent = args % (recipient.encode(), CONTENT.encode(), serial)
    return b'{"t":"call","id":1,"do":"sendMessage","args":%b}' % sent


class PollingPair(Pair):
    """By requests and long polls: three connections, of which two have a poll parked."""

    async def open(self, port: int) -> None:
        self._sends = await connect(port, self)
        self._polls = [await connect(port, self) for _ in range(2)]
        self._asks = [caller.poll_changes(WAIT_S) for _, caller in (self.sender, self.recipient)]
        self._is_ready = [False, False]
        self._all_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for poll, (_, caller) in zip(self._polls, (self.sender, self.recipient), strict=True):
            poll.send(caller.changes(), 0.0)  # the beginning, and where to go on
        await self._all_ready

    def answered(self, connection: Connection, answer: bytes) -> None:
        """See Receiver."""
        if connection is self._sends:
            if not answer.startswith(b"HTTP/1.1 201 "):
                self.failed(answer.decode(errors="replace"))
            self._answered()
            return
        number = self._polls.index(connection)
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.failed(answer.decode(errors="replace"))
            return
        begin = answer.rindex(_TOKEN) + len(_TOKEN)
        before, after = self._asks[number]
        connection.send(before + answer[begin : answer.index(b'"', begin)] + after, 0.0)
        if b'"hasMore":true' in answer:
            return
        if self._is_ready[number] and _MESSAGE in answer:
            self._told(is_recipient=number == 1)
        self._is_ready[number] = True
        if all(self._is_ready) and not self._all_ready.done():
            self._all_ready.set_result(None)

    def lost(self, error: Exception | None) -> None:
        """See Receiver."""
        self.failed(str(error or "the server closed a connection"))

    def _write(self, serial: bytes) -> None:
        self._sends.send(self.sender[1].send_to(self.recipient[0], serial), 0.0)

    def _disconnect(self) -> None:
        for connection in (self._sends, *self._polls):
            connection.close()


def _ignored(_why: str) -> None:
    """In place of what is called when something goes wrong."""


class Rounds:
    """Has pairs talk. WrongAnswer where one fails."""

    def __init__(self, serials: Iterator[bytes]) -> None:
        self._serials = serials
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def failed(self, why: str) -> None:
        """Something went wrong."""
        if not self.failure.done():
            self.failure.set_exception(WrongAnswer(why))

    async def closed_loop(self, pairs: Sequence[Pair], in_flight: int, seconds: float) -> int:
        """As soon as a message has ended, the pair that has waited longest sends one. How many have ended."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        ends_s, count, busy, free = perf_counter() + seconds, 0, in_flight, deque(pairs)

        def ended(pair: Pair, _received_s: float, _answered_s: float) -> None:
            nonlocal count, busy
            count += 1
            free.append(pair)
            now_s = perf_counter()
            if now_s < ends_s:
                free.popleft().send(next(self._serials), now_s)
                return
            busy -= 1
            if not busy:
                done.set_result(None)

        for pair in pairs:
            pair.ended = ended
        for _ in range(in_flight):
            free.popleft().send(next(self._serials), perf_counter())
        await self._first(done)
        return count

    async def open_loop(self, pairs: Sequence[Pair], rate: float, seconds: float) -> list[tuple[float, float]]:
        """Sends at a rate, whoever keeps up: of each message the seconds from its intended time until the recipient
        had it, and until it was answered.
        """
        free, found, began_s = deque(pairs), list[tuple[float, float]](), perf_counter()
        total = max(1, round(rate * seconds))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent = 0

        def ended(pair: Pair, received_s: float, answered_s: float) -> None:
            found.append((received_s, answered_s))
            free.append(pair)
            if len(found) == total:
                done.set_result(None)

        for pair in pairs:
            pair.ended = ended

        async def go_on() -> None:
            nonlocal sent
            while sent < total:
                due = min(total, int((perf_counter() - began_s) * rate) + 1)
                while sent < due and free:
                    free.popleft().send(next(self._serials), began_s + sent / rate)
                    sent += 1
                await asyncio.sleep(0.001)
            await done

        await self._first(asyncio.ensure_future(go_on()))
        return found

    async def _first(self, done: "asyncio.Future[None]") -> None:
        await asyncio.wait((done, self.failure), return_when=asyncio.FIRST_COMPLETED)
        if self.failure.done():
            self.failure.result()
        await done
