"""`python -m bench.live`: what clients cost that are told of changes as they happen, by sockets and by long polls.

talk        a send that both sides are told of; sends alone; both in turns, by the server's CPU (bench/live/pairs.py)
half rate   how soon the recipient has a message (pairs.py), in one process and over two hops: from the owner's process
            to the API processes of sender and recipient
group       what copies to a hundred members cost, and how soon the last one has a message (group.py)
crowd       the memory of an idle socket, and all of them back after a cut (crowd.py)
stalled     a client that stops reading (stalled.py)
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import click

from bench.fill import Talks, fill
from bench.live.crowd import OPENED_AT_ONCE, Crowd
from bench.live.group import grouped
from bench.live.pairs import Pair, PollingPair, Rounds, SocketPair
from bench.live.sends import Senders
from bench.live.stalled import RATE, Stalled, stalled
from bench.load import latency
from bench.load.closed_loop import closed_loop
from bench.load.workload import Workload
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.run import run
from bench.server import TICK_S, Server, rowbox, running
from rowbox.cli.secret import load_or_create

IN_FLIGHT: Final = 64
PAIRS: Final = 256
"""More than are under way: a socket takes 100 frames a second, and a pair that sends without pause would have more."""
BY_SOCKETS, BY_POLLS, SENT_BY_SOCKETS, SENT_BY_HTTP = (
    "told by sockets",
    "told by long polls",
    "sends alone, by sockets",
    "sends alone, by HTTP",
)
API_PROCESSES: Final = 2
COPIES_EMBEDDED: Final = 12_000
"""To members of a group, by second of CPU."""
LAST_MEMBER_MS: Final = 50.0
_PREFIX: Final = "w"


class Turn(NamedTuple):
    """One turn of one way."""

    way: str
    messages: int
    seconds: float
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Messages per second of the server's CPU."""
        return self.messages / self.cpu_s


async def talking(folder: Path, turns: int, seconds: float, *, stalls: bool) -> Part:
    """Measures talks and sends, on one server; with `stalls` a client that stops reading, too."""
    data_dir = folder / "talking"
    workload = Workload(load_or_create(data_dir))
    with ExitStack() as stack:
        server = stack.enter_context(running("rowbox", rowbox(data_dir), folder / "talking.log"))
        rounds = Rounds(workload.serials())
        by_socket = await _opened(SocketPair, server, workload, rounds)
        by_poll = await _opened(PollingPair, server, workload, rounds)
        senders = Senders(workload, PAIRS)
        await senders.open(server.port)
        for pairs in (by_socket, by_poll):
            await rounds.closed_loop(pairs, IN_FLIGHT, min(0.5, seconds))
        taken: list[Turn] = []
        for _ in range(turns):
            taken.append(await _turn(BY_SOCKETS, server, seconds, rounds.closed_loop(by_socket, IN_FLIGHT, seconds)))
            taken.append(await _turn(BY_POLLS, server, seconds, rounds.closed_loop(by_poll, IN_FLIGHT, seconds)))
            taken.append(await _turn(SENT_BY_SOCKETS, server, seconds, senders.closed_loop(IN_FLIGHT, seconds)))
            taken.append(await _turn(SENT_BY_HTTP, server, seconds, _by_http(server, workload, seconds)))
        senders.close()
        for pair in by_poll:
            pair.close()
        rate = median(one.messages / one.seconds for one in taken if one.way == BY_SOCKETS) / 2
        at_half = await rounds.open_loop(by_socket, rate, 5 * seconds)
        slow = await stalled(server, workload, by_socket, rounds, 5 * seconds) if stalls else None
        for pair in by_socket:
            pair.close()
    return _part(taken, rate, at_half, slow)


async def _opened(kind: type[Pair], server: Server, workload: Workload, rounds: Rounds) -> list[Pair]:
    pairs: list[Pair] = []
    for number in range(PAIRS):
        names = [f"{kind.__name__.lower()}-{side}{number:03}" for side in ("a", "b")]
        sender, recipient = [(name, workload.caller(name)) for name in names]
        pairs.append(kind(sender, recipient, rounds.failed))
    for begin in range(0, PAIRS, OPENED_AT_ONCE):
        await asyncio.gather(*(pair.open(server.port) for pair in pairs[begin : begin + OPENED_AT_ONCE]))
    return pairs


