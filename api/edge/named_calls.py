"""The calls of the API by their names, for whoever carries them other than as HTTP requests: the socket.

A call goes through the same handler as its HTTP request, with the same checks, limits, errors, counts and log lines. It
is counted under its route, with the method `socket`.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp import hdrs
from msgspec import Struct

from rowbox.api.auth.claims import Claims
from rowbox.api.edge.endpoint import Edge
from rowbox.api.http import request_id
from rowbox.api.http.operation import SOCKET_PAGE_BYTES, Call, Operation
from rowbox.api.http.problems import encode_problem, internal, problem_of
from rowbox.api.http.response import Response
from rowbox.api.telemetry.counters import CLIENT_GONE, RouteCounters
from rowbox.mailbox.errors import BadRequest, RateLimited, RowboxError, TokenRevoked

SOCKET: Final = "socket"
"""The method under which calls over a socket are counted."""
_RETRY_MS: Final = 1_000
_log = logging.getLogger(__name__)
_query = msgspec.json.Decoder(dict[str, str | int])


class NamedCall(Struct, frozen=True):
    """One call: which one, of whom, and the JSON of its fields. `remote` is the address of the connection, `address`
    as in Call.
    """

    name: str
    claims: Claims
    args: bytes
    remote: str | None
    address: str


class Answer(Struct, frozen=True):
    """What a call is answered with: a status of HTTP, and JSON. `refused_for_good`: the code, where the token was."""

    status: int
    body: bytes
    refused_for_good: str = ""


class _Route(NamedTuple):
    operation: Operation
    counters: RouteCounters


class _Asked(NamedTuple):
    method: str
    path: str
    remote: str | None


class NamedCalls:
    """The calls of one application."""

    def __init__(self, edge: Edge, operations: Iterable[Operation]) -> None:
        self._edge = edge
        self._routes = {one.name: _Route(one, edge.counters.route(one.path, SOCKET)) for one in operations}

    async def answer(self, call: NamedCall) -> Answer:
        """The answer to `call`, or the problem that it ends with; never raises. The handler begins before it awaits."""
        edge, route = self._edge, self._routes.get(call.name)
        current_id = next(edge.ids)
        if route is None:
            return _problem(BadRequest(f"there is no call {call.name[:100]!r}"), current_id)
        request_id.REQUEST_ID.set(current_id)
        started = edge.clock()
        edge.drain.enter()
        path = route.operation.path
        is_poll = False
        try:
            result = await route.operation.handle(_call(route.operation, call))
            answer, is_poll = Answer(result.status, result.body), result.poll_timeout_s is not None
        except asyncio.CancelledError:
            route.counters.poll_answered(CLIENT_GONE)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: what nobody expected becomes a 500
            answer = self._refused(error, call, path, current_id)
        finally:
            edge.drain.leave()
        if is_poll:
            route.counters.poll_answered(answer.status)
        else:
            route.counters.answered(answer.status, edge.clock() - started)
        if edge.access_log is not None:
            response = Response(answer.status, answer.body, "", user_id=call.claims.user_id)
            edge.access_log.note(_Asked(SOCKET, path, call.remote), path, response, edge.clock() - started)
        return answer

    def one_too_many(self, most: int) -> Answer:
        """The answer to a call beyond the `most` that a connection may have under way."""
        error = RateLimited(f"{most} calls of this connection have no answer yet", retry_after_ms=_RETRY_MS)
        return _problem(error, next(self._edge.ids))

    def _refused(self, error: Exception, call: NamedCall, path: str, current_id: str) -> Answer:
        if not isinstance(error, RowboxError):
            _log.error("%s over a socket failed", path, exc_info=error)
            error = internal()
        else:
            error.user_id = call.claims.user_id
            self._edge.refusals.note(error, _Asked(SOCKET, path, call.remote), path)
        return _problem(error, current_id)


def _call(operation: Operation, call: NamedCall) -> Call:
    """The call as HTTP would have it. BadRequest where `args` can be no query."""
    if operation.method == hdrs.METH_POST:
        return Call(call.claims, "", call.args)
    try:
        return Call(call.claims, urlencode(_query.decode(call.args)), b"", SOCKET_PAGE_BYTES, call.address)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequest("args is an object of texts and whole numbers") from error


def _problem(error: RowboxError, current_id: str) -> Answer:
    problem = problem_of(error, current_id)
    code = problem.code if isinstance(error, TokenRevoked) else ""
    return Answer(problem.status, encode_problem(problem), code)
