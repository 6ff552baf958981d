"""Queues are bounded in bytes, and one user's flood leaves room for everybody else."""

import asyncio
import gc
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.budget import SHARES, Budget
from rowbox.cacheserver.cache.commands import SendCommand
from rowbox.cacheserver.delivery.delivery import NEWER_MESSAGES
from rowbox.cacheserver.delivery.recovery import PAUSE_S
from rowbox.cacheserver.delivery.spilled import SPILLED_RECIPIENTS
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import Overloaded
from rowbox.mailbox.settings.config import CommitSettings, Settings
from tests.support.cluster import UNLIMITED, Node, all_messages, cluster, gather_all
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
MIB = 1 << 20
TEXT = "x" * 60_000


def with_commit(**changes: Any) -> Settings:
    return replace(UNLIMITED, commit=CommitSettings(**changes))


async def held_sends(node: Node, senders: list[str], each: int) -> list["asyncio.Task[Any]"]:
    """Sends of everybody to himself while nothing is written."""
    for sender in senders:
        await node.conversations(sender)
    node.store.hold(Point.WRITE)
    sends: list[asyncio.Task[Any]] = []
    for number in range(each):
        sends += [asyncio.create_task(node.send(sender, sender, TEXT, f"c{number}")) for sender in senders]
        await settle()
    return sends


def refused(sends: list["asyncio.Task[Any]"]) -> int:
    return sum(task.done() and isinstance(task.exception(), Overloaded) for task in sends)


@both_kinds
@virtual_time
async def test_commands_are_bounded_in_bytes_and_not_only_in_number(late: bool) -> None:
    async with cluster(late=late, settings=with_commit(queue_bytes=4 * MIB, batch_bytes=64 * 1024)) as servers:
        node = servers.node
        sends = await held_sends(node, [f"u{n}" for n in range(40)], 10)
        waiting = node.owner.pipeline.waiting
        assert 3.9 * MIB <= waiting.size_bytes <= 4 * MIB + len(TEXT) + 1000
        assert refused(sends) >= 300
        node.store.release(Point.WRITE)
        await gather_all(*sends)
        assert waiting.count == waiting.size_bytes == 0


@both_kinds
@virtual_time
async def test_one_user_s_flood_of_writes_leaves_half_of_the_queue_to_the_others(late: bool) -> None:
    async with cluster(late=late, settings=with_commit(queue_bytes=4 * MIB, batch_bytes=64 * 1024)) as servers:
        node = servers.node
        await node.conversations("ann")
        flood = await held_sends(node, ["bot"], 100)
        assert 2 * MIB <= node.owner.pipeline.waiting.size_bytes <= 2 * MIB + len(TEXT) + 1000
        assert refused(flood) > 50
        others = asyncio.create_task(node.send("ann", "ann", TEXT, "c"))
        await settle()
        node.store.release(Point.WRITE)
        assert (await others).message_id
        await gather_all(*flood)


@both_kinds
@virtual_time
async def test_texts_of_answered_commands_do_not_stay_behind_one_that_hangs(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.conversations("ann")
        node.store.hold(Point.READ)
        hanging = asyncio.create_task(node.send("cold", "cold", "x", "c"))
        await settle()
        for number in range(99):
            await node.send("ann", "ann", "x", f"c{number}")
        sent = await node.send("ann", "ann", "x", "c99")
        for _ in range(2):  # the second changes nothing
            await node.mark_read("ann", sent.conversation_id, sent.message_id)
        assert len(node.owner.pipeline._outstanding) == 1
        gc.collect()
        kept = [thing for thing in gc.get_objects() if type(thing) is SendCommand]
        assert 1 <= len(kept) <= 2
        node.store.release(Point.READ)
        await hanging


@both_kinds
@pytest.mark.parametrize("which", ["messages", "conversations"])
@virtual_time
async def test_a_parked_poll_keeps_no_mailbox_in_memory(late: bool, which: str) -> None:
    """Ten thousand of them would keep ten thousand mailboxes, which the table has let go and counts no more."""
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "x", "c")
        fetch = node.messages if which == "messages" else node.conversations
        parked = asyncio.create_task(fetch("ann", token=(await fetch("ann")).token, wait_ms=50_000))
        await settle()
        assert node.owner.waiters.count == 1
        row = node.owner.table.row("ann")
        known = id(row.mailbox)
        node.owner.table.drop(row)
        gc.collect()
        assert known not in [id(thing) for thing in gc.get_objects() if type(thing) is Mailbox]
        parked.cancel()


