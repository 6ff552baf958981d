"""Measures what a usual client sees while others load a server. It is an open loop in a process of its own, because in
a generator that is busy itself (10,000 connections at once) answers would look slow.

`python -m bench.load.probe JSON` takes {"port", "request", "rate"}, sends until its stdin is closed, and then prints
the latencies in seconds as a JSON list.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from bench.load.open_loop import open_loop

CONNECTIONS = 64
MOST_S = 600.0
STARTED = "probing"


class Probe:
    """A running probe."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def latencies_s(self) -> list[float]:
        """Ends the probe. Returns its latencies in seconds, from the intended times of sending."""
        out, _ = self._process.communicate()
        seen: list[float] = json.loads(out)
        return seen


@contextmanager
def probing(port: int, request: bytes, rate: float) -> Iterator[Probe]:
    """Runs a probe that has begun when the block is entered. `request` is a GET that is answered with 200."""
    arguments = json.dumps({"port": port, "request": request.decode(), "rate": rate})
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load.probe", arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Probe(process)
        finally:
            process.kill()


async def _probe(port: int, request: bytes, rate: float) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    print(STARTED, flush=True)
    load = await open_loop(
        port, lambda _: request, 200, rate=rate, seconds=MOST_S, connections=CONNECTIONS, until=ended.wait()
    )
    print(json.dumps(load.latencies_s))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    uvloop.run(_probe(given["port"], given["request"].encode(), given["rate"]))
