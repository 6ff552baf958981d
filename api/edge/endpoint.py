"""What every request goes through: request id, errors, headers, counting. The calls of the API also go through
authentication, the reading of the body, and rate-limit headers.

Each handler is wrapped. There is no aiohttp middleware, because one costs a tenth of a small handler's rate.

aiohttp cancels the handler of a client that left (router.py asks for that), which frees the place of a long poll. No
write is cut short by it: to cancel a call of the port only ends the waiting for its result.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, cast

from aiohttp import hdrs, web

from rowbox.api.auth.authenticator import Authenticator
from rowbox.api.auth.claims import Claims
from rowbox.api.edge.local_only import Guard
from rowbox.api.edge.own_address import own_address
from rowbox.api.http import request_id
from rowbox.api.http.body import BodyTerms, read_body
from rowbox.api.http.cors import DEVICE_ID, Cors
from rowbox.api.http.drain import Drain
from rowbox.api.http.limits import LimitHeaders
from rowbox.api.http.operation import Call, Operation
from rowbox.api.http.problems import MEDIA_TYPE, encode_problem, headers_of, internal, problem_of
from rowbox.api.http.response import JSON_LINES, Respond, Response, header_lines
from rowbox.api.http.wire import WireResponse, wire_response
from rowbox.api.telemetry.access_log import AccessLog
from rowbox.api.telemetry.counters import CLIENT_GONE, HttpCounters
from rowbox.api.telemetry.refusal_log import RefusalLog
from rowbox.mailbox.errors import Overloaded, RowboxError, TokenRevoked

POLL_TIMEOUT: Final = "X-Poll-Client-Timeout"
_AUTH_S: Final = 10.0
"""How long a request waits for the keys that verify its token: longer than one fetch of them (auth/jwks_source.py)."""
_RETRY_MS: Final = 1_000
Handler = Callable[[web.BaseRequest], Awaitable[WireResponse]]
_log = logging.getLogger(__name__)


class Known(Protocol):
    """A connection, as far as this module sets it: `is_known` says whether a request on it had a valid token."""

    is_known: bool


class Edge:
    """Makes the handlers of one application. `ids` gives fresh request ids, and `clock` seconds to measure durations.

    `guard` raises a RowboxError for a request that is refused before anything else is looked at.
    """

    def __init__(
        self,
        counters: HttpCounters,
        drain: Drain,
        ids: Iterator[str],
        cors: Cors,
        clock: Callable[[], float] = time.perf_counter,
        guard: Guard | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        self.cors = cors
        self.access_log = access_log
        self.counters = counters
        self.drain = drain
        self.ids = ids
        self.clock = clock
        self.refusals = RefusalLog(clock)
        self._guard = guard

    def endpoint(
        self,
        route: str,
        method: str,
        respond: Respond,
        limits: LimitHeaders | None = None,
    ) -> Handler:
        """A handler that answers with what `respond` returns, or with the problem it raises; never raises itself."""
        counters = self.counters.route(route, method)
        if self._guard is not None:
            respond = _guarded(respond, self._guard)
        drain, clock, cors, ids, refusals = self.drain, self.clock, self.cors, self.ids, self.refusals
        access_log = self.access_log

        async def handle(request: web.BaseRequest) -> WireResponse:
            started = clock()
            current_id = request.headers.get(request_id.HEADER)
            if current_id is None or not request_id.is_sane(current_id):
                current_id = next(ids)
            request_id.REQUEST_ID.set(current_id)
            drain.enter()
            try:
                response = await respond(request)
            except asyncio.CancelledError:
                counters.poll_answered(CLIENT_GONE)
                if access_log is not None:
                    access_log.note(request, route, Response(CLIENT_GONE, b"", ""), clock() - started)
                raise
            except Exception as error:  # noqa: BLE001 - the edge: what nobody expected becomes a 500
                response = _refusal(error, request, route, current_id, limits, refusals)
            finally:
                drain.leave()
            if cors.is_on:
                response.headers += cors.lines(request)
            if response.is_poll:
                counters.poll_answered(response.status)
            else:
                counters.answered(response.status, clock() - started)
            if access_log is not None:
                access_log.note(request, route, response, clock() - started)
            return wire_response(response, request, current_id, closes=drain.has_begun)

        return handle


def _guarded(respond: Respond, guard: Guard) -> Respond:
    async def guarded(request: web.BaseRequest) -> Response:
        guard(request)
        return await respond(request)

    return guarded


def call_respond(
    operation: Operation,
    authenticator: Authenticator,
    limits: LimitHeaders,
    terms: BodyTerms,
    own_headers: str = "",
) -> Respond:
    """One call of the API as a function for `Edge.endpoint`. It reads a body only after the caller's token was
    verified.

    `own_headers` are the header lines (response.py) of each of its answers, but not of errors.
    """
    has_body = operation.method == hdrs.METH_POST
    own_lines = JSON_LINES + own_headers

    async def respond(request: web.BaseRequest) -> Response:
        authorization = request.headers.get(hdrs.AUTHORIZATION)
        claims = authenticator.remembered(authorization)
        if claims is None:
            claims = await authenticated(authenticator, authorization, terms.drain)
        connection = cast("Known", request.protocol)
        connection.is_known = True
        try:
            device_id = request.headers.get(DEVICE_ID)
            if device_id is not None:
                claims = claims.on_device(device_id)
            call = Call(claims, request.raw_path.partition("?")[2], b"")
            if operation.asks_where:
                call.address = own_address(request)
            if has_body:
                call.body = await read_body(request, claims, terms)
            result = await operation.handle(call)
        except RowboxError as error:
            error.user_id = claims.user_id
            if isinstance(error, TokenRevoked):
                connection.is_known = False  # when connections are short, it is closed as early as a stranger's
            raise
        headers = own_lines if result.quota is None else own_lines + limits.lines(result.quota)
        if result.poll_timeout_s is None:
            return Response(result.status, result.body, headers, user_id=claims.user_id)
        headers = f"{headers}{POLL_TIMEOUT}: {result.poll_timeout_s}\r\n"
        return Response(result.status, result.body, headers, is_poll=True, user_id=claims.user_id)

    return respond


async def authenticated(authenticator: Authenticator, authorization: str | None, drain: Drain) -> Claims:
    """The claims of a token that is not remembered. Errors as of Authenticator.authenticate; Overloaded where the keys
    to verify it do not come in time.
    """
    try:
        async with drain.patience(_AUTH_S):
            return await authenticator.authenticate(authorization)
    except TimeoutError as error:
        raise Overloaded("the token could not be verified now", retry_after_ms=_RETRY_MS) from error


def _refusal(
    error: Exception,
    request: web.BaseRequest,
    route: str,
    current_id: str,
    limits: LimitHeaders | None,
    refusals: RefusalLog,
) -> Response:
    if not isinstance(error, RowboxError):
        _log.error("%s %s failed", request.method, request.path, exc_info=error)
        error = internal()
    else:
        refusals.note(error, request, route)
    problem = problem_of(error, current_id)
    headers = headers_of(problem, error, had_token=hdrs.AUTHORIZATION in request.headers)
    headers[hdrs.CONTENT_TYPE] = MEDIA_TYPE
    headers[hdrs.CACHE_CONTROL] = "no-store"
    lines = header_lines(headers)
    if problem.status == 429 and limits is not None:
        lines += limits.exceeded_lines(problem.retry_after_ms or 0)
    return Response(problem.status, encode_problem(problem), lines, user_id=error.user_id)
