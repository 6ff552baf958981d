"""The server that has no HTTP API (`--role cache`): it owns mailboxes, and answers the other servers of its cluster."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.cli.serving.api_side import Ports, fresh_ids, listen
from rowbox.cli.serving.backends import Backend
from rowbox.cli.serving.keys_upkeep import KeysUpkeep
from rowbox.cli.serving.one_process import admin_app
from rowbox.mailbox.settings.config import Settings

log = logging.getLogger(__name__)


@asynccontextmanager
async def without_api(settings: Settings, mailboxes: Backend, hangup: asyncio.Event) -> AsyncIterator[Ports]:
    """The operator's port alone; the backend listens for the other servers by itself. Ports.port is 0."""
    counters, drain, ids = HttpCounters(), Drain(), fresh_ids()
    admin = admin_app(settings, mailboxes, counters, drain, ids, sources=[drain.samples], parts=[])
    connections = Connections(connection_limits(settings.server))
    server = Server(None, admin, mailboxes.port, settings.server, drain, ids, connections)
    try:
        await listen(server)
        log.info(
            "for the servers of the cluster at %s, health and metrics on port %d",
            settings.cluster.peer_listen,
            server.admin_port,
        )
        async with KeysUpkeep(None, hangup):
            yield Ports(0, server.admin_port)
    finally:
        await server.stop()
