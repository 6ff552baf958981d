"""Delivery to the recipients' rows, where the store cannot commit both: order, retries, spilling, recovery."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from rowbox.cacheserver.cache.commands import CommandResult
from rowbox.cacheserver.delivery import delivery as delivery_module
from rowbox.cacheserver.delivery.delivery import FIRST_PAUSE_S, LONGEST_PAUSE_S, Delivery
from rowbox.cacheserver.delivery.recovery import PAUSE_S, Recovery
from rowbox.cacheserver.ownership import SoleOwnership
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import LinkLost, Overloaded, StoreUnavailable
from rowbox.mailbox.ids import direct_conversation_id, message_id, shard_of
from rowbox.mailbox.message import Message
from tests.checking import assert_no_findings
from tests.support.cluster import CRAMPED, SHARDS, Cluster, Node, all_messages, cluster, gather_all
from tests.support.virtual_time import settle, virtual_time


async def contents(node: Node, user: str) -> list[str]:
    items, _ = await all_messages(node, user, None, 100)
    return [item["messageContent"] for item in items][::-1]


async def outbox_of(servers: Cluster, user: str) -> int:
    columns = await servers.store.get_row(row_key(user, SHARDS), (Family.OUTBOX,))
    return len(columns[Family.OUTBOX])


async def with_a_spilled_message(servers: Cluster) -> Node:
    """Two sends of ann to bob, who has the first; the second is in no queue, only in her outbox."""
    node = servers.node
    await node.conversations("ann")
    node.owner.delivery.budget.most = 1
    node.store.hold(Point.READ)
    await asyncio.gather(*(node.send("ann", "bob", str(n), f"c{n}") for n in range(2)))
    node.store.release(Point.READ)
    await servers.quiet()
    return node


@virtual_time
async def test_a_send_that_was_delivered_leaves_no_outbox() -> None:
    async with cluster(late=True) as servers:
        result = await servers.node.send("ann", "bob", "x", "c")
        assert result.pending_recipients == 0
        assert await contents(servers.node, "bob") == ["x"]
        await asyncio.sleep(1)
        assert await outbox_of(servers, "ann") == 0


@virtual_time
async def test_a_slow_recipient_is_reported_as_pending_and_delivered_later() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        began = asyncio.get_running_loop().time()
        node.store.hold(Point.READ)  # bob's row is cold and cannot be read
        result = await node.send("ann", "bob", "x", "c")
        assert result.pending_recipients == 1
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.3)
        assert (await node.send("ann", "bob", "x", "c2")).pending_recipients == 1
        assert await outbox_of_held(servers) == 2
        node.store.release(Point.READ)
        await servers.quiet()
        assert (await node.status("ann", "c")).pending_recipients == 0
        assert await contents(node, "bob") == ["x", "x"]


async def outbox_of_held(servers: Cluster) -> int:
    columns = servers.store._cells.columns(row_key("ann", SHARDS), Family.OUTBOX)
    return len(columns)


@virtual_time
async def test_a_message_goes_round_the_ring_once() -> None:
    """A send, and a delivery that sends nothing on (owner.py)."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "x", "c")
        await servers.quiet()
        await asyncio.sleep(1)
        assert node.owner.committer.counters.commands == 2
        assert node.owner.delivery.pending == await outbox_of(servers, "bob") == 0


@virtual_time
async def test_nothing_waits_for_what_has_arrived_or_for_whom_its_caller_has_left() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "x", "c")
        assert not node.owner.delivery._patience
        node.store.hold(Point.READ)
        leaving = asyncio.create_task(node.send("ann", "cem", "x", "d"))
        await settle()
        assert len(node.owner.delivery._patience) == 1
        leaving.cancel()
        await settle()
        assert not node.owner.delivery._patience
        node.store.release(Point.READ)


@virtual_time
async def test_who_waits_for_a_delivery_is_answered_when_the_server_stops() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        sending = asyncio.create_task(node.send("ann", "bob", "x", "c"))
        await settle()
        began_s = asyncio.get_running_loop().time()
        assert len(node.owner.delivery._retries) == 1
        await node.owner.delivery.close()
        assert (await sending).pending_recipients == 1
        assert asyncio.get_running_loop().time() == began_s
        assert not node.owner.delivery._retries


@virtual_time
async def test_what_comes_after_the_close_stays_in_the_outbox() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.owner.delivery.close()
        assert (await node.send("ann", "bob", "x", "c")).pending_recipients == 1
        assert await outbox_of(servers, "ann") == 1
        assert await contents(node, "bob") == []


