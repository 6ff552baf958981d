"""The two applications: the public one with the API and its documentation, and the operator's.

Neither has an aiohttp middleware; api/edge/endpoint.py says why.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from aiohttp import hdrs

from rowbox.api.auth.authenticator import Authenticator
from rowbox.api.edge.endpoint import Edge, call_respond
from rowbox.api.edge.local_only import Guard, guard_of
from rowbox.api.edge.named_calls import NamedCalls
from rowbox.api.edge.router import Application
from rowbox.api.http.bodies import Bodies
from rowbox.api.http.body import BodyTerms
from rowbox.api.http.connections import Connections
from rowbox.api.http.cors import Cors
from rowbox.api.http.drain import Drain
from rowbox.api.http.limits import LimitHeaders
from rowbox.api.http.response import header_lines
from rowbox.api.operator.calls import Operator
from rowbox.api.realtime.parts import Parts, shared_timers
from rowbox.api.realtime.releases import Releases
from rowbox.api.realtime.session import SessionTerms
from rowbox.api.realtime.sockets import Sockets
from rowbox.api.realtime.stream import events
from rowbox.api.realtime.upgrade import upgrade
from rowbox.api.telemetry.access_log import AccessLog
from rowbox.api.telemetry.counters import STATIC_ROUTE, Counted, HttpCounters
from rowbox.api.telemetry.health import HealthSource, Refresh, health_pages
from rowbox.api.telemetry.metrics import Metrics
from rowbox.api.telemetry.samples import Source
from rowbox.api.v1.handlers import Handlers
from rowbox.api.v1.reading.request import user_id_reader
from rowbox.api.v1.responses import SOCKET_PATH
from rowbox.api.web.pages import pages
from rowbox.cacheserver.ephemeral.port import PresencePort
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.settings.config import ServerSettings, Settings

DEDUPE_LIFE: Final = "X-Dedupe-Life"
"""The header that says for how many seconds a clientMessageId makes a retry the same message. A client must not try
again later."""

FRAME_BYTES: Final = 1 << 10
"""What a frame holds beside the fields of its call."""


def build_app(
    port: MailboxPort,
    authenticator: Authenticator,
    settings: Settings,
    counters: HttpCounters,
    drain: Drain,
    ids: Iterator[str],
    bodies: Bodies,
    sockets: Sockets,
    presence: PresencePort,
) -> Application:
    """The public application. It starts and closes `authenticator` and `presence` with itself. To be made in the
    running loop.
    """
    terms = _body_terms(port, settings.server, drain, bodies)
    server = settings.server
    access_log = AccessLog() if server.access_log else None
    edge = Edge(counters, drain, ids, Cors(server.cors_origins), guard=guard_of(server), access_log=access_log)
    app = Application(edge, [authenticator, presence])
    dedupe_life = header_lines({DEDUPE_LIFE: str(settings.store.dedupe_life_ms // 1000)})
    handlers = Handlers(
        port,
        settings.poll,
        settings.groups,
        settings.users,
        presence,
        escapes_user_ids=settings.auth.escape_user_ids,
        public_url=server.public_url,
    )
    operations = handlers.operations()
    for operation in operations:
        limits = LimitHeaders(operation.limit_class, settings.rate_limits)
        own_headers = dedupe_life if operation.names_a_send else ""
        respond = call_respond(operation, authenticator, limits, terms, own_headers)
        app.add(operation.method, operation.path, respond, limits)
    parts = Parts(
        port,
        authenticator,
        drain,
        NamedCalls(edge, operations),
        sockets,
        shared_timers(),
        _session_terms(settings),
        Releases(),
        presence,
    )
    app.add(hdrs.METH_GET, SOCKET_PATH, upgrade(parts, server.cors_origins))
    app.add(hdrs.METH_GET, "/v1/events", events(parts))
    for page in pages():
        app.add(hdrs.METH_GET, page.path, page.respond, route=STATIC_ROUTE)
    return app


def _session_terms(settings: Settings) -> SessionTerms:
    server = settings.server
    return SessionTerms(
        write_s=server.write_ms / 1000,
        leeway_s=settings.auth.leeway_ms / 1000,
        max_frame_bytes=server.max_body_bytes + FRAME_BYTES,
        retention_ms=settings.store.retention_ms,
        dedupe_life_ms=settings.store.dedupe_life_ms,
        read_user_id=user_id_reader(escapes=settings.auth.escape_user_ids),
    )


def _body_terms(port: MailboxPort, server: ServerSettings, drain: Drain, bodies: Bodies) -> BodyTerms:
    return BodyTerms(
        bodies=bodies,
        drain=drain,
        admit=port.admit_write,
        max_bytes=server.max_body_bytes,
        room_s=server.body_room_ms / 1000,
        deadline_s=server.body_ms / 1000,
    )


def api_sources(
    drain: Drain, connections: Connections, bodies: Bodies, authenticator: Authenticator, sockets: Sockets
) -> Sequence[Source]:
    """What is counted of the public application, beside its requests."""
    keys = authenticator.keys
    own = [connections.samples, bodies.samples, drain.samples, sockets.samples]
    return [*own, *([] if keys is None else [keys.samples])]


def build_admin_app(
    port: MailboxPort,
    counters: Counted,
    drain: Drain,
    ids: Iterator[str],
    operator: Operator,
    *,
    sources: Sequence[Source] = (),
    guard: Guard | None = None,
    parts: Sequence[HealthSource] = (),
    refresh: Refresh | None = None,
) -> Application:
    """The operator's application: health, readiness, metrics of `sources` and of HTTP, and the calls of `operator`.

    `parts` are what else the server needs: while one of them is a reason against it, it is not ready. `refresh` is
    awaited before the metrics are read.

    Health and metrics have no authentication, because the operator protects the admin port. The calls of `operator`
    need an operator's token. `guard` is what local_only.admin_guard_of gives.
    """
    app = Application(Edge(HttpCounters(), Drain(), ids, Cors(()), guard=guard))
    for page in health_pages([port, *parts], drain, Metrics(counters, sources), refresh):
        app.add(hdrs.METH_GET, page.path, page.respond)
    for page in operator.pages:
        app.add(hdrs.METH_GET, page.path, page.respond)
    for path, respond in operator.endpoints():
        app.add(hdrs.METH_POST, path, respond)
    return app
