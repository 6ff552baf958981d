"""Memory: many mailboxes are touched once, more than memory holds, and then get sends and fetches for minutes."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, linear_regression
from time import perf_counter
from typing import NamedTuple

from bench.load.closed_loop import closed_loop
from bench.load.workload import PAGE, Workload
from bench.output.part import Claim, Part
from bench.pictures import Series, lines
from bench.server import Server, rowbox, running
from rowbox.cli.secret import load_or_create
from rowbox.mailbox.settings.config import CacheSettings, StoreSettings

STEP_S = 5.0
IN_FLIGHT = 8
"""Sends in flight, and as many fetches."""
TOUCHING_IN_FLIGHT = 64
BESIDE_BYTES = 150_000_000
FLAT = 1.05
_PARTS = 5
"""Parts of the time. The last part is compared with the second, because the caches are filled in the first."""


class Measured(NamedTuple):
    """Resident bytes at a second of the churn."""

    at_s: float
    rss_bytes: int


def budget_bytes() -> int:
    """The bytes that the settings give to mailboxes, blocks and memtables together."""
    store = StoreSettings()
    return CacheSettings().bytes + store.block_cache_bytes + store.memtable_bytes


async def churn(data_dir: Path, mailboxes: int, seconds: float) -> Part:
    """Touches all mailboxes of a store that sizes.fill_all filled, and churns them for `seconds`."""
    workload = Workload(load_or_create(data_dir))
    users = [f"m{number:07}" for number in range(mailboxes)]
    fetches = [workload.caller(user).newest(PAGE) for user in users]
    with running("rowbox", rowbox(data_dir), data_dir / "log") as server:
        started = server.rss_bytes()
        await closed_loop(server.port, iter(fetches), 200, in_flight=TOUCHING_IN_FLIGHT)
        touched, before = server.rss_bytes(), server.counters()
        sends = closed_loop(server.port, _sends(workload, users), 201, in_flight=IN_FLIGHT, seconds=seconds)
        reads = closed_loop(server.port, _reads(fetches), 200, in_flight=IN_FLIGHT, seconds=seconds)
        sent, read, measured = await asyncio.gather(sends, reads, _watch(server, seconds))
        after = server.counters()
    growth = slope_mb_per_min(measured)
    evicted = after["rowbox_mailbox_evictions_total"] - before["rowbox_mailbox_evictions_total"]
    bound_mb = (budget_bytes() + BESIDE_BYTES) / 1e6
    highest = max(taken.rss_bytes for taken in measured)
    text = (
        f"Memory: {mailboxes:,} mailboxes touched take {touched / 1e6:.0f} MB of RSS (at the start {started / 1e6:.0f} "
        f"MB); in the cache were {before['rowbox_mailboxes_in_memory']:,.0f} of them, "
        f"{before['rowbox_cache_bytes'] / 1e6:.0f} MB by the server's own reckoning.\n"
        f"Churn for {seconds:g} s: {len(sent.latencies_s):,} sends and {len(read.latencies_s):,} fetches over "
        f"{mailboxes:,} mailboxes, {evicted:,.0f} evictions; RSS at most {highest / 1e6:.0f} MB, "
        f"{growth:+.2f} MB a minute over the last four fifths; in the end "
        f"{after['rowbox_cache_bytes'] / 1e6:.0f} MB of mailboxes by the server's own reckoning, "
        f"{after.get('rowbox_store_block_cache_bytes', 0) / 1e6:.0f} MB of blocks, "
        f"{after.get('rowbox_store_memtable_bytes', 0) / 1e6:.0f} MB of memtables.\n"
    )
    claims = [
        Claim(f"RSS with {mailboxes:,} mailboxes touched, MB", touched / 1e6, round(bound_mb), is_most=True),
        Claim("RSS under churn at most, MB", highest / 1e6, round(bound_mb), is_most=True),
        Claim("RSS under churn, last fifth / second fifth", flatness(measured), FLAT, is_most=True),
    ]
    return Part(text, claims, {"churn": _picture(measured)})


def _sends(workload: Workload, users: Sequence[str]) -> Iterator[bytes]:
    while True:
        number = random.randrange(len(users))
        yield workload.send(users[number], users[number ^ 1])  # who shares a conversation (bench/fill.py)


def _reads(fetches: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield random.choice(fetches)


async def _watch(server: Server, seconds: float) -> list[Measured]:
    began_s = perf_counter()
    measured: list[Measured] = []
    while (at_s := perf_counter() - began_s) < seconds:
        measured.append(Measured(at_s, server.rss_bytes()))
        await asyncio.sleep(min(STEP_S, seconds / _PARTS / 2))
    return measured


def flatness(measured: Sequence[Measured]) -> float:
    """The mean of the last fifth over that of the second fifth."""
    return fmean(_fifth(measured, _PARTS - 1)) / fmean(_fifth(measured, 1))


def slope_mb_per_min(measured: Sequence[Measured]) -> float:
    """The straight line through all but the first fifth."""
    late = measured[len(measured) // _PARTS :]
    fit = linear_regression([taken.at_s / 60 for taken in late], [taken.rss_bytes / 1e6 for taken in late])
    return fit.slope


def _fifth(measured: Sequence[Measured], place: int) -> list[int]:
    begin, end = (len(measured) * at // _PARTS for at in (place, place + 1))
    return [taken.rss_bytes for taken in measured[begin:end]]


def _picture(measured: Sequence[Measured]) -> str:
    bound_mb = (budget_bytes() + BESIDE_BYTES) / 1e6
    last_min = measured[-1].at_s / 60
    series = [
        Series("RSS", [(taken.at_s / 60, taken.rss_bytes / 1e6) for taken in measured]),
        Series("promised at most", [(0.0, bound_mb), (last_min, bound_mb)]),
    ]
    return lines("Memory under churn", "minutes", "MB", series)
