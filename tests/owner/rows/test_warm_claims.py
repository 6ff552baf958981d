"""Mailboxes that were handed over: claimed by one put and no read, or loaded as if nothing had been handed over."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.delivery.recovery import Recovery
from rowbox.cacheserver.owner import handing_over
from rowbox.cacheserver.rows import warm_rows
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.ranges import MemoryRanges
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.fence import Fence
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer
from tests.checking import assert_no_findings
from tests.support import cluster as cluster_module
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, all_messages, cluster, gather_all, parsed
from tests.support.virtual_time import settle, virtual_time

ALL = range(SHARDS)


async def contents(node: Node, user: str) -> list[str]:
    items, _ = await all_messages(node, user, None, 100)
    return [item["messageContent"] for item in items][::-1]


async def fence_of(servers: Cluster, user: str) -> Fence:
    frame = await RowCells(servers.store, ignore).frame(row_key(user, SHARDS))
    return max((cell.fence for cell in frame.fences), key=lambda fence: fence[-1].epoch)


async def handed_by(servers: Cluster, shards: Sequence[int] = ALL) -> list[HandedRow]:
    """What the newest node hands over of shards that it closes; it keeps them."""
    rows = await servers.handed_by(servers.node, shards)
    servers.node.owner.reopen(shards)
    return rows


async def users_handed_by(servers: Cluster) -> list[str]:
    return sorted(row.user_id for row in await handed_by(servers))


async def end(servers: Cluster) -> None:
    await servers.quiet()
    await asyncio.sleep(1)
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


# ---------------------------------------------------------------------- what a warm claim is


@virtual_time
async def test_the_first_use_is_one_put_and_no_read() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "bob", "hello", "c1")
        await asyncio.sleep(1)  # the outbox is empty, or the scan of the next owner finds ann
        node = await servers.move()
        await settle(2 * SHARDS)
        node.store.hold(Point.READ)
        assert [item["messageContent"] for item in parsed(await node.messages("bob"))] == ["hello"]
        loader = node.owner.loader
        assert (node.owner.table.loads, loader.store_calls, loader.warm_loads) == (0, 0, 1)
        assert loader.warm_claims.store_calls == 1
        again = await node.send("ann", "bob", "hello", "c2")
        assert (again.duplicate, again.pending_recipients) == (False, 0)
        assert node.owner.loader.warm_loads == 2
        node.store.release(Point.READ)
        assert await contents(node, "bob") == ["hello", "hello"]
        await end(servers)


@virtual_time
async def test_a_retry_after_a_move_is_known() -> None:
    async with cluster(late=True) as servers:
        first = await servers.node.send("ann", "bob", "hello", "c1")
        node = await servers.move()
        again = await node.send("ann", "bob", "hello", "c1")
        assert (again.duplicate, again.message_id) == (True, first.message_id)
        assert (await node.status("ann", "c1")).message_id == first.message_id
        await end(servers)


@virtual_time
async def test_what_was_revoked_stays_so() -> None:
    async with cluster(late=True) as servers:
        before_s = await servers.node.revoke_user("ann")
        node = await servers.move()
        (answer,) = await gather_all(node.messages("ann", bearer=Bearer("ann", before_s - 1.0)))
        assert answer.code == "token_revoked"
        assert node.owner.loader.warm_loads == 1
        await end(servers)


@virtual_time
async def test_nothing_is_answered_before_the_claim_was_confirmed() -> None:
    """Whoever answers without one may be contradicted by what a third owner finds."""
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "hello", "c1")
        node = await servers.move()
        for point in (Point.WRITE, Point.ANSWER):
            node.store.hold(point)
        asking = [asyncio.create_task(node.messages("ann")), asyncio.create_task(node.send("ann", "ann", "2", "c2"))]
        for point in (Point.WRITE, Point.ANSWER):
            await settle()
            assert not any(task.done() for task in asking)
            node.store.release(point)
        page, _ = await gather_all(*asking)
        assert len(page.items) == 1
        assert [entry.incarnation for entry in await fence_of(servers, "ann")] == ["node-1", "node-2"]
        await end(servers)


@virtual_time
async def test_a_late_write_of_the_one_before_counts_no_more() -> None:
    """The claim says up to where it counts, as a load's does."""
    async with cluster(late=True) as servers:
        giver = servers.node
        await giver.send("ann", "ann", "kept", "c1")
        rows = await handed_by(servers)
        giver.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        await gather_all(giver.send("ann", "ann", "lost", "c2"))
        node = await servers.start(rows)
        assert await contents(node, "ann") == ["kept"]
        servers.store.land()
        await servers.restart()
        assert await contents(servers.node, "ann") == ["kept"]
        await end(servers)


