"""`python -m bench.hbase`: Rowbox over a real HBase beside bare mutateRowsTs calls, in one run, in turns.

durable send        256 in flight, over HTTP and by the owner alone, beside bare calls of 256 in flight at three widths;
                    CPU is that of Rowbox (or of the bare program), of the gateway and of HBase together
cached reads        newest page of 20 and empty delta, over HTTP, beside Rowbox on the embedded store
cold load           of mailboxes of 100 conversations
takeover            one scan for outboxes after many delivered sends
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import uvloop

from bench import machine
from bench.cells import rows_of_a_send
from bench.hbase.cluster import HBase, running_hbase
from bench.load.closed_loop import HOST, closed_loop
from bench.load.workload import CONTENT, Workload
from bench.measure import Sample, Scenario, sample
from bench.output.report import table
from bench.program import printed
from bench.server import Server, cpu_s, rowbox, run_rowbox, running
from rowbox.cli.secret import load_or_create
from rowbox.mailbox.settings.config import HBaseAddress

SENDS_IN_FLIGHT, READS_IN_FLIGHT = 256, 64
WIDTHS = ((256, 1), (128, 2), (64, 4))
"""Pairs of sends in one call and connections. Each pair keeps SENDS_IN_FLIGHT sends in flight."""
OWNED, BARE, EMPTIED = "bench", "bare", "emptied"
"""The prefixes of three tables: Rowbox's, that of the bare calls, and that of the outboxes that a takeover scans."""
WARM_UP_S = 15.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks-hbase.md"
MARK = "<!-- What follows is the output of `make bench-hbase`, unedited. -->\n"


class Figure(NamedTuple):
    """The sends of one turn, and the seconds of CPU of the program itself, of the gateway and of HBase."""

    name: str
    sends: int
    wall_s: float
    cpu_s: tuple[float, float, float]

    @property
    def us_per_send(self) -> float:
        """Microseconds of CPU of all three for one send."""
        return sum(self.cpu_s) / self.sends * 1e6


