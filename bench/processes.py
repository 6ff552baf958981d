"""What API processes take from the owner of the mailboxes: the same load on servers of 0, 1 and 2 of them, in turns.

CPU is counted by process: the owner's, which is the part that there can be only one of, and the API processes'
together. The generator is a process of its own and in neither.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.load.closed_loop import closed_loop
from bench.load.workload import Workload
from bench.measure import Requests
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.server import TICK_S, Server, children_of, cpu_s, rowbox, running
from rowbox.cli.secret import load_or_create

COUNTS = (0, 1, 2)
IN_FLIGHT = 64
WARM_UP_S = 0.5
SEND, PAGE_OF_20, EMPTY_DELTA = "durable send", "newest page of 20", "empty delta"
PROMISED = {SEND: 0.6, PAGE_OF_20: 0.5, EMPTY_DELTA: 0.5}
"""The owner's CPU for an answer through one API process, against all of it in one process."""


class Turn(NamedTuple):
    """One turn of one server: us of CPU for an answer, of the owner and of all API processes; answers a second."""

    scenario: str
    of: int
    owner_us: float
    children_us: float
    per_s: float


class Subject(NamedTuple):
    """A server with `of` API processes, and its users' requests."""

    of: int
    server: Server
    scenarios: Sequence[tuple[str, int, Requests]]


async def processes(folder: Path, turns: int, seconds: float) -> Part:
    """Measures these servers. Returns their part of the run."""
    with ExitStack() as stack:
        subjects = [await _subject(stack, folder / f"processes-{count}", count) for count in COUNTS]
        for subject in subjects:
            for scenario in subject.scenarios:
                await _turn(subject, *scenario, WARM_UP_S)
        taken = [
            await _turn(subject, *subject.scenarios[number], seconds)
            for _ in range(turns)
            for number in range(len(PROMISED))
            for subject in subjects
        ]
    claims = [
        Claim(f"owner's CPU for {name}, 1 API process / none", _ratio(taken, name, 1), most, is_most=True)
        for name, most in PROMISED.items()
    ]
    text = f"{turns} turns of {seconds:g} s each, {IN_FLIGHT} requests in flight, over {COUNTS} API processes.\n\n"
    return Part(f"{text}{_report(taken)}", claims)


async def _subject(stack: ExitStack, data_dir: Path, count: int) -> Subject:
    workload = Workload(load_or_create(data_dir))
    arguments = [*rowbox(data_dir), f"--api-processes={count}"]
    server = stack.enter_context(running(f"rowbox of {count}", arguments, data_dir / "log"))
    await workload.prime(server.port)
    scenarios = ((SEND, 201, workload.sends), (PAGE_OF_20, 200, workload.pages), (EMPTY_DELTA, 200, workload.deltas))
    return Subject(count, server, scenarios)


async def _turn(subject: Subject, name: str, status: int, requests: Requests, seconds: float) -> Turn:
    server, children = subject.server, children_of(subject.server.pid)
    owner_s, children_s = cpu_s(server.pid), sum(map(cpu_s, children))
    load = await closed_loop(server.port, requests(), status, in_flight=IN_FLIGHT, seconds=seconds)
    owner_s, children_s = max(cpu_s(server.pid) - owner_s, TICK_S), sum(map(cpu_s, children)) - children_s
    answers = len(load.latencies_s)
    us = 1e6 / answers
    return Turn(name, subject.of, owner_s * us, children_s * us, answers / load.wall_s)


def _of(taken: Sequence[Turn], name: str, count: int) -> list[Turn]:
    return [turn for turn in taken if (turn.scenario, turn.of) == (name, count)]


def _ratio(taken: Sequence[Turn], name: str, count: int) -> float:
    """The median of the turns' ratios, each between neighbours in time."""
    pairs = zip(_of(taken, name, count), _of(taken, name, 0), strict=True)
    return median(turn.owner_us / alone.owner_us for turn, alone in pairs)


def _report(taken: Sequence[Turn]) -> str:
    head = (
        "scenario",
        "API processes",
        "owner, us of CPU an answer",
        "of one process",
        "API processes, us of CPU an answer",
        "answers/s",
    )
    lines = [
        (
            name,
            str(count),
            f"{median(turn.owner_us for turn in found):.0f}",
            f"{_ratio(taken, name, count):.2f}",
            f"{median(turn.children_us for turn in found):.0f}",
            f"{median(turn.per_s for turn in found):,.0f}",
        )
        for name in PROMISED
        for count in COUNTS
        if (found := _of(taken, name, count))
    ]
    return table([head, *lines])
