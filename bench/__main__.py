"""`python -m bench`: Rowbox beside its ceilings, in one run, in turns; ends by itself in less than two minutes.

durable send        64 in flight: rowbox, bare echo, durable ceiling
newest page of 20   64 in flight: rowbox, bare echo
empty delta         64 in flight: rowbox, bare echo
"""

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
import uvloop

from bench import machine, report
from bench.cells import cells_of_a_send
from bench.load import exchange
from bench.measure import Sample, Scenario, sample
from bench.report import DURABLE, ECHO, ROWBOX
from bench.server import Server, rowbox, running
from bench.workload import CONTENT, Workload
from rowbox.cli.secret import load_or_create
from rowbox.mailbox.config import StoreSettings

IN_FLIGHT = 64
WARM_UP_S = 0.5
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
MARK = "<!-- What follows is the output of `make bench`, unedited. -->\n"


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each server has its turn in each scenario.")
@click.option(
    "--seconds", default=4.0, show_default=True, help="Length of a turn of sends; a fetch's is a third of it."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the stores lie meanwhile; on a disk.")
@click.option(
    "--write/--no-write", default=True, show_default=True, help=f"Whether docs/{DOCUMENT.name} gets the output."
)
def main(turns: int, seconds: float, folder: Path | None, *, write: bool) -> None:
    """Measure Rowbox beside its ceilings, print the numbers and write docs/benchmarks.md."""
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as name:
        if not machine.is_on_disk(Path(name)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        samples = uvloop.run(_measure(Path(name), turns, seconds))
    text = _text(samples, turns, seconds)
    click.echo(text)
    if write:
        standing = DOCUMENT.read_text(encoding="utf-8").partition(MARK)[0]
        DOCUMENT.write_text(f"{standing}{MARK}\n{text}", encoding="utf-8")


async def _measure(folder: Path, turns: int, seconds: float) -> list[Sample]:
    with ExitStack() as stack:
        data_dir = folder / "data"
        workload = Workload(load_or_create(data_dir))
        servers = {ROWBOX: stack.enter_context(running(ROWBOX, rowbox(data_dir), folder / "rowbox.log"))}
        await workload.prime(servers[ROWBOX].port)
        scenarios = _scenarios(workload, seconds)
        answers = [await _answer(servers[ROWBOX], scenario) for scenario in scenarios]
        for name, arguments in _ceilings(folder, answers).items():
            servers[name] = stack.enter_context(running(name, arguments, folder / f"{name}.log"))
        for scenario in scenarios:
            for name in scenario.servers:
                await sample(servers[name], scenario, 0, IN_FLIGHT, WARM_UP_S)
        return [
            await sample(servers[name], scenario, turn, IN_FLIGHT, scenario.seconds)
            for turn in range(turns)
            for scenario in scenarios
            for name in scenario.servers
        ]


def _scenarios(workload: Workload, seconds: float) -> list[Scenario]:
    send, page, delta = "/v1/sendMessage", "/v1/fetchMessages", "/v1/fetchConversation"
    read_servers = (ROWBOX, ECHO)
    return [
        Scenario("durable send", "POST", send, 201, workload.sends, seconds, (ROWBOX, ECHO, DURABLE)),
        Scenario("newest page of 20", "GET", page, 200, workload.pages, seconds / 3, read_servers),
        Scenario("empty delta", "GET", delta, 200, workload.deltas, seconds / 3, read_servers),
    ]


async def _answer(server: Server, scenario: Scenario) -> dict[str, object]:
    """What a ceiling has to answer in a scenario: as many bytes as Rowbox."""
    body = (await exchange(server.port, [next(scenario.requests())], scenario.status))[0]
    return {"method": scenario.method, "path": scenario.path, "status": scenario.status, "size_bytes": len(body)}


def _ceilings(folder: Path, answers: list[dict[str, object]]) -> dict[str, list[str]]:
    """Their names, and how to start them."""
    store = StoreSettings()
    durable = {
        "answers": answers,
        "folder": str(folder / "durable"),
        "cells": cells_of_a_send("user0000", "user0001", CONTENT, "0123456789abcdef"),
        "memtable_bytes": store.memtable_bytes,
        "cache_bytes": store.block_cache_bytes,
    }
    return {
        ECHO: ["-m", "bench.ceilings.echo", json.dumps({"answers": answers})],
        DURABLE: ["-m", "bench.ceilings.durable", json.dumps(durable)],
    }


def _text(samples: list[Sample], turns: int, seconds: float) -> str:
    return (
        f"{machine.described()}.\n{turns} turns of {seconds:g} s for sends and {seconds / 3:.1f} s for fetches, "
        f"{IN_FLIGHT} requests in flight, {len(CONTENT)} bytes of content.\n\n"
        f"{report.rates(samples)}\n{report.ratios(samples)}\n{report.commits(samples)}"
    )


if __name__ == "__main__":
    main()
