"""An owner over HBase without HTTP, in a process of its own, which shows what the mailboxes cost by themselves.

`python -m bench.hbase.owner JSON` takes {"url", "work", ...} and prints one JSON object. These are the kinds of `work`,
with their further arguments and what is printed:

send       {"in_flight", "seconds", "pids"}: sends in a closed loop   {"sends", "wall_s", "rows_per_call", and of CPU,
                                                                      loads left out: "cpu_s", "gateway_s", "store_s"}
cold       {"users", "conversations"}: first loads of mailboxes       {"p50_ms", "p99_ms", "round_trips" (p50)}
takeover   {"sends"}: outboxes filled and emptied, then one scan      {"scan_s", "rows"}
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import Any

import uvloop

from bench.load.workload import CONTENT, PARTNERS, SENDERS
from bench.server import cpu_s
from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node.membership import new_incarnation
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, Send
from rowbox.cacheserver.rows.walk import row_keys, shard_runs
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.cli.serving.runtime import tune
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import outbox_qualifier, row_key
from rowbox.mailbox.settings.config import HBaseSettings, RateLimitSettings, Settings, parse_store_url

SETTINGS = Settings(rate_limits=RateLimitSettings(enabled=False))
ROWS_PER_CALL = 500
Work = Callable[..., Coroutine[Any, Any, dict[str, float]]]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[HBaseStore]:
    address = parse_store_url(url)
    assert address is not None
    store = await HBaseStore.open(address, HBaseSettings())
    yield store
    await store.close()


@asynccontextmanager
async def owning(store: HBaseStore) -> AsyncIterator[Owner]:
    owner = Owner(store, SETTINGS, ownership=EpochOwnership(time.time_ns() // 10_000_000, new_incarnation()))
    await owner.start()
    yield owner
    await owner.close()


async def send(url: str, in_flight: int, seconds: float, pids: tuple[int, int]) -> dict[str, float]:
    numbers, run = itertools.count(), time.time_ns()
    async with opened(url) as store, owning(store) as owner:
        for sender in range(SENDERS):  # loads the mailboxes
            await owner.fetch_conversations(FetchConversations(f"user{sender:04}"))

        async def client(stop_s: float) -> None:
            while time.monotonic() < stop_s:
                number = next(numbers)
                recipient = (number + SENDERS // 2 + number // SENDERS % PARTNERS) % SENDERS
                await owner.send(Send(f"user{number % SENDERS:04}", f"user{recipient:04}", CONTENT, f"{run}-{number}"))

        counters, began_s, own_s = owner.committer.counters, time.monotonic(), time.process_time()
        calls, rows, behind = counters.batches, counters.rows, [cpu_s(pid) for pid in pids]
        await asyncio.gather(*(client(began_s + seconds) for _ in range(in_flight)))
        return {
            "sends": next(numbers),
            "cpu_s": time.process_time() - own_s,
            "gateway_s": cpu_s(pids[0]) - behind[0],
            "store_s": cpu_s(pids[1]) - behind[1],
            "wall_s": time.monotonic() - began_s,
            "rows_per_call": (counters.rows - rows) / (counters.batches - calls),
        }


async def cold(url: str, users: int, conversations: int) -> dict[str, float]:
    names = [f"cold{time.time_ns()}-{number}" for number in range(users)]
    async with opened(url) as store:
        async with owning(store) as owner:
            for name in names:
                await asyncio.gather(
                    *(owner.send(Send(name, f"partner{n:03}", CONTENT, str(n))) for n in range(conversations))
                )
            await owner.delivery.idle()
        async with owning(store) as owner:
            await owner.recovery.loop.close()  # else its reads would be counted as reads of loads
            loads, trips = [], []
            for name in names:
                began_s, before = time.perf_counter(), _round_trips(store)
                await owner.fetch_conversations(FetchConversations(name))
                loads.append(time.perf_counter() - began_s)
                trips.append(_round_trips(store) - before)
    return {
        "p50_ms": median(loads) * 1000,
        "p99_ms": quantiles(loads, n=100)[98] * 1000,
        "round_trips": median(trips),
    }


async def takeover(url: str, sends: int) -> dict[str, float]:
    """Measures the scan for outboxes. Of each send only the outbox's part is written: a cell, and later its removal."""
    clock, value = StoreClock(lambda: time.time_ns() // 1000), CONTENT.encode()
    async with opened(url) as store:
        for first in range(0, sends, ROWS_PER_CALL):
            cells = [
                (row_key(f"takeover{number % 100_000}", store.shards), outbox_qualifier(number.to_bytes(16, "big"), 1))
                for number in range(first, first + ROWS_PER_CALL)
            ]
            await store.mutate(
                [RowMutation(row, [Put(Family.OUTBOX, qualifier, value)]) for row, qualifier in cells], clock.next_ms()
            )
            await store.delete(
                [RowDelete(row, [(Family.OUTBOX, qualifier)]) for row, qualifier in cells], clock.next_ms()
            )
        began_s, rows = time.perf_counter(), 0
        for shards in shard_runs(store.shards):
            async for _ in row_keys(store, shards, Family.OUTBOX):
                rows += 1
        return {"scan_s": time.perf_counter() - began_s, "rows": rows}


def _round_trips(store: HBaseStore) -> int:
    return store.counters.read_round_trips + store.counters.write_round_trips


if __name__ == "__main__":
    tune()
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    works: dict[str, Work] = {"send": send, "cold": cold, "takeover": takeover}
    print(json.dumps(uvloop.run(works[arguments.pop("work")](**arguments))))
