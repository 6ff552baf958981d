"""Cold load: the first fetch of mailboxes that the server does not have in memory, and the memory that they then take.

The store is filled below HTTP, and the server is started on it. The kernel still has the store's files in its cache.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.fill import Talks, fill
from bench.load import latency
from bench.load.closed_loop import closed_loop
from bench.load.workload import PAGE, Workload
from bench.output.part import Part
from bench.output.report import table
from bench.server import rowbox, running
from rowbox.cli.secret import load_or_create

MESSAGES = 20
ONE_BY_ONE = 0.2
"""The part of the mailboxes that is fetched with one request in flight. The others are fetched with IN_FLIGHT."""
IN_FLIGHT = 64


async def cold(folder: Path, mailboxes: int) -> Part:
    """Fetches the newest messages of each of `mailboxes` mailboxes, once."""
    data_dir = folder / "cold"
    fill(data_dir, [Talks("m", mailboxes // 2, MESSAGES)])
    workload = Workload(load_or_create(data_dir))
    fetches = [workload.caller(f"m{number:07}").newest(PAGE) for number in range(mailboxes)]
    alone = max(1, int(mailboxes * ONE_BY_ONE))
    lines: list[Sequence[str]] = [
        ("in flight", "mailboxes", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms", "loads/s")
    ]
    with running("rowbox", rowbox(data_dir), data_dir / "log") as server:
        before = server.rss_bytes()
        for in_flight, taken in ((1, fetches[:alone]), (IN_FLIGHT, fetches[alone:])):
            load = await closed_loop(server.port, iter(taken), 200, in_flight=in_flight)
            shown = latency.shown(load.latencies_s)
            lines.append((str(in_flight), f"{len(taken):,}", *shown, f"{len(taken) / load.wall_s:,.0f}"))
        after, counters = server.rss_bytes(), server.counters()
    return Part(
        f"Cold load: the newest page of mailboxes that are not in memory, of {MESSAGES} messages each.\n\n"
        f"{table(lines)}\n"
        f"The {mailboxes:,} mailboxes took {(after - before) / 1e6:.0f} MB, by the server's own reckoning "
        f"{counters['rowbox_cache_bytes'] / 1e6:.0f} MB; without them it had {before / 1e6:.0f} MB.\n"
    )
