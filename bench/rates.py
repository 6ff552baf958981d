"""The scenarios of busy clients: Rowbox beside its ceilings, in turns, and then sends at half the rate it reached.

durable send        rowbox, bare echo, durable ceiling, RocksDB's group commits alone; where there is an HBase, bare
                    mutateRowsTs calls too
newest page of 20   rowbox, bare echo
deltas              of no change, of 1 and of 2 messages: rowbox, bare echo
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.cells import cells_of_a_send, rows_of_a_send
from bench.load import latency
from bench.load.closed_loop import exchange
from bench.load.workload import CONTENT, Workload
from bench.measure import Requests, Sample, Scenario, sample, sample_at
from bench.output import report
from bench.output.part import Claim, Part
from bench.output.report import COMMITS, DURABLE, ECHO, HBASE, ROWBOX
from bench.pictures import Bar, bars
from bench.program import Alone, alone
from bench.server import Server, rowbox, run_rowbox, running
from rowbox.cli.secret import load_or_create
from rowbox.mailbox.settings.config import HBaseAddress, StoreSettings

IN_FLIGHT = 64
HBASE_WIDTH = 64
WARM_UP_S = 0.5
SEND, PAGE_OF_20, EMPTY_DELTA = "durable send", "newest page of 20", "empty delta"
_BARE_TABLE = "bare"


class HBaseGateway(NamedTuple):
    """A running HBase's gateway and the port of its Thrift2, where tables are made."""

    host: str
    port: int
    thrift2_port: int


async def rates(folder: Path, turns: int, seconds: float, hbase: HBaseGateway | None) -> Part:
    """Measures these scenarios. Returns their part of the run."""
    data_dir = folder / "data"
    workload = Workload(load_or_create(data_dir))
    scenarios = _scenarios(workload, seconds)
    with ExitStack() as stack:
        own = stack.enter_context(running(ROWBOX, rowbox(data_dir), folder / "rowbox.log"))
        await workload.prime(own.port)
        servers = {
            scenario.name: await _beside(stack, folder, own, scenario, number)
            for number, scenario in enumerate(scenarios)
        }
        if hbase is not None:
            _make_table(folder, hbase)
        for scenario in scenarios:
            for server in servers[scenario.name]:
                await sample(server, scenario, 0, IN_FLIGHT, WARM_UP_S)
        samples: list[Sample] = []
        stores: list[Alone] = []
        for turn in range(turns):
            for scenario in scenarios:
                samples += [
                    await sample(server, scenario, turn, IN_FLIGHT, scenario.seconds)
                    for server in servers[scenario.name]
                ]
                if scenario.name == SEND:
                    width = report.sends_per_commit(samples)
                    stores += _stores_alone(folder, hbase, turn, width, seconds)
        rate = _per_s(samples, SEND) / 2
        at_half = await sample_at(own, scenarios[0], 0, rate, 5 * seconds)
        rss = own.rss_bytes()
    claims = _claims(samples, at_half)
    text = (
        f"{turns} turns of {seconds:g} s for sends and {seconds / 3:.1f} s for fetches, {IN_FLIGHT} requests in "
        f"flight, {len(CONTENT)} bytes of content.\n\n"
        f"{report.rates(samples)}\n{report.ratios(samples)}\n{report.commits(samples)}\n"
        f"{report.below_http(samples, stores)}\n{_half_rate(at_half, rate)}\n"
        f"{ROWBOX} then took {rss / 1e6:.0f} MB of memory.\n"
    )
    return Part(text, claims, {"rates": _picture(samples)})


def _scenarios(workload: Workload, seconds: float) -> list[Scenario]:
    send, messages, conversations = "/v1/sendMessage", "/v1/fetchMessages", "/v1/fetchConversation"
    short = seconds / 3

    def read(name: str, path: str, requests: Requests) -> Scenario:
        return Scenario(name, "GET", path, 200, requests, short, (ROWBOX, ECHO))

    return [
        Scenario(SEND, "POST", send, 201, workload.sends, seconds, (ROWBOX, ECHO, DURABLE)),
        read(PAGE_OF_20, messages, workload.pages),
        read(EMPTY_DELTA, conversations, workload.deltas),
        read("delta of 1 message", messages, partial(workload.deltas, 1)),
        read("delta of 2 messages", messages, partial(workload.deltas, 2)),
    ]


