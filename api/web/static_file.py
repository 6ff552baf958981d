"""A file that everybody gets: plain or compressed, and not again to whoever has it (RFC 9110: conditional requests and
content negotiation).

The file never changes while the server runs, so both codings and their ETags are made once, when the application is
built. An ETag is strong: it stands for the bytes that were sent, and each coding has its own. gzip is the only
compression, because the standard library has it; brotli saves an eighth of 47 KB and would be a dependency.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web

from rowbox.api.http.response import Response, header_lines

_LEVEL: Final = 9
_TAG_DIGITS: Final = 24
"""Characters of the SHA-256 in an ETag: 96 bits, which two builds of a page never share by chance."""
_TAGS: Final = re.compile(r'"[^"]*"')


class StaticFile:
    """`body` as answers to GET. `headers` are sent with each answer, beside those of its coding."""

    def __init__(self, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        digest = hashlib.sha256(body).hexdigest()[:_TAG_DIGITS]
        shared = {**headers, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        kind: dict[str, str] = {hdrs.CONTENT_TYPE: content_type}
        self._plain = _Coding(body, f'"{digest}"', shared, kind)
        self._gzipped: _Coding | None = None
        compressed = gzip.compress(body, _LEVEL, mtime=0)
        if len(compressed) < len(body):
            self._gzipped = _Coding(compressed, f'"{digest}-gzip"', shared, {**kind, hdrs.CONTENT_ENCODING: "gzip"})

    async def respond(self, request: web.BaseRequest) -> Response:
        """200 with the file in the best coding that the client takes; 304 where it has that one."""
        return self.chosen(request.headers.get(hdrs.ACCEPT_ENCODING), request.headers.get(hdrs.IF_NONE_MATCH))

    def chosen(self, accept_encoding: str | None, if_none_match: str | None) -> Response:
        """The answer to a request with these header values; None where the request lacks the header."""
        coding = self._plain if self._gzipped is None or not takes_gzip(accept_encoding or "") else self._gzipped
        if if_none_match is not None and _names(if_none_match, coding.tag):
            return Response(304, b"", coding.unchanged)
        return Response(200, coding.body, coding.headers)


class _Coding:
    __slots__ = ("body", "headers", "tag", "unchanged")

    def __init__(self, body: bytes, tag: str, shared: Mapping[str, str], kind: Mapping[str, str]) -> None:
        self.body = body
        self.tag = tag
        self.unchanged = header_lines({**shared, hdrs.ETAG: tag})
        self.headers = header_lines({**kind, **shared, hdrs.ETAG: tag})


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the header allows gzip, by its name or by `*`. A weight that is no number counts as 1."""
    weights = dict(_weighted(item) for item in accept_encoding.split(","))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weighted(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                break
    return name, 1.0


def _names(if_none_match: str, tag: str) -> bool:
    """Whether the header names `tag`, by the weak comparison that If-None-Match asks for: a proxy that compressed the
    file anew puts W/ before our tag.
    """
    return if_none_match.strip() == "*" or tag in _TAGS.findall(if_none_match)
