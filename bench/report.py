"""Samples to text: tables in Markdown, which read well in a terminal too."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from bench.measure import Sample

ECHO, DURABLE, ROWBOX = "bare echo", "durable ceiling", "rowbox"
_Table = Sequence[Sequence[str]]


def rates(samples: Sequence[Sample]) -> str:
    """One line for each scenario and server, over all turns."""
    head = (
        "scenario",
        "server",
        "answers per server-CPU-second",
        "least to most of a turn",
        "answers/s",
        "p50 ms",
        "p99 ms",
        "server CPU",
        "generator CPU",
        "others' CPU",
    )
    return table([head, *(_rate_line(group) for group in _groups(samples))])


def ratios(samples: Sequence[Sample]) -> str:
    """Rowbox against each ceiling: the median of the turns' ratios, each between neighbours in time."""
    head = ("scenario", "rowbox / ...", "per server-CPU-second", "least to most of a turn", "per second")
    lines = []
    for group in _groups(samples):
        if group[0].server != ROWBOX:
            own = [sample for sample in samples if sample.server == ROWBOX and sample.scenario == group[0].scenario]
            by_cpu = [mine.per_cpu_s / other.per_cpu_s for mine, other in zip(own, group, strict=True)]
            by_wall = [mine.per_s / other.per_s for mine, other in zip(own, group, strict=True)]
            lines.append(
                (
                    group[0].scenario,
                    group[0].server,
                    _ratio(median(by_cpu)),
                    _range(by_cpu, _ratio),
                    _ratio(median(by_wall)),
                )
            )
    return table([head, *lines])


def commits(samples: Sequence[Sample]) -> str:
    """How full Rowbox's store calls were, by its own counters."""
    own = [
        sample.counted for sample in samples if sample.server == ROWBOX and sample.counted.get("rowbox_commits_total")
    ]
    total = {name: sum(counted[name] for counted in own) for name in own[0]} if own else {}
    calls = total.get("rowbox_commits_total", 0.0)
    if not calls:
        return "Rowbox made no store calls.\n"
    return (
        f"A store call of Rowbox held {total['rowbox_commands_total'] / calls:.1f} sends, "
        f"{total['rowbox_commit_rows_total'] / calls:.1f} rows and {total['rowbox_commit_cells_total'] / calls:.1f} "
        f"cells, and took {total['rowbox_commit_seconds_total'] / calls * 1000:.2f} ms.\n"
    )


def _groups(samples: Iterable[Sample]) -> list[list[Sample]]:
    """By scenario and server, in the order of their first turns."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.server), []).append(sample)
    return list(groups.values())


def _rate_line(group: Sequence[Sample]) -> Sequence[str]:
    latencies_ms = sorted(latency_s * 1000 for sample in group for latency_s in sample.latencies_s)
    wall_s, cpu_s = sum(sample.wall_s for sample in group), sum(sample.server_cpu_s for sample in group)
    answers = len(latencies_ms)
    return (
        group[0].scenario,
        group[0].server,
        _count(answers / cpu_s),
        _range([sample.per_cpu_s for sample in group], _count),
        _count(answers / wall_s),
        f"{latencies_ms[answers // 2]:.2f}",
        f"{latencies_ms[answers * 99 // 100]:.2f}",
        f"{cpu_s / wall_s:.2f}",
        f"{sum(sample.generator_cpu_s for sample in group) / wall_s:.2f}",
        f"{sum(sample.others_cpu_s for sample in group) / wall_s:.2f}",
    )


def _range(values: Sequence[float], write: Callable[[float], str]) -> str:
    return f"{write(min(values))} to {write(max(values))}"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _ratio(number: float) -> str:
    return f"{number:.2f}"


def table(lines: _Table) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    padded = (
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in (lines[0], rule, *lines[1:])
    )
    return "".join(f"| {line} |\n" for line in padded)
