"""The server whose API is served by processes of its own: this one owns the mailboxes and has the operator's port.

It stops in this order. Readiness is off and every long poll is answered; the API processes accept nothing more, finish
what has begun and end; the link to them ends; the operator's port closes. Then whoever opened the backend closes it.
"""

import asyncio
import logging
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.cacheserver.link_counts import LinkCounts
from rowbox.cli.serving.api_side import Ports, cannot_listen, fresh_ids, listen
from rowbox.cli.serving.backends import Backend
from rowbox.cli.serving.one_process import admin_app
from rowbox.cli.serving.presence import own_store
from rowbox.cli.serving.processes.owner_link import owner_link
from rowbox.cli.serving.processes.shared_port import HeldPort
from rowbox.cli.serving.processes.shares import share_of
from rowbox.cli.serving.processes.supervisor import Supervisor
from rowbox.mailbox.settings.config import ConfigError, LoadedSettings, Settings, hosts_of

_SPARE_S: Final = 1.0
"""How much longer than `server.drain_ms` a process may take to end."""
log = logging.getLogger(__name__)


def require_linux(loaded: LoadedSettings) -> None:
    """ConfigError where the settings ask for API processes and the system does not share a port out among processes."""
    key, count = "server.api_processes", loaded.settings.server.api_processes
    if count and platform.system() != "Linux":
        raise ConfigError(key, count, loaded.origin(key), "0 on this system: only Linux shares a port out to processes")


@asynccontextmanager
async def in_several_processes(settings: Settings, mailboxes: Backend, hangup: asyncio.Event) -> AsyncIterator[Ports]:
    """The HTTP server: all of its processes listen when this is entered, and have ended when it is left.

    StoreUnusable where one of them cannot start, or the port cannot be had.
    """
    server = settings.server
    with HeldPort() as held:
        try:
            port = await held.hold(hosts_of(server.host), server.port)
        except OSError as error:
            raise cannot_listen(error) from error
        async with owner_link(settings, mailboxes.port, own_store(settings)) as link:
            supervisor = Supervisor(server.api_processes, partial(link.begin, share_of(settings, port)))
            operator = _operator(settings, mailboxes, supervisor, link.counts)
            reloads: asyncio.Task[None] | None = None
            try:
                await listen(operator)
                await supervisor.start()
                text = "listening on port %d in %d processes, health and metrics on port %d"
                log.info(text, port, server.api_processes, operator.admin_port)
                reloads = asyncio.create_task(_pass_on(hangup, supervisor), name="reload")
                yield Ports(port, operator.admin_port)
            finally:
                if reloads is not None:
                    reloads.cancel()
                operator.drain()
                await supervisor.drain(server.drain_ms / 1000 + _SPARE_S)
                await operator.stop()


def _operator(settings: Settings, mailboxes: Backend, supervisor: Supervisor, counts: LinkCounts) -> Server:
    """The operator's port alone."""
    drain, ids = Drain(), fresh_ids()
    app = admin_app(
        settings,
        mailboxes,
        supervisor,
        drain,
        ids,
        sources=[supervisor.samples, counts.samples],
        parts=[supervisor],
        refresh=supervisor.refresh,
    )
    connections = Connections(connection_limits(settings.server))
    return Server(None, app, mailboxes.port, settings.server, drain, ids, connections)


async def _pass_on(hangup: asyncio.Event, supervisor: Supervisor) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        supervisor.reload()
