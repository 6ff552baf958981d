"""The server whose one process both owns mailboxes and serves the HTTP API."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from rowbox.api.app import build_admin_app
from rowbox.api.edge.local_only import admin_guard_of
from rowbox.api.edge.router import Application
from rowbox.api.edge.server import Server
from rowbox.api.http.drain import Drain
from rowbox.api.operator.calls import Operator
from rowbox.api.telemetry.counters import Counted
from rowbox.api.telemetry.health import HealthSource, Refresh
from rowbox.api.telemetry.samples import Source
from rowbox.cli.secret import load_all
from rowbox.cli.serving.api_side import Ports, api_side, listen
from rowbox.cli.serving.backends import Backend
from rowbox.cli.serving.presence import own_store, shared_store
from rowbox.mailbox.settings.config import Settings

log = logging.getLogger(__name__)


@asynccontextmanager
async def in_one_process(settings: Settings, mailboxes: Backend, hangup: asyncio.Event) -> AsyncIterator[Ports]:
    """The HTTP server: it listens when this is entered, and is stopped when it is left."""
    api = api_side(mailboxes.port, settings, hangup, shared_store(settings) or own_store(settings))
    parts = [] if api.keys is None else [api.keys]
    admin = admin_app(settings, mailboxes, api.counters, api.drain, api.ids, sources=api.sources, parts=parts)
    server = Server(api.app, admin, mailboxes.port, settings.server, api.drain, api.ids, api.connections)
    try:
        await listen(server)
        log.info("listening on port %d, health and metrics on port %d", server.port, server.admin_port)
        async with api.upkeep:
            yield Ports(server.port, server.admin_port)
    finally:
        await server.stop()


def admin_app(
    settings: Settings,
    mailboxes: Backend,
    counters: Counted,
    drain: Drain,
    ids: Iterator[str],
    *,
    sources: Sequence[Source],
    parts: Sequence[HealthSource],
    refresh: Refresh | None = None,
) -> Application:
    """The operator's application over an opened backend. `counters` and `sources` are what is counted of the API; the
    rest as of build_admin_app.
    """
    read_secrets = partial(load_all, Path(settings.server.data_dir))
    operator = Operator(mailboxes.calls, read_secrets, time.time, mailboxes.pages)
    return build_admin_app(
        mailboxes.port,
        counters,
        drain,
        ids,
        operator,
        sources=[*mailboxes.sources, *sources],
        guard=admin_guard_of(settings.server),
        parts=parts,
        refresh=refresh,
    )
