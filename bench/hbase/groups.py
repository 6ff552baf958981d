"""`python -m bench.hbase.groups`: what a group of a hundred costs over a real HBase (bench/live/group.py)."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
import uvloop

from bench import machine
from bench.hbase.cluster import running_hbase
from bench.live.group import grouped
from bench.load.workload import Workload
from bench.output.part import Part, verdicts
from bench.server import cpu_s, rowbox, run_rowbox, running
from rowbox.cli.secret import load_or_create

COPIES: Final = 6_000
"""To members of a group, by second of Rowbox's CPU."""
_PREFIX: Final = "bench"


@click.command
@click.option("--turns", default=3, show_default=True, help="How often copies are counted.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of a turn.")
def main(turns: int, seconds: float) -> None:
    """Measure a group over a real HBase, and print the numbers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rowbox-bench-")))
        hbase = stack.enter_context(running_hbase(folder / "hbase"))
        run_rowbox("schema", "apply", *hbase.schema_flags(_PREFIX), f"--data-dir={folder / 'schema'}")
        data_dir = folder / "group"
        workload = Workload(load_or_create(data_dir))
        arguments = rowbox(data_dir, hbase.url(_PREFIX))
        server = stack.enter_context(running("rowbox", arguments, folder / "log"))
        before_s = sum(map(cpu_s, hbase.pids))
        part: Part = uvloop.run(grouped(server, workload, turns, seconds, "HBase", copies=COPIES, last_ms=None))
        store_s = sum(map(cpu_s, hbase.pids)) - before_s
        share = store_s / server.cpu_s()
    click.echo(
        f"{machine.described()}.\n\n{part.text}\nHBase and its gateway used {share:.1f} times the server's CPU.\n"
    )
    click.echo(verdicts(part.claims))


if __name__ == "__main__":
    main()
