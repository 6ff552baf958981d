"""Both applications on their ports, and the order in which they stop.

    drain()   readiness is off, every long poll is answered at once, connections close after their next answer
    stop()    no new connections; what is in flight is finished, up to the limit; then everything is closed

aiohttp's own way (a runner's cleanup alone) waits for shutdown_timeout, cancels, and waits for it again: twice the time
announced, with the waiters cut off; and from its first moment on it ignores the rest of a body that is being sent. Here
the waiters are answered before and the wait is for the last answer, so that the timeout left to aiohttp only bounds the
sending.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from rowbox.api.connection import MAX_HEADER_BYTES, Connection
from rowbox.api.drain import Drain
from rowbox.api.router import Application
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.config import ServerSettings

KEEP_ALIVE_S: Final = 75.0
"""How long an idle connection stays, and how long a header may take; longer than the 60 s of common load balancers."""
_CLOSE_S: Final = 0.5
"""Of the drain time: for sending the last answers and closing."""
_BACKLOG: Final = 4096
"""Connections that came and are not accepted yet; Linux's own bound (somaxconn) is the same. With 1024, ten thousand
clients that come back at once lose their first try, and the second comes a second later."""


class Server:
    """One process's HTTP side. Signals are the caller's business."""

    def __init__(
        self,
        app: Application,
        admin_app: Application,
        mailboxes: MailboxPort,
        settings: ServerSettings,
        drain: Drain,
        ids: Iterator[str],
    ) -> None:
        self._mailboxes = mailboxes
        self._settings = settings
        self._drain = drain
        self._public = _Endpoint(app, settings.host, settings.port, ids)
        self._admin = _Endpoint(admin_app, settings.host, settings.admin_port, ids)
        self.port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Listens on both ports, which `port` and `admin_port` then name. OSError where one is taken."""
        try:
            self.admin_port = await self._admin.listen()
            self.port = await self._public.listen()
        except BaseException:
            await self._public.close()
            await self._admin.close()
            raise

    def drain(self) -> None:
        """Asks for no more traffic and ends every wait; requests are still served."""
        self._drain.begin()
        self._mailboxes.begin_drain()

    async def stop(self) -> None:
        """Ends within `drain_ms`: what is in flight by then is cut off. The admin port answers until the end."""
        self.drain()
        await self._public.stop_listening()
        try:
            async with asyncio.timeout(max(0.0, self._settings.drain_ms / 1000 - 2 * _CLOSE_S)):
                await self._drain.idle()
        except TimeoutError:
            pass  # what still runs is told by its client's broken connection: outcome unknown (P7)
        await asyncio.gather(self._public.close(), self._admin.close())


class _Endpoint:
    """One application on one port."""

    def __init__(self, app: Application, host: str, port: int, ids: Iterator[str]) -> None:
        self._app = app
        self._address = (host, port)
        self._ids = ids
        self._runner: web.ServerRunner | None = None

    async def listen(self) -> int:
        """Starts the application and listens; the port that it got. OSError where it is taken."""
        self._runner = web.ServerRunner(self._app.server(), shutdown_timeout=_CLOSE_S)
        await self._runner.setup()
        await self._app.start()
        site = _Site(self._runner, *self._address, self._ids)
        await site.start()
        return site.bound_port

    async def stop_listening(self) -> None:
        """No new connections; those that are open go on."""
        for site in self._runner.sites if self._runner is not None else ():
            await site.stop()

    async def close(self) -> None:
        """Closes its connections and the application; again, nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            await self._app.close()


class _Site(web.BaseSite):
    """A listening socket whose connections are ours (connection.py); otherwise as web.TCPSite."""

    def __init__(self, runner: web.ServerRunner, host: str, port: int, ids: Iterator[str]) -> None:
        super().__init__(runner, backlog=_BACKLOG)
        self._host = host
        self._port = port
        self._ids = ids
        self.bound_port = port

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self.bound_port}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        server = self._runner.server
        assert server is not None

        def connection() -> Connection:
            return Connection(
                server,
                self._ids,
                loop=loop,
                access_log=None,
                auto_decompress=False,  # body.py refuses compressed bodies; none is inflated before that
                keepalive_timeout=KEEP_ALIVE_S,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )

        listening = await loop.create_server(connection, self._host, self._port, backlog=_BACKLOG)
        self._server = listening
        self.bound_port = listening.sockets[0].getsockname()[1]
