"""Where the client of a request has reached this server."""

import re
from typing import Final

from aiohttp import hdrs, web

_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SCHEMES: Final = frozenset({"http", "https"})


def own_address(request: web.BaseRequest) -> str:
    """The scheme and the host that the request names, as a URL without a path; "" where it names no host.

    The scheme is what a proxy says in X-Forwarded-Proto. That is the caller's word as the host is, and nobody else is
    told of it.
    """
    host = request.headers.get(hdrs.HOST, "")
    if _HOST.fullmatch(host) is None:
        return ""
    proto = request.headers.get(hdrs.X_FORWARDED_PROTO, "").lower()
    return f"{proto if proto in _SCHEMES else request.scheme}://{host}"
