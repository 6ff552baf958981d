"""Loads after a failure: a few at a time, then more again; and nobody is forgotten at the door."""

import asyncio
from typing import Any

import pytest

from rowbox.cacheserver.cache.admission import FEW, Admission
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from tests.support.cluster import Cluster, cluster, gather_all
from tests.support.virtual_time import settle, virtual_time

USERS = 200


async def inside_at_once(admission: Admission, count: int, seconds: float = 0.01) -> int:
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with admission:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(seconds)
            inside -= 1

    await asyncio.gather(*(visit() for _ in range(count)))
    return most


@virtual_time
async def test_after_a_failure_few_go_in_and_twice_as_many_each_second() -> None:
    admission = Admission(64)
    assert await inside_at_once(admission, 100) == 64
    admission.narrow()
    assert await inside_at_once(admission, 20) == FEW
    for width in (8, 16, 32, 64, 64):
        await asyncio.sleep(1)
        assert await inside_at_once(admission, 100) == width


@virtual_time
async def test_who_leaves_the_queue_or_leaves_in_the_moment_of_its_turn_takes_no_place() -> None:
    admission = Admission(1)
    holder = asyncio.create_task(inside_at_once(admission, 1, seconds=1))
    await settle()
    waiting = [asyncio.create_task(inside_at_once(admission, 1)) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    await holder
    waiting[1].cancel()
    await gather_all(*waiting)
    async with asyncio.timeout(1):
        assert await inside_at_once(admission, 2) == 1


@virtual_time
async def test_who_is_let_in_and_leaves_before_it_runs_gives_its_place_on() -> None:
    admission = Admission(1)
    async with admission:
        waiting = asyncio.create_task(inside_at_once(admission, 1))
        await settle()
    waiting.cancel()  # its turn has come, and it has not run since
    await gather_all(waiting)
    async with asyncio.timeout(1):
        assert await inside_at_once(admission, 2) == 1


async def claims_at_once_after_a_busy_store(servers: Cluster) -> int:
    """What 200 rows that one busy call dropped do to the store when their users come back."""
    node = servers.node
    users = [f"u{number}" for number in range(USERS)]
    await asyncio.gather(*(node.conversations(user) for user in users))
    node.store.faults.next(Fault.EXECUTE_PARTLY, Op.MUTATE)
    await gather_all(*(node.send(user, user, "x", "c") for user in users))
    reads = node.store.gates[Point.READ]
    reads.hold()
    back = [asyncio.create_task(node.conversations(user)) for user in users]
    await settle(USERS)
    at_once = reads.waiting
    reads.release()
    await gather_all(*back)
    return at_once


@virtual_time
async def test_rows_that_a_busy_store_made_unknown_are_not_claimed_anew_all_at_once() -> None:
    async with cluster(late=True) as servers:
        assert await claims_at_once_after_a_busy_store(servers) == FEW


def test_without_that_rule_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_table: Any) -> None:
        pass

    monkeypatch.setattr(Table, "load_few", nothing)

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=True) as servers:
            assert await claims_at_once_after_a_busy_store(servers) == servers.settings.cache.load_concurrency

    scenario()
