"""`python -m bench`: measures Rowbox beside its ceilings, in one run of less than ten minutes.

rates       closed loops in turns, and sends at half the rate (bench/rates.py)
waiting     parked polls, wake-ups, a storm of reconnects (bench/waiting.py)
cold        mailboxes that are not in memory (bench/cold.py)
search      the first search of a large mailbox, and what others notice of it (bench/search.py)
processes   what API processes take from the owner of the mailboxes (bench/processes.py)
"""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cold import cold
from bench.output.part import Part
from bench.processes import processes
from bench.rates import HBaseGateway, rates
from bench.run import run
from bench.search import search
from bench.waiting import waiting

PARTS = ("rates", "waiting", "cold", "search", "processes")


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each server has its turn in each scenario.")
@click.option(
    "--seconds", default=4.0, show_default=True, help="Length of a turn of sends; a fetch's is a third of it."
)
@click.option("--parked", multiple=True, default=(1000, 10_000), show_default=True, help="Polls that are parked.")
@click.option("--mailboxes", default=10_000, show_default=True, help="Mailboxes that are loaded cold.")
@click.option("--searched", default=100_000, show_default=True, help="Messages of the mailbox that is searched.")
@click.option("--part", "names", multiple=True, type=click.Choice(PARTS), default=PARTS, help="Only these parts.")
@click.option("--hbase", metavar="HOST:PORT:THRIFT2_PORT", help="An HBase's gateway, for bare mutateRowsTs calls.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the stores lie meanwhile; on a disk.")
@click.option("--write/--no-write", default=True, show_default=True, help="Whether docs/benchmarks.md gets the output.")
def main(
    turns: int,
    seconds: float,
    parked: Sequence[int],
    mailboxes: int,
    searched: int,
    names: Sequence[str],
    hbase: str | None,
    folder: Path | None,
    *,
    write: bool,
) -> None:
    """Measure Rowbox beside its ceilings, print the numbers and write docs/benchmarks.md."""
    gateway = _gateway(hbase) if hbase else None

    async def measure(place: Path) -> list[Part]:
        parts = []
        if "rates" in names:
            parts.append(await rates(place, turns, seconds, gateway))
        if "waiting" in names:
            parts.append(await waiting(place, parked, 5 * seconds))
        if "cold" in names:
            parts.append(await cold(place, mailboxes))
        if "search" in names:
            parts.append(await search(place, searched, -(-turns // 2), 2 * seconds))
        if "processes" in names:
            parts.append(await processes(place, turns, seconds))
        return parts

    run("bench", measure, folder, write=write)


def _gateway(text: str) -> HBaseGateway:
    host, *ports = text.split(":")
    try:
        port, thrift2_port = map(int, ports)
    except ValueError as error:
        raise click.BadParameter("expected HOST:PORT:THRIFT2_PORT", param_hint="--hbase") from error
    return HBaseGateway(host, port, thrift2_port)


if __name__ == "__main__":
    main()
