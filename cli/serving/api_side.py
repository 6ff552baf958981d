"""What serves the HTTP API in one process: the public application, its keys, and what is counted of it."""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rowbox.api.app import api_sources, build_app
from rowbox.api.auth.authenticator import Authenticator, make_authenticator
from rowbox.api.auth.insecure import InsecureAuthenticator
from rowbox.api.auth.kept_keys import KeptKeys
from rowbox.api.edge.router import Application
from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http import request_id
from rowbox.api.http.bodies import bodies_of
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.api.realtime.sockets import Sockets
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.telemetry.samples import Source
from rowbox.cacheserver.ephemeral.store import EphemeralStore
from rowbox.cacheserver.port import MailboxPort
from rowbox.cli.secret import load_all
from rowbox.cli.serving.keys_upkeep import KeysUpkeep
from rowbox.cli.serving.presence import presence_over
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings

log = logging.getLogger(__name__)


class Ports(NamedTuple):
    """Where a server listens."""

    port: int
    admin_port: int


class ApiSide(NamedTuple):
    """The public application and what belongs to it. `upkeep` is to be entered while it serves; `keys` None: nobody's
    token is verified.
    """

    app: Application
    counters: HttpCounters
    drain: Drain
    ids: Iterator[str]
    connections: Connections
    upkeep: KeysUpkeep
    keys: KeptKeys | None
    sources: Sequence[Source]


def api_side(port: MailboxPort, settings: Settings, hangup: asyncio.Event, ephemeral: EphemeralStore | None) -> ApiSide:
    """The API over `port`, with presence in `ephemeral`. The keys are read again each time `hangup` is set. To be made
    in the running loop.
    """
    counters, drain, ids = HttpCounters(), Drain(), fresh_ids()
    bodies, connections = bodies_of(settings.server), Connections(connection_limits(settings.server))
    sockets = Sockets(settings.sockets, drain)
    authenticator = _authenticator(settings)
    presence = presence_over(port, ephemeral)
    app = build_app(port, authenticator, settings, counters, drain, ids, bodies, sockets, presence)
    upkeep = KeysUpkeep(authenticator.keys, hangup)
    sources = [*api_sources(drain, connections, bodies, authenticator, sockets), presence.samples, upkeep.samples]
    return ApiSide(app, counters, drain, ids, connections, upkeep, authenticator.keys, sources)


def fresh_ids() -> Iterator[str]:
    """Request ids that no other process gives."""
    return request_id.request_ids(secrets.token_hex(4))


async def listen(server: Server) -> None:
    """Starts the server. StoreUnusable, naming the address, where it cannot listen there."""
    try:
        await server.start()
    except OSError as error:
        raise cannot_listen(error) from error


def cannot_listen(error: OSError) -> StoreUnusable:
    """What an operator is told about an OSError of Acceptor.open."""
    return StoreUnusable(f"cannot listen on {error.filename}: {error.strerror}; give another host or port")


def _authenticator(settings: Settings) -> Authenticator:
    if settings.server.insecure_dev:
        log.warning("no authentication: every caller is whom he says he is (--insecure-dev)")
        return InsecureAuthenticator(settings.server.host)
    read_secrets = partial(load_all, Path(settings.server.data_dir))
    return make_authenticator(settings.auth, read_secrets, time.time, time.monotonic)
