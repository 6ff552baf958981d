"""A client that stops reading, while others talk: what that costs them, and when the server gives it up.

It goes on sending pings: one that is silent as well is taken for gone after 37 s.
"""

import asyncio
from http.client import HTTPConnection
from time import perf_counter
from typing import Final, NamedTuple

from bench.live.pairs import Pair, Rounds
from bench.load import socket
from bench.load.closed_loop import HOST, exchange
from bench.load.workload import Workload
from bench.server import Server

LARGE: Final = "x" * 60_000
EVERY_S: Final = 0.5
"""A large message to the client that does not read. Eight of them shut its window."""
RATE: Final = 50.0
"""Messages of the others, a second."""
MOST_S: Final = 90.0
_GIVEN_UP: Final = 'rowbox_socket_closes_total{code="4008"}'


class Stalled(NamedTuple):
    """The figures. The latencies are of others' messages, from the intended time until the recipient had them."""

    before_s: list[float]
    meanwhile_s: list[float]
    given_up_after_s: float
    messages: int
    grown_bytes: int
    """By how much the server's memory was larger at most than when the client stopped reading. The messages themselves
    are in it, in two mailboxes that are in memory.
    """


async def stalled(server: Server, workload: Workload, pairs: list[Pair], rounds: Rounds, seconds: float) -> Stalled:
    """`pairs` are open. TimeoutError where the server does not give the client up."""
    before = await rounds.open_loop(pairs, RATE, seconds)
    slow = await socket.connect(server.port, lambda _: None, lambda _: None, HOST)
    caller, writer = workload.caller("slow"), workload.caller("writer-of-much")
    slow.say(b'{"t":"hello","token":"%b"}' % caller.token.encode())
    slow.say(b'{"t":"follow"}')
    await asyncio.sleep(EVERY_S)  # it follows by then
    slow.stop_reading()
    began_s, ordinary, most = perf_counter(), server.rss_bytes(), 0
    sent = 0

    async def write_to_it() -> float:
        nonlocal sent, most
        serials = workload.serials()
        async with asyncio.timeout(MOST_S):
            while not await asyncio.to_thread(_given_up, server):
                await exchange(server.port, [writer.send_to("slow", next(serials), LARGE)], 201)
                sent += 1
                slow.say(b'{"t":"ping"}')
                most = max(most, server.rss_bytes() - ordinary)
                await asyncio.sleep(EVERY_S)
        return perf_counter() - began_s

    writing = asyncio.ensure_future(write_to_it())
    meanwhile: list[float] = []
    while not writing.done():
        meanwhile += [received_s for received_s, _ in await rounds.open_loop(pairs, RATE, min(1.0, seconds))]
    return Stalled([received_s for received_s, _ in before], meanwhile, await writing, sent, most)


def _given_up(server: Server) -> bool:
    connection = HTTPConnection(HOST, server.admin_port, timeout=5)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return any(line.startswith(_GIVEN_UP) and float(line.split()[1]) > 0 for line in lines)
