"""Shared by `make bench`, `bench-live` and `bench-long`: a folder for the stores, the output, the document."""

import resource
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

import click
import uvloop

from bench import machine
from bench.output import document
from bench.output.part import Part, verdicts

RUNS = ("bench", "bench-live", "bench-long")
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def run(
    name: str, measure: Callable[[Path], Coroutine[None, None, list[Part]]], folder: Path | None, *, write: bool
) -> None:
    """Measures in a new folder below `folder`, which is removed afterwards; prints the output, and writes the document
    if `write` is true.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each parked poll is a connection
    with tempfile.TemporaryDirectory(prefix="rowbox-bench-", dir=folder) as place:
        if not machine.is_on_disk(Path(place)):
            raise click.UsageError("the temporary folder is in memory, where an fsync costs nothing: give --folder")
        parts = uvloop.run(measure(Path(place)))
    text = "\n".join([f"{machine.described()}.\n", *(part.text for part in parts)])
    claims = [claim for part in parts for claim in part.claims]
    if claims:
        text += f"\n{verdicts(claims)}"
    click.echo(text)
    if write:
        document.write(DOCUMENT, name, RUNS, text, parts)