@click.command
@click.option("--turns", default=3, show_default=True, help="How often each has its turn.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of a turn.")
@click.option("--takeover-sends", default=1_000_000, show_default=True, help="Delivered sends before the scan.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the data lie meanwhile; on a disk.")
@click.option("--write/--no-write", default=True, show_default=True, help=f"Whether docs/{DOCUMENT.name} gets it.")
def main(turns: int, seconds: float, takeover_sends: int, folder: Path | None, *, write: bool) -> None:
    """Measure Rowbox over HBase, print the numbers and write docs/benchmarks-hbase.md."""
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as name, ExitStack() as stack:
        if not machine.is_on_disk(Path(name)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        hbase = stack.enter_context(running_hbase(Path(name) / "hbase"))
        text = uvloop.run(_measure(hbase, Path(name), turns, seconds, takeover_sends))
    click.echo(text)
    if write:
        standing = DOCUMENT.read_text(encoding="utf-8").partition(MARK)[0]
        DOCUMENT.write_text(f"{standing}{MARK}\n{text}", encoding="utf-8")


async def _measure(hbase: HBase, folder: Path, turns: int, seconds: float, takeover_sends: int) -> str:
    for prefix in (OWNED, BARE, EMPTIED):
        run_rowbox("schema", "apply", *hbase.schema_flags(prefix), f"--data-dir={folder / 'data'}")
    with ExitStack() as stack:
        data = {name: folder / name for name in ("hbase-data", "embedded-data")}
        workloads = {name: Workload(load_or_create(path)) for name, path in data.items()}
        served = stack.enter_context(
            running("rowbox on HBase", rowbox(data["hbase-data"], hbase.url(OWNED)), folder / "hbase.log")
        )._replace(behind=hbase.pids)
        embedded = stack.enter_context(
            running("rowbox embedded", rowbox(data["embedded-data"]), folder / "embedded.log")
        )
        await workloads["hbase-data"].prime(served.port)
        await workloads["embedded-data"].prime(embedded.port)
        _bare(hbase, *WIDTHS[0], WARM_UP_S)  # so that the JVMs have compiled what they will run
        await _over_http(hbase, served, workloads["hbase-data"], 0, WARM_UP_S)  # so that every mailbox is loaded
        sends, reads = [], []
        for turn in range(turns):
            for width, connections in WIDTHS:
                sends.append(_bare(hbase, width, connections, seconds))
            sends.append(await _over_http(hbase, served, workloads["hbase-data"], turn, seconds))
        # Both then hold the same mailboxes: a server that holds more reads more slowly, whatever its store.
        same = islice(workloads["embedded-data"].sends(), int(served.counters()["rowbox_sends_total"]))
        await closed_loop(embedded.port, same, 201, in_flight=SENDS_IN_FLIGHT)
        for turn in range(turns):
            for server, workload in ((served, workloads["hbase-data"]), (embedded, workloads["embedded-data"])):
                for scenario in _reads(workload, seconds / 3):
                    own = server._replace(behind=())  # a cached read costs no CPU of the gateway and HBase
                    reads.append(await sample(own, scenario, turn, READS_IN_FLIGHT, scenario.seconds))
        calls = served.counters()
    alone = [_alone(hbase, seconds) for _ in range(turns)]
    cold = _owner({"url": hbase.url(OWNED), "work": "cold", "users": 200, "conversations": 100})
    takeover = _owner({"url": hbase.url(EMPTIED), "work": "takeover", "sends": takeover_sends})
    per_call = calls["rowbox_commit_rows_total"] / calls["rowbox_commits_total"]
    per_row = calls["rowbox_commit_cells_total"] / calls["rowbox_commit_rows_total"]
    return (
        f"{machine.described()}.\n{turns} turns of {seconds:g} s, {SENDS_IN_FLIGHT} sends in flight, "
        f"{len(CONTENT)} bytes of content; the table as `rowbox schema apply` makes it.\n\n"
        f"{_sends_table([*sends, *alone])}\n{_reads_table(reads)}\n"
        f"A store call of Rowbox over HTTP held {per_call:.0f} rows of {per_row:.1f} cells.\n"
        f"Cold load of a mailbox of 100 conversations: p50 {cold['p50_ms']:.1f} ms, p99 {cold['p99_ms']:.1f} ms, "
        f"{cold['round_trips']:.0f} round trips to the gateway at the median.\n"
        f"Takeover scan after {takeover_sends:,} delivered sends: {takeover['scan_s']:.2f} s, "
        f"{takeover['rows']:.0f} rows found.\n"
    )


def _reads(workload: Workload, seconds: float) -> list[Scenario]:
    return [
        Scenario("newest page of 20", "GET", "/v1/fetchMessages", 200, workload.pages, seconds, ()),
        Scenario("empty delta", "GET", "/v1/fetchConversation", 200, workload.deltas, seconds, ()),
    ]


async def _over_http(hbase: HBase, server: Server, workload: Workload, turn: int, seconds: float) -> Figure:
    before = [cpu_s(pid) for pid in (server.pid, *hbase.pids)]
    scenario = Scenario("durable send", "POST", "/v1/sendMessage", 201, workload.sends, seconds, ())
    taken = await sample(server, scenario, turn, SENDS_IN_FLIGHT, seconds)
    own, gateway, store = (cpu_s(pid) - was for pid, was in zip((server.pid, *hbase.pids), before, strict=True))
    return Figure("rowbox over HTTP", taken.answers, taken.wall_s, (own, gateway, store))


def _bare(hbase: HBase, width: int, connections: int, seconds: float) -> Figure:
    arguments = {
        "host": HOST,
        "port": hbase.port,
        "table": HBaseAddress(((HOST, hbase.port),), BARE).table,
        "rows": rows_of_a_send("user0000", "user0001", CONTENT, "0123456789abcdef"),
        "width": width,
        "connections": connections,
        "seconds": seconds,
    }
    before = [cpu_s(pid) for pid in hbase.pids]
    figures = printed("bench.ceilings.hbase", arguments)
    gateway, store = (cpu_s(pid) - was for pid, was in zip(hbase.pids, before, strict=True))
    cpu = (figures["cpu_s"], gateway, store)
    return Figure(f"bare, {width} in a call", int(figures["sends"]), figures["wall_s"], cpu)


def _alone(hbase: HBase, seconds: float) -> Figure:
    arguments = {
        "url": hbase.url(OWNED),
        "work": "send",
        "in_flight": SENDS_IN_FLIGHT,
        "seconds": seconds,
        "pids": hbase.pids,
    }
    figures = printed("bench.hbase.owner", arguments)
    cpu = (figures["cpu_s"], figures["gateway_s"], figures["store_s"])
    return Figure("rowbox, the owner alone", int(figures["sends"]), figures["wall_s"], cpu)


def _owner(arguments: dict[str, object]) -> dict[str, float]:
    return printed("bench.hbase.owner", arguments)


def _sends_table(figures: Sequence[Figure]) -> str:
    names = list(dict.fromkeys(figure.name for figure in figures))
    by_name = {name: [figure for figure in figures if figure.name == name] for name in names}
    cost = {name: median(figure.us_per_send for figure in own) for name, own in by_name.items()}
    cheapest = min(cost[name] for name in names if name.startswith("bare"))
    head = ("durable send", "sends/s", "CPU us/send", "program", "gateway", "HBase", "of the cheapest bare calls")
    lines = []
    for name, own in by_name.items():
        parts = [median(figure.cpu_s[part] / figure.sends * 1e6 for figure in own) for part in range(3)]
        rate = median(figure.sends / figure.wall_s for figure in own)
        lines.append(
            (name, f"{rate:,.0f}", f"{cost[name]:.0f}", *(f"{us:.0f}" for us in parts), f"{cheapest / cost[name]:.2f}")
        )
    return table([head, *lines])


def _reads_table(samples: Sequence[Sample]) -> str:
    head = ("cached read", "on HBase: per CPU-second", "p50 ms", "embedded: per CPU-second", "p50 ms", "ratio")
    lines = []
    for scenario in dict.fromkeys(taken.scenario for taken in samples):
        groups = [
            [taken for taken in samples if taken.scenario == scenario and taken.server == server]
            for server in ("rowbox on HBase", "rowbox embedded")
        ]
        rates = [median(taken.per_cpu_s for taken in group) for group in groups]
        p50s = [median(latency for taken in group for latency in taken.latencies_s) * 1000 for group in groups]
        shown = (f"{rates[0]:,.0f}", f"{p50s[0]:.1f}", f"{rates[1]:,.0f}", f"{p50s[1]:.1f}")
        lines.append((scenario, *shown, f"{rates[0] / rates[1]:.2f}"))
    return table([head, *lines])


if __name__ == "__main__":
    main()