@virtual_time
async def test_what_fails_is_tried_again_with_longer_pauses() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        for _ in range(8):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        began = asyncio.get_running_loop().time()
        result = await node.send("ann", "bob", "x", "c")
        assert result.pending_recipients == 1
        await servers.quiet()
        took = asyncio.get_running_loop().time() - began
        pauses = sum(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**n) for n in range(8))
        assert pauses * 0.5 <= took < pauses, "each is shortened at random, so that not all come back at once"
        assert node.owner.delivery.retries == 8
        assert await contents(node, "bob") == ["x"]


class Elsewhere:
    """The owner of all recipients: it does not answer until it `answers`."""

    def __init__(self, delivery: Delivery) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = LinkLost("no link", retry_after_ms=1000)
        delivery._deliver = self._deliver

    def _deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        self.asked.append(user_id)
        if self.error is not None:
            raise self.error
        delivered = asyncio.get_running_loop().create_future()
        delivered.set_result(len(messages))
        return delivered


@virtual_time
async def test_what_waits_for_its_next_try_is_tried_at_once_where_its_recipient_has_another_owner() -> None:
    async with cluster(late=True) as servers:
        node, delivery = servers.node, servers.node.owner.delivery
        elsewhere = Elsewhere(delivery)
        await asyncio.gather(*(node.send("ann", recipient, "x", recipient) for recipient in ("bob", "cid")))
        await asyncio.sleep(60)
        elsewhere.asked.clear()
        delivery.try_again(lambda _: False)
        assert elsewhere.asked == []
        delivery.try_again(lambda user: user == "bob")
        assert elsewhere.asked == ["bob"]
        await asyncio.sleep(1.5 * FIRST_PAUSE_S)
        assert elsewhere.asked.count("bob") == 2, "its pauses begin anew"
        elsewhere.error = None
        delivery.try_again(lambda user: user == "bob")
        await settle()
        assert delivery.pending == 1
        await servers.quiet()
        delivery.try_again(lambda _: True)
        assert elsewhere.asked.count("bob") == 3
        assert elsewhere.asked[-1] == "cid", "whose tries went on as they were"


@virtual_time
async def test_how_long_an_owner_that_does_not_answer_is_waited_for_is_not_for_it_to_say() -> None:
    """As in the router: what it asks for is meant for clients. A part of the store that is away is heeded."""
    async with cluster(late=True) as servers:
        node = servers.node
        elsewhere = Elsewhere(node.owner.delivery)
        sending = asyncio.create_task(node.send("ann", "bob", "x", "c"))
        await asyncio.sleep(0.5)
        assert len(elsewhere.asked) >= 3
        elsewhere.error = StoreUnavailable("away", retry_after_ms=1000)
        await asyncio.sleep(1)
        elsewhere.asked.clear()
        await asyncio.sleep(2)
        assert len(elsewhere.asked) <= 4
        elsewhere.error = None
        await sending
        await servers.quiet()


@virtual_time
async def test_after_a_delivery_that_arrived_the_pauses_begin_anew() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        began = 0.0
        for number, failures in enumerate([8, 1]):
            for _ in range(failures):
                node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
            began = asyncio.get_running_loop().time()
            await node.send("ann", "bob", "x", f"c{number}")
            await servers.quiet()
            row = node.owner.table.row("bob")
            node.owner.table.drop(row)
            node.owner.table.forget_if_empty(row)
        assert node.owner.delivery.retries == 9
        assert 0 < asyncio.get_running_loop().time() - began <= 2 * FIRST_PAUSE_S


@virtual_time
async def test_one_sender_s_messages_arrive_in_order_whatever_fails() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        node.store.faults.roll(3, {Fault.FAIL_BEFORE: 0.3}, read_chance=0.2)
        for n in range(20):
            while True:
                (answer,) = await gather_all(node.send("ann", "bob", str(n), f"c{n}"))
                if not isinstance(answer, Exception):
                    break
        node.store.faults.clear()
        await servers.quiet()
        versions, _ = await all_messages(node, "bob", None, 50)
        assert [item["messageContent"] for item in versions][::-1] == [str(n) for n in range(20)]


@virtual_time
async def test_many_messages_to_one_recipient_are_joined() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        senders = [f"u{n}" for n in range(30)]
        await asyncio.gather(*(node.send(sender, "bob", sender, "c") for sender in senders))
        await servers.quiet()
        assert sorted(await contents(node, "bob")) == sorted(senders)
        assert node.owner.committer.counters.batches < 30
        await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


