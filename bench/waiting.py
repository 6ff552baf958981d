"""The scenarios of clients that wait: what a parked poll costs, how fast a send wakes it, and a storm of reconnects."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from bench.fill import Talks, fill
from bench.load import latency
from bench.load.closed_loop import closed_loop
from bench.load.open_loop import open_loop
from bench.load.polls import Polls, WakeUp
from bench.load.probe import probing
from bench.load.workload import PAGE, Workload
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.pictures import Series, lines
from bench.server import rowbox, running
from rowbox.cli.secret import load_or_create

WAKE_UPS_PER_S = 200.0
PROBES_PER_S = 100.0
SENDERS = [f"sender{number:03}" for number in range(100)]
"""The users whose sends wake the polls. They have no polls, because a sender's own copy would answer the sender's
poll."""
_PREFIX = "w"
_READER = 0
"""The number of the user whose page the probe fetches. This user sends nothing."""


class Waited(NamedTuple):
    """The figures of a number of parked polls. `storm_s` is the time from the cut until the server had all of them
    again.
    """

    polls: int
    rss_before_bytes: int
    rss_parked_bytes: int
    wake_ups: list[WakeUp]
    storm_s: float
    storm_errors: list[str]
    probed_s: list[float]
    quiet_s: list[float]
    """The latencies of the probe before the storm."""

    @property
    def bytes_per_poll(self) -> float:
        return (self.rss_parked_bytes - self.rss_before_bytes) / self.polls


async def waiting(folder: Path, counts: Sequence[int], seconds: float) -> Part:
    """Measures each number in `counts` of parked polls, on a server of its own; sends wake them for `seconds`."""
    waited = [await _wait(folder / f"waiting-{count}", count, seconds) for count in counts]
    most = waited[-1]
    wake_ms = latency.in_ms(up.written_s for up in most.wake_ups)
    return Part(
        _text(waited, seconds),
        [
            Claim(f"wake-up p50 with {most.polls:,} parked, ms", latency.percentile(wake_ms, 0.5), 3, is_most=True),
            Claim(f"wake-up p99 with {most.polls:,} parked, ms", latency.percentile(wake_ms, 0.99), 15, is_most=True),
            Claim("a parked poll, KB", most.bytes_per_poll / 1000, 12, is_most=True),
        ],
        {"wake-ups": _picture(waited)},
    )


async def _wait(data_dir: Path, count: int, seconds: float) -> Waited:
    fill(data_dir, [Talks(_PREFIX, (count + 2) // 2, 2)])
    workload = Workload(load_or_create(data_dir))

    def next_send(intended_s: float) -> bytes:
        return workload.send(random.choice(SENDERS), polls.pick(intended_s))

    users = [f"{_PREFIX}{number:07}" for number in range(count + 1)]
    reader = workload.caller(users.pop(_READER))
    with ExitStack() as stack:
        server = stack.enter_context(running("rowbox", rowbox(data_dir), data_dir / "log"))
        polls = Polls(server, [(user, workload.caller(user)) for user in users])
        page = reader.page((await reader.talk(server.port)).conversation_id, PAGE)
        await polls.learn()
        warming = (workload.send(sender, users[0]) for sender in SENDERS)
        await closed_loop(server.port, warming, 201, in_flight=4)
        before = server.rss_bytes()
        await polls.park()
        parked = server.rss_bytes()
        await open_loop(server.port, next_send, 201, rate=WAKE_UPS_PER_S, seconds=seconds)
        quiet = await open_loop(server.port, lambda _: page, 200, rate=PROBES_PER_S, seconds=seconds / 4)
        probe = stack.enter_context(probing(server.port, page, PROBES_PER_S))
        polls.errors.clear()
        began_s = perf_counter()
        await polls.cut()
        ended_s = await polls.park(at_once=count)
        return Waited(
            count,
            before,
            parked,
            polls.wake_ups,
            ended_s - began_s,
            list(polls.errors),
            probe.latencies_s(),
            quiet.latencies_s,
        )


def _text(waited: Sequence[Waited], seconds: float) -> str:
    ups: list[Sequence[str]] = [
        ("parked", "wake-up, from", "wake-ups", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms")
    ]
    storms = [
        ("parked", "all back after s", "errors", "others before: p50 ms", "p99 ms", "meanwhile: p50 ms", "longest")
    ]
    for some in waited:
        for start, taken in (
            ("the send's writing", [up.written_s for up in some.wake_ups]),
            ("its intended time", [up.intended_s for up in some.wake_ups]),
        ):
            ups.append((f"{some.polls:,}", start, f"{len(taken):,}", *latency.shown(taken)))
        before, meanwhile = latency.shown(some.quiet_s), latency.shown(some.probed_s)
        storm = (
            f"{some.storm_s:.2f}",
            f"{len(some.storm_errors):,}",
            before[0],
            before[2],
            meanwhile[0],
            meanwhile[-1],
        )
        storms.append((f"{some.polls:,}", *storm))
    costs = "".join(
        f"{some.polls:,} parked polls took {(some.rss_parked_bytes - some.rss_before_bytes) / 1e6:.1f} MB "
        f"({some.bytes_per_poll / 1000:.1f} KB each) beside {some.rss_before_bytes / 1e6:.1f} MB before.\n"
        for some in waited
    )
    errors = "".join(
        f"An error of a storm: {error}\n" for some in waited for error in sorted(set(some.storm_errors))[:3]
    )
    return (
        f"Wake-ups: {WAKE_UPS_PER_S:g} sends/s for {seconds:g} s to users whose poll is parked, until the poll's "
        f"answer is there.\n\n{table(ups)}\n{costs}\n"
        "Storm: the polls' connections cut at once, and all opened again at once, with the last token; "
        f"others are {PROBES_PER_S:g} fetches/s of a page, of another process.\n\n{table(storms)}{errors}"
    )


def _picture(waited: Sequence[Waited]) -> str:
    series = []
    for some in waited:
        taken = latency.in_ms(up.written_s for up in some.wake_ups)
        shares = [share / 200 for share in range(1, 200)]
        points = [(latency.percentile(taken, share), share * 100) for share in shares]
        series.append(Series(f"{some.polls:,} parked", points))
    return lines("From a send to the answer of the recipient's poll", "ms", "% answered within", series)
