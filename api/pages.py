"""The documentation a server carries: /openapi.json, and /docs to read and try it without network access.

The viewer is plain files beside this module. Its Content-Security-Policy lets it load itself and call this server, and
nothing else: texts of the document never become markup or script.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

from rowbox.api.answer import Answer, Page, header_lines
from rowbox.api.openapi import openapi_json

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}


def documentation_pages() -> Sequence[Page]:
    """/docs with its script and style, and /openapi.json. Read once, when the application is built."""
    return [
        _page("/docs", "text/html; charset=utf-8", _file("docs.html")),
        _page("/docs/docs.js", "text/javascript; charset=utf-8", _file("docs.js")),
        _page("/docs/docs.css", "text/css; charset=utf-8", _file("docs.css")),
        _page("/openapi.json", "application/json", openapi_json()),
    ]


def _file(name: str) -> bytes:
    return files("rowbox.api").joinpath(name).read_bytes()


def _page(path: str, content_type: str, body: bytes) -> Page:
    headers = header_lines({hdrs.CONTENT_TYPE: content_type, **_SECURITY})

    async def answer(_: web.BaseRequest) -> Answer:
        return Answer(200, body, headers)

    return Page(path, answer)
