"""Cost against size: the same cached fetches where conversations are long, conversations many, or mailboxes many.

Each size has a store and a server of its own, else the large mailboxes would take the memory from each other; all take
turns. Each fetch is measured one at a time and with IN_FLIGHT at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from bench.fill import Talks, fill
from bench.load import latency
from bench.load.closed_loop import closed_loop, exchange
from bench.load.workload import PAGE, Caller, Workload
from bench.output.part import Claim, Part
from bench.output.report import table
from bench.pictures import Series, lines
from bench.server import Server, rowbox, running
from rowbox.cli.secret import load_or_create

IN_FLIGHT = 64
READERS = 100
"""The number of mailboxes that are fetched, where there are more. All were loaded before."""
FLAT = 2.0
_LENGTHS, _NUMBERS, _MAILBOXES = "messages in a conversation", "conversations in a mailbox", "mailboxes in the store"


class Case(NamedTuple):
    """One size: there are `size` of `kind`. `talks` fill the store, and the mailboxes of `users` are fetched."""

    kind: str
    size: int
    talks: Talks
    users: tuple[str, ...]


class _Fetches(NamedTuple):
    """The fetches of one case. `first_s` is how many seconds the first fetch of its first user took."""

    server: Server
    requests: dict[str, list[bytes]]
    first_s: float


Taken = dict[tuple[Case, str, int], list[list[float]]]
"""Latencies in seconds of each turn, by case, fetch and requests in flight."""


def cases(lengths: Sequence[int], numbers: Sequence[int], mailboxes: Sequence[int]) -> list[Case]:
    """All sizes."""
    return [
        *(Case(_LENGTHS, size, talks := Talks(f"c{size}-", 1, size), talks.users(0)) for size in lengths),
        *(Case(_NUMBERS, size, talks := Talks(f"h{size}", size, 1, True), talks.users(0)[1:]) for size in numbers),
        *(Case(_MAILBOXES, size, Talks("m", size // 2, 2), _spread(size)) for size in mailboxes),
    ]


def _spread(size: int) -> tuple[str, ...]:
    step = max(1, size // READERS)
    return tuple(f"m{number:07}" for number in range(0, size, step))


def folder_of(folder: Path, case: Case) -> Path:
    """The data directory of a case."""
    return folder / f"{case.kind.split()[0]}-{case.size}"


async def fill_all(folder: Path, shown: Sequence[Case]) -> None:
    """Fills the data directories of all cases, two at a time, the largest first."""
    gate = asyncio.Semaphore(2)

    async def fill_one(case: Case) -> None:
        async with gate:
            await asyncio.to_thread(fill, folder_of(folder, case), [case.talks])

    await asyncio.gather(
        *map(fill_one, sorted(shown, key=lambda case: -case.talks.conversations * case.talks.messages))
    )


async def sizes(folder: Path, shown: Sequence[Case], turns: int, seconds: float) -> Part:
    """Measures all cases, which `fill_all` has filled, in turns of `seconds` for each fetch."""
    with ExitStack() as stack:
        fetches: dict[Case, _Fetches] = {}
        for case in shown:
            data_dir = folder_of(folder, case)
            server = stack.enter_context(running("rowbox", rowbox(data_dir), data_dir / "log"))
            fetches[case] = await _prepare(server, data_dir, case)
        taken: Taken = defaultdict(list)
        for _ in range(turns):
            for case, (server, requests, _) in fetches.items():
                for fetch, in_flight in _each(requests):
                    load = await closed_loop(
                        server.port, cycle(requests[fetch]), 200, in_flight=in_flight, seconds=seconds
                    )
                    taken[case, fetch, in_flight].append(load.latencies_s)
    firsts = {case: fetch.first_s for case, fetch in fetches.items()}
    return Part(_text(taken, firsts), _claims(taken), _pictures(taken))


async def _prepare(server: Server, data_dir: Path, case: Case) -> _Fetches:
    """Loads the case's mailboxes and sends a message to each, so that there is a change for a delta."""
    workload = Workload(load_or_create(data_dir))
    requests: dict[str, list[bytes]] = defaultdict(list)
    first_s = 0.0
    for user in case.users:
        caller, began_s = workload.caller(user), perf_counter()
        await exchange(server.port, [caller.conversations()], 200)
        first_s = first_s or perf_counter() - began_s
        partner = (await caller.talk(server.port)).partner_of(user)
        await exchange(server.port, [workload.caller(partner).conversations()], 200)
        await exchange(server.port, [workload.send(partner, user)], 201)
        for name, request in (await _requests(server, caller)).items():
            requests[name].append(request)
    return _Fetches(server, requests, first_s)


