"""Calls to addresses that users chose. They reach the public internet by HTTPS and nothing else.

A name is asked for once for each connection, and refused where one of its addresses is not public; the connection goes
to these addresses as they were looked at, so a name that means something else a moment later changes nothing. Each
socket is looked at once more by the address that it is about to be connected to, whatever led there. No redirect is
followed, no proxy of the environment is used, no cookie is kept, and of an answer nothing is read but its status and
Retry-After (RFC 9110, 10.2.3): no user is told either.
"""

import datetime as dt
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.cacheserver.push.services.addresses import is_public
from rowbox.cacheserver.push.services.names import MachineNames
from rowbox.mailbox.push.target import host_of

TIMEOUT_S: Final = 10.0
KEPT_S: Final = 30.0
"""For how long a connection is kept for the next call."""


class NotPublic(OSError):
    """An address that is not to be called."""


MayCall = Callable[[str], bool]
"""Whether an address may be called: is_public but in tests, whose services are on this machine."""


class GuardedResolver(AbstractResolver):
    """Asks for names, and gives their addresses where all of them may be called. NotPublic where one may not."""

    def __init__(self, inner: AbstractResolver, may_call: MayCall = is_public) -> None:
        self._inner = inner
        self._may_call = may_call

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        found = await self._inner.resolve(host, port, family)
        if not all(self._may_call(one["host"]) for one in found):
            raise NotPublic("the name has an address that is not of the public internet")
        return found

    async def close(self) -> None:
        """See AbstractResolver."""
        await self._inner.close()


class Said(NamedTuple):
    """What is read of an answer. `retry_after_ms` 0: it did not say."""

    status: int
    retry_after_ms: int


class GuardedSession:
    """The connections of one process to what its users chose. `close` ends it.

    `resolver` None: the machine's. `tls` None: the machine's authorities are believed. A name has to be of the form
    that mailbox/push/target.py describes: so an address never passes for one.
    """

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        may_call: MayCall = is_public,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._resolver = GuardedResolver(resolver if resolver is not None else MachineNames(), may_call)
        self._may_call = may_call
        self._tls = tls
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Said | Answer:
        """Posts `body`. What was answered; or an Answer where nothing was, or where the address may not be called."""
        if host_of(url) is None:
            return Answer(Outcome.BROKEN, reason="not an address that may be called")
        try:
            response = await self._opened().post(url, data=body, headers=headers, allow_redirects=False)
            try:
                return Said(response.status, _retry_after_ms(response.headers.get("Retry-After", "")))
            finally:
                _let_go(response)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublic):
                return Answer(Outcome.BROKEN, reason=str(error.os_error))
            return Answer(Outcome.LATER, reason=type(error).__name__)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Answer(Outcome.LATER, reason=type(error).__name__)

    async def close(self) -> None:
        """Ends it."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Made when it is needed: most servers never call anybody."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,
                ssl=self._tls if self._tls is not None else True,
                keepalive_timeout=KEPT_S,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                trust_env=False,
                auto_decompress=False,
                headers={"User-Agent": "rowbox"},
            )
        return self._session

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, address = info
        if not self._may_call(str(address[0])):
            raise NotPublic("an address that is not of the public internet")
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made


def answer_of(said: Said) -> Answer:
    """What a status says of a push: 2xx, 404 and 410, 403, 429 and 5xx, and all others."""
    status = said.status
    reason = f"status {status}"
    if 200 <= status < 300:
        return Answer(Outcome.OK)
    if status in {404, 410}:
        return Answer(Outcome.GONE, reason=reason)
    if status == 403:
        return Answer(Outcome.REFUSED, reason=reason)
    if status in {408, 425, 429} or status >= 500:
        return Answer(Outcome.LATER, said.retry_after_ms, reason)
    return Answer(Outcome.BROKEN, reason=reason)


def _let_go(response: aiohttp.ClientResponse) -> None:
    """Keeps the connection where nothing more comes; closes it else, whatever still would come."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()


def _retry_after_ms(text: str) -> int:
    """Milliseconds of a Retry-After, seconds or a date; 0 where it is neither, and 1 where the time has come."""
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, 1 << 40) or 1
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)
        return max(1, int((at - dt.datetime.now(dt.UTC)).total_seconds() * 1000))
    return 0
