"""The access log: a line for each request, when it has its answer. It is off unless `server.access_log` is on.

A line holds no secret: it has the route and not the path, and neither the query, which may hold delta tokens, nor
headers, which hold access tokens. Its address is that of the connection, behind a proxy the proxy's. Headers that name
another address are not believed, because a client can write what it likes into them.
"""

import logging
from typing import Final

from rowbox.api.http.operation import Asked
from rowbox.api.http.response import Response

_log: Final = logging.getLogger(__name__)


class AccessLog:
    """Writes the lines at every `server.log_level`: an operator who switched the access log on wants them."""

    def __init__(self) -> None:
        _log.setLevel(logging.INFO)

    def note(self, request: Asked, route: str, answered: Response, duration_s: float) -> None:
        """`answered` is what `request` gets, or would have got if its client had not left."""
        size_bytes, user_id, peer = len(answered.body), answered.user_id, request.remote
        fields = {
            "method": request.method,
            "route": route,
            "status": answered.status,
            "durationMs": round(duration_s * 1000, 1),
            "bytes": size_bytes,
            "userId": user_id,
            "peer": peer,
        }
        text = "%s %s %d in %.1f ms, %d bytes, %s from %s"
        who = user_id or "nobody"
        _log.info(
            text,
            request.method,
            route,
            answered.status,
            duration_s * 1000,
            size_bytes,
            who,
            peer,
            extra={"fields": fields},
        )
