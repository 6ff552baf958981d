"""One HTTP call: a request becomes a typed answer or a typed error. No retries, except with a renewed access token."""

from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import aiohttp

from rowbox import __version__
from rowbox.client.access import AccessToken
from rowbox.client.answers import decoded
from rowbox.client.errors import NO_ANSWER, OutcomeUnknown

MARGIN_S: Final = 15
"""How much longer than its `wait` a call is listened to (the server says so too: X-Poll-Client-Timeout)."""
_T = TypeVar("_T")


class _Exchange(NamedTuple):
    status: int
    body: bytes
    retry_after: str | None


class Transport:
    """The connections to one server. `async with` opens and closes them."""

    def __init__(self, url: str, access: AccessToken, *, margin_s: float = MARGIN_S) -> None:
        """`url` is http(s)://host:port, with a path where a proxy has put the server under one; ValueError else."""
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"a server's URL begins with http:// or https://: {url!r}")
        self._url = url.rstrip("/")
        self._access = access
        self._margin_s = margin_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"User-Agent": f"rowbox-client/{__version__}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, call: str, fields: dict[str, str], kind: type[_T]) -> _T:
        """Refused, AccessDenied, OutcomeUnknown: see errors.py."""
        return await self._call("POST", call, kind, self._margin_s, json=fields)

    async def get(self, call: str, query: dict[str, str | int | None], kind: type[_T], *, wait_s: int = 0) -> _T:
        """The same. Parameters that are None are left out; `wait_s` is how long the server may hold the request."""
        given = {name: value for name, value in query.items() if value is not None}
        if wait_s:
            given["wait"] = wait_s
        return await self._call("GET", call, kind, wait_s + self._margin_s, params=given)

    async def _call(self, method: str, call: str, kind: type[_T], timeout_s: float, **content: Any) -> _T:
        try:
            token = await self._access.get()
            answer = await self._exchange(method, call, token, timeout_s, content)
            if answer.status == 401 and (renewed := await self._access.renewed(token)) is not None:
                answer = await self._exchange(method, call, renewed, timeout_s, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(
                f"no answer to {call}: {str(error) or type(error).__name__}", code=NO_ANSWER
            ) from error
        return decoded(answer.status, answer.body, answer.retry_after, kind)

    async def _exchange(
        self, method: str, call: str, token: str, timeout_s: float, content: dict[str, Any]
    ) -> _Exchange:
        if self._session is None:
            raise RuntimeError("a client is used inside `async with` it")
        async with self._session.request(
            method,
            f"{self._url}/v1/{call}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            allow_redirects=False,  # the access token is for this server
            **content,
        ) as response:
            return _Exchange(response.status, await response.read(), response.headers.get("Retry-After"))
