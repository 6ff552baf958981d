"""Reports from made-up samples, whose numbers are easy to follow."""

import asyncio
from subprocess import Popen

import pytest

from bench.fill import Talks
from bench.load.closed_loop import Load
from bench.load.latency import percentile, shown
from bench.long.churn import Measured, flatness, slope_mb_per_min
from bench.long.sizes import Case, Taken, spread
from bench.measure import Sample, _measured
from bench.output import report
from bench.output.part import Claim, verdicts
from bench.output.report import COMMITS, DURABLE, ROWBOX
from bench.program import Alone
from bench.server import TICK_S, Server

COUNTED = {
    "rowbox_commits_total": 10.0,
    "rowbox_commands_total": 320.0,
    "rowbox_commit_rows_total": 640.0,
    "rowbox_commit_cells_total": 2240.0,
    "rowbox_commit_seconds_total": 0.05,
}


def taken(server: str, turn: int, cpu_s: float, latencies_s: list[float]) -> Sample:
    counted = COUNTED if server == ROWBOX else {}
    return Sample("durable send", server, turn, 1.0, latencies_s, cpu_s, 0.1, 0.0, counted)


SAMPLES = [
    taken(ROWBOX, 0, 0.5, [0.001] * 100),
    taken(DURABLE, 0, 0.25, [0.001] * 100),
    taken(ROWBOX, 1, 0.5, [0.003] * 100),
    taken(DURABLE, 1, 0.125, [0.001] * 100),
    taken(ROWBOX, 2, 0.5, [0.003] * 98 + [0.5] * 2),
    taken(DURABLE, 2, 0.5, [0.001] * 100),
]


def test_a_server_that_used_less_cpu_than_the_system_counts_has_a_rate_too() -> None:
    """In the shortest runs on a busy machine one got so little of it: a division by zero, and no report."""

    async def answered() -> Load:
        return Load(0.2, [0.1, 0.2])

    with Popen(["sleep", "60"]) as idle:
        server = Server("idle", idle.pid, port=0, admin_port=0)
        taken_of = asyncio.run(_measured(server, "durable send", 0, answered()))
        idle.kill()
    assert taken_of.per_cpu_s == 2 / TICK_S


def lines_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]


def test_rates_are_over_all_turns() -> None:
    line = lines_of(report.rates(SAMPLES))[2]
    assert line[:7] == ["durable send", ROWBOX, "200", "200 to 200", "100", "3.00", "3.00"]
    assert lines_of(report.rates(SAMPLES))[3][2:4] == ["343", "200 to 800"]


def test_a_ratio_is_the_median_of_the_turns() -> None:
    assert report.ratio(SAMPLES, "durable send", DURABLE) == 0.5
    assert lines_of(report.ratios(SAMPLES))[2][2:4] == ["0.50", "0.25 to 1.00"]


def test_commits() -> None:
    assert report.sends_per_commit(SAMPLES) == 32
    assert report.commits(SAMPLES).startswith("A store call of Rowbox held 32.0 sends, 64.0 rows and 224.0 cells")
    assert report.commits(SAMPLES[1::2]) == "Rowbox made no store calls.\n"
    assert report.sends_per_commit(SAMPLES[1::2]) == 1


def test_below_http() -> None:
    stores = [Alone(COMMITS, turn, 32, 1000, 0.5, 2.0) for turn in range(3)]
    text = report.below_http(SAMPLES, stores)
    assert lines_of(text)[2] == [COMMITS, "32", "2,000", "500", "0.10", "0.20"]
    assert text.endswith("mutateRowsTs alone: not measured in this run: make bench-hbase\n")
    stores += [Alone(report.HBASE, turn, 64, 1000, 0.5, 2.0) for turn in range(3)]
    assert "not measured" not in report.below_http(SAMPLES, stores)


def test_percentiles_are_by_the_nearest_rank() -> None:
    numbers = [float(number) for number in range(1, 101)]
    assert [percentile(numbers, share) for share in (0.0, 0.5, 0.99, 0.999, 1.0)] == [1, 50, 99, 100, 100]
    assert shown([0.001, 0.002, 0.4], (0.5,)) == ["2.00", "400.00"]


@pytest.mark.parametrize(
    ("measured", "is_most", "verdict"),
    [(10.0, True, "met"), (10.01, True, "MISSED"), (10.0, False, "met"), (9.99, False, "MISSED")],
)
def test_verdicts(measured: float, is_most: bool, verdict: str) -> None:
    line = lines_of(verdicts([Claim("a thing", measured, 10, is_most)]))[2]
    assert line == ["a thing", "<= 10" if is_most else ">= 10", f"{measured:.2f}", verdict]


def test_spread_is_of_the_sizes_of_one_kind_fetched_one_at_a_time() -> None:
    small, large = (Case("mailboxes", size, Talks("m", size, 1), ()) for size in (10, 1000))
    other = Case("messages", 10, Talks("c", 1, 10), ())
    latencies: Taken = {
        (small, "page", 1): [[0.001] * 10] * 3,
        (large, "page", 1): [[0.003] * 10, [0.9] * 1000, [0.003] * 10],
        (large, "page", 64): [[0.5] * 10],
        (large, "list", 1): [[0.4] * 10],
        (other, "page", 1): [[0.3] * 10],
    }
    assert spread(latencies, "mailboxes", "page", 0.5) == pytest.approx(3), "a turn on a busy machine decided"


def test_memory_that_grows_and_memory_that_does_not() -> None:
    flat = [Measured(5.0 * step, 100_000_000 if step >= 20 else 50_000_000) for step in range(100)]
    growing = [Measured(60.0 * step, 100_000_000 + 2_000_000 * step) for step in range(100)]
    assert flatness(flat) == 1.0, "the first fifth, in which the caches fill, counts"
    assert slope_mb_per_min(flat) == pytest.approx(0)
    assert flatness(growing) > 1.5
    assert slope_mb_per_min(growing) == pytest.approx(2)
