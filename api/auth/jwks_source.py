"""Where a key set is read from: a file or a URL, bounded in bytes and in time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from rowbox.api.auth.keys import KeysUnavailable

FETCH_DEADLINE_S: Final = 5.0
MAX_BYTES: Final = 256 * 1024
Fetch = Callable[[], Awaitable[bytes]]


def jwks_fetcher(place: str) -> Fetch:
    """A function that reads the set at `place`: a file's path, or an https URL. http is taken on a loopback host only,
    because elsewhere somebody could swap the keys on their way.

    Raises KeysUnavailable for any other URL; the function raises it where the set cannot be read.
    """
    if "://" not in place:
        return lambda: asyncio.to_thread(_read_file, place)
    parts = urlsplit(place)
    if "@" in parts.netloc:  # not repeated here: it would stand in the log, as it would in /readyz and the ready line
        raise KeysUnavailable("auth.jwks holds a user or a password: a key set is public, name its URL without")
    if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise KeysUnavailable(f"{place}: only https URLs, or http on this machine")
    return lambda: _read_url(place)


def _read_file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeysUnavailable(f"{path}: {error}") from error
    _check_size(body, path)
    return body


async def _read_url(url: str) -> bytes:
    body = bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_DEADLINE_S)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise KeysUnavailable(f"{url}: status {response.status}")
            async for chunk in response.content.iter_any():
                body += chunk
                _check_size(body, url)
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise KeysUnavailable(f"{url}: {str(error) or type(error).__name__}") from error
    return bytes(body)


def _check_size(body: bytes | bytearray, place: str) -> None:
    if len(body) > MAX_BYTES:
        raise KeysUnavailable(f"{place}: more than {MAX_BYTES} bytes")
