"""Background work goes on whatever happens in a round, and whoever runs the server hears of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from rowbox.cacheserver.background import LONGEST_PAUSE_S, REPORT_EVERY_S, BackgroundLoop, background_samples
from rowbox.cacheserver.delivery.recovery import PAUSE_S, Recovery
from rowbox.cacheserver.ownership import SoleOwnership
from rowbox.cacheserver.rows.cleaner import BATCH_COLUMNS
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import StoreDamaged, StoreUnavailable, StoreUnusable
from tests.support.cluster import SHARDS, cluster
from tests.support.virtual_time import settle, virtual_time

FOREIGN = [b"0000/\xff\xfe", b"0000/not a user", b"0000/ann", b"00000", b"003f/"]
"""Keys that no user can have: of bytes, of characters, in another user's shard, without and with nothing behind `/`."""


def fails(*errors: Exception) -> Callable[[], Awaitable[float]]:
    """Work whose first rounds raise, one error each."""
    left = list(errors)

    async def work() -> float:
        if left:
            raise left.pop(0)
        return 1.0

    return work


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), StoreUnavailable("away"), StoreDamaged("torn"), StoreUnusable("")]
)
@virtual_time
async def test_a_round_that_fails_is_counted_and_followed_by_another(error: Exception) -> None:
    loop = BackgroundLoop("scan", fails(error))
    loop.start()
    await asyncio.sleep(10)
    await loop.close()
    assert loop.failures == 1
    assert loop.rounds > 5
    assert {(name, labels["loop"], value) for name, _, _, labels, value in background_samples([loop])} == {
        ("rowbox_background_rounds_total", "scan", loop.rounds),
        ("rowbox_background_failures_total", "scan", 1),
    }


@pytest.mark.parametrize("error", [None, ValueError("a bug")])
@virtual_time
async def test_a_round_in_which_the_cancellation_is_lost_is_the_last_one(error: Exception | None) -> None:
    rounds = 0

    async def deaf() -> float | None:
        nonlocal rounds
        rounds += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        if error is not None:
            raise error
        return None

    loop = BackgroundLoop("scan", deaf)
    loop.start()
    await asyncio.sleep(1)
    async with asyncio.timeout(30):
        await loop.close()
    assert rounds == 1


@virtual_time
async def test_work_that_fails_for_an_hour_is_tried_each_minute_and_said_each_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = BackgroundLoop("scan", fails(*[StoreUnavailable("away")] * 10_000))
    loop.start()
    await asyncio.sleep(3600)
    await loop.close()
    assert 3600 / LONGEST_PAUSE_S < loop.failures < 3600 / LONGEST_PAUSE_S + 10
    assert 0 < len(caplog.records) <= 3600 / REPORT_EVERY_S + 1
    assert all(record.levelno == logging.ERROR and record.exc_info is None for record in caplog.records)


@virtual_time
async def test_a_failure_that_nobody_expected_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    loop = BackgroundLoop("scan", fails(ValueError("a bug")))
    loop.start()
    await settle()
    await loop.close()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "scan" in record.getMessage()


@virtual_time
async def test_a_store_that_is_broken_for_good_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    """The store has told whoever runs it; damage that one read met is another matter, nobody else tells of it."""
    loop = BackgroundLoop("scan", fails(StoreUnusable("the device is gone"), StoreDamaged("a file is torn")))
    loop.start()
    await asyncio.sleep(10)
    await loop.close()
    assert [record.getMessage() for record in caplog.records if "a file is torn" in record.getMessage()]
    assert len(caplog.records) == 1
    assert loop.failures == 2


@virtual_time
async def test_a_loop_without_a_pause_waits_until_it_is_woken() -> None:
    done: list[float] = []

    async def work() -> None:
        done.append(asyncio.get_running_loop().time())

    loop = BackgroundLoop("removals", work)
    loop.start()
    loop.start()
    await asyncio.sleep(100)
    assert len(done) == 1
    loop.wake()
    await settle()
    assert len(done) == 2
    await loop.close()
    await loop.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "removals"]


@virtual_time
async def test_what_wakes_a_loop_during_its_round_is_not_lost() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            loop.wake()

    loop = BackgroundLoop("removals", work)
    loop.start()
    await settle()
    await loop.close()
    assert rounds == 2


@pytest.mark.parametrize("row", FOREIGN)
@virtual_time
async def test_a_row_of_no_user_does_not_end_the_scan_for_outboxes(row: bytes) -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await servers.store.mutate([RowMutation(row, [Put(Family.OUTBOX, b"any", b"thing")])], 1)
        await node.process.call(node.owner.recovery.scan())
        assert node.owner.recovery.found == 0
        await node.send("ann", "ann", "x", "c")  # and what comes after it is still found
        await servers.store.mutate([RowMutation(row_key("ann", SHARDS), [Put(Family.OUTBOX, b"any", b"thing")])], 2)
        await node.process.call(node.owner.recovery.scan())
        assert node.owner.recovery.found == 1


@virtual_time
async def test_outboxes_that_cannot_be_read_are_one_line_of_a_scan(caplog: pytest.LogCaptureFixture) -> None:
    async def visit(user_id: str) -> None:
        raise StoreUnavailable("this part of the store does not answer")

    async with cluster(late=True) as servers:
        rows = [row_key(f"user{n}", SHARDS) for n in range(100)]
        await servers.store.mutate([RowMutation(row, [Put(Family.OUTBOX, b"any", b"thing")]) for row in rows], 1)
        recovery = Recovery(servers.store, SoleOwnership(SHARDS), visit)
        await recovery.scan()
        assert recovery.found == 100
        assert [record.getMessage() for record in caplog.records] == [
            "100 outboxes wait for the next scan: this part of the store does not answer"
        ]


@virtual_time
async def test_a_stop_tries_to_remove_what_is_left_once_where_the_store_takes_nothing() -> None:
    """Each call may take until its deadline, and a server that ends holds its lease meanwhile."""
    async with cluster(late=True) as servers:
        node, cleaner = servers.node, servers.node.owner.cleaner
        cleaner.remove(b"0000/ann", [(Family.OUTBOX, b"%06d" % n) for n in range(10 * BATCH_COLUMNS)], 1)
        for _ in range(10):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.DELETE)
        await node.process.call(cleaner.close())
        assert node.store.faults.take(Op.DELETE) is Fault.FAIL_BEFORE
        node.store.faults.clear()
        assert cleaner.removed == 0


@virtual_time
async def test_a_scan_that_meets_a_bug_is_followed_by_the_next_scan() -> None:
    async with cluster(late=True) as servers:
        owner = servers.node.owner
        visited: list[str] = []

        async def visit(user_id: str) -> None:
            visited.append(user_id)
            raise LookupError("a bug")

        owner.recovery._visit = visit
        row = row_key("ann", SHARDS)
        await servers.store.mutate([RowMutation(row, [Put(Family.OUTBOX, b"any", b"thing")])], 1)
        await asyncio.sleep(3 * PAUSE_S)
        assert len(visited) >= 2
        assert owner.recovery.loop.failures == len(visited)