@virtual_time
async def test_messages_on_their_way_are_bounded_in_bytes_and_wait_in_the_outboxes() -> None:
    async with cluster(late=True, settings=with_commit(delivery_bytes=4 * MIB)) as servers:
        node = servers.node
        senders = [f"u{n}" for n in range(30)]
        for sender in senders:
            await node.conversations(sender)
        node.store.hold(Point.READ)  # no recipient can be loaded
        sends = [node.send(sender, f"r{sender}{n}", TEXT, f"c{n}") for n in range(5) for sender in senders]
        answers = await gather_all(*sends)
        assert node.owner.delivery.budget.size_bytes <= 4 * MIB + len(TEXT) + 2000
        assert node.owner.delivery.spilled
        node.store.release(Point.READ)
        await servers.quiet()
        await asyncio.sleep(3 * PAUSE_S)
        await servers.quiet()
        for sender, number, answer in zip(senders * 5, [n for n in range(5) for _ in senders], answers, strict=True):
            items, _ = await all_messages(node, f"r{sender}{number}", None, 10)
            assert len(items) == (0 if isinstance(answer, Exception) else 1)
        assert node.owner.delivery.budget.count == node.owner.delivery.budget.size_bytes == 0


@virtual_time
async def test_one_sender_s_flood_leaves_half_of_the_delivery_to_the_others() -> None:
    async with cluster(late=True, settings=with_commit(delivery_bytes=4 * MIB)) as servers:
        node = servers.node
        for user in ("bot", "ann", "bob"):
            await node.conversations(user)
        node.store.hold(Point.READ)
        flood = await gather_all(*(node.send("bot", f"r{n}", TEXT, f"c{n}") for n in range(50)))
        assert not any(isinstance(answer, Exception) for answer in flood)
        (more,) = await gather_all(node.send("bot", "r", TEXT, "more"))
        assert isinstance(more, Overloaded)
        assert (await node.send("ann", "bob", TEXT, "c")).pending_recipients == 0
        node.store.release(Point.READ)


@virtual_time
async def test_recipients_who_cannot_be_reached_leave_half_of_the_delivery_to_the_others() -> None:
    """Each of them little, so no share is used up: a part of the store that is away."""
    async with cluster(late=True, settings=with_commit(delivery_bytes=4 * MIB)) as servers:
        node = servers.node
        senders = [f"u{n}" for n in range(25)]
        for user in (*senders, "ann", "bob"):
            await node.conversations(user)
        for _ in range(1000):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        for number in range(6):
            await gather_all(*(node.send(sender, f"to {sender}", TEXT, f"c{number}") for sender in senders))
        assert node.owner.delivery.budget.size_bytes <= 2 * MIB + len(TEXT) + 2000
        assert (await node.send("ann", "bob", TEXT, "c")).pending_recipients == 0
        node.store.faults.clear()
        await servers.quiet()
        await asyncio.sleep(3 * PAUSE_S)
        await servers.quiet()
        for sender in senders:
            items, _ = await all_messages(node, f"to {sender}", None, 10)
            assert len(items) == 6


@virtual_time
async def test_what_is_remembered_of_a_sender_that_has_spilled_is_bounded() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("bot")
        node.owner.delivery.budget.most = 1
        node.store.hold(Point.READ)
        recipients = [f"r{n}" for n in range(3 * SPILLED_RECIPIENTS)]
        await gather_all(*(node.send("bot", recipient, "x", recipient) for recipient in recipients))
        spilled = node.owner.delivery.spilled["bot"]
        assert spilled.for_everybody
        assert len(spilled._recipients) <= SPILLED_RECIPIENTS
        node.owner.delivery.budget.most = 1000
        node.store.release(Point.READ)
        await asyncio.sleep(3 * PAUSE_S)
        await servers.quiet()
        assert not node.owner.delivery.spilled
        for recipient in recipients:
            assert len((await all_messages(node, recipient, None, 10))[0]) == 1


@virtual_time
async def test_what_is_sent_while_an_outbox_is_read_back_is_bounded_and_nothing_is_lost() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.conversations("bot")
        node.owner.delivery.budget.most = 1
        node.store.hold(Point.READ)
        await gather_all(*(node.send("bot", "bob", str(n), f"c{n}") for n in range(2)))
        node.owner.delivery.budget.most = 10_000
        visit = asyncio.create_task(node.process.call(node.owner._visit_outbox("bot")))
        await settle()
        count = NEWER_MESSAGES + 50
        await gather_all(*(node.send("bot", "bob", str(n), f"c{n}") for n in range(2, count)))
        assert len(node.owner.delivery._newer["bot"]) == NEWER_MESSAGES
        node.store.release(Point.READ)
        await visit
        await servers.quiet()
        assert "bot" in node.owner.delivery.spilled
        await asyncio.sleep(3 * PAUSE_S)
        await servers.quiet()
        items, _ = await all_messages(node, "bob", None, 100)
        in_order = sorted(items, key=lambda item: item["lastUpdatedTimestamp"])
        assert [item["messageContent"] for item in in_order] == [str(n) for n in range(count)]


def test_a_budget_is_anybody_s_up_to_its_half_and_shared_beyond() -> None:
    budget = Budget(80, 8000)
    for _ in range(39):
        assert not budget.refuses(budget.count, budget.size_bytes)
        budget.add(10)
    budget.add(10)
    assert budget.refuses(80 // SHARES, 0)
    assert not budget.refuses(80 // SHARES - 1, 0)
    budget.add(4000)
    assert budget.refuses(0, 8000 // SHARES)
    budget.add(8000)
    assert budget.refuses(0, 0)
    assert budget.is_full
