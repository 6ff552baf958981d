"""The pages for an operator's tools: whether the process lives, whether it should get traffic, and its metrics."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
from aiohttp import hdrs, web

from rowbox.api.http.drain import Drain
from rowbox.api.http.response import JSON_LINES, Resource, Response, header_lines
from rowbox.api.telemetry.metrics import CONTENT_TYPE, Metrics


class HealthSource(Protocol):
    """A part of the server that can be a reason for it to get no traffic. Its texts are for people."""

    def unready_reasons(self) -> Sequence[str]: ...

    def warnings(self) -> Sequence[str]: ...


Refresh = Callable[[], Awaitable[object]]
"""Has what was counted elsewhere told here; bounded in time."""


def health_pages(
    sources: Sequence[HealthSource], drain: Drain, metrics: Metrics, refresh: Refresh | None = None
) -> Sequence[Resource]:
    """/healthz, /readyz and /metrics. A server is ready while no part in `sources` gives a reason against it.

    `refresh` is awaited before the metrics are read.
    """

    async def healthz(_: web.BaseRequest) -> Response:
        return _json(200, {"status": "ok"})

    async def readyz(request: web.BaseRequest) -> Response:
        own = "draining" if drain.has_begun else "" if drain.is_open else "starting"
        reasons = [own] if own else []
        reasons += [reason for source in sources for reason in source.unready_reasons()]
        body: dict[str, object] = {"ready": not reasons}
        if "verbose" in request.query:
            body["reasons"] = list(dict.fromkeys(reasons))
        if warnings := [warning for source in sources for warning in source.warnings()]:
            body["warnings"] = warnings
        return _json(503 if reasons else 200, body)

    async def scrape(_: web.BaseRequest) -> Response:
        if refresh is not None:
            await refresh()
        return Response(200, metrics.render(), header_lines({hdrs.CONTENT_TYPE: CONTENT_TYPE}))

    return [Resource("/healthz", healthz), Resource("/readyz", readyz), Resource("/metrics", scrape)]


def _json(status: int, body: dict[str, object]) -> Response:
    return Response(status, msgspec.json.encode(body), JSON_LINES)
