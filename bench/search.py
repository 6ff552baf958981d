"""The first search of a large mailbox, whose index is made meanwhile, and what others notice of that.

The store is filled below HTTP with messages of one user. A server is started on it, which has no index: none outlives
its server. Others send at an even rate, for a while before the first search and until it is complete. The search is
asked again until it is. Each turn is a server of its own, over the same store.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from bench import machine
from bench.fill import WORDS, Talks, fill
from bench.load import latency
from bench.load.closed_loop import closed_loop, exchange
from bench.load.open_loop import open_loop
from bench.load.workload import PAGE, Caller, Workload
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.server import Server, cpu_s, rowbox, running
from rowbox.cli.secret import load_or_create

CONVERSATIONS = 50
SENDS_PER_S = 200.0
AGAIN_S = 0.25
MOST_S = 120.0
FIRST_S, COMPLETE_S, RATIO = 0.3, 10.0, 1.5
USER = "searcher"
P99 = 0.99


class Searched(NamedTuple):
    """One turn. Times in seconds; `again_s` of the same search once the index is complete. `others_cpu_s`: the CPU of
    all processes but the server.
    """

    first_s: float
    was_complete: bool
    complete_s: float
    again_s: float
    quiet_s: list[float]
    building_s: list[float]
    server_cpu_s: float
    others_cpu_s: float

    @property
    def ratio(self) -> float:
        return _p99_ms(self.building_s) / _p99_ms(self.quiet_s)


async def search(folder: Path, messages: int, turns: int, quiet_s: float) -> Part:
    """Searches a mailbox of so many messages, `turns` times. Others send for `quiet_s` before each."""
    data_dir = folder / "search"
    fill(data_dir, [Talks(USER, CONVERSATIONS, messages // CONVERSATIONS, is_hub=True, is_varied=True)])
    workload = Workload(load_or_create(data_dir))
    done: list[Searched] = []
    for turn in range(turns):
        with running("rowbox", rowbox(data_dir), data_dir / f"log-{turn}") as server:
            done.append(await _turn(server, workload, quiet_s))
    return Part(_text(messages, done), _claims(messages, done))


async def _turn(server: Server, workload: Workload, quiet_s: float) -> Searched:
    """A user opens his list of messages, and searches for a word that few of them have."""
    caller, sends = workload.caller(USER), workload.sends()
    await exchange(server.port, [caller.newest(PAGE)], 200)
    warming = (next(sends) for _ in range(2 * CONVERSATIONS))  # mailboxes of others come into memory
    await closed_loop(server.port, warming, 201, in_flight=CONVERSATIONS)
    quiet = await open_loop(server.port, lambda _: next(sends), 201, rate=SENDS_PER_S, seconds=quiet_s)
    complete = asyncio.Event()
    cpu, busy = cpu_s(server.pid), machine.busy_s()
    load = asyncio.create_task(
        open_loop(server.port, lambda _: next(sends), 201, rate=SENDS_PER_S, seconds=MOST_S, until=complete.wait())
    )
    began_s = perf_counter()
    first = await _ask(server, caller)
    first_s, answer = perf_counter() - began_s, first
    async with asyncio.timeout(MOST_S):
        while not answer["complete"]:
            await asyncio.sleep(AGAIN_S)
            answer = await _ask(server, caller)
    complete_s = perf_counter() - began_s
    server_s = cpu_s(server.pid) - cpu
    complete.set()
    building = await load
    began_s = perf_counter()
    await _ask(server, caller)
    return Searched(
        first_s,
        first["complete"],
        complete_s,
        perf_counter() - began_s,
        quiet.latencies_s,
        building.latencies_s,
        server_s,
        max(0.0, machine.busy_s() - busy - server_s),
    )


async def _ask(server: Server, caller: Caller) -> dict[str, Any]:
    request = f"{caller.start('GET', f'/v1/search?q={WORDS[-1]}&pageSize=100')}\r\n".encode()
    answer: dict[str, Any] = json.loads((await exchange(server.port, [request], 200))[0])
    return answer


def _p99_ms(latencies_s: Sequence[float]) -> float:
    return latency.percentile(latency.in_ms(latencies_s), P99)


def _text(messages: int, done: Sequence[Searched]) -> str:
    head = ("turn", "first answer s", "complete after s", "then s", "server's CPU s", "others' CPU")
    lines: list[Sequence[str]] = [(*head, "sends before: p50 ms", "p99 ms", "meanwhile: p50 ms", "p99 ms", "ratio")]
    for turn, one in enumerate(done, 1):
        before, meanwhile = (latency.shown(taken) for taken in (one.quiet_s, one.building_s))
        lines.append(
            (
                str(turn),
                f"{one.first_s:.3f}{' (complete)' if one.was_complete else ''}",
                f"{one.complete_s:.2f}",
                f"{one.again_s:.4f}",
                f"{one.server_cpu_s:.2f}",
                f"{one.others_cpu_s / one.complete_s:.1f}",
                *(before[0], before[2], meanwhile[0], meanwhile[2]),
                f"{one.ratio:.2f}",
            )
        )
    return (
        f"The first search of a mailbox of {messages:,} messages in {CONVERSATIONS} conversations, which makes its "
        f"index; others make {SENDS_PER_S:g} sends/s before it and until it is complete. Others' CPU has the load "
        f"generator in it.\n\n{table(lines)}"
    )


def _claims(messages: int, done: Sequence[Searched]) -> list[Claim]:
    """Medians of the turns."""
    return [
        Claim(f"first search of {messages:,} messages, s", median(one.first_s for one in done), FIRST_S, is_most=True),
        Claim("its index is complete after, s", median(one.complete_s for one in done), COMPLETE_S, is_most=True),
        Claim("others' send p99 meanwhile / before", median(one.ratio for one in done), RATIO, is_most=True),
    ]
