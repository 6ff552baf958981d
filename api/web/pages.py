"""The pages a server carries: the chat at /, its client below /client/, the API in words at /docs and as a
document at /openapi.json.

They are plain files beside this module, and load nothing from other servers. The chat's modules are joined into one
(modules.py, ADR 30), so that the page needs five requests and not one for each module; and the client's, so that who
takes it has one file. The Content-Security-Policy lets
a page load its own files and call this server, and nothing more. It also demands trusted types, so the text of a
message can never become markup or script; the chat may make one script's address, that of its service worker.

The service worker lies beside the chat's page, because a worker serves no address above its own.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from aiohttp import hdrs

from rowbox.api.http.response import Resource
from rowbox.api.v1.openapi import openapi_json
from rowbox.api.web.modules import joined
from rowbox.api.web.static_file import StaticFile

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_CHAT_POLICY: Final = _POLICY.replace("trusted-types 'none'", "trusted-types push-worker")
_SECURITY: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ts": "application/typescript; charset=utf-8",
}
_HERE: Final = files("rowbox.api.web")
_CHAT: Final = _HERE / "chat"
_CLIENT: Final = _HERE / "client"


@cache
def pages() -> Sequence[Resource]:
    """All pages and their files, to be answered with GET. The files are read once in a process."""
    return (
        _page("/", _TYPES[".html"], (_CHAT / "index.html").read_bytes(), _CHAT_POLICY),
        _file("/worker.js", _HERE / "worker.js"),
        _page("/client/rowbox.js", _TYPES[".js"], joined("rowbox.js", dict(_modules(_CLIENT))).encode()),
        *(_file(f"/client/{name}", _CLIENT / name) for name in ("rowbox.d.ts", "package.json")),
        _page("/chat/chat.js", _TYPES[".js"], joined("main.js", dict(_modules(_CHAT))).encode()),
        *(_file(f"/chat/{name}", _CHAT / name) for name in ("chat.css", "icon.svg", "icon-unread.svg")),
        _file("/docs", _HERE / "docs.html"),
        _file("/docs/docs.js", _HERE / "docs.js"),
        _file("/docs/docs.css", _HERE / "docs.css"),
        _page("/openapi.json", "application/json", openapi_json()),
    )


@cache
def cluster_pages() -> Sequence[Resource]:
    """The operator's page of a cluster, and its files, for the admin port. What it shows it asks for, with a token."""
    names = ("admin.js", "admin.css")
    page = _file("/admin", _HERE / "admin" / "index.html")
    icon = _file("/admin/icon.svg", _CHAT / "icon.svg")
    return (page, icon, *(_file(f"/admin/{name}", _HERE / "admin" / name) for name in names))


def _modules(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Each JavaScript module in `folder` and below it: its path from there, and its text."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _modules(item, f"{above}{item.name}/")
        elif item.name.endswith(".js"):
            yield f"{above}{item.name}", item.read_text("utf-8")


def _file(path: str, file: Traversable) -> Resource:
    return _page(path, _TYPES[PurePosixPath(file.name).suffix], file.read_bytes())


def _page(path: str, content_type: str, body: bytes, policy: str = _POLICY) -> Resource:
    headers = {**_SECURITY, "Content-Security-Policy": policy}
    return Resource(path, StaticFile(body, content_type, headers).respond)
