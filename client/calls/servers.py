"""At which servers a client may open its socket, and say its token, beside the one that it was given.

A server may name another one to it (GET /v1/connect), and whoever answers in a server's place may name any. So the
program lists the origins that it trusts, and nothing else counts:

    https://chat-1.example.com          this one
    https://*.chat.example.com:8443     each host below chat.example.com, at this port

An address that browsers and Python read differently is a way past such a list. So it is read by one plain pattern,
here and in api/web/client/servers.js, and what does not fit it is not gone to.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_URL: Final = re.compile(
    r"(https?|wss?)://([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"(/[A-Za-z0-9._~/-]*)?"
)
_WILD: Final = "*."
_PORTS: Final = {"ws": 80, "wss": 443}


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class Servers:
    """The server at `own_url`, and those that a program trusts beside it."""

    def __init__(self, own_url: str, trusted: Iterable[str] = ()) -> None:
        """ValueError where one of `trusted` is no origin, TypeError where these are no texts, or one text."""
        if isinstance(trusted, str):
            raise TypeError("servers are several origins, not one text")
        self._own = _origin_of(own_url)
        self._hosts: set[_Origin] = set()
        self._domains: list[_Origin] = []
        for text in trusted:
            self._trust(text)

    @property
    def has_others(self) -> bool:
        """Whether there is any server to be sent to."""
        return bool(self._hosts or self._domains)

    def allows(self, url: str) -> bool:
        """Whether a socket may be opened at `url`, which a server has named: ws:// or wss://."""
        origin = _origin_of(url) if url.startswith(("ws://", "wss://")) else None
        if origin is None:
            return False
        if origin == self._own or origin in self._hosts:
            return True
        return any(
            origin._replace(host=one.host) == one and origin.host.endswith(f".{one.host}") for one in self._domains
        )

    def _trust(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a server's origin is a str, not {type(text).__name__}")
        scheme, _, place = text.partition("://")
        is_wild = place.startswith(_WILD)
        origin = _origin_of(f"{scheme}://{place.removeprefix(_WILD)}")
        if origin is None or "/" in place:
            raise ValueError(f"a server's origin is https://host:port or https://*.domain:port: {text!r}")
        if is_wild:
            self._domains.append(origin)
        else:
            self._hosts.add(origin)


def _origin_of(url: str) -> _Origin | None:
    """The origin of a socket at this URL; None where it does not fit the pattern."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme = match[1].replace("http", "ws")
    port = int(match[3]) if match[3] else _PORTS[scheme]
    return _Origin(scheme, match[2].lower(), port) if 0 < port < 65536 else None
