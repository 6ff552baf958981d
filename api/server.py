"""Both applications on their ports, and the order in which they stop.

    drain()   readiness is off, every long poll is answered at once, connections close after their next answer
    stop()    no new connections; what is in flight is finished, up to the limit; then everything is closed

aiohttp's own way (AppRunner.cleanup alone) waits for shutdown_timeout, cancels, and waits for it again: twice the time
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
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.config import ServerSettings

KEEP_ALIVE_S: Final = 75.0
"""How long an idle connection stays, and how long a header may take; longer than the 60 s of common load balancers."""
_CLOSE_S: Final = 0.5
"""Of the drain time: for sending the last answers and closing."""
_BACKLOG: Final = 1024


class Server:
    """One process's HTTP side. Signals are the caller's business."""

    def __init__(
        self,
        app: web.Application,
        admin_app: web.Application,
        mailboxes: MailboxPort,
        settings: ServerSettings,
        drain: Drain,
        ids: Iterator[str],
    ) -> None:
        self._mailboxes = mailboxes
        self._settings = settings
        self._drain = drain
        self._public = _runner(app)
        self._admin = _runner(admin_app)
        self._ids = ids
        self.port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Listens on both ports, which `port` and `admin_port` then name. OSError where one is taken."""
        host = self._settings.host
        try:
            self.admin_port = await self._listen(self._admin, host, self._settings.admin_port)
            self.port = await self._listen(self._public, host, self._settings.port)
        except BaseException:
            await self._public.cleanup()
            await self._admin.cleanup()
            raise

    def drain(self) -> None:
        """Asks for no more traffic and ends every wait; requests are still served."""
        self._drain.begin()
        self._mailboxes.begin_drain()

    async def stop(self) -> None:
        """Ends within `drain_ms`: what is in flight by then is cut off. The admin port answers until the end."""
        self.drain()
        for site in self._public.sites:
            await site.stop()
        try:
            async with asyncio.timeout(max(0.0, self._settings.drain_ms / 1000 - 2 * _CLOSE_S)):
                await self._drain.idle()
        except TimeoutError:
            pass  # what still runs is told by its client's broken connection: outcome unknown (P7)
        await asyncio.gather(self._public.cleanup(), self._admin.cleanup())

    async def _listen(self, runner: web.AppRunner, host: str, port: int) -> int:
        await runner.setup()
        site = _Site(runner, host, port, self._ids)
        await site.start()
        return site.bound_port


class _Site(web.BaseSite):
    """A listening socket whose connections are ours (connection.py); otherwise as web.TCPSite."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, ids: Iterator[str]) -> None:
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


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSE_S)
