"""Measures one server under one scenario for a few seconds: a Sample. Servers take turns, so that whatever else the
machine does falls on all of them alike.
"""

from collections.abc import Callable, Coroutine, Iterator
from time import process_time
from typing import NamedTuple

from bench import machine
from bench.load.closed_loop import Load, closed_loop
from bench.load.open_loop import open_loop
from bench.server import TICK_S, Server

Requests = Callable[[], Iterator[bytes]]


class Scenario(NamedTuple):
    """Requests of one kind. `path` and `status` tell a ceiling what to answer; `servers` names those that take part."""

    name: str
    method: str
    path: str
    status: int
    requests: Requests
    seconds: float
    servers: tuple[str, ...]


class Sample(NamedTuple):
    """The result of one turn. `others_cpu_s` is the CPU of all processes but the server and the load generator."""

    scenario: str
    server: str
    turn: int
    wall_s: float
    latencies_s: list[float]
    server_cpu_s: float
    generator_cpu_s: float
    others_cpu_s: float
    counted: dict[str, float]

    @property
    def answers(self) -> int:
        return len(self.latencies_s)

    @property
    def per_cpu_s(self) -> float:
        """Answers per second of the server's CPU."""
        return self.answers / self.server_cpu_s

    @property
    def per_s(self) -> float:
        """Answers per second of wall time."""
        return self.answers / self.wall_s


async def sample(server: Server, scenario: Scenario, turn: int, in_flight: int, seconds: float) -> Sample:
    """One turn of a closed loop with `in_flight` requests. WrongAnswer, ConnectionError."""
    load = closed_loop(server.port, scenario.requests(), scenario.status, in_flight=in_flight, seconds=seconds)
    return await _measured(server, scenario.name, turn, load)


async def sample_at(server: Server, scenario: Scenario, turn: int, rate: float, seconds: float) -> Sample:
    """One turn of an open loop of `rate` requests a second. WrongAnswer, ConnectionError, TimeoutError."""
    requests = scenario.requests()
    load = open_loop(server.port, lambda _: next(requests), scenario.status, rate=rate, seconds=seconds)
    return await _measured(server, scenario.name, turn, load)


async def _measured(server: Server, name: str, turn: int, load: Coroutine[object, object, Load]) -> Sample:
    counters, busy_s, generator_s, server_s = server.counters(), machine.busy_s(), process_time(), server.cpu_s()
    seen = await load
    server_s, generator_s = max(server.cpu_s() - server_s, TICK_S), process_time() - generator_s
    others_s = machine.busy_s() - busy_s - server_s - generator_s
    counted = {name: value - counters.get(name, 0) for name, value in server.counters().items()}
    return Sample(
        name,
        server.name,
        turn,
        seen.wall_s,
        seen.latencies_s,
        server_s,
        generator_s,
        max(0.0, others_s),
        counted,
    )
