"""A server without authentication refuses each request that was not meant for this machine.

A browser on the machine reaches loopback addresses, and so does every page that it shows. Two headers tell the pages
that come from elsewhere:

Host    A page of evil.example may let its name resolve to 127.0.0.1 (DNS rebinding). The browser then takes this server
        for the page's own origin, and the page could act as any user. Its requests have evil.example as Host.
Origin  A browser sends some requests to other origins without asking first. They have the page's origin as Origin.
"""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from rowbox.api.http.problems import NotLocal
from rowbox.mailbox.settings.config import ServerSettings, hosts_of, is_loopback

Guard = Callable[[web.BaseRequest], None]
_LOCALHOST: Final = "localhost"


def guard_of(server: ServerSettings) -> Guard | None:
    """The guard of a server's API. None where the server has authentication, which makes a guard needless."""
    return local_only(server.cors_origins) if server.insecure_dev else None


def admin_guard_of(server: ServerSettings) -> Guard | None:
    """The guard of a server's admin port. None where the settings open that port to other machines."""
    is_closed = all(map(is_loopback, hosts_of(server.admin_host)))
    return local_only(()) if server.insecure_dev and is_closed else None


def local_only(origins: Sequence[str]) -> Guard:
    """Raises NotLocal for a request that was not meant for this machine, or whose page is neither of this machine nor
    of `origins`.
    """
    listed = frozenset(origins)

    def guard(request: web.BaseRequest) -> None:
        named = request.headers.getall(hdrs.HOST, ())
        if len(named) != 1 or not all(is_local(_name(host)) for host in (*named, request.host)):
            raise NotLocal("this server has no authentication: it answers to localhost and loopback addresses only")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin not in listed and not is_local(_host_of(origin)):
            raise NotLocal("this server has no authentication: pages of other origins may not call it")

    return guard


def is_local(name: str) -> bool:
    """Whether a host's name always means the machine that asks (RFC 6761: localhost, and names below it)."""
    name = name.lower().removesuffix(".")
    return name == _LOCALHOST or name.endswith(f".{_LOCALHOST}") or is_loopback(name)


def _name(host: str) -> str:
    """The name in a Host header, without the port. "" where the header holds no host."""
    name, closing, rest = host.partition("]") if host.startswith("[") else ("", "", "")
    if closing and (not rest or rest.startswith(":")):
        return name[1:]
    return host.partition(":")[0]


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""  # "null": a file, or a page in a sandbox
    except ValueError:
        return ""
