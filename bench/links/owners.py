"""`python -m bench.links.owners`: the CPU of a send with 1, 2 and 4 owners that share the mailboxes, without HBase.

The owners are processes over memory stores whose writes take a few milliseconds, with sealed links over TCP between
them; a router in this process sends. So the difference between the rows is that of the number of owners alone, and of
what is in flight. In `apart` turns each sender writes to users of its own owner: no message crosses, and what is left
of the difference is that more processes share the machine's cores.

What shows best why more owners cost more is the width of a commit: the same in flight comes to each owner in smaller
pieces, and Python takes longer for a piece of few, because each finds the caches cold. Trust the ratios.
"""

import asyncio
import itertools
import json
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import NamedTuple

import click
import uvloop

from bench import machine
from bench.links.one_of_many import SECRET, SHARDS, connecting, map_of
from bench.load.workload import CONTENT, PARTNERS, SENDERS
from bench.output.report import table
from rowbox.cacheserver.port import Send
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Targets
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.ids import shard_of

OWNERS = (1, 2, 4)
FOR_EACH_OWNER = (64, 256)
WARM_UP_S = 0.5
ROWS = 2
"""That a send writes: its sender's and its recipient's, each in a commit of its own."""


class Turn(NamedTuple):
    """One turn. For a send: us of CPU of all owners, their store calls that wrote, deliveries over links."""

    owners: int
    in_flight: int
    apart: bool
    us: float
    commits: float
    deliveries: float
    per_s: float


class Cluster:
    """Some owners, and a router to them."""

    def __init__(self, processes: list[asyncio.subprocess.Process], router: Router) -> None:
        self.processes = processes
        self._router = router
        self._numbers = itertools.count(time.time_ns())
        owners = len(processes)
        names = [f"user{number:04}" for number in range(SENDERS)]
        self._owner_of = {name: shard_of(name, SHARDS) % owners for name in names}
        self._by_owner = [[name for name in names if self._owner_of[name] == owner] for owner in range(owners)]

    async def turn(self, in_flight: int, seconds: float, *, apart: bool) -> Turn:
        """`in_flight` sends for each owner, for so long."""
        before, began_s, done, numbers = await self._used(), time.monotonic(), 0, itertools.count()

        async def client() -> None:
            nonlocal done
            while time.monotonic() < began_s + seconds:
                sender, recipient = self._pair(next(numbers), apart=apart)
                await self._router.send(Send(sender, recipient, CONTENT, str(next(self._numbers))))
                done += 1

        owners = len(self.processes)
        await asyncio.gather(*(client() for _ in range(in_flight * owners)))
        took_s = time.monotonic() - began_s
        used = zip(await self._used(), before, strict=True)
        cpu_s, commits, deliveries = ((now - was) / done for now, was in used)
        return Turn(owners, in_flight, apart, cpu_s * 1e6, commits, deliveries, done / took_s)

    def _pair(self, number: int, *, apart: bool) -> tuple[str, str]:
        """The workload's senders in turn, each to PARTNERS others."""
        sender = f"user{number % SENDERS:04}"
        place = number + SENDERS // 2 + number // SENDERS % PARTNERS
        if not apart:
            return sender, f"user{place % SENDERS:04}"
        same = self._by_owner[self._owner_of[sender]]
        recipient = same[place % len(same)]
        return sender, recipient if recipient != sender else same[(place + 1) % len(same)]

    async def _used(self) -> list[float]:
        """Of all owners so far: seconds of CPU, store calls that wrote, deliveries over links."""
        counted = []
        for process in self.processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"\n")
            commits, deliveries = json.loads(await process.stdout.readline())
            counted.append((_cpu_s(process.pid), commits, deliveries))
        return [sum(values) for values in zip(*counted, strict=True)]


def _cpu_s(pid: int) -> float:
    """By the scheduler's count, which is exact; the ticks of bench.server are not for turns of a second."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks) / 1e9


@asynccontextmanager
async def running(owners: int) -> AsyncIterator[Cluster]:
    """Runs so many owners until the block ends."""
    async with AsyncExitStack() as stack:
        processes, peers = [], []
        for number in range(owners):
            command = (sys.executable, "-m", "bench.links.one_of_many", str(number), str(owners))
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
            stack.push_async_callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout is not None
            peers.append(f"127.0.0.1:{int(await process.stdout.readline())}")
            processes.append(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(peers).encode() + b"\n")
        view = MapView()
        view.show(map_of(peers))
        targets = Targets(view, connecting(f"router-{owners}", SECRET))
        targets.start()
        stack.push_async_callback(targets.close)
        yield Cluster(processes, Router(view, targets, patience_s=30.0, random=random.Random()))


async def measure(owners: Sequence[int], turns: int, seconds: float) -> list[Turn]:
    """All turns: those of all clusters after one another, again and again."""
    kinds = [(in_flight, False) for in_flight in FOR_EACH_OWNER] + [(FOR_EACH_OWNER[0], True)]
    async with AsyncExitStack() as stack:
        clusters = [await stack.enter_async_context(running(count)) for count in owners]
        for cluster in clusters:
            await cluster.turn(FOR_EACH_OWNER[0], WARM_UP_S, apart=False)
        return [
            await cluster.turn(in_flight, seconds, apart=apart)
            for _ in range(turns)
            for in_flight, apart in kinds
            for cluster in clusters
        ]


def shown(turns: list[Turn]) -> str:
    """The medians, and the medians of what each turn took against its neighbour of the first cluster."""
    head = (
        *("owners", "in flight for each", "recipients", "us of CPU a send", "of the first"),
        *("rows in a commit", "deliveries over links a send", "sends/s"),
    )
    lines = []
    for owners, in_flight, apart in dict.fromkeys(turn[:3] for turn in turns):
        own = [turn for turn in turns if turn[:3] == (owners, in_flight, apart)]
        one = [turn for turn in turns if turn[:3] == (turns[0].owners, in_flight, apart)]
        ratio = median(turn.us / alone.us for turn, alone in zip(own, one, strict=True))
        us, commits, deliveries, per_s = (median(values) for values in zip(*(t[3:] for t in own), strict=True))
        kind = "of the same owner" if apart else "any"
        counts = (f"{ROWS / commits:.0f}", f"{deliveries:.2f}", f"{per_s:,.0f}")
        lines.append((str(owners), str(in_flight), kind, f"{us:.0f}", f"{ratio:.2f}", *counts))
    return table([head, *lines])


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each has its turn.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of a turn.")
@click.option("--owners", multiple=True, default=OWNERS, show_default=True, help="Clusters of so many owners.")
def main(turns: int, seconds: float, owners: tuple[int, ...]) -> None:
    """Measure what a send costs owners that share the mailboxes, and print it."""
    taken = uvloop.run(measure(owners, turns, seconds))
    click.echo(f"{machine.described()}. {turns} turns of {seconds:g} s.\n\n{shown(taken)}")


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # as bench.links.one_of_many
    main()
