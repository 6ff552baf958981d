"""The two applications: the public one with the API and its documentation, and the operator's.

No middleware (endpoint.py says why) and no page of aiohttp's own: every path and method that is not ours ends in a
problem+json like any other error, and what never becomes a request (broken HTTP) in connection.py.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from aiohttp import hdrs, web

from rowbox.api.answer import Answer, Answering
from rowbox.api.auth import Authenticator
from rowbox.api.body import BODY_DEADLINE_S, no_expectations
from rowbox.api.cors import Cors, preflight
from rowbox.api.counters import HttpCounters
from rowbox.api.drain import Drain
from rowbox.api.endpoint import Edge, call_answer
from rowbox.api.handlers import Handlers
from rowbox.api.health import health_pages
from rowbox.api.limits import LimitHeaders
from rowbox.api.metrics import Metrics, Sample, Source
from rowbox.api.pages import documentation_pages
from rowbox.api.problems import MethodNotAllowed, NotFound
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.config import Settings


def build_app(
    port: MailboxPort,
    authenticator: Authenticator,
    settings: Settings,
    counters: HttpCounters,
    drain: Drain,
    ids: Iterator[str],
    *,
    body_deadline_s: float = BODY_DEADLINE_S,
) -> web.Application:
    """The public application. It starts and closes `authenticator` with itself."""
    max_body_bytes = settings.server.max_body_bytes
    app = web.Application(client_max_size=max_body_bytes)
    edge = Edge(counters, drain, ids, Cors(settings.server.cors_origins))
    for operation in Handlers(port, settings.poll).operations():
        limits = LimitHeaders(operation.limit_class, settings.rate_limits)
        answer = call_answer(operation, authenticator, limits, max_body_bytes, body_deadline_s)
        _add_route(app, edge, operation.method, operation.path, answer, limits)
    for page in documentation_pages():
        _add_route(app, edge, hdrs.METH_GET, page.path, page.answer)
    _add_not_found(app, edge)

    async def authenticating(_: web.Application) -> AsyncIterator[None]:
        await authenticator.start()
        yield
        await authenticator.close()

    app.cleanup_ctx.append(authenticating)
    return app


def build_admin_app(
    port: MailboxPort,
    counters: HttpCounters,
    drain: Drain,
    ids: Iterator[str],
    *,
    sources: Sequence[Source] = (),
    extra_routes: Iterable[web.AbstractRouteDef] = (),
) -> web.Application:
    """The operator's application: health, readiness, metrics of `sources` and of HTTP, and `extra_routes` of others.

    It has no authentication: its port is the operator's to protect.
    """

    def in_flight() -> Iterable[Sample]:
        help_text = "Requests being answered, long polls included."
        yield Sample("rowbox_http_requests_in_flight", "gauge", help_text, {}, drain.in_flight)

    app = web.Application()
    edge = Edge(HttpCounters(), Drain(), ids, Cors(()))
    for page in health_pages(port, drain, Metrics(counters, [*sources, in_flight])):
        _add_route(app, edge, hdrs.METH_GET, page.path, page.answer)
    app.add_routes(extra_routes)
    _add_not_found(app, edge)
    return app


def _add_route(
    app: web.Application, edge: Edge, method: str, path: str, answer: Answering, limits: LimitHeaders | None = None
) -> None:
    """`path` with its one method, preflight where browsers of other origins may call, and 405 for the others."""
    handler = edge.endpoint(path, method, answer, limits)
    app.router.add_route(method, path, handler, expect_handler=no_expectations)
    allowed = (method, hdrs.METH_OPTIONS) if edge.cors.is_on else (method,)
    if edge.cors.is_on:
        app.router.add_route(hdrs.METH_OPTIONS, path, edge.endpoint(path, hdrs.METH_OPTIONS, preflight(method)))

    async def refuse(_: web.Request) -> Answer:
        raise MethodNotAllowed(f"{path} has the methods: {', '.join(allowed)}", allowed)

    app.router.add_route(hdrs.METH_ANY, path, edge.endpoint(path, "other", refuse), expect_handler=no_expectations)


def _add_not_found(app: web.Application, edge: Edge) -> None:
    async def refuse(_: web.Request) -> Answer:
        raise NotFound("there is nothing at this path")

    handler = edge.endpoint("other", "any", refuse)
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", handler, expect_handler=no_expectations)