async def _requests(server: Server, caller: Caller) -> dict[str, bytes]:
    talk = await caller.talk(server.port)
    return {
        "newest page of 20": caller.page(talk.conversation_id, PAGE),
        "list of conversations": caller.conversations(),
        "delta of 1 message": caller.changed_messages(talk.message_tokens[1]),
    }


def _each(requests: dict[str, list[bytes]]) -> Iterator[tuple[str, int]]:
    return ((fetch, in_flight) for fetch in requests for in_flight in (1, IN_FLIGHT))


def _text(taken: Taken, firsts: dict[Case, float]) -> str:
    head = ("", "", "fetch", "p50 ms", "p99 ms", f"{IN_FLIGHT} in flight: p50 ms", "p99 ms", "first of all, ms")
    found: list[Sequence[str]] = [head]
    for case, fetch, in_flight in taken:
        if in_flight == 1:
            both = (taken[case, fetch, 1], taken[case, fetch, IN_FLIGHT])
            numbers = [f"{usual_ms(turns, share):.2f}" for turns in both for share in (0.5, 0.99)]
            found.append((case.kind, f"{case.size:,}", fetch, *numbers, f"{firsts[case] * 1000:.1f}"))
    ratios = [("", "fetch", "p50, largest over least", "p99, largest over least")]
    for kind, fetch in _lines(taken):
        p50, p99 = (spread(taken, kind, fetch, share) for share in (0.5, 0.99))
        ratios.append((kind, fetch, f"{p50:.2f}", f"{p99:.2f}"))
    title = f"Cached fetches against size, one at a time and {IN_FLIGHT}; the median of the turns."
    return f"{title}\n\n{table(found)}\n{table(ratios)}"


def spread(taken: Taken, kind: str, fetch: str, share: float) -> float:
    """The largest percentile `share` of all sizes divided by the least, for fetches one at a time."""
    found = [at for _, at in _points(taken, kind, fetch, share)]
    return max(found) / min(found)


def _claims(taken: Taken) -> list[Claim]:
    return [
        Claim(
            f"{fetch} over {kind}, largest p50 / least",
            spread(taken, kind, fetch, 0.5),
            FLAT,
            is_most=True,
        )
        for kind, fetch in _lines(taken)
    ]


def _lines(taken: Taken) -> list[tuple[str, str]]:
    return list(dict.fromkeys((case.kind, fetch) for case, fetch, _ in taken))


def _points(taken: Taken, kind: str, fetch: str, share: float) -> list[tuple[float, float]]:
    return [
        (case.size, usual_ms(turns, share))
        for (case, name, in_flight), turns in taken.items()
        if (case.kind, name, in_flight) == (kind, fetch, 1)
    ]


def usual_ms(turns: Sequence[Sequence[float]], share: float) -> float:
    """The median of the turns' percentiles, so that a turn in which the machine was busy does not decide."""
    return median(latency.percentile(latency.in_ms(turn), share) for turn in turns)


def _pictures(taken: Taken) -> dict[str, str]:
    pictures = {}
    for kind in dict.fromkeys(kind for kind, _ in _lines(taken)):
        series = [Series(fetch, _points(taken, kind, fetch, 0.5)) for own, fetch in _lines(taken) if own == kind]
        title = f"Cached fetches against {kind}: p50, one at a time"
        pictures["size-" + kind.split()[0]] = lines(title, kind, "ms", series, logarithmic=True)
    return pictures