@virtual_time
async def test_a_grant_that_ends_during_the_claim_serves_nothing() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "hello", "c1")
        node = await servers.move()
        node.store.hold(Point.ANSWER)
        asking = asyncio.create_task(node.messages("ann"))
        await settle()
        node.revoke()
        node.store.release(Point.ANSWER)
        (answer,) = await gather_all(asking)
        assert isinstance(answer, HandoverInProgress)
        assert node.owner.loader.warm_loads == 0


# ---------------------------------------------------------------------- what comes of a claim that fails


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.EXECUTE_LATE, Fault.EXECUTE_TWICE])
@virtual_time
async def test_after_a_claim_nothing_of_what_was_handed_over_is_used(fault: Fault) -> None:
    """The row may hold the claim, or get it, or neither; and what came after that is not in what was handed over."""
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "0", "c0")
        node = await servers.move()
        assert node.ownership is not None
        epoch = node.ownership.grant_of(0).epoch
        node.store.faults.next(fault, Op.MUTATE)
        (answer,) = await gather_all(node.messages("ann"))
        is_unknown = fault in (Fault.FAIL_AFTER, Fault.EXECUTE_LATE)
        assert isinstance(answer, StoreOutcomeUnknown) == is_unknown
        assert isinstance(answer, StoreUnavailable) == (is_unknown or fault is Fault.FAIL_BEFORE)
        assert len(node.owner.loader.warm) == 0
        await node.send("ann", "ann", "1", "c1")
        row = node.owner.table.row("ann")
        assert row.grant.epoch == epoch + is_unknown, "it is never used again"
        node.owner.table.drop(row)
        servers.store.land()
        assert await contents(node, "ann") == ["0", "1"]
        await end(servers)


@virtual_time
async def test_the_load_after_an_unknown_claim_reads_the_row() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "0", "c0")
        node = await servers.move()
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        await gather_all(node.messages("ann"))
        assert node.owner.table.loads == 0
        assert await contents(node, "ann") == ["0"]
        assert (node.owner.table.loads, node.owner.loader.warm_loads) == (1, 0)
        await end(servers)


@virtual_time
async def test_many_claims_of_one_call_leave_their_epochs_once() -> None:
    async with cluster(late=True) as servers:
        users = [f"user{number}" for number in range(100)]
        for user in users:
            await servers.node.send(user, user, "x", "c")
        node = await servers.move()
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        answers = await gather_all(*map(node.messages, users))
        assert {type(answer) for answer in answers} == {StoreOutcomeUnknown}
        assert node.ownership is not None
        epochs = {node.owner.table.row(user).grant.epoch for user in users}
        assert epochs == {node.ownership.grant_of(0).epoch}
        assert epochs == {(node.ownership.map_version << 24) + 1}
        for user in users:
            assert len((await node.messages(user)).items) == 1
        await end(servers)


# ---------------------------------------------------------------------- many at once


@virtual_time
async def test_claims_that_come_together_go_together() -> None:
    async with cluster(late=True) as servers:
        users = [f"user{number}" for number in range(600)]
        await asyncio.gather(*(servers.node.send(user, user, "x", "c") for user in users))
        node = await servers.move()
        pages = await asyncio.gather(*map(node.messages, users))
        assert {len(page.items) for page in pages} == {1}
        claims = node.owner.loader.warm_claims
        assert (node.owner.loader.warm_loads, claims.rows) == (600, 600)
        assert claims.store_calls == 3, "256 rows in each"
        await end(servers)


@virtual_time
async def test_what_comes_during_calls_goes_with_the_next_one() -> None:
    async with cluster(late=True) as servers:
        users = [f"user{number}" for number in range(40)]
        await asyncio.gather(*(servers.node.send(user, user, "x", "c") for user in users))
        node = await servers.move()
        node.store.hold(Point.WRITE)
        asking = []
        for user in users:
            asking.append(asyncio.create_task(node.messages(user)))
            await settle()
        claims = node.owner.loader.warm_claims
        assert claims.store_calls == warm_rows.CALLS, "a call that is not answered holds up no more than itself"
        node.store.release(Point.WRITE)
        assert {len(page.items) for page in await asyncio.gather(*asking)} == {1}
        assert claims.store_calls == warm_rows.CALLS + 1
        await end(servers)


