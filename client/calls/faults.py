"""Tells outages from faults. An outage may end by itself, so a call is made again, and a follower goes on for ever. A
fault ends only when somebody changes the program, so its exception reaches the caller at once, as it is. Faults are:

- a mistake in the program or in its token function, which Python names by the exception's type (MISTAKES)
- a URL, an access token or an argument that can make no request: ValueError, TypeError

Of aiohttp's errors those about the URL are faults; every other one tells of a connection, so it is an outage.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import aiohttp

MISTAKES: Final = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
)
"""The exceptions of mistakes in a program. KeyError, ValueError and RuntimeError are not among them, because a token
function raises them for an odd answer of its sign-in service too."""
OUTAGES: Final = (aiohttp.ClientError, TimeoutError, OSError, EOFError)
"""The exceptions of a request where the network, the server or a proxy fails."""
BAD_URLS: Final = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)

_NO_TOKEN_CHARACTER: Final = re.compile(r"[^\x21-\x7e]")
"""A character that no token has. RFC 6750 allows fewer characters, but tokens of `--insecure-dev` have `:` and `@`."""


def is_mistake(error: BaseException) -> bool:
    """Whether `error` is a mistake in the program. An exception group is one if any part of it is."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_mistake(part) for part in error.exceptions)
    return isinstance(error, MISTAKES)


def is_outage(error: BaseException) -> bool:
    """Whether a request that raised `error` may succeed later unchanged."""
    return isinstance(error, OUTAGES) and not isinstance(error, BAD_URLS)


def said(error: BaseException) -> str:
    """The name of an exception's type and its text, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def checked_token(token: object) -> str:
    """`token`, if it can be an access token; else TypeError or ValueError, which quote at most one character of it."""
    if not isinstance(token, str):
        raise TypeError(f"an access token is a str, not {type(token).__name__}")
    if not token:
        raise ValueError("the access token is empty")
    if wrong := _NO_TOKEN_CHARACTER.search(token):
        place = wrong.start() + 1
        raise ValueError(
            f"the access token holds U+{ord(wrong[0]):04X} as character {place} of {len(token)}: a token is one word "
            "of visible ASCII, so it was cut or pasted wrongly"
        )
    return token


def checked_duration(name: str, seconds: float) -> float:
    """`seconds`, if it is a number of 0 or more, which may be infinite; else ValueError or TypeError, naming `name`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is a number of seconds, not {type(seconds).__name__}")
    if not seconds >= 0:
        raise ValueError(f"{name} is 0 or more: {seconds}")
    return seconds


def checked_url(url: str) -> str:
    """A server's URL, http(s)://host[:port][/path], without a slash at its end. ValueError or TypeError for another."""
    if not isinstance(url, str):
        raise TypeError(f"a server's URL is a str, not {type(url).__name__}")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"a server's URL begins with http:// or https://: {url!r}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise ValueError(f"no server's URL: {url!r} ({error})") from error
    if not host or re.search(r"[\s\\]|[^\x21-\x7e\x80-\U0010ffff]", url):
        raise ValueError(f"no server's URL, which is http(s)://host:port: {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a server's URL has no user, no query and no fragment: the access token says who one is")
    return url.rstrip("/")
