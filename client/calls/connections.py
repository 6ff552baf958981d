"""The connections to one server, in generations. After a try without an answer no connection of its generation is used
again.

A network path that is dead is dead for all connections over it, and each idle one would cost another try its whole
time. Requests that are under way on the old generation end in their own time; then the generation is closed.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

CONNECT_S: Final = 5.0
"""Seconds in which one address of the server's has to accept a connection."""
_PROBES: Final = {
    "TCP_KEEPIDLE": 5,  # seconds of silence before the first probe
    "TCP_KEEPALIVE": 5,  # the same as macOS calls it
    "TCP_KEEPINTVL": 3,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 10_000,  # milliseconds for which bytes or probes may stay unacknowledged
}
"""Options of TCP by which a peer that vanished (a NAT that dropped the connection, a cable) is noticed in some 10 s."""


def probing_socket(address: Any) -> socket.socket:
    """A socket for an entry of getaddrinfo, whose peer is probed while it is silent, as far as the system can."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    with contextlib.suppress(OSError):  # some systems know the name and refuse it; the time of a try is the bound then
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if (option := getattr(socket, name, None)) is not None:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


class Generation:
    """A pool of connections, and how many requests are under way on it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.under_way = 0
        self.is_retired = False


class Connections:
    """The connections to one server. `make` opens the pool of a new generation."""

    def __init__(self, make: Callable[[], aiohttp.ClientSession]) -> None:
        self._make = make
        self._all = {current := Generation(make())}
        self._current = current
        self._is_closed = False

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Generation]:
        """The current generation, for one request."""
        generation = self._current
        generation.under_way += 1
        try:
            yield generation
        finally:
            generation.under_way -= 1
            await self._close_if_done(generation)

    async def retire(self, generation: Generation | None = None) -> None:
        """Keeps new requests from the connections of `generation`, by default of the current one."""
        if self._is_closed:  # a request that was under way at `close` fails afterwards and comes here
            return
        retired = generation or self._current
        if retired is self._current:
            self._current = Generation(self._make())
            self._all.add(self._current)
        retired.is_retired = True
        await self._close_if_done(retired)

    async def close(self) -> None:
        """Closes all generations. Requests that are under way fail."""
        self._is_closed = True
        while self._all:
            await self._all.pop().session.close()

    async def _close_if_done(self, generation: Generation) -> None:
        if generation.is_retired and not generation.under_way and generation in self._all:
            self._all.discard(generation)
            await generation.session.close()
