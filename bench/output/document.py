"""Writes docs/benchmarks.md: a head by hand, and behind it a part for each run. A run replaces its own part only."""

from pathlib import Path

from bench.output.part import Part

PICTURES = "benchmarks"
"""The folder of the pictures, beside the document."""


def mark(run: str) -> str:
    """The line behind which the output of `make RUN` stands."""
    return f"<!-- What follows, up to the next such line, is the output of `make {run}`, unedited. -->\n"


def with_output(document: str, run: str, runs: tuple[str, ...], text: str) -> str:
    """`document` with `text` behind the mark of `run`. The parts stand in the order of `runs`."""
    head, outputs = document, dict[str, str]()
    for name in reversed(runs):
        head, found, output = head.partition(mark(name))
        if found:
            outputs[name] = output
    outputs[run] = f"\n{text.strip()}\n"
    behind = "\n".join(f"{mark(name)}{outputs[name].rstrip()}\n" for name in runs if name in outputs)
    return f"{head.rstrip()}\n\n{behind}"


def write(document: Path, run: str, runs: tuple[str, ...], text: str, parts: list[Part]) -> None:
    """Writes the pictures of `parts`, and the output of a run into `document`, with links to the pictures behind it."""
    folder = document.parent / PICTURES
    folder.mkdir(exist_ok=True)
    shown = []
    for name, svg in ((name, svg) for part in parts for name, svg in part.pictures.items()):
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        shown.append(f"![{name}]({PICTURES}/{name}.svg)\n")
    standing = document.read_text(encoding="utf-8")
    document.write_text(with_output(standing, run, runs, "\n".join([f"{text.strip()}\n", *shown])), encoding="utf-8")
