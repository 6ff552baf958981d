"""What the operator's tools ask: whether the process lives, whether it should get traffic, and what it counts."""

from collections.abc import Sequence

import msgspec
from aiohttp import hdrs, web

from rowbox.api.answer import JSON_LINES, Answer, Page, header_lines
from rowbox.api.drain import Drain
from rowbox.api.metrics import CONTENT_TYPE, Metrics
from rowbox.cacheserver.port import MailboxPort


def health_pages(port: MailboxPort, drain: Drain, metrics: Metrics) -> Sequence[Page]:
    """/healthz, /readyz and /metrics."""

    async def healthz(_: web.BaseRequest) -> Answer:
        return _json(200, {"status": "ok"})

    async def readyz(request: web.BaseRequest) -> Answer:
        own = "draining" if drain.has_begun else "" if drain.is_open else "starting"
        reasons = [*([own] if own else []), *port.unready_reasons()]
        body: dict[str, object] = {"ready": not reasons}
        if "verbose" in request.query:
            body["reasons"] = list(dict.fromkeys(reasons))
        if warnings := port.warnings():
            body["warnings"] = list(warnings)
        return _json(503 if reasons else 200, body)

    async def scrape(_: web.BaseRequest) -> Answer:
        return Answer(200, metrics.render(), header_lines({hdrs.CONTENT_TYPE: CONTENT_TYPE}))

    return [Page("/healthz", healthz), Page("/readyz", readyz), Page("/metrics", scrape)]


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, msgspec.json.encode(body), JSON_LINES)