@virtual_time
async def test_a_row_whose_head_is_far_ahead_is_claimed_by_a_call_of_its_own() -> None:
    """Its call has a time that is far ahead as well. A later delete would not hide what others have written by it."""
    async with cluster(late=True) as servers:
        servers.clock.jump(3600.0)
        await servers.node.send("ann", "ann", "x", "c")
        servers.clock.jump(-3600.0)
        for user in ("bob", "cem"):
            await servers.node.send(user, user, "x", "c")
        node = await servers.move()
        written: list[tuple[int, bool]] = []
        mutate = node.store.mutate

        async def noted(mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
            written.append((len(mutations), timestamp_ms > servers.clock.now_ms() + 3_000_000))
            await mutate(mutations, timestamp_ms)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.store, "mutate", noted)
            await asyncio.gather(*map(node.messages, ("ann", "bob", "cem")))
        assert sorted(written) == [(1, True), (2, False)]
        await end(servers)


# ---------------------------------------------------------------------- what is not handed over


@virtual_time
async def test_what_is_in_memory_is_handed_over_and_nothing_else() -> None:
    async with cluster(late=True) as servers:
        for user in ("ann", "bob"):
            await servers.node.send(user, user, "x", "c")
        await servers.restart()
        await servers.node.conversations("ann")
        assert await users_handed_by(servers) == ["ann"]


@virtual_time
async def test_a_row_of_an_unknown_outcome_is_not_handed_over() -> None:
    async with cluster(late=True) as servers:
        for user in ("ann", "bob"):
            await servers.node.send(user, user, "x", "c")
        servers.node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        await gather_all(servers.node.send("ann", "ann", "lost", "c2"))
        assert await users_handed_by(servers) == ["bob"]


@virtual_time
async def test_a_write_under_way_ends_before_its_row_is_handed_over() -> None:
    async with cluster(late=True) as servers:
        giver = servers.node
        await giver.send("ann", "ann", "1", "c1")
        giver.store.hold(Point.ANSWER)
        sending = asyncio.create_task(giver.send("ann", "ann", "2", "c2"))
        await settle()
        moving = asyncio.create_task(servers.move())
        await settle()
        assert not moving.done()
        giver.store.release(Point.ANSWER)
        await sending
        assert await contents(await moving, "ann") == ["1", "2"]
        assert servers.node.owner.loader.warm_loads == 1
        await end(servers)


@virtual_time
async def test_a_row_at_work_is_not_handed_over() -> None:
    """After a close there is none. This is what becomes of one where there is after all."""
    async with cluster(late=True) as servers:
        node = servers.node
        for user in ("ann", "bob"):
            await node.send(user, user, "x", "c")
        node.store.hold(Point.ANSWER)
        sending = asyncio.create_task(node.send("ann", "ann", "2", "c2"))
        await settle()
        rows = [row async for part in node.owner.handing_over.parts(ALL, 1 << 30, 1 << 20) for row in part]
        assert [row.user_id for row in rows] == ["bob"]
        node.store.release(Point.ANSWER)
        await sending


