"""`python -m bench.hbase.owners`: what a send and a cached fetch cost behind an API server, with 1, 2 and 4 owners.

All-in-one and each cluster run at once over one HBase, each on a table of its own, and are loaded in turns. CPU is that
of all processes of a deployment; what the gateway and HBase use stands beside it, and the generator's counts nowhere.
"""

import json
import secrets
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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

SENDS_IN_FLIGHT, READS_IN_FLIGHT = 256, 64
OWNERS: Final = (1, 2, 4)
ALONE: Final = "all-in-one"
WARM_UP_S = 10.0
SHARED_S: Final = 120.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN = "<!-- What follows is the output of `python -m bench.hbase.owners`, unedited. -->\n"
END = "\n<!-- end of the output -->\n"


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


@click.command
@click.option("--turns", default=3, show_default=True, help="How often each has its turn.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of a turn.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the data lie meanwhile; on a disk.")
@click.option("--write/--no-write", default=True, show_default=True, help=f"Whether docs/{DOCUMENT.name} gets it.")
def main(turns: int, seconds: float, folder: Path | None, *, write: bool) -> None:
    """Measure clusters beside all-in-one, print the numbers and write them into docs/scale.md."""
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as name, ExitStack() as stack:
        if not machine.is_on_disk(Path(name)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        hbase = stack.enter_context(running_hbase(Path(name) / "hbase"))
        text = uvloop.run(_measure(hbase, Path(name), turns, seconds))
    click.echo(text)
    if write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


async def _measure(hbase: HBase, folder: Path, turns: int, seconds: float) -> str:
    with ExitStack() as stack:
        deployments = [stack.enter_context(_all_in_one(hbase, folder))]
        deployments += [stack.enter_context(_cluster(hbase, folder, owners)) for owners in OWNERS]
        for one in deployments:
            await one.workload.prime(one.api.port)
        for one in deployments:  # so that every mailbox is loaded, and the JVMs have compiled what they will run
            await _turn(hbase, one, _scenarios(one.workload, WARM_UP_S)[0], 0)
        figures = [
            await _turn(hbase, one, scenario, turn)
            for turn in range(turns)
            for one in deployments
            for scenario in _scenarios(one.workload, seconds)
        ]
    return (
        f"{machine.described()}.\n{turns} turns of {seconds:g} s for sends, {SENDS_IN_FLIGHT} in flight, "
        f"{len(CONTENT)} bytes of content, and of {seconds / 3:g} s for fetches, {READS_IN_FLIGHT} in flight.\n\n"
        + "\n".join(_table(figures, scenario) for scenario in dict.fromkeys(figure.scenario for figure in figures))
    )


def _scenarios(workload: Workload, seconds: float) -> list[Scenario]:
    return [
        Scenario("durable send", "POST", "/v1/sendMessage", 201, workload.sends, seconds, ()),
        Scenario("newest page of 20", "GET", "/v1/fetchMessages", 200, workload.pages, seconds / 3, ()),
        Scenario("empty delta", "GET", "/v1/fetchConversation", 200, workload.deltas, seconds / 3, ()),
    ]


async def _turn(hbase: HBase, one: Deployment, scenario: Scenario, turn: int) -> Figure:
    def used() -> tuple[float, float, float, float]:
        owners = sum(cpu_s(owner.pid) for owner in one.owners)
        gateway, store = map(cpu_s, hbase.pids)
        return cpu_s(one.api.pid), owners, gateway, store

    before = used()
    in_flight = SENDS_IN_FLIGHT if scenario.method == "POST" else READS_IN_FLIGHT
    taken = await sample(one.api, scenario, turn, in_flight, scenario.seconds)
    api, owners, gateway, store = (now - was for now, was in zip(used(), before, strict=True))
    return Figure(one.name, scenario.name, taken.answers, taken.wall_s, (api, owners, gateway, store))


@contextmanager
def _all_in_one(hbase: HBase, folder: Path) -> Iterator[Deployment]:
    data = folder / ALONE
    url = _made_table(hbase, folder, "alone")
    with running(ALONE, rowbox(data, url), folder / f"{ALONE}.log") as server:
        yield Deployment(ALONE, server, (), Workload(load_or_create(data)))


@contextmanager
def _cluster(hbase: HBase, folder: Path, owners: int) -> Iterator[Deployment]:
    """One API server and so many owners, over TCP as between machines."""
    name = f"{owners} owner{'s' if owners > 1 else ''}"
    url = _made_table(hbase, folder, f"owners{owners}")
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
            behind.append(stack.enter_context(running(f"{name}, {number}", rowbox(data, url), log, common | own)))
        _wait_until_shared(url, folder / f"{owners}-0", owners)
        data = folder / f"{owners}-api"
        api = stack.enter_context(
            running(name, rowbox(data, url), folder / f"{owners}-api.log", common | {"ROWBOX_SERVER_ROLE": "api"})
        )
        yield Deployment(name, api, tuple(behind), Workload(load_or_create(data)))


def _wait_until_shared(url: str, data: Path, owners: int) -> None:
    """Returns once each owner has its shards: those that came later got them from the first one."""
    ends_s = time.monotonic() + SHARED_S
    while True:
        listed = printed_by_rowbox("shards", "ls", "--json", f"--store={url}", f"--data-dir={data}")
        runs = json.loads(listed)
        sizes = Counter[str]()
        for run in runs:
            sizes[run["owner"]] += 1 + run["last"] - run["first"]
        if len(sizes) == owners and min(sizes.values()) > sizes.total() / owners / 2:
            return
        if time.monotonic() > ends_s:
            raise RuntimeError(f"the owners have not shared the mailboxes: {sizes}")
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


def _table(figures: Sequence[Figure], scenario: str) -> str:
    head = (scenario, "per second", "CPU us of Rowbox", "API server", "owners", "gateway", "HBase", "of all-in-one")
    by_name = {
        name: [figure for figure in figures if figure.deployment == name and figure.scenario == scenario]
        for name in dict.fromkeys(figure.deployment for figure in figures)
    }
    alone = median(figure.own_us for figure in by_name[ALONE])
    lines = []
    for name, own in by_name.items():
        us = median(figure.own_us for figure in own)
        rate = median(figure.answers / figure.wall_s for figure in own)
        parts = [median(figure.us(part) for figure in own) for part in range(4)]
        lines.append((name, f"{rate:,.0f}", f"{us:.0f}", *(f"{part:.0f}" for part in parts), f"{us / alone:.2f}"))
    return table([head, *lines])


if __name__ == "__main__":
    main()
