"""A TCP proxy that misbehaves on demand: what stands between a client and a server when a network or a server fails.

It passes bytes on, as they come, until a test says otherwise. A fault holds for every connection, also those that are
open; `times` limits it to so many of them. Connections that a fault made useless stay so.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from enum import Enum, auto

from tests.support.alone import own_port

_DRIP_S = 0.1
_DRIP_BYTES = 9
_CHUNK_BYTES = 1 << 16


class Fault(Enum):
    """What goes wrong with a request, or with the reply to it."""

    DEAF = auto()
    """Requests are swallowed; nothing ever comes back."""
    DRIP = auto()
    """Nine bytes of the reply come, one each 0.1 s, and no more: no wait for the next byte is long, until the last."""
    CUT_IN_REPLY = auto()
    """The reply ends in its middle, and the connection with it."""
    CUT_BEFORE_REPLY = auto()
    """The server has done what was asked; the connection ends without a word of it."""
    HOLD = auto()
    """Requests are kept and reach the server when `release` says so, whatever the client did meanwhile."""


class TcpProxy:
    """One listening port in front of one server. `running_proxy` makes it."""

    def __init__(self, upstream: tuple[str, int], taken: Callable[[], socket.socket] | None = None) -> None:
        """`taken` makes the socket to listen with, each time; without it that is a port of 127.0.0.1."""
        self._upstream = upstream
        self._taken = taken
        self._server: asyncio.Server | None = None
        self._port = ExitStack()
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._fault: Fault | None = None
        self._times: int | None = None
        self.address = ("127.0.0.1", 0)
        self.accepted = 0
        """How many connections were made so far."""
        self.requests = 0
        """How many pieces of requests came so far: as many as requests, where these are small."""

    async def listen(self) -> None:
        """Takes connections, on the same port as before."""
        if self._taken is not None:
            taken = self._taken()
            self.address = taken.getsockname()
            self._server = await asyncio.start_server(self._serve, sock=taken)
            return
        if not self.address[1]:
            self.address = ("127.0.0.1", self._port.enter_context(own_port()))
        self._server = await asyncio.start_server(self._serve, *self.address)

    async def refuse(self) -> None:
        """Ends all connections and takes none: the server's process is gone."""
        assert self._server is not None
        self._server.close()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Ends all connections, as a server does with idle ones."""
        for link in self._links:
            link.abort()
        await asyncio.gather(*self._links.values())

    def forget(self) -> None:
        """Leaves all open connections dead without ending them, as a firewall does; new ones work."""
        for link in self._links:
            link.is_forgotten = True

    def inflict(self, fault: Fault, *, times: int | None = None) -> None:
        """Applies `fault` to all requests from now on, or to the next `times`."""
        self._fault, self._times = fault, times

    def heal(self) -> None:
        """Applies no fault any more. Requests that were held stay held."""
        self._fault = None

    async def release(self) -> None:
        """Passes on the requests that were held, and returns when the server has replied to them."""
        held = [link for link in self._links if link.held]
        for link in held:
            link.pass_on_held()
        await self.until(lambda: all(link.has_reply for link in held))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition`, of this proxy's state, holds; TimeoutError after thirty seconds."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(condition)

    @property
    def open(self) -> int:
        """How many connections the client has not closed."""
        return sum(not link.is_left for link in self._links)

    @property
    def held(self) -> int:
        """How many requests are held."""
        return sum(bool(link.held) for link in self._links)

    def take_fault(self) -> Fault | None:
        """What is to happen to the next request."""
        if self._times is not None and self._fault is not None:
            self._times -= 1
            if self._times < 0:
                self._fault = self._times = None
        return self._fault

    async def tell(self) -> None:
        """Something changed: whoever waits looks again."""
        async with self._changed:
            self._changed.notify_all()

    async def close(self) -> None:
        await self.refuse()
        self._port.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        try:
            server = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), server)
        self._links[link] = task
        try:
            await link.run()
        finally:
            del self._links[link]
            await self.tell()


class _Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: TcpProxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._fault: Fault | None = None
        self.held = b""
        self.has_reply = False
        self.is_left = False
        self.is_forgotten = False

    async def run(self) -> None:
        """Passes bytes on until both sides are done."""
        with suppress(ConnectionError):
            await asyncio.gather(self._pass_requests(), self._pass_replies())
        self.abort()

    def abort(self) -> None:
        self._to_client.transport.abort()
        self._to_server.transport.abort()

    def pass_on_held(self) -> None:
        self._to_server.write(self.held)
        self.held, self.has_reply = b"", False

    async def _pass_requests(self) -> None:
        while data := await self._from_client.read(_CHUNK_BYTES):
            self._proxy.requests += 1
            self._fault = Fault.DEAF if self.is_forgotten else self._proxy.take_fault()
            if self._fault is Fault.HOLD:
                self.held += data
            elif self._fault is not Fault.DEAF:
                self._to_server.write(data)
            await self._proxy.tell()
        self.is_left = True
        await self._proxy.tell()
        if not self.held:
            self._to_server.transport.abort()

    async def _pass_replies(self) -> None:
        while data := await self._from_server.read(_CHUNK_BYTES):
            self.has_reply = True
            await self._proxy.tell()
            if self.is_forgotten:
                continue
            if self._fault is Fault.DRIP:
                await self._drip(data)
            elif self._fault is Fault.CUT_IN_REPLY:
                self._to_client.write(data[: len(data) // 2])
                await self._to_client.drain()
                self._to_client.close()
                return
            elif self._fault is Fault.CUT_BEFORE_REPLY:
                self._to_client.transport.abort()
                return
            elif not self.is_left:
                self._to_client.write(data)
        self._to_client.close()

    async def _drip(self, data: bytes) -> None:
        for byte in data[:_DRIP_BYTES]:
            if self.is_left:
                return
            self._to_client.write(bytes([byte]))
            await asyncio.sleep(_DRIP_S)


@asynccontextmanager
async def running_proxy(
    upstream: tuple[str, int], taken: Callable[[], socket.socket] | None = None
) -> AsyncIterator[TcpProxy]:
    """A proxy in front of the server at `upstream`, on a free port, or where `taken` says."""
    proxy = TcpProxy(upstream, taken)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