@virtual_time
async def test_a_sender_of_whom_something_has_spilled_is_not_handed_over() -> None:
    """Only the store has it. Who went on with what is in memory would let newer messages of the sender overtake it."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        await node.conversations("bob")
        node.owner.delivery.budget.most = 1
        node.store.hold(Point.WRITE)
        sending = [asyncio.create_task(node.send("ann", "bob", str(n), f"c{n}")) for n in range(2)]
        await settle()
        node.store.release(Point.WRITE)
        await gather_all(*sending)
        assert set(node.owner.delivery.spilled) == {"ann"}
        assert await users_handed_by(servers) == ["bob"]
        node.owner.delivery.budget.most = 100
        taker = await servers.move()
        await settle(3 * SHARDS)
        await servers.quiet()
        await taker.send("ann", "bob", "2", "c2")
        await servers.quiet()
        assert await contents(taker, "bob") == ["0", "1", "2"]
        await end(servers)


@virtual_time
async def test_a_row_of_a_silent_range_is_not_handed_over() -> None:
    async with cluster(late=True) as servers:
        await servers.kill()
        ranges = MemoryRanges([b"", b"0020/"], 5.0)
        servers.store.ranges = ranges
        node = await servers.start()
        users = [f"user{number}" for number in range(20)]
        for user in users:
            await node.send(user, user, "x", "c")
        assert await users_handed_by(servers) == sorted(users)
        silent = ranges.of(row_key("user0", SHARDS))
        ranges.silence(silent)
        node.owner.quarantine.complain([row_key("user0", SHARDS)], asyncio.get_running_loop().time())
        assert await users_handed_by(servers) == sorted(
            user for user in users if ranges.of(row_key(user, SHARDS)) != silent
        )
        ranges.restore()
        await asyncio.sleep(10)


@virtual_time
async def test_a_large_mailbox_is_not_handed_over() -> None:
    async with cluster(late=True) as servers:
        for user in ("ann", "bob"):
            await servers.node.send(user, user, "x", "c")
        await servers.node.send("ann", "ann", "y" * 10_000, "c1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(handing_over, "MOST_BYTES", 10_000)
            assert await users_handed_by(servers) == ["bob"]


@virtual_time
async def test_the_most_recently_used_come_first_as_far_as_there_is_room() -> None:
    async with cluster(late=True) as servers:
        users = [f"user{number}" for number in range(10)]
        for user in users:
            await servers.node.send(user, user, "x", "c")
        await servers.node.messages("user3")
        rows = await handed_by(servers)
        assert [row.user_id for row in rows][:3] == ["user3", "user9", "user8"]
        room = sum(row.size_bytes for row in rows[:4])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster_module, "HANDED_BYTES", room)
            assert await handed_by(servers) == rows[:4]


@virtual_time
async def test_what_is_of_other_shards_stays() -> None:
    async with cluster(late=True) as servers:
        users = [f"user{number}" for number in range(30)]
        for user in users:
            await servers.node.send(user, user, "x", "c")
        by_shard = {user: servers.node.owner.table.row(user).grant.shard for user in users}
        shards = sorted(set(by_shard.values()))[::2]
        rows = await handed_by(servers, shards)
        assert {row.user_id for row in rows} == {user for user in users if by_shard[user] in shards}


# ---------------------------------------------------------------------- outboxes


@virtual_time
async def test_what_is_to_be_delivered_goes_on_at_once() -> None:
    """Nobody asks for the sender, and no scan has found the row yet."""
    async with cluster(late=True) as servers:
        giver = servers.node
        await giver.conversations("ann")
        await giver.conversations("bob")
        giver.owner.delivery._deliver = _never
        assert (await giver.send("ann", "bob", "hello", "c1")).pending_recipients == 1
        (row,) = [row for row in await handed_by(servers) if row.has_outbox]
        assert row.user_id == "ann"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Recovery, "scan", _no_scan)
            taker = await servers.move()
        taker.store.hold(Point.READ)
        await settle()
        await taker.owner.pipeline.idle()
        assert taker.owner.loader.warm_loads == 2
        taker.store.release(Point.READ)
        assert await contents(taker, "bob") == ["hello"]
        assert (await taker.status("ann", "c1")).pending_recipients == 0
        await end(servers)


async def _no_scan(_recovery: Recovery) -> None:
    """It takes its time."""


def _never(_user_id: str, _messages: Sequence[Message]) -> "asyncio.Future[int]":
    """A recipient whose owner does not answer."""
    return asyncio.get_running_loop().create_future()


# ---------------------------------------------------------------------- what goes with a shard


@virtual_time
async def test_what_was_handed_over_goes_with_its_shard() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "1", "c1")
        old = await servers.move()
        assert len(old.owner.loader.warm) == 1
        newer = await servers.start()
        await newer.send("ann", "ann", "2", "c2")
        old.owner.give_away(ALL)
        assert len(old.owner.loader.warm) == 0
        newer.revoke()
        assert old.ownership is not None
        old.ownership.apply(9, dict.fromkeys(ALL, 9))
        old.ownership.is_held = True
        old.owner.take(ALL)
        assert await contents(old, "ann") == ["1", "2"]


@virtual_time
async def test_what_nobody_asks_for_is_dropped() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "1", "c1")
        node = await servers.move()
        await asyncio.sleep(warm_rows.KEEP_S - 1)
        assert len(node.owner.loader.warm) == 1
        await asyncio.sleep(2)
        assert (len(node.owner.loader.warm), node.owner.loader.warm.size_bytes) == (0, 0)
        assert await contents(node, "ann") == ["1"]


@virtual_time
async def test_what_is_no_mailbox_is_loaded() -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "1", "c1")
        rows = [replace(row, packed=b"\xc0") for row in await handed_by(servers)]
        node = await servers.start(rows)
        assert await contents(node, "ann") == ["1"]
        assert (node.owner.table.loads, node.owner.loader.warm_loads) == (1, 0)


@virtual_time
async def test_a_clock_in_doubt_claims_nothing() -> None:
    """And what was handed over is gone: the next request reads the row."""
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "1", "c1")
        node = await servers.move()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.loader._time, "now_us", _doubt)
            (answer,) = await gather_all(node.messages("ann"))
            assert isinstance(answer, RowboxError)
        assert await contents(node, "ann") == ["1"]
        assert node.owner.table.loads == 1


def _doubt() -> int:
    raise StoreUnavailable("the clock is in doubt")


assert UNLIMITED.cache.load_concurrency < 100, "else the claims of many would not pass the admission of loads"
