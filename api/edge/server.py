"""The applications on their ports, and the order in which they stop.

    drain()   readiness is off, every long poll is answered at once, bodies that are not whole are refused, connections
              close after their next answer
    stop()    no new connections; connections without a request are closed at once; requests that the owner was asked
              are finished, within `drain_ms`; then everything is closed

A stop waits for the owner alone. A client that is slow or gone must not hold it up, nor, over HBase, the hand-over that
follows it.

The cleanup of an aiohttp runner would wait for shutdown_timeout, cancel, and wait as long again: twice the announced
time, with long polls cut off. Here `drain` answers the long polls, and `stop` waits for the last answer, so that the
timeout left to aiohttp only bounds the sending.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from rowbox.api.edge.router import Application
from rowbox.api.http.acceptor import Acceptor
from rowbox.api.http.connection import Connection
from rowbox.api.http.connections import PROBE_S, ConnectionLimits, Connections
from rowbox.api.http.drain import Drain
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.settings.config import ServerSettings, hosts_of

KEEP_ALIVE_S: Final = 75.0
"""Seconds that an idle connection stays open: longer than the 60 s of common load balancers."""
ADMIN_CONNECTIONS: Final = 32
"""Connections of the admin port. The API's do not count against them, so health is answered however many there are."""
_LINGER_S: Final = 2.0
"""How long the rest of a body that was refused is read and thrown away, so that its sender gets to see why."""
_CLOSE_S: Final = 0.5
"""The part of the drain time, in seconds, that is kept for sending the last answers and closing."""


class Server:
    """The HTTP side of one process: the API, the operator's port, or both. It handles no signals; its caller does."""

    def __init__(
        self,
        app: Application | None,
        admin_app: Application | None,
        mailboxes: MailboxPort,
        settings: ServerSettings,
        drain: Drain,
        ids: Iterator[str],
        connections: Connections,
        *,
        shares_port: bool = False,
    ) -> None:
        """An application that is None has no port here. `connections` are those of the API; the operator's port has its
        own. `shares_port`: other processes listen at the API's port as well.
        """
        self._mailboxes = mailboxes
        self._settings = settings
        self._drain = drain
        limits = replace(connections.limits, most=ADMIN_CONNECTIONS)
        self._shares_port = shares_port
        make_way = connections.make_way
        self._public = _Endpoint(app, connections, ids, make_way) if app is not None else None
        self._admin = _Endpoint(admin_app, Connections(limits), ids, make_way) if admin_app is not None else None
        self.port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Listens on its ports; `port` and `admin_port` then hold their numbers. OSError as of Acceptor.open.

        Health is answered from the first moment, readiness is on when clients can connect.
        """
        settings = self._settings
        try:
            if self._admin is not None:
                self.admin_port = await self._admin.listen(hosts_of(settings.admin_host), settings.admin_port)
            if self._public is not None:
                self.port = await self._public.listen(hosts_of(settings.host), settings.port, shared=self._shares_port)
            self._drain.open()
        except BaseException:
            await self._close()
            raise

    def drain(self) -> None:
        """Asks for no more traffic and ends every wait; requests are still served."""
        self._drain.begin()
        self._mailboxes.begin_drain()

    async def stop(self) -> None:
        """Stops the server within `drain_ms`, and cuts off requests that are still in flight then.

        The admin port answers until the end.
        """
        self.drain()
        if self._public is not None:
            await self._public.close_idle()
        try:
            async with asyncio.timeout(max(0.0, self._settings.drain_ms / 1000 - 2 * _CLOSE_S)):
                await self._drain.idle()
        except TimeoutError:
            pass  # the clients of what still runs see a broken connection, and so an unknown outcome (P7)
        await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(endpoint.close() for endpoint in (self._public, self._admin) if endpoint is not None))


def connection_limits(settings: ServerSettings) -> ConnectionLimits:
    """What `settings` say of the API's connections."""
    return ConnectionLimits(
        most=settings.max_connections,
        held_bytes=settings.held_bytes,
        head_s=settings.head_ms / 1000,
        write_s=settings.write_ms / 1000,
        probe_s=PROBE_S,
    )


class _Endpoint:
    """One application on one port."""

    def __init__(
        self, app: Application, connections: Connections, ids: Iterator[str], make_way: Callable[[], object]
    ) -> None:
        self._app = app
        self._connections = connections
        self._ids = ids
        self._server = app.server()
        self._acceptor = Acceptor(connections, self._connection, ids, make_way)

    async def listen(self, hosts: Iterable[str], port: int, *, shared: bool = False) -> int:
        """Starts the application and listens. Returns the port's number. OSError as of Acceptor.open."""
        await self._app.start()
        return await self._acceptor.open(hosts, port, shared=shared)

    async def close_idle(self) -> None:
        """Accepts no new connections, and closes the open ones that have no request in flight."""
        self._acceptor.close()
        await asyncio.sleep(0)  # requests that came before the stop begin first
        for peer in self._connections.idle():
            peer.abort()

    async def close(self) -> None:
        """Closes its connections and the application. A second call does nothing."""
        self._acceptor.close()
        await self._acceptor.wait_opened()
        self._server.pre_shutdown()
        await self._server.shutdown(_CLOSE_S)
        self._connections.close()
        await self._app.close()

    def _connection(self) -> Connection:
        return Connection(
            self._server,
            self._connections,
            self._ids,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,  # body.py refuses compressed bodies; none is inflated before that
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
        )
