"""Cross-origin requests: a page of another origin may read answers only if the operator listed exactly its origin.

Rowbox uses no cookies, so no answer allows credentials. A page has to know a token to do anything.
"""

from collections.abc import Sequence
from typing import Final

from aiohttp import hdrs, web

from rowbox.api.http.response import Respond, Response, header_lines

_EXPOSED: Final = "X-Request-Id, X-Poll-Client-Timeout, X-Dedupe-Life, Retry-After, RateLimit, RateLimit-Policy"
DEVICE_ID: Final = "X-Device-Id"
"""The header in which a request says from which device it comes."""
_ALLOWED: Final = f"Authorization, Content-Type, X-Request-Id, {DEVICE_ID}"
_MAX_AGE_S: Final = "600"


class Cors:
    """The rules for a list of origins, which may be empty."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)
        self.is_on = bool(origins)

    def lines(self, request: web.BaseRequest) -> str:
        """The header lines that let a listed origin read an answer, and keep caches from giving it to another."""
        headers: dict[str, str] = {hdrs.VARY: hdrs.ORIGIN}
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in self._origins:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
        return header_lines(headers)


def preflight(methods: Sequence[str]) -> Respond:
    """Answers a browser's question whether a page may call `methods`. `Cors.lines` adds for which origin that holds."""
    allowed = ", ".join(methods)
    headers = header_lines(
        {
            hdrs.ALLOW: f"{allowed}, OPTIONS",
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: allowed,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED,
            hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE_S,
        }
    )

    async def answer(_: web.BaseRequest) -> Response:
        return Response(204, b"", headers)

    return answer
