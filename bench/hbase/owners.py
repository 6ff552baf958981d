"""`python -m bench.hbase.owners`: what a send and a cached fetch cost behind an API server, with 1, 2 and 4 owners.

All-in-one and each cluster run at once over one HBase, each on a table of its own, and are loaded in turns. CPU is that
of all processes of a deployment; what the gateway and HBase use stands beside it, and the generator's counts nowhere.

Sends are measured twice. With as many in flight for each owner, the clusters of more owners have the more to do, as
they would have in use: so this shows whether what one process costs grows with the number of processes. With as many
in flight in all, each owner of many has few of them, and its commits carry fewer: that costs CPU wherever it is.

`--beside` runs the same deployments by the Python of another checkout, in turns with these: before and after a change.
"""

import asyncio
import json
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import click
import uvloop

from bench import machine
from bench.hbase.cluster import HBase, running_hbase
from bench.load.closed_loop import HOST
from bench.load.workload import CONTENT, Workload
from bench.measure import Scenario, sample
from bench.output.report import table
from bench.server import Server, cpu_s, printed_by_rowbox, rowbox, run_rowbox, running
from rowbox.cli.secret import load_or_create

FOR_EACH_OWNER, IN_ALL = 64, 256
OWNERS: Final = (1, 2, 4)
ALONE: Final = "all-in-one"
BEFORE: Final = "before, "
WARM_UP_S = 10.0
SHARED_S: Final = 120.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN = "<!-- What follows is the output of `python -m bench.hbase.owners`, unedited. -->\n"
END = "\n<!-- end of the output -->\n"


class Turn(NamedTuple):
    """One turn's scenario, and how much of it is in flight: at all times, or for each owner."""

    scenario: Scenario
    in_flight: int
    is_for_each: bool


class Deployment(NamedTuple):
    """One that serves the API at `api.port`. `owners` are the processes behind it."""

    name: str
    api: Server
    owners: tuple[Server, ...]
    workload: Workload


class Figure(NamedTuple):
    """One turn: answers, seconds, and seconds of CPU of the API server, the owners, the gateway and HBase."""

    deployment: str
    scenario: str
    answers: int
    wall_s: float
    cpu_s: tuple[float, float, float, float]

    def us(self, part: int) -> float:
        """Microseconds of CPU of one part for one answer."""
        return self.cpu_s[part] / self.answers * 1e6

    @property
    def own_us(self) -> float:
        """The same of all processes of Rowbox."""
        return self.us(0) + self.us(1)

    def beyond_us(self, idle: Sequence["Idle"]) -> float:
        """The same without what these processes use all the time, whether anybody asks them or not."""
        in_a_second_s = median(one.api_s + one.owners_s for one in idle if one.deployment == self.deployment)
        return self.own_us - in_a_second_s * self.wall_s / self.answers * 1e6


class Idle(NamedTuple):
    """Seconds of CPU in a second in which nobody asked for anything: of the API server, and of all owners."""

    deployment: str
    api_s: float
    owners_s: float