@virtual_time
async def test_a_full_delivery_refuses_sends_and_tells_of_pending_ones_that_it_does_not_hold() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        senders = [f"sender{n}" for n in range(5)]
        for sender in senders:
            await node.conversations(sender)
        node.owner.delivery.budget.most = 2
        node.store.hold(Point.READ)
        sends = await asyncio.gather(*(node.send(sender, f"to {sender}", "x", "c") for sender in senders))
        assert [result.pending_recipients for result in sends] == [1] * 5
        assert node.owner.delivery.pending == 2
        assert set(node.owner.delivery.spilled) == {"sender2", "sender3", "sender4"}
        assert node.owner.delivery.spilled["sender4"].holds("to sender4")
        assert not node.owner.delivery.spilled["sender4"].holds("to sender0")
        (refused,) = await gather_all(node.send("sender4", "to sender4", "y", "c9"))
        assert isinstance(refused, Overloaded)
        node.store.release(Point.READ)
        await servers.quiet()
        await asyncio.sleep(PAUSE_S * 4)
        for sender in senders:
            assert await contents(node, f"to {sender}") == ["x"]
            assert await outbox_of(servers, sender) == 0
        assert (await node.status("sender4", "c")).pending_recipients == 0


@virtual_time
async def test_a_rescan_that_fails_is_made_good_by_the_next_one() -> None:
    """The row stays in memory: without being noted again, what was spilled would wait for its next load."""
    async with cluster(late=True) as servers:
        node = await with_a_spilled_message(servers)
        await asyncio.sleep(1)  # what was delivered has left the outbox
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        await gather_all(node.process.call(node.owner._visit_outbox("ann")))
        await node.process.call(node.owner.recovery.scan())
        await servers.quiet()
        assert await contents(node, "bob") == ["0", "1"]


@virtual_time
async def test_a_late_outbox_is_found_by_a_later_scan() -> None:
    """The write lands after the scan of the node that replaced its owner, and before anybody loaded the row."""
    async with cluster(late=True) as servers:
        node = servers.node
        node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)  # the claim: its outcome is unknown
        await gather_all(node.conversations("ann"))
        await node.conversations("ann")
        node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        await gather_all(node.send("ann", "bob", "late", "c"))
        await servers.restart()
        await asyncio.sleep(PAUSE_S / 2)
        servers.store.land()
        assert await contents(servers.node, "bob") == []
        await asyncio.sleep(PAUSE_S * 2)
        await servers.quiet()
        assert await contents(servers.node, "bob") == ["late"]
        assert await contents(servers.node, "ann") == ["late"]


@virtual_time
async def test_delivering_a_message_that_retention_has_taken_is_acknowledged_and_not_stored() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("ann")
        node.store.hold(Point.READ)
        sending = asyncio.create_task(node.send("ann", "bob", "old", "c"))
        await settle()
        servers.clock.jump(servers.settings.store.retention_ms / 1000 + 60)
        node.store.release(Point.READ)
        await gather_all(sending)
        await servers.quiet()
        assert await contents(node, "bob") == []


async def arrivals(node: Node, user: str) -> list[str]:
    """The messages of a mailbox in the order in which they came into it."""
    items, _ = await all_messages(node, user, None, 100)
    return [item["messageContent"] for item in sorted(items, key=lambda item: item["lastUpdatedTimestamp"])]


@virtual_time
async def test_a_delivery_that_fails_alone_is_not_overtaken_by_the_next() -> None:
    """The first is older than the window: whether bob has it is read from the store, and that fails."""
    async with cluster(late=True, settings=CRAMPED) as servers:
        node = servers.node
        said_at = servers.clock.now_us()
        for n in range(4):
            await node.send("bob", "ann", f"bob {n}", f"c{n}")
        await servers.quiet()
        parcels = []
        for version, (sent_us, text) in enumerate([(said_at, "first"), (servers.clock.now_us() + 1, "second")]):
            message = Message(message_id(sent_us, 1), direct_conversation_id("ann", "bob"), "ann", ("ann", "bob"), text)
            parcels.append(OutboxCell(message.message_id, 1, version, message))
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        node.owner.delivery.add("ann", row_key("ann", SHARDS), parcels)
        await servers.quiet()
        assert node.owner.delivery.retries == 1
        assert (await arrivals(node, "bob"))[-2:] == ["first", "second"]


@virtual_time
async def test_what_waits_for_one_recipient_comes_in_one_command_bounded_in_bytes() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        for content, deliveries in (("x", 1), ("x" * 60_000, 3)):
            before = node.owner.committer.counters.commands
            await asyncio.gather(*(node.send("ann", "bob", content, f"{len(content)}-{n}") for n in range(40)))
            await servers.quiet()
            assert node.owner.committer.counters.commands - before == 40 + deliveries
        assert await arrivals(node, "bob") == ["x"] * 40 + ["x" * 60_000] * 40


