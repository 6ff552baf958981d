"""What the operator's tools ask: whether the process lives, whether it should get traffic, and what it counts."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from aiohttp import hdrs, web

from rowbox.api.http.answer import JSON_LINES, Answer, Page, header_lines
from rowbox.api.http.drain import Drain
from rowbox.api.telemetry.metrics import CONTENT_TYPE, Metrics


class Standing(Protocol):
    """A part of the server without which it should get no traffic. Its texts are for people."""

    def unready_reasons(self) -> Sequence[str]: ...

    def warnings(self) -> Sequence[str]: ...


def health_pages(standings: Sequence[Standing], drain: Drain, metrics: Metrics) -> Sequence[Page]:
    """/healthz, /readyz and /metrics. Ready is a server whose `standings` all are."""

    async def healthz(_: web.BaseRequest) -> Answer:
        return _json(200, {"status": "ok"})

    async def readyz(request: web.BaseRequest) -> Answer:
        own = "draining" if drain.has_begun else "" if drain.is_open else "starting"
        reasons = [own] if own else []
        reasons += [reason for standing in standings for reason in standing.unready_reasons()]
        body: dict[str, object] = {"ready": not reasons}
        if "verbose" in request.query:
            body["reasons"] = list(dict.fromkeys(reasons))
        if warnings := [warning for standing in standings for warning in standing.warnings()]:
            body["warnings"] = warnings
        return _json(503 if reasons else 200, body)

    async def scrape(_: web.BaseRequest) -> Answer:
        return Answer(200, metrics.render(), header_lines({hdrs.CONTENT_TYPE: CONTENT_TYPE}))

    return [Page("/healthz", healthz), Page("/readyz", readyz), Page("/metrics", scrape)]


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, msgspec.json.encode(body), JSON_LINES)
