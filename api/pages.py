"""The pages a server carries: the chat at /, its client at /client/rowbox.js, the API in words at /docs and as a
document at /openapi.json.

They are plain files beside this module, and load nothing from anywhere else. Their Content-Security-Policy lets them
load themselves and call this server, and nothing more: texts of messages and of the document never become markup or
script, because a string cannot be made into either (trusted types).
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from aiohttp import hdrs, web

from rowbox.api.answer import Answer, Page, header_lines
from rowbox.api.openapi import openapi_json

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_SECURITY: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
"""What is served of a folder; a licence that lies beside a module is not."""


def pages() -> Sequence[Page]:
    """All of them, to be answered with GET. Their files are read once, when the application is built."""
    here = files("rowbox.api")
    chat = here / "chat"
    return [
        _file("/", chat / "index.html"),
        _file("/client/rowbox.js", chat / "rowbox.js"),
        *(_file(f"/chat/{path}", file) for path, file in _walk(chat) if path not in {"index.html", "rowbox.js"}),
        _file("/docs", here / "docs.html"),
        _file("/docs/docs.js", here / "docs.js"),
        _file("/docs/docs.css", here / "docs.css"),
        _page("/openapi.json", "application/json", openapi_json()),
    ]


def _walk(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """Each file that is served of `folder` and what is below it, with its path from there."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _walk(item, f"{above}{item.name}/")
        elif PurePosixPath(item.name).suffix in _TYPES:
            yield f"{above}{item.name}", item


def _file(path: str, file: Traversable) -> Page:
    return _page(path, _TYPES[PurePosixPath(file.name).suffix], file.read_bytes())


def _page(path: str, content_type: str, body: bytes) -> Page:
    headers = header_lines({hdrs.CONTENT_TYPE: content_type, **_SECURITY})

    async def answer(_: web.BaseRequest) -> Answer:
        return Answer(200, body, headers)

    return Page(path, answer)