async def _by_http(server: Server, workload: Workload, seconds: float) -> int:
    load = await closed_loop(server.port, workload.sends(), 201, in_flight=IN_FLIGHT, seconds=seconds)
    return len(load.latencies_s)


async def _turn(way: str, server: Server, seconds: float, measured: Coroutine[object, object, int]) -> Turn:
    before_s = server.cpu_s()
    count = await measured
    return Turn(way, count, seconds, max(server.cpu_s() - before_s, TICK_S))


async def over_two_hops(folder: Path, seconds: float) -> Part:
    """Measures how soon a recipient has a message whose clients are served by other processes than the owner's."""
    data_dir = folder / "hops"
    workload = Workload(load_or_create(data_dir))
    with ExitStack() as stack:
        arguments = [*rowbox(data_dir), f"--api-processes={API_PROCESSES}"]
        server = stack.enter_context(running("rowbox", arguments, folder / "hops.log"))
        rounds = Rounds(workload.serials())
        pairs = await _opened(SocketPair, server, workload, rounds)
        await rounds.closed_loop(pairs, IN_FLIGHT, min(0.5, seconds))
        rate = await rounds.closed_loop(pairs, IN_FLIGHT, seconds) / seconds / 2
        at_half = await rounds.open_loop(pairs, rate, 5 * seconds)
        for pair in pairs:
            pair.close()
    behind = _behind(at_half)
    rows: list[Sequence[str]] = [("until", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms")]
    rows.append(("the recipient has it, from the intended time", *latency.shown([one for one, _ in at_half])))
    rows.append(("the same, from the answer to its sender", *latency.shown(behind)))
    text = (
        f"Over two hops, {API_PROCESSES} API processes and the owner's, at half of the rate that they reach, "
        f"{rate:,.0f} messages/s:\n\n{table(rows)}"
    )
    p99_ms = latency.percentile(latency.in_ms(behind), 0.99)
    return Part(
        text, [Claim("over two hops, p99 at half the rate, after the sender's answer, ms", p99_ms, 30, is_most=True)]
    )


async def one_group(folder: Path, turns: int, seconds: float) -> Part:
    """Measures a group of a hundred on a server of its own."""
    data_dir = folder / "group"
    workload = Workload(load_or_create(data_dir))
    with ExitStack() as stack:
        server = stack.enter_context(running("rowbox", rowbox(data_dir), folder / "group.log"))
        return await grouped(
            server, workload, turns, seconds, "the embedded store", copies=COPIES_EMBEDDED, last_ms=LAST_MEMBER_MS
        )


async def crowded(folder: Path, count: int) -> Part:
    """Measures a crowd of sockets, on a server of its own."""
    data_dir = folder / "crowd"
    fill(data_dir, [Talks(_PREFIX, (count + 1) // 2, 2)])
    workload = Workload(load_or_create(data_dir))
    with ExitStack() as stack:
        server = stack.enter_context(running("rowbox", rowbox(data_dir), folder / "crowd.log"))
        callers = [workload.caller(f"{_PREFIX}{number:07}") for number in range(count)]
        await closed_loop(server.port, (caller.changes() for caller in callers), 200, in_flight=4)
        before = server.rss_bytes()
        crowd = Crowd(server, callers)
        await crowd.open()
        each = (server.rss_bytes() - before) / count
        cpu_s = server.cpu_s()
        back_s = await crowd.cut_and_back()
        cpu_s = server.cpu_s() - cpu_s
        errors = len(crowd.errors)
        crowd.close()
    text = (
        f"{count:,} sockets that follow took {each / 1000:.1f} KB each, their mailboxes in memory before. All cut at "
        f"once and back at once: the last was served after {back_s:.2f} s ({cpu_s:.2f} s of the server's CPU, {errors} "
        "attempts that failed).\n"
    )
    claims = [
        Claim("an idle socket, KB", each / 1000, 20, is_most=True),
        Claim(f"{count:,} sockets cut at once are served again after, s", back_s, 5, is_most=True),
    ]
    return Part(text, claims)


def _part(taken: Sequence[Turn], rate: float, at_half: Sequence[tuple[float, float]], slow: Stalled | None) -> Part:
    rates = {way: [one for one in taken if one.way == way] for way in dict.fromkeys(one.way for one in taken)}
    each = {way: median(one.per_cpu_s for one in turns) for way, turns in rates.items()}
    rows: list[Sequence[str]] = [("way", "messages/s", "per CPU-second", "least", "most")]
    for way, turns in rates.items():
        found = sorted(one.per_cpu_s for one in turns)
        per_s = median(one.messages / one.seconds for one in turns)
        rows.append((way, f"{per_s:,.0f}", f"{each[way]:,.0f}", f"{found[0]:,.0f}", f"{found[-1]:,.0f}"))
    received = [received_s for received_s, _ in at_half]
    behind = _behind(at_half)
    times: list[Sequence[str]] = [("until", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms")]
    times.append(("the recipient has it, from the intended time of its sending", *latency.shown(received)))
    times.append(("the same, from the answer to its sender", *latency.shown(behind)))
    if slow is not None:
        times.append((f"others have theirs at {RATE:g}/s, before a client stalls", *latency.shown(slow.before_s)))
        times.append(("the same, while a client does not read", *latency.shown(slow.meanwhile_s)))
    text = (
        f"{PAIRS} pairs of users who talk, {IN_FLIGHT} messages under way; a message has ended when both sides have "
        f"been told of it and the sender has the answer.\n\n{table(rows)}\n"
        f"At half that rate, {rate:,.0f} messages/s, an open loop:\n\n{table(times)}"
    )
    if slow is not None:
        text += (
            f"\nThe client that did not read was closed with 4008 after {slow.given_up_after_s:.1f} s, in which "
            f"{slow.messages:,} messages of 60 KB came for it. The server's memory grew by "
            f"{slow.grown_bytes / 1e6:.1f} MB, with these in two mailboxes ({2 * slow.messages * 0.06:.1f} MB).\n"
        )
    p99_ms = latency.percentile(latency.in_ms(behind), 0.99)
    claims = [
        Claim("told by sockets / by long polls, per CPU-second", each[BY_SOCKETS] / each[BY_POLLS], 2.5, is_most=False),
        Claim(
            "sends by sockets / by HTTP, per CPU-second", each[SENT_BY_SOCKETS] / each[SENT_BY_HTTP], 1.5, is_most=False
        ),
        Claim("the recipient has it p99 at half the rate, after the sender's answer, ms", p99_ms, 10, is_most=True),
    ]
    return Part(text, claims)


def _behind(at_half: Sequence[tuple[float, float]]) -> list[float]:
    """How much later than its sender the answer a recipient had each message: of those that had it sooner, 0."""
    return [max(0.0, received_s - answered_s) for received_s, answered_s in at_half]


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each way has its turn.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of a turn.")
@click.option("--sockets", default=10_000, show_default=True, help="Sockets of the crowd; 0: no crowd.")
@click.option("--stalled/--no-stalled", "stalls", default=True, show_default=True, help="Whether a client stalls.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the stores lie meanwhile; on a disk.")
@click.option("--write/--no-write", default=True, show_default=True, help="Whether docs/benchmarks.md gets the output.")
def main(turns: int, seconds: float, sockets: int, folder: Path | None, *, stalls: bool, write: bool) -> None:
    """Measure sockets beside long polls, print the numbers and write docs/benchmarks.md."""

    async def measure(place: Path) -> list[Part]:
        parts = [
            await talking(place, turns, seconds, stalls=stalls),
            await over_two_hops(place, seconds),
            await one_group(place, turns, seconds),
        ]
        if sockets:
            parts.append(await crowded(place, sockets))
        return parts

    run("bench-live", measure, folder, write=write)


if __name__ == "__main__":
    main()
