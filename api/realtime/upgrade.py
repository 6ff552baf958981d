"""GET /v1/ws: what is looked at before a client has its socket.

What the header or the load says already is an answer of HTTP: 400, 401, 503. A page of an origin that is not listed
gets a socket that is closed at once, because a browser shows its page no status of a refused handshake, and the page
would try again for ever.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from rowbox.api.auth.claims import Claims
from rowbox.api.edge.endpoint import authenticated
from rowbox.api.http.response import Respond, Response
from rowbox.api.realtime import closing
from rowbox.api.realtime.frames import SUBPROTOCOL
from rowbox.api.realtime.parts import Parts
from rowbox.api.realtime.socket import Socket
from rowbox.api.websocket.handshake import accept_of, offers
from rowbox.mailbox.errors import BadRequest

SWITCHED: Final = 101


def upgrade(parts: Parts, origins: Sequence[str]) -> Respond:
    """The function behind the endpoint. Pages of `origins` may connect, and those of the server's own origin."""
    listed = frozenset(origins)

    async def respond(request: web.BaseRequest) -> Response:
        accept = _accept(request)
        claims = await _claims(request, parts)
        refusal = None if _is_from_here(request, listed) else (closing.FORBIDDEN, "this origin is not listed")
        socket = Socket(parts, request, claims)
        parts.sockets.let_in(socket)  # has to be followed by `run` and nothing else: that gives the place back
        user_id = await socket.run(accept, refusal)
        return Response(SWITCHED, b"", "", is_poll=True, user_id=user_id, is_sent=True)

    return respond


def _accept(request: web.BaseRequest) -> str:
    """What answers the key of a handshake of ours. BadRequest where the request is none."""
    if request.method != hdrs.METH_GET:
        raise BadRequest("a WebSocket begins with a GET")
    if not offers(request.headers, SUBPROTOCOL):
        raise BadRequest(f"Sec-WebSocket-Protocol has to offer {SUBPROTOCOL}")
    accept = accept_of(request.headers)
    if "?" in request.raw_path:
        raise BadRequest("the path takes no query: tokens go into the header or the hello, never into a URL")
    return accept


async def _claims(request: web.BaseRequest, parts: Parts) -> Claims | None:
    """The claims of the header's token; None without one. Errors as of `authenticated`."""
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is None:
        return None
    claims = parts.authenticator.remembered(authorization)
    return claims or await authenticated(parts.authenticator, authorization, parts.drain)


def _is_from_here(request: web.BaseRequest, listed: frozenset[str]) -> bool:
    """Whether the request is of no page, of one that this server has shown, or of one that is listed."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in listed:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get(hdrs.HOST)
    except ValueError:  # it is no URL
        return False
