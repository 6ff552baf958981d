"""Listens on a port and decides which clients are let in.

Clients are accepted here and not by the event loop: when the process has no descriptor left (EMFILE), uvloop closes the
listening socket for good and says nothing. This module closes an idle client instead, and accepts the next one. Where
nobody is idle, new clients wait in the kernel's queue.

A client beyond the limit gets 503 with Retry-After from the bare socket, before a Connection is made for it.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from rowbox.api.http.connection import READ_BYTES, Connection, Reads, problem_response
from rowbox.api.http.connections import REPORT_EVERY_S, Connections
from rowbox.api.http.listeners import bound, port_of
from rowbox.api.http.wire import last_words
from rowbox.mailbox.errors import Overloaded

BACKLOG: Final = 4096
"""Connections that came and are not accepted yet; Linux's own bound (somaxconn) is the same. With 1024, ten thousand
clients that come back at once lose their first try, and the second comes a second later."""
BURST: Final = 64
"""The most connections accepted in one turn of the loop. Up to so many may be open beyond the limit for a moment, while
idle ones close for them."""
SEND_BUFFER_BYTES: Final = 256 << 10
"""The kernel's send buffer of a connection. By default it grows to 4 MB for each client that reads slowly, and then
takes nothing more for so long that a slow client looks like one that reads nothing."""
PAUSE_S: Final = 0.1
"""How long nobody is accepted after the system had no descriptor for one."""
RETRY_MS: Final = 2_000
_log = logging.getLogger(__name__)


class Acceptor:
    """One port, at one or several addresses.

    `connect` makes the connection of a client that is let in. `make_way` closes an idle client's connection; it is
    called when the process has no descriptor left.
    """

    def __init__(
        self,
        connections: Connections,
        connect: Callable[[], Connection],
        ids: Iterator[str],
        make_way: Callable[[], object],
    ) -> None:
        self._connections = connections
        self._connect = connect
        self._ids = ids
        self._make_way = make_way
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._reported_at_s = float("-inf")

    async def open(self, hosts: Iterable[str], port: int, *, shared: bool = False) -> int:
        """Listens at every address of `hosts`, at the same port each. Returns the port's number.

        `shared`: other processes listen there as well. OSError as of listeners.bound.
        """
        self._listeners += await bound(hosts, port, shared=shared)
        for listener in self._listeners:
            self._listen(listener)
        return port_of(self._listeners[0])

    def _listen(self, listener: socket.socket) -> None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # its connections inherit it
        try:
            listener.listen(BACKLOG)
        except OSError as error:  # somebody else began to listen there after it was bound
            host, port, *_ = listener.getsockname()
            raise OSError(error.errno, os.strerror(error.errno or 0), f"{host} port {port}") from error
        self._loop.add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Accepts no more clients. A second call does nothing."""
        for listener in self._listeners:
            pause = self._pauses.pop(listener, None)
            if pause is not None:
                pause.cancel()
            self._loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()

    async def wait_opened(self) -> None:
        """Returns when every client that was let in has its connection."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(BURST):
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client left while it waited in the kernel's queue
            except OSError as error:
                self._pause(listener, error)
                return
            self._let_in(client)

    def _let_in(self, client: socket.socket) -> None:
        client.setblocking(False)
        if not self._connections.let_in():
            self._send_away(client)
            return
        task = self._loop.create_task(self._begin(client), name="connection")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _begin(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: Reads(self._connect(), self._buffer), client)
        except OSError:
            self._connections.did_not_come()
            client.close()

    def _send_away(self, client: socket.socket) -> None:
        error = Overloaded("this server has all the connections that it can have", retry_after_ms=RETRY_MS)
        with client, suppress(OSError):
            client.send(last_words(*problem_response(error, self._ids)))
            client.recv(READ_BYTES)  # what lies unread at a close makes the kernel drop our answer on its way

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        self._connections.accept_failures += 1
        now_s = self._loop.time()
        if now_s - self._reported_at_s >= REPORT_EVERY_S:
            self._reported_at_s = now_s
            _log.error("no connection can be accepted: %s", error.strerror)
        self._make_way()
        self._loop.remove_reader(listener.fileno())
        self._pauses[listener] = self._loop.call_later(PAUSE_S, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._pauses[listener]
        self._loop.add_reader(listener.fileno(), self._accept, listener)
