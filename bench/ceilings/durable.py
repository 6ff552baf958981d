"""The durable ceiling: bare aiohttp that puts a send's cells into RocksDB, with fsync, before it answers. Requests that
wait together share a write.

Argument: that of echo.py, and {"folder", "cells": [[family, key in hex, value in hex]], "memtable_bytes",
"cache_bytes"}. The cells are those of one real send, under other keys of the same length each time.
"""

import asyncio
import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rocksdict as rocks
import uvloop
from aiohttp import web

from bench.ceilings.listen import listen
from bench.ceilings.rocks import options


async def serve(config: dict[str, Any]) -> None:
    families = {family: options(config) for family, _, _ in config["cells"]}
    database = rocks.Rdict(config["folder"], options(config), families)
    puts = [(database.get_column_family_handle(f), bytes.fromhex(k), bytes.fromhex(v)) for f, k, v in config["cells"]]
    answer, numbers = config["answers"][0], itertools.count()
    body, waiting = b"x" * answer["size_bytes"], asyncio.Queue[asyncio.Future[None]]()
    loop, writer, synced = asyncio.get_running_loop(), ThreadPoolExecutor(1), rocks.WriteOptions()
    synced.sync = True

    async def send(request: web.Request) -> web.Response:
        await request.read()
        waiting.put_nowait(done := loop.create_future())
        await done
        return web.Response(status=answer["status"], body=body)

    await listen([web.route(answer["method"], answer["path"], send)])
    while True:
        taken = [await waiting.get(), *(waiting.get_nowait() for _ in range(waiting.qsize()))]
        batch = rocks.WriteBatch(raw_mode=True)
        for number in itertools.islice(numbers, len(taken)):
            start = b"%08x" % (number * 2654435761 % 2**32)  # spread over the whole range
            for family, key, value in puts:
                batch.put(start + key[8:], value, family)
        await loop.run_in_executor(writer, database.write, batch, synced)
        for done in taken:
            done.set_result(None)


if __name__ == "__main__":
    sys.setswitchinterval(0.0005)
    uvloop.run(serve(json.loads(sys.argv[1])))
