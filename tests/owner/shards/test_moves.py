"""Shards that are closed, kept after all, or given away; the ring between two owners."""

import asyncio

import pytest

from rowbox.cacheserver.access.revoked_ids import READ_EVERY_S
from rowbox.cacheserver.delivery import recovery as recovery_module
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import NotTheOwner, StoreOutcomeUnknown, TokenRevoked
from rowbox.mailbox.revocation import Bearer, token_hash
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import SHARDS, Node, cluster, gather_all, parsed
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN = frozenset({shard("ann")})


async def texts(node: Node, user: str) -> list[str]:
    return [item["messageContent"] for item in parsed(await node.messages(user))]


# ---------------------------------------------------------------------- closed


@both_kinds
@virtual_time
async def test_what_is_in_flight_of_a_closed_shard_ends_and_nothing_else_begins(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        token = (await node.messages("ann")).token
        await node.messages("bob")
        poll = asyncio.create_task(node.messages("ann", token=token, wait_ms=60_000))
        node.store.hold(Point.ANSWER)
        under_way = asyncio.create_task(node.send("ann", "ann", "under way", "c1"))
        await settle()
        queued = asyncio.create_task(node.send("ann", "ann", "queued", "c2"))
        await settle()
        closing = asyncio.create_task(node.process.call(node.owner.close_shards(ANN)))
        await settle()
        assert not closing.done()
        assert [type(answer) for answer in await gather_all(queued, poll)] == [NotTheOwner, NotTheOwner]
        node.store.release(Point.ANSWER)
        assert not (await under_way).duplicate
        await closing
        writes = node.owner.committer.counters.batches
        sends = node.send("ann", "ann", "later", "c3"), node.status("ann", "c1")
        answers = await gather_all(*sends, node.messages("ann"), node.conversations("ann"))
        assert {type(answer) for answer in answers} == {NotTheOwner}
        assert node.owner.committer.counters.batches == writes
        assert (await node.send("bob", "bob", "another shard", "c4")).pending_recipients == 0


@both_kinds
@virtual_time
async def test_a_shard_that_stays_after_all_goes_on_from_memory(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "one", "c1")
        loads = node.owner.table.loads
        await node.process.call(node.owner.close_shards(ANN))
        node.owner.reopen(ANN)
        await node.send("ann", "ann", "two", "c2")
        assert await texts(node, "ann") == ["two", "one"]
        assert node.owner.table.loads == loads


@virtual_time
async def test_a_load_under_way_is_waited_for_and_another_one_is_not_begun() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        node.store.hold(Point.ANSWER)  # of the claim
        page = asyncio.create_task(node.messages("ann"))
        await settle()
        closing = asyncio.create_task(node.process.call(node.owner.close_shards(ANN)))
        await settle()
        assert not closing.done()
        node.store.release(Point.ANSWER)
        await closing
        assert parsed(await page) == []
        node.owner.table.drop(node.owner.table.row("ann"))
        loads = node.owner.table.loads
        (answer,) = await gather_all(node.process.call(node.owner.table.loaded("ann")))
        assert isinstance(answer, NotTheOwner)
        assert node.owner.table.loads == loads


@virtual_time
async def test_a_row_of_unknown_outcome_is_not_in_memory_once_the_shard_is_closed() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.messages("ann")
        node.store.hold(Point.ANSWER)
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        sending = asyncio.create_task(node.send("ann", "ann", "one", "c1"))
        await settle()
        closing = asyncio.create_task(node.process.call(node.owner.close_shards(ANN)))
        await settle()
        node.store.release(Point.ANSWER)
        await closing
        (answer,) = await gather_all(sending)
        assert isinstance(answer, StoreOutcomeUnknown)
        assert [row for row in node.owner.table.rows_of(ANN) if row.mailbox is not None] == []


@virtual_time
async def test_a_delivery_to_a_closed_shard_is_tried_again_until_it_reopens() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.process.call(node.owner.close_shards(ANN))
        assert (await node.send("bob", "ann", "hello", "c1")).pending_recipients == 1
        assert node.owner.delivery.retries > 0
        node.owner.reopen(ANN)
        await servers.quiet()
        assert await texts(node, "ann") == ["hello"]


@virtual_time
async def test_of_shards_of_which_one_is_not_owned_none_is_closed() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        with pytest.raises(NotTheOwner):
            await first.process.call(first.owner.close_shards({*ANN, shard("bob")}))
        await first.send("ann", "ann", "one", "c1")


@virtual_time
async def test_whoever_sends_the_swap_answers_nothing_until_it_knows() -> None:
    async with sharing() as servers:
        first, _ = servers.nodes
        await first.send("ann", "ann", "one", "c1")
        assert first.ownership is not None
        grant = first.ownership.grant_of(shard("ann"))
        grant.suspend()
        answers = await gather_all(first.messages("ann"), first.send("ann", "ann", "two", "c2"))
        assert [type(answer) for answer in answers] == [NotTheOwner, NotTheOwner]
        grant.resume()
        assert await texts(first, "ann") == ["one"]


# ---------------------------------------------------------------------- given away


@virtual_time
async def test_what_is_still_granted_is_not_given_away() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.messages("ann")
        with pytest.raises(ValueError, match="still granted"):
            node.owner.give_away(ANN)
        assert node.owner.table.peek("ann") is not None


@virtual_time
async def test_a_shard_that_is_given_away_takes_nothing_else_out_of_memory() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        for user in ("ann", "bob"):
            await first.send(user, user, "one", "c1")
        before = first.owner.table.size_bytes
        servers.give(second, ANN)
        assert first.owner.table.peek("ann") is None
        assert first.owner.table.peek("bob") is not None
        assert 0 < first.owner.table.size_bytes < before
        assert first.owner.table.rows_of(ANN) == []
        assert await texts(second, "ann") == ["one"]


@virtual_time
async def test_a_send_that_waits_for_its_delivery_is_confirmed_as_pending() -> None:
    """It is in the store. The next owner of the sender finds it there at once, and delivers it."""
    async with sharing() as servers:
        first, second = servers.nodes
        await gather_all(*map(first.messages, ("ann", "bob")))
        await first.process.call(first.owner.close_shards([shard("bob")]))
        sending = asyncio.create_task(first.send("ann", "bob", "hello", "c1"))
        await settle()
        assert first.owner.delivery.pending == 1
        began = asyncio.get_running_loop().time()
        servers.give(second, ANN)
        assert (await sending).pending_recipients == 1
        assert asyncio.get_running_loop().time() == began
        assert (first.owner.delivery.pending, first.owner.delivery.budget.size_bytes) == (0, 0)
        first.owner.reopen([shard("bob")])
        await asyncio.sleep(5)
        assert await texts(first, "bob") == ["hello"]
        assert (await second.status("ann", "c1")).pending_recipients == 0


@virtual_time
async def test_a_send_is_not_called_delivered_because_nothing_is_known_of_it_any_more() -> None:
    """The shard goes between the commit and the moment at which the request looks for its message."""
    async with sharing() as servers:
        first, second = servers.nodes
        await gather_all(*map(first.messages, ("ann", "bob")))
        await first.process.call(first.owner.close_shards([shard("bob")]))
        applied = first.owner.committer._on_applied

        def then_away(*arguments: object) -> None:
            applied(*arguments)  # type: ignore[arg-type]
            asyncio.get_running_loop().call_soon(servers.give, second, ANN)

        first.owner.committer._on_applied = then_away
        assert (await first.send("ann", "bob", "hello", "c1")).pending_recipients == 1


@virtual_time
async def test_a_delivery_under_way_of_a_sender_who_was_given_away_ends_and_the_queue_goes_on() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        await gather_all(*map(first.messages, ("ann", "bob", "dai")))
        assert len({shard("ann"), shard("bob"), shard("dai")}) == 3
        await first.process.call(first.owner.close_shards([shard("bob")]))
        sending = [
            asyncio.create_task(first.send(user, "bob", f"of {user}", f"c{number}"))
            for number, user in enumerate(("ann", "dai", "ann"))
        ]
        await settle()
        first.owner.reopen([shard("bob")])
        first.store.hold(Point.ANSWER)
        await asyncio.sleep(3)  # the delivery to bob has been sent
        servers.give(second, ANN)
        first.store.release(Point.ANSWER)
        await gather_all(*sending)
        await servers.quiet()
        await asyncio.sleep(5)
        assert sorted(await texts(first, "bob")) == ["of ann", "of ann", "of dai"]
        assert first.owner.delivery.pending == 0
        assert first.owner.delivery._queues == {}


# ---------------------------------------------------------------------- taken


@virtual_time
async def test_outboxes_of_shards_that_were_taken_are_found_at_once_and_those_of_others_are_not() -> None:
    async with sharing() as servers:
        _, second = servers.nodes
        rows = [row_key(f"user{number}", SHARDS) for number in range(200)]
        await servers.store.mutate([RowMutation(row, [Put(Family.OUTBOX, b"any", b"thing")]) for row in rows], 1)
        visited: list[str] = []
        at_once = most = 0

        async def visit(user_id: str) -> None:
            nonlocal at_once, most
            visited.append(user_id)
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1

        second.owner.recovery._visit = visit
        taken = {3, 4, 5, 9, 40}
        servers.give(second, taken)
        await asyncio.sleep(10)
        expected = {user for user in (f"user{number}" for number in range(200)) if shard(user) in taken}
        assert set(visited) == expected
        assert len(visited) == len(expected) > 2
        assert 1 < most <= recovery_module.AT_ONCE


# ---------------------------------------------------------------------- the ring


@virtual_time
async def test_messages_go_round_between_two_owners() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        assert (await first.send("ann", "bob", "hello", "c1")).pending_recipients == 0
        assert (await second.send("bob", "ann", "hello yourself", "c2")).pending_recipients == 0
        assert await texts(second, "bob") == await texts(first, "ann") == ["hello yourself", "hello"]
        await asyncio.sleep(1)
        outbox = await servers.store.get_row(row_key("ann", SHARDS), [Family.OUTBOX])
        assert not outbox[Family.OUTBOX]


@virtual_time
async def test_where_the_ring_does_not_open_a_delivery_waits_until_the_recipient_comes_back() -> None:
    async with sharing(delivers_elsewhere=False) as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        assert (await first.send("ann", "bob", "hello", "c1")).pending_recipients == 1
        assert await texts(second, "bob") == []
        servers.give(first, [shard("bob")])
        await servers.quiet()
        assert await texts(first, "bob") == ["hello"]


# ---------------------------------------------------------------------- revoked ids


@virtual_time
async def test_an_id_that_another_owner_has_revoked_is_refused_within_a_second() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        await asyncio.sleep(10)
        bearer = Bearer("bob", servers.clock.now_us() // 1_000_000 - 5, token_hash("one"))
        token = (await second.messages("bob", bearer=bearer)).token
        poll = asyncio.create_task(second.messages("bob", token=token, wait_ms=60_000, bearer=bearer))
        await first.revoke_id("one")
        await asyncio.sleep(READ_EVERY_S + 0.1)
        assert poll.done()
        answers = await gather_all(poll, second.messages("bob", bearer=bearer))
        assert [type(answer) for answer in answers] == [TokenRevoked, TokenRevoked]


@virtual_time
async def test_the_list_is_read_again_soon_after_the_store_did_not_answer() -> None:
    async with sharing() as servers:
        first, second = servers.nodes
        servers.give(second, [shard("bob")])
        second.store.faults.roll(1, {}, read_chance=1.0)
        await asyncio.sleep(60)
        second.store.faults.clear()
        await first.revoke_id("one")
        await asyncio.sleep(READ_EVERY_S + 0.1)
        assert second.owner.revocations.ids.holds(token_hash("one"), servers.clock.now_us())
        assert second.owner.revocations.ids.missed_reads > 50


@virtual_time
async def test_who_owns_all_does_not_read_the_list_again() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await asyncio.sleep(2)
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        await asyncio.sleep(60)
        assert node.store.faults.take(Op.READ) is Fault.FAIL_BEFORE
