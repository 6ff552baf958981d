"""`python -m bench.links`: the CPU of sends and cached fetches, by one process and by two with a link between them.

All servers get the same requests in turns of a few seconds, so what else the machine does falls on all of them alike:
trust the ratios. `one` is `rowbox serve`; `api` and `owner` are two processes, and the owner's is where one more core
does not help, so its share is what counts.
"""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from typing import NamedTuple

import click
import uvloop

from bench import machine
from bench.load.closed_loop import closed_loop
from bench.load.workload import Workload
from bench.measure import Scenario
from bench.output.report import table
from bench.server import STOP_S, Server, cpu_s, rowbox, running
from rowbox.cli.secret import load_or_create

WARM_UP_S = 0.5


class Turn(NamedTuple):
    """Microseconds of CPU for each answer: of the one process, or of the API's and the owner's."""

    scenario: str
    in_flight: int
    one_us: float
    api_us: float
    owner_us: float


@contextmanager
def owning(data_dir: Path, socket: Path, log: Path) -> Iterator[int]:
    """Runs bench.links.owner until the block ends; its process id."""
    command = [sys.executable, "-m", "bench.links.owner", str(data_dir), str(socket)]
    with log.open("wb") as stderr, Popen(command, stdout=PIPE, stderr=stderr, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"the owner did not start: {log.read_text(encoding='utf-8', errors='replace')}")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)


async def measure(folder: Path, turns: int, seconds: float, in_flight: tuple[int, ...]) -> list[Turn]:
    """All turns."""
    one_dir, two_dir = folder / "one", folder / "two"
    workloads = Workload(load_or_create(one_dir)), Workload(load_or_create(two_dir))
    socket = folder / "link" / "owner.sock"
    taken = []
    with ExitStack() as stack:
        one = stack.enter_context(running("one", rowbox(one_dir), folder / "one.log"))
        owner = stack.enter_context(owning(two_dir, socket, folder / "owner.log"))
        arguments = ["-m", "bench.links.api", str(two_dir), str(socket)]
        api = stack.enter_context(running("api", arguments, folder / "api.log"))
        for workload, server in zip(workloads, (one, api), strict=True):
            await workload.prime(server.port)
        scenarios = [list(_scenarios(workload)) for workload in workloads]
        for turn in range(turns + 1):
            for of_one, of_two in zip(*scenarios, strict=True):
                for width in in_flight:
                    length = seconds if turn else WARM_UP_S
                    (one_us,) = await _us(one, (one.pid,), of_one, width, length)
                    api_us, owner_us = await _us(api, (api.pid, owner), of_two, width, length)
                    if turn:
                        taken.append(Turn(of_one.name, width, one_us, api_us, owner_us))
    return taken


def _scenarios(workload: Workload) -> Iterator[Scenario]:
    yield Scenario("send", "POST", "", 201, workload.sends, 0, ())
    yield Scenario("newest page of 20", "GET", "", 200, workload.pages, 0, ())
    yield Scenario("empty delta", "GET", "", 200, workload.deltas, 0, ())


async def _us(server: Server, pids: tuple[int, ...], scenario: Scenario, width: int, seconds: float) -> list[float]:
    before = [cpu_s(pid) for pid in pids]
    load = await closed_loop(server.port, scenario.requests(), scenario.status, in_flight=width, seconds=seconds)
    used = [cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)]
    return [seconds_used / len(load.latencies_s) * 1e6 for seconds_used in used]


def shown(turns: list[Turn]) -> str:
    """The medians, and the medians of what each turn's processes took against the one process."""
    head = ("", "in flight", "one, us", "api, us", "owner, us", "owner / one", "(api + owner) / one")
    lines = []
    for scenario, width in dict.fromkeys((turn.scenario, turn.in_flight) for turn in turns):
        of = [turn for turn in turns if (turn.scenario, turn.in_flight) == (scenario, width)]
        us = (f"{median(values):.0f}" for values in zip(*(turn[2:] for turn in of), strict=True))
        owner = median(turn.owner_us / turn.one_us for turn in of)
        both = median((turn.owner_us + turn.api_us) / turn.one_us for turn in of)
        lines.append((scenario, str(width), *us, f"{owner:.2f}", f"{both:.2f}"))
    return table([head, *lines])


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each scenario is measured.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of a turn.")
@click.option("--in-flight", multiple=True, default=(8, 64), show_default=True, help="Requests in flight.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the stores lie meanwhile; on a disk.")
def main(turns: int, seconds: float, in_flight: tuple[int, ...], folder: Path | None) -> None:
    """Measure what a link between the API and the owner costs, and print it."""
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as place:
        if not machine.is_on_disk(Path(place)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        taken = uvloop.run(measure(Path(place), turns, seconds, in_flight))
    click.echo(f"{machine.described()}.\n\n{shown(taken)}")


if __name__ == "__main__":
    main()
