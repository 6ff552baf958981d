"""The calls that an operator's verb makes to a running server: POST /operator/<name> on the admin port, JSON to JSON.

Verbs use them where only the process that has the store open, or that owns a mailbox, can do the work. Answers carry an
error's whole text, which a client of the API never gets.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web

from rowbox.api.auth.operator import Secrets, require_operator
from rowbox.api.http.problems import KINDS, text_of
from rowbox.api.http.response import JSON_LINES, Resource, Respond, Response
from rowbox.mailbox.errors import BadRequest, RowboxError

PREFIX: Final = "/operator/"
MAX_BODY_BYTES: Final = 65_536


class OperatorCall(NamedTuple):
    """One call. `handle` takes the request's body and returns the answer's, both JSON; the text of what it raises is
    sent whole. It is cancelled when the verb that called is ended. `is_for_page`: the page of a cluster calls it too.
    """

    name: str
    handle: Callable[[bytes], Awaitable[bytes]]
    is_for_page: bool = False

    @property
    def path(self) -> str:
        return PREFIX + self.name


class OperatorError(msgspec.Struct, frozen=True):
    """Why a call failed, as it is sent: the error's code and its whole text."""

    code: str
    detail: str


class Operator(NamedTuple):
    """The calls of one server, and what proves an operator: the secrets that count now, and the time of day.

    `pages` are answered to everybody: they hold nothing of the server, and make calls.
    """

    calls: Sequence[OperatorCall]
    secrets: Secrets
    now: Callable[[], float]
    pages: Sequence[Resource] = ()

    def endpoints(self) -> Iterable[tuple[str, Respond]]:
        """The path of each call, and the function that answers it after it has verified the operator's token."""
        return [(call.path, _respond_to(call, self.secrets, self.now)) for call in self.calls]


def _respond_to(call: OperatorCall, secrets: Secrets, now: Callable[[], float]) -> Respond:

    async def answer(request: web.BaseRequest) -> Response:
        require_operator(request.headers.get(hdrs.AUTHORIZATION), secrets, now(), is_for_page=call.is_for_page)
        try:
            return Response(HTTPStatus.OK, await call.handle(await _body(request)), JSON_LINES)
        except RowboxError as error:
            status = KINDS[error.code].status if error.code in KINDS else HTTPStatus.CONFLICT
            return Response(status, msgspec.json.encode(OperatorError(error.code, text_of(error))), JSON_LINES)

    return answer


async def _body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadRequest(f"the body is more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
