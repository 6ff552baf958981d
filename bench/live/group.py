"""A group of a hundred: what its copies cost, and how soon the last of its connected members has a message."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

from bench.live.members import SERIAL_CHARACTERS
from bench.load import latency
from bench.load.closed_loop import closed_loop, exchange
from bench.load.workload import CONTENT, Caller, Workload
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.server import TICK_S, Server

MEMBERS: Final = 100
SENDERS: Final = 20
"""Members who send at once where copies are counted."""
RATE: Final = 10.0
"""Messages a second where it is measured how soon they are there: a busy group, and a server that is not."""
DEADLINE_S: Final = 60.0


class Arrivals(NamedTuple):
    """Of each message, the seconds from the writing of its send until the first and the last member had it; the
    server's CPU for one.
    """

    first_s: list[float]
    last_s: list[float]
    cpu_s: float


class Group:
    """A group of MEMBERS users of one server. `prefix` is that of their names."""

    def __init__(self, server: Server, workload: Workload, prefix: str) -> None:
        self._server = server
        self._callers = [workload.caller(f"{prefix}{number:03}") for number in range(MEMBERS)]
        self._names = [f"{prefix}{number:03}" for number in range(MEMBERS)]
        self._serials = workload.serials()
        self._id = ""

    async def make(self) -> None:
        """The first member makes it. Returns when each member can send to it."""
        fields = {"clientGroupId": self._names[0], "members": self._names[1:], "name": "bench"}
        request = self._callers[0].post("/v1/createGroup", fields)
        self._id = json.loads((await exchange(self._server.port, [request], 201))[0])["conversationId"]
        async with asyncio.timeout(DEADLINE_S):
            for caller in self._callers:
                while not await self._is_known_to(caller):  # noqa: ASYNC110 - from outside it can only be asked
                    await asyncio.sleep(0.05)

    async def _is_known_to(self, caller: Caller) -> bool:
        (page,) = await exchange(self._server.port, [caller.conversations()], 200)
        return self._id.encode() in page

    async def copies_per_cpu_s(self, seconds: float) -> float:
        """SENDERS members send without pause, by HTTP. Copies that were delivered, by second of the server's CPU."""
        before_s = self._server.cpu_s()
        load = await closed_loop(self._server.port, self._sends(), 201, in_flight=SENDERS, seconds=seconds)
        return len(load.latencies_s) * MEMBERS / max(self._server.cpu_s() - before_s, TICK_S)

    async def arrivals(self, count: int) -> Arrivals:
        """So many messages, RATE a second, while all members follow, in a process of their own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.live.members", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        tokens = [caller.token for caller in self._callers]
        process.stdin.write(json.dumps({"port": self._server.port, "tokens": tokens}).encode() + b"\n")
        async with asyncio.timeout(DEADLINE_S):
            assert await process.stdout.readline() == b"ready\n"
        try:
            before_s = self._server.cpu_s()
            written, told = await asyncio.gather(self._write(count), _told(process.stdout, count))
            cpu_s = self._server.cpu_s() - before_s
        finally:
            process.stdin.close()
            await process.wait()
        first = [told[serial][0] - at_s for serial, at_s in written.items()]
        last = [told[serial][1] - at_s for serial, at_s in written.items()]
        return Arrivals(first, last, cpu_s / count)

    async def _write(self, count: int) -> dict[bytes, float]:
        """By serial, when a send was written."""
        written: dict[bytes, float] = {}
        began_s = perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began_s + number / RATE - perf_counter()))
            serial = next(self._serials)
            request = self._send(self._callers[number % MEMBERS], serial)
            written[serial] = perf_counter()
            await exchange(self._server.port, [request], 201)
        return written

    def _sends(self) -> Iterator[bytes]:
        for caller, serial in zip(cycle(self._callers[:SENDERS]), self._serials, strict=False):
            yield self._send(caller, serial)

    def _send(self, caller: Caller, serial: bytes) -> bytes:
        assert len(serial) == SERIAL_CHARACTERS
        text = serial.decode()
        fields = {"conversationId": self._id, "messageContent": f"{text} {CONTENT}", "clientMessageId": text}
        return caller.post("/v1/sendMessage", fields)


async def _told(lines: asyncio.StreamReader, count: int) -> dict[bytes, tuple[float, float]]:
    told: dict[bytes, tuple[float, float]] = {}
    async with asyncio.timeout(DEADLINE_S + count / RATE):
        while len(told) < count:
            serial, first, last = (await lines.readline()).split()
            told[serial] = float(first), float(last)
    return told


async def grouped(
    server: Server, workload: Workload, turns: int, seconds: float, store: str, *, copies: int, last_ms: float | None
) -> Part:
    """Measures a group over `store`. So many copies were promised by second of CPU, at least; and within `last_ms` the
    last member's, where that was.
    """
    group = Group(server, workload, "member")
    await group.make()
    await group.copies_per_cpu_s(min(1.0, seconds))
    found = [await group.copies_per_cpu_s(seconds) for _ in range(turns)]
    arrivals = await group.arrivals(max(1, round(5 * seconds * RATE)))
    rows: list[Sequence[str]] = [("until", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms")]
    rows.append(("the first member has it, from the writing of its send", *latency.shown(arrivals.first_s)))
    rows.append(("the last of them has it", *latency.shown(arrivals.last_s)))
    text = (
        f"A group of {MEMBERS} over {store}, {SENDERS} members sending without pause: {median(found):,.0f} copies by "
        f"second of the server's CPU ({min(found):,.0f} to {max(found):,.0f}).\n"
        f"All members connected, {RATE:g} messages a second: {arrivals.cpu_s * 1000:.1f} ms of the server's CPU for "
        f"each, with its {MEMBERS} frames.\n\n{table(rows)}"
    )
    claims = [Claim(f"copies to members over {store}, per CPU-second", median(found), copies, is_most=False)]
    if last_ms is not None:
        p99_ms = latency.percentile(latency.in_ms(arrivals.last_s), 0.99)
        what = f"the last of {MEMBERS} connected members has it p99 over {store}, ms"
        claims.append(Claim(what, p99_ms, last_ms, is_most=True))
    return Part(text, claims)
