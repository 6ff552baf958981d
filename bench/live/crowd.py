"""Many sockets that follow and wait: what each takes of the server's memory, and how soon all are back after a cut."""

import asyncio
from time import perf_counter
from typing import Final

from bench.load import socket
from bench.load.closed_loop import HOST
from bench.load.workload import Caller
from bench.server import Server

OPENED_AT_ONCE: Final = 64
"""Except after a cut."""
DEADLINE_S: Final = 120.0
_RETRY_S: Final = 0.2
_ADDRESSES: Final = 8
"""Ten thousand connections and their remains do not fit the ports of one."""
_DELTA: Final = b'{"t":"delta"'
_OF_DELTA: Final = b'"token":"'


class _Member:
    """A user with a socket, who goes on from his token."""

    def __init__(self, crowd: "Crowd", caller: Caller, address: str) -> None:
        self._crowd = crowd
        self._caller = caller
        self._address = address
        self._socket: socket.Socket | None = None
        self._is_cut = False
        self._served: asyncio.Future[None]
        self.token = b""

    async def open(self) -> None:
        """Connects, again and again, until the server has answered the follow."""
        while True:
            self._is_cut, self._served = False, asyncio.get_running_loop().create_future()
            try:
                self._socket = await socket.connect(
                    self._crowd.server.port, self._hear, self._lost, HOST, self._address
                )
                follow = b'"%b"' % self.token if self.token else b"null"
                self._socket.say(b'{"t":"hello","token":"%b"}' % self._caller.token.encode())
                self._socket.say(b'{"t":"follow","token":%b}' % follow)
                await self._served
            except OSError as error:
                self._crowd.errors.append(str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def cut(self) -> None:
        self._is_cut = True
        if self._socket is not None:
            self._socket.abort()

    def _hear(self, frame: bytes) -> None:
        if frame.startswith(_DELTA) and self._socket is not None:
            begin = frame.index(_OF_DELTA) + len(_OF_DELTA)
            self.token = frame[begin : frame.index(b'"', begin)]
            self._socket.say(b'{"t":"ack","token":"%b"}' % self.token)
            if not self._served.done():
                self._served.set_result(None)

    def _lost(self, why: str) -> None:
        if not self._served.done():
            self._served.set_exception(ConnectionError(why))
            self._served.exception()  # nobody waits for it where the handshake was refused
        elif not self._is_cut:
            self._crowd.errors.append(why)


class Crowd:
    """The users of a server who all have a socket."""

    def __init__(self, server: Server, callers: list[Caller]) -> None:
        self.server = server
        self.errors: list[str] = []
        self._members = [
            _Member(self, caller, f"{HOST[:-1]}{2 + number % _ADDRESSES}") for number, caller in enumerate(callers)
        ]

    async def open(self, at_once: int = OPENED_AT_ONCE) -> float:
        """Connects all. Returns when the server had answered each follow, by perf_counter. TimeoutError."""
        gate = asyncio.Semaphore(at_once)

        async def one(member: _Member) -> None:
            async with gate:
                await member.open()

        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*map(one, self._members))
        return perf_counter()

    async def cut_and_back(self) -> float:
        """Cuts all at once, and has all come back at once. The seconds until the last was served."""
        self.errors.clear()
        began_s = perf_counter()
        for member in self._members:
            member.cut()
        return await self.open(len(self._members)) - began_s

    def close(self) -> None:
        for member in self._members:
            member.cut()
