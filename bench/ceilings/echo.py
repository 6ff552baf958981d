"""The bare echo: what aiohttp on uvloop costs for requests and answers of these sizes, and nothing else.

Argument: {"answers": [{"method", "path", "status", "size_bytes"}]}
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from aiohttp import web

from bench.ceilings.listen import listen


def answering(status: int, size_bytes: int) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = b"x" * size_bytes

    async def answer(request: web.Request) -> web.Response:
        if request.body_exists:
            await request.read()
        return web.Response(status=status, body=body)

    return answer


async def serve(answers: list[dict[str, Any]]) -> None:
    await listen([web.route(a["method"], a["path"], answering(a["status"], a["size_bytes"])) for a in answers])
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(json.loads(sys.argv[1])["answers"]))