@virtual_time
async def test_what_has_spilled_is_not_overtaken_by_what_is_sent_later() -> None:
    async with cluster(late=True) as servers:
        node = await with_a_spilled_message(servers)
        node.owner.delivery.budget.most = 100
        assert (await node.send("ann", "bob", "2", "c2")).pending_recipients == 1
        assert (await node.send("ann", "carl", "x", "c3")).pending_recipients == 0, "another recipient's queue is free"
        assert await arrivals(node, "bob") == ["0"]
        assert (await node.status("ann", "c0")).pending_recipients == 0
        await asyncio.sleep(PAUSE_S * 1.5)
        assert await arrivals(node, "bob") == ["0", "1", "2"]
        assert node.owner.delivery.spilled == {}


@virtual_time
async def test_what_is_sent_while_a_spilled_outbox_is_read_follows_behind_it() -> None:
    async with cluster(late=True) as servers:
        node = await with_a_spilled_message(servers)
        node.owner.delivery.budget.most = 100
        node.store.hold(Point.READ)
        visit = asyncio.create_task(node.process.call(node.owner._visit_outbox("ann")))
        await settle()
        sending = asyncio.create_task(node.send("ann", "bob", "2", "c2"))
        await settle()
        node.store.release(Point.READ)
        await gather_all(visit, sending)
        await servers.quiet()
        assert await arrivals(node, "bob") == ["0", "1", "2"]
        assert node.owner.delivery.spilled == {}


@virtual_time
async def test_messages_for_a_damaged_row_wait_in_the_outbox_and_hinder_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        bob, broken = row_key("bob", SHARDS), b"c" + b"\x01" * 24
        await servers.store.mutate([RowMutation(bob, [Put(Family.INDEX, broken, b"\x00")])], servers.clock.now_ms())
        for n in range(3):
            assert (await node.send("ann", "bob", str(n), f"c{n}")).pending_recipients == 1
            await node.send(f"other{n}", "bob", f"other {n}", "c")
        assert len(caplog.records) == 1, "a line a minute, however many meet the row"
        assert (await node.send("ann", "carl", "x", "c")).pending_recipients == 0
        assert (await node.status("ann", "c0")).pending_recipients == 1
        await servers.quiet()  # ends: nothing of it counts as on its way
        await asyncio.sleep(PAUSE_S * 3.5)
        assert len(caplog.records) == 4, "one at the sends, and one for each scan"
        assert "bob" in caplog.text
        await servers.store.delete([RowDelete(bob, [(Family.INDEX, broken)])], servers.clock.now_ms())
        await asyncio.sleep(PAUSE_S * 1.5)
        assert [text for text in await arrivals(node, "bob") if "other" not in text] == ["0", "1", "2"]
        assert node.owner.delivery.spilled == {}
        assert await outbox_of(servers, "ann") == 0


@virtual_time
async def test_a_delivery_that_cannot_even_begin_hinders_no_other_one_of_its_turn(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        deliver = node.owner._deliver_here

        def broken(user_id: str, messages: Sequence[Message]) -> "asyncio.Future[CommandResult]":
            if user_id == "bob":
                raise ZeroDivisionError
            return deliver(user_id, messages)

        monkeypatch.setattr(node.owner, "_deliver_here", broken)
        to_bob, to_carol = await gather_all(node.send("ann", "bob", "x", "1"), node.send("ann", "carol", "y", "2"))
        assert (to_bob.pending_recipients, to_carol.pending_recipients) == (1, 0)
        assert await contents(node, "carol") == ["y"]
        assert await outbox_of(servers, "ann") >= 1
        assert "1 messages for bob stay in their senders' outboxes" in caplog.text


def test_the_pauses_are_bounded() -> None:
    assert delivery_module.FIRST_PAUSE_S < delivery_module.LONGEST_PAUSE_S


@virtual_time
async def test_a_part_of_the_store_that_cannot_be_read_leaves_the_rest_of_the_scan() -> None:
    """And no call looks at more than some of the shards: markers of what was delivered make a scan slow."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "hello", "c")
        asked: list[range] = []

        class Torn:
            shards = 4096

            async def scan_rows(self, shards: range, *_: object) -> list[bytes]:
                asked.append(shards)
                if shards[0] == 0:
                    raise StoreUnavailable("this part is away")
                return [row_key("ann", 4096)] if shards[0] <= shard_of("ann", 4096) <= shards[-1] else []

        recovery = Recovery(cast(Any, Torn()), SoleOwnership(4096), node.owner._visit_outbox)
        await node.process.call(recovery.scan())
        assert recovery.found == 1
        assert [shard for run in asked for shard in run] == list(range(4096))
        assert max(map(len, asked)) <= 64
