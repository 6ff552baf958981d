"""The listening sockets of a port: which addresses a host names, and sockets bound to them.

Several processes may share a port (`shared`): each has sockets of its own, bound with SO_REUSEPORT, and Linux gives
each new connection to one of those that listen.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

_EVERY_IPV6: Final = "::"
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors that mean: the machine has no such address, or none of that family."""


async def bound(hosts: Iterable[str], port: int, *, shared: bool = False) -> list[socket.socket]:
    """A socket, bound and not yet listening, for every address of `hosts`, all at the same port; port 0: at any one.

    `::` takes IPv4 as well, where `hosts` has no address of IPv4. Of a name with several addresses (localhost, where a
    container has no IPv6) one is enough. OSError, with the address as its `filename`, where an address is taken or the
    machine does not have it; nothing stays bound then.
    """
    named = [await resolved(host, port) for host in hosts]
    is_one_for_both = (
        all(family != socket.AF_INET for addresses in named for family, _ in addresses) and socket.has_dualstack_ipv6()
    )
    opened: dict[tuple[int, str], socket.socket] = {}
    with ExitStack() as undone:
        for addresses in named:
            missing: OSError | None = None
            for family, host in addresses:
                if (family, host) in opened:
                    continue
                dualstack = is_one_for_both and family == socket.AF_INET6 and host == _EVERY_IPV6
                try:
                    one = _bound(family, host, port, dualstack=dualstack, shared=shared)
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    missing = error
                else:
                    undone.callback(one.close)
                    opened[family, host] = one
                    port = port_of(one)
            if missing is not None and opened.keys().isdisjoint(addresses):
                raise missing
        undone.pop_all()
    return list(opened.values())


def port_of(one: socket.socket) -> int:
    """The number of the port at which it is bound."""
    port: int = one.getsockname()[1]
    return port


async def resolved(host: str, port: int) -> list[tuple[int, str]]:
    """The family and the address of everything that `host` names. OSError where it names nothing."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(error.errno, error.strerror, host) from error
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _bound(family: int, host: str, port: int, *, dualstack: bool, shared: bool) -> socket.socket:
    one = None
    try:
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that was just stopped left connections
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dualstack)
        one.bind((host, port))
    except OSError as error:
        if one is not None:
            one.close()
        raise OSError(error.errno, os.strerror(error.errno or 0), f"{host} port {port}") from error
    one.setblocking(False)
    return one
