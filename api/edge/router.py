"""Finds the handler of a path and a method, over aiohttp's low-level server. Two dictionaries do it, because no path of
the API has parts that vary. (web.Application resolves, freezes and matches anew for every request.)

A path or a method that does not exist is answered with a problem+json like any other error. Broken HTTP, which never
becomes a request, is answered with one by api/http/connection.py.
"""

from asyncio import get_running_loop
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol, cast

from aiohttp import hdrs, web

from rowbox.api.edge.endpoint import Edge, Handler
from rowbox.api.http.cors import preflight
from rowbox.api.http.limits import LimitHeaders
from rowbox.api.http.problems import MethodNotAllowed, NotFound
from rowbox.api.http.response import Respond, Response


class Resource(Protocol):
    """Something that starts and closes with an application."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class Application:
    """The endpoints of one port of the server. `resources` are started and closed with it."""

    def __init__(self, edge: Edge, resources: Sequence[Resource] = ()) -> None:
        self._edge = edge
        self._resources = resources
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._refusals: dict[str, Handler] = {}
        self._nothing = edge.endpoint("other", "any", _nothing)

    def add(
        self, method: str, path: str, respond: Respond, limits: LimitHeaders | None = None, *, route: str | None = None
    ) -> None:
        """Adds `path` with its one method. Others get 405, but OPTIONS is a preflight where other origins may call.

        A HEAD is handled, counted and limited as the GET that it is; wire.py leaves its body out. Requests are counted
        under `route`, by default the path.
        """
        edge, route = self._edge, route or path
        methods = (method, hdrs.METH_HEAD) if method == hdrs.METH_GET else (method,)
        handlers = self._handlers[path] = dict.fromkeys(methods, edge.endpoint(route, method, respond, limits))
        if edge.cors.is_on:
            handlers[hdrs.METH_OPTIONS] = edge.endpoint(route, hdrs.METH_OPTIONS, preflight(methods))
        allowed = tuple(handlers)

        async def refuse(_: web.BaseRequest) -> Response:
            raise MethodNotAllowed(f"{path} has the methods: {', '.join(allowed)}", allowed)

        self._refusals[path] = edge.endpoint(route, "other", refuse)

    def server(self) -> web.Server:
        """An aiohttp server for this application, on the running loop. It cancels a handler when its client leaves."""
        factory = partial(web.BaseRequest, loop=get_running_loop())
        return web.Server(self._handle, request_factory=factory, handler_cancellation=True)

    async def start(self) -> None:
        for resource in self._resources:
            await resource.start()

    async def close(self) -> None:
        for resource in self._resources:
            await resource.close()

    def _handle(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        path = request.raw_path.partition("?")[0]
        handlers = self._handlers.get(path)
        if handlers is None:  # nothing; or a whole URL as the target, as proxies send it
            path = request.rel_url.raw_path
            handlers = self._handlers.get(path)
            if handlers is None:
                return cast("Awaitable[web.StreamResponse]", self._nothing(request))
        handler = handlers.get(request.method) or self._refusals[path]
        return cast("Awaitable[web.StreamResponse]", handler(request))  # all of it that aiohttp uses: wire.py


async def _nothing(_: web.BaseRequest) -> Response:
    raise NotFound("there is nothing at this path")
