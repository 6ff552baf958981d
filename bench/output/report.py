"""Turns samples into text: tables in Markdown, which are readable in a terminal too."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from bench.load.latency import in_ms, percentile
from bench.measure import Sample
from bench.program import Alone

ECHO, DURABLE, ROWBOX = "bare echo", "durable ceiling", "rowbox"
COMMITS, HBASE = "RocksDB alone", "mutateRowsTs alone"
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
    return table([head, *(_rate_line(group) for group in groups(samples))])


def ratios(samples: Sequence[Sample]) -> str:
    """Rowbox against each ceiling: the median of the turns' ratios, each between neighbours in time."""
    head = ("scenario", "rowbox / ...", "per server-CPU-second", "least to most of a turn", "per second")
    lines = []
    for group in groups(samples):
        if group[0].server != ROWBOX:
            own = _of(samples, group[0].scenario, ROWBOX)
            by_cpu = _by_cpu(own, group)
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


def ratio(samples: Sequence[Sample], scenario: str, ceiling: str) -> float:
    """Rowbox's answers per CPU-second over a ceiling's: the median of the turns' ratios."""
    return median(_by_cpu(_of(samples, scenario, ROWBOX), _of(samples, scenario, ceiling)))


def below_http(samples: Sequence[Sample], stores: Sequence[Alone]) -> str:
    """The sends that the stores reach by themselves, and the part of them that Rowbox's sends over HTTP reach."""
    head = (
        "below HTTP",
        "sends in a commit",
        "sends per CPU-second",
        "sends/s",
        "rowbox /, per CPU-second",
        "per second",
    )
    own = [sample for sample in samples if sample.server == ROWBOX and sample.counted.get("rowbox_commits_total")]
    lines = []
    for name in dict.fromkeys(store.name for store in stores):
        turns = [store for store in stores if store.name == name]
        by_cpu = [mine.per_cpu_s / (store.sends / store.cpu_s) for mine, store in zip(own, turns, strict=True)]
        by_wall = [mine.per_s / (store.sends / store.wall_s) for mine, store in zip(own, turns, strict=True)]
        cost = median(store.sends / store.cpu_s for store in turns)
        per_s = median(store.sends / store.wall_s for store in turns)
        shown = (f"{median(store.width for store in turns):g}", _count(cost), _count(per_s))
        lines.append((name, *shown, _ratio(median(by_cpu)), _ratio(median(by_wall))))
    missing = (
        "" if any(store.name == HBASE for store in stores) else f"{HBASE}: not measured in this run: make bench-hbase\n"
    )
    return f"{table([head, *lines])}{missing}"


def sends_per_commit(samples: Sequence[Sample]) -> int:
    """How many sends shared a store call of Rowbox, at the mean; 1 where it made none."""
    total = _counted(samples)
    return max(1, round(total["rowbox_commands_total"] / total["rowbox_commits_total"])) if total else 1


def commits(samples: Sequence[Sample]) -> str:
    """How full Rowbox's store calls were, by its own counters."""
    total = _counted(samples)
    calls = total.get("rowbox_commits_total", 0.0)
    if not calls:
        return "Rowbox made no store calls.\n"
    return (
        f"A store call of Rowbox held {total['rowbox_commands_total'] / calls:.1f} sends, "
        f"{total['rowbox_commit_rows_total'] / calls:.1f} rows and {total['rowbox_commit_cells_total'] / calls:.1f} "
        f"cells, and took {total['rowbox_commit_seconds_total'] / calls * 1000:.2f} ms.\n"
    )


def _counted(samples: Iterable[Sample]) -> dict[str, float]:
    """Rowbox's counters over the turns in which it wrote."""
    own = [
        sample.counted for sample in samples if sample.server == ROWBOX and sample.counted.get("rowbox_commits_total")
    ]
    return {name: sum(counted[name] for counted in own) for name in own[0]} if own else {}


def _of(samples: Iterable[Sample], scenario: str, server: str) -> list[Sample]:
    return [sample for sample in samples if (sample.scenario, sample.server) == (scenario, server)]


def _by_cpu(own: Sequence[Sample], others: Sequence[Sample]) -> list[float]:
    return [mine.per_cpu_s / other.per_cpu_s for mine, other in zip(own, others, strict=True)]


def groups(samples: Iterable[Sample]) -> list[list[Sample]]:
    """The samples grouped by scenario and server, in the order of their first turns."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.server), []).append(sample)
    return list(groups.values())


def _rate_line(group: Sequence[Sample]) -> Sequence[str]:
    latencies_ms = in_ms(latency_s for sample in group for latency_s in sample.latencies_s)
    wall_s, cpu_s = sum(sample.wall_s for sample in group), sum(sample.server_cpu_s for sample in group)
    answers = len(latencies_ms)
    return (
        group[0].scenario,
        group[0].server,
        _count(answers / cpu_s),
        _range([sample.per_cpu_s for sample in group], _count),
        _count(answers / wall_s),
        f"{percentile(latencies_ms, 0.5):.2f}",
        f"{percentile(latencies_ms, 0.99):.2f}",
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