@click.command
@click.option("--turns", default=3, show_default=True, help="How often each has its turn.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of a turn.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the data lie meanwhile; on a disk.")
@click.option("--owners", multiple=True, default=OWNERS, show_default=True, help="Clusters of so many owners.")
@click.option("--beside", metavar="PYTHON", help="The Python of another checkout, for the same deployments.")
@click.option("--write/--no-write", default=True, show_default=True, help=f"Whether docs/{DOCUMENT.name} gets it.")
def main(
    turns: int, seconds: float, folder: Path | None, owners: tuple[int, ...], beside: str | None, *, write: bool
) -> None:
    """Measure clusters beside all-in-one, print the numbers and write them into docs/scale.md."""
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as name, ExitStack() as stack:
        if not machine.is_on_disk(Path(name)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        hbase = stack.enter_context(running_hbase(Path(name) / "hbase"))
        pythons = {"": sys.executable} if beside is None else {BEFORE: beside, "": sys.executable}
        text = uvloop.run(_measure(hbase, Path(name), turns, seconds, owners, pythons))
    click.echo(text)
    if write and beside is None:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


async def _measure(
    hbase: HBase, folder: Path, turns: int, seconds: float, owners: Sequence[int], pythons: Mapping[str, str]
) -> str:
    idle: list[Idle] = []
    figures: list[Figure] = []
    with ExitStack() as stack:
        deployments = [
            stack.enter_context(_deployed(hbase, folder, prefix, python, count))
            for count in (0, *owners)
            for prefix, python in pythons.items()
        ]
        for one in deployments:
            await one.workload.prime(one.api.port)
        for one in deployments:  # so that every mailbox is loaded, and the JVMs have compiled what they will run
            await _turn(hbase, one, _turns(one.workload, WARM_UP_S)[0], 0)
        for turn in range(turns):
            idle += await _idle(deployments, seconds)
            figures += [
                await _turn(hbase, one, of_turn, turn)
                for same in zip(*(_turns(each.workload, seconds) for each in deployments), strict=True)
                for one, of_turn in zip(deployments, same, strict=True)
            ]
    return (
        f"{machine.described()}.\n{turns} turns of {seconds:g} s for sends, of {len(CONTENT)} bytes of content, and of "
        f"{seconds / 3:g} s for fetches, {FOR_EACH_OWNER} in flight.\n\n{_idle_table(idle)}\n"
        + "\n".join(_table(figures, idle, scenario) for scenario in dict.fromkeys(one.scenario for one in figures))
    )


async def _idle(deployments: Sequence[Deployment], seconds: float) -> list[Idle]:
    """All of them at once."""

    def used() -> list[tuple[float, float]]:
        return [(cpu_s(one.api.pid), sum(cpu_s(owner.pid) for owner in one.owners)) for one in deployments]

    before, began_s = used(), time.monotonic()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began_s
    return [
        Idle(one.name, (now[0] - was[0]) / took_s, (now[1] - was[1]) / took_s)
        for one, now, was in zip(deployments, used(), before, strict=True)
    ]


def _turns(workload: Workload, seconds: float) -> list[Turn]:
    def sends(how: str) -> Scenario:
        return Scenario(f"durable send, {how}", "POST", "/v1/sendMessage", 201, workload.sends, seconds, ())

    page = Scenario("newest page of 20", "GET", "/v1/fetchMessages", 200, workload.pages, seconds / 3, ())
    delta = Scenario("empty delta", "GET", "/v1/fetchConversation", 200, workload.deltas, seconds / 3, ())
    return [
        Turn(sends(f"{FOR_EACH_OWNER} in flight for each owner"), FOR_EACH_OWNER, is_for_each=True),
        Turn(sends(f"{IN_ALL} in flight"), IN_ALL, is_for_each=False),
        Turn(page, FOR_EACH_OWNER, is_for_each=False),
        Turn(delta, FOR_EACH_OWNER, is_for_each=False),
    ]


async def _turn(hbase: HBase, one: Deployment, of_turn: Turn, turn: int) -> Figure:
    def used() -> tuple[float, float, float, float]:
        owners = sum(cpu_s(owner.pid) for owner in one.owners)
        gateway, store = map(cpu_s, hbase.pids)
        return cpu_s(one.api.pid), owners, gateway, store

    scenario, before = of_turn.scenario, used()
    in_flight = of_turn.in_flight * max(1, len(one.owners)) if of_turn.is_for_each else of_turn.in_flight
    taken = await sample(one.api, scenario, turn, in_flight, scenario.seconds)
    api, owners, gateway, store = (now - was for now, was in zip(used(), before, strict=True))
    return Figure(one.name, scenario.name, taken.answers, taken.wall_s, (api, owners, gateway, store))


def _deployed(hbase: HBase, folder: Path, prefix: str, python: str, owners: int) -> AbstractContextManager[Deployment]:
    """A cluster of so many owners behind an API server; all-in-one for none."""
    place = folder / (prefix.strip(", ") or "now")
    place.mkdir(exist_ok=True)
    if not owners:
        return _all_in_one(hbase, place, prefix, python)
    return _cluster(hbase, place, prefix, python, owners)


@contextmanager
def _all_in_one(hbase: HBase, folder: Path, prefix: str, python: str) -> Iterator[Deployment]:
    data, name = folder / ALONE, f"{prefix}{ALONE}"
    url = _made_table(hbase, folder, f"{folder.name}alone")
    with running(name, rowbox(data, url), folder / f"{ALONE}.log", python=python) as server:
        yield Deployment(name, server, (), Workload(load_or_create(data)))


@contextmanager
def _cluster(hbase: HBase, folder: Path, prefix: str, python: str, owners: int) -> Iterator[Deployment]:
    """One API server and so many owners, over TCP as between machines."""
    name = f"{prefix}{owners} owner{'s' if owners > 1 else ''}"
    url = _made_table(hbase, folder, f"{folder.name}owners{owners}")
    secret = folder / f"secret-{owners}"
    secret.write_text(secrets.token_hex(32))
    secret.chmod(0o600)
    common = {"ROWBOX_CLUSTER_SECRET_FILE": str(secret)}
    with ExitStack() as stack:
        behind = []
        for number in range(owners):
            own = {
                "ROWBOX_SERVER_ROLE": "cache",
                "ROWBOX_CLUSTER_NODE_ID": f"cache-{number}",
                "ROWBOX_CLUSTER_PEER_LISTEN": f"{HOST}:{_free_port()}",
            }
            data, log = folder / f"{owners}-{number}", folder / f"{owners}-{number}.log"
            server = running(f"{name}, {number}", rowbox(data, url), log, common | own, python)
            behind.append(stack.enter_context(server))
        _wait_until_shared(url, folder / f"{owners}-0", owners)
        data = folder / f"{owners}-api"
        log, own = folder / f"{owners}-api.log", {"ROWBOX_SERVER_ROLE": "api"}
        api = stack.enter_context(running(name, rowbox(data, url), log, common | own, python))
        yield Deployment(name, api, tuple(behind), Workload(load_or_create(data)))


def _wait_until_shared(url: str, data: Path, owners: int) -> None:
    """Returns once each owner has its shards and none moves: those that came later got them from the first one."""
    ends_s = time.monotonic() + SHARED_S
    while True:
        status = json.loads(printed_by_rowbox("cluster", "status", "--json", f"--store={url}", f"--data-dir={data}"))
        sizes = [node["shards"] for node in status["nodes"]]
        if len(sizes) == owners and not status["moving"] and min(sizes) > sum(sizes) / owners / 2:
            return
        if time.monotonic() > ends_s:
            raise RuntimeError(f"the owners have not shared the mailboxes: {sizes}, {status['moving']} moving")
        time.sleep(1)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


def _made_table(hbase: HBase, folder: Path, prefix: str) -> str:
    data = folder / "schema"
    run_rowbox("schema", "apply", *hbase.schema_flags(prefix), f"--data-dir={data}")
    shutil.rmtree(data, ignore_errors=True)
    return hbase.url(prefix)


def _idle_table(idle: Sequence[Idle]) -> str:
    lines = []
    for name in dict.fromkeys(one.deployment for one in idle):
        own = [one for one in idle if one.deployment == name]
        api_s, owners_s = (median(values) for values in zip(*(one[1:] for one in own), strict=True))
        lines.append((name, f"{api_s * 1e3:.1f}", f"{owners_s * 1e3:.1f}"))
    return table([("nobody asks", "ms of CPU in a second, API server", "owners"), *lines])


def _table(figures: Sequence[Figure], idle: Sequence[Idle], scenario: str) -> str:
    head = (
        *(scenario, "per second", "CPU us of Rowbox", "API server", "owners", "gateway", "HBase"),
        *("of all-in-one", "of 1 owner", "us beyond idle", "of 1 owner's"),
    )
    by_name = {
        name: [figure for figure in figures if figure.deployment == name and figure.scenario == scenario]
        for name in dict.fromkeys(figure.deployment for figure in figures)
    }
    lines = []
    for name, own in by_name.items():
        rate = median(figure.answers / figure.wall_s for figure in own)
        us = [
            median(figure.own_us for figure in own),
            *(median(figure.us(part) for figure in own) for part in range(4)),
        ]
        prefix = BEFORE if name.startswith(BEFORE) else ""
        one_owner = by_name.get(f"{prefix}1 owner", [])
        ratios = [_ratio(_own_us, own, others) for others in (by_name[prefix + ALONE], one_owner)]
        beyond_us = partial(Figure.beyond_us, idle=idle)
        beyond = (f"{median(map(beyond_us, own)):.0f}", _ratio(beyond_us, own, one_owner))
        lines.append((name, f"{rate:,.0f}", *(f"{part:.0f}" for part in us), *ratios, *beyond))
    return table([head, *lines])


def _own_us(figure: Figure) -> float:
    return figure.own_us


def _ratio(us: Callable[[Figure], float], own: Sequence[Figure], others: Sequence[Figure]) -> str:
    """The median of the turns' ratios, each between neighbours in time; "" where there are no others."""
    if not others:
        return ""
    return f"{median(us(one) / us(other) for one, other in zip(own, others, strict=True)):.2f}"


if __name__ == "__main__":
    main()