async def _beside(stack: ExitStack, folder: Path, own: Server, scenario: Scenario, number: int) -> list[Server]:
    """The servers of a scenario. Its ceilings are started for it, and answer with as many bytes as Rowbox."""
    body = (await exchange(own.port, [next(scenario.requests())], scenario.status))[0]
    answers = [{"method": scenario.method, "path": scenario.path, "status": scenario.status, "size_bytes": len(body)}]
    arguments = {
        ECHO: ("bench.ceilings.echo", {"answers": answers}),
        DURABLE: ("bench.ceilings.durable", {"answers": answers, **_rocks(folder / "durable")}),
    }
    return [
        own
        if name == ROWBOX
        else stack.enter_context(
            running(name, ["-m", arguments[name][0], json.dumps(arguments[name][1])], folder / f"{name}-{number}.log")
        )
        for name in scenario.servers
    ]


def _rocks(folder: Path) -> dict[str, object]:
    store = StoreSettings()
    return {
        "folder": str(folder),
        "cells": cells_of_a_send("user0000", "user0001", CONTENT, "0123456789abcdef"),
        "memtable_bytes": store.memtable_bytes,
        "cache_bytes": store.block_cache_bytes,
    }


def _make_table(folder: Path, hbase: HBaseGateway) -> None:
    store = f"--store=hbase://{hbase.host}:{hbase.port}/{_BARE_TABLE}"
    thrift2 = f"--thrift2={hbase.host}:{hbase.thrift2_port}"
    run_rowbox("schema", "apply", store, thrift2, f"--data-dir={folder / 'hbase'}")


def _stores_alone(folder: Path, hbase: HBaseGateway | None, turn: int, width: int, seconds: float) -> list[Alone]:
    taken = [
        alone(
            COMMITS,
            "bench.ceilings.commits",
            turn,
            {**_rocks(folder / "commits"), "width": width, "seconds": seconds},
        )
    ]
    if hbase is not None:
        arguments = {
            "host": hbase.host,
            "port": hbase.port,
            "table": HBaseAddress(((hbase.host, hbase.port),), _BARE_TABLE).table,
            "rows": rows_of_a_send("user0000", "user0001", CONTENT, "0123456789abcdef"),
            "width": HBASE_WIDTH,
            "connections": 1,
            "seconds": seconds,
        }
        taken.append(alone(HBASE, "bench.ceilings.hbase", turn, arguments))
    return taken


def _per_s(samples: Sequence[Sample], scenario: str) -> float:
    return median(taken.per_s for taken in samples if (taken.scenario, taken.server) == (scenario, ROWBOX))


def _claims(samples: Sequence[Sample], at_half: Sample) -> list[Claim]:
    promised = ((SEND, DURABLE, 0.5), (PAGE_OF_20, ECHO, 0.6), (EMPTY_DELTA, ECHO, 0.7))
    p99_ms = latency.percentile(latency.in_ms(at_half.latencies_s), 0.99)
    return [
        *(
            Claim(f"{scenario} / {ceiling}, per CPU-second", report.ratio(samples, scenario, ceiling), least, False)
            for scenario, ceiling, least in promised
        ),
        Claim("send p99 at half the maximal rate, ms", p99_ms, 10, is_most=True),
    ]


def _half_rate(taken: Sample, rate: float) -> str:
    head = ("sends/s", "answered", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms", "server CPU")
    cpu = f"{taken.server_cpu_s / taken.wall_s:.2f}"
    line = (f"{rate:,.0f}", f"{taken.answers:,}", *latency.shown(taken.latencies_s), cpu)
    return (
        "Durable sends at half the rate of the closed loop, an open loop: latencies count from the intended time of "
        f"sending.\n\n{report.table([head, line])}"
    )


def _picture(samples: Sequence[Sample]) -> str:
    shown = [
        Bar(group[0].scenario, group[0].server, median(taken.per_cpu_s for taken in group))
        for group in report.groups(samples)
    ]
    return bars("Answers per second of the server's CPU", "median of the turns", shown)
