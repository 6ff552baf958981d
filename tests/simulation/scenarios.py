"""Short stories, each of which goes wrong when one certain rule is missing. Told straight, every one ends well."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rowbox.cacheserver.cache.waiters import Waiter, Waiters, Woken
from rowbox.cacheserver.ownership import SoleGrant
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.aggregate.window import Window
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.errors import HandoverInProgress, StoreOutcomeUnknown
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.message import MessageCopy
from tests.support.cluster import CRAMPED, UNLIMITED, Node, all_conversations, all_messages, cluster, gather_all, parsed
from tests.support.virtual_time import settle

Scenario = Callable[[], Coroutine[Any, Any, None]]


async def _contents(node: Node, user: str) -> list[str]:
    items, _ = await all_messages(node, user, None, 10)
    return [item["messageContent"] for item in items][::-1]


async def a_late_write_lands_in_place() -> None:
    """The index cell of an epoch is overwritten by a write that never counted."""
    await _lands_in_place(1)


async def a_late_write_of_two_joined_sends_lands_in_place() -> None:
    """As above, where the uncertain mutation was of two commands on one conversation."""
    await _lands_in_place(2)


async def _lands_in_place(sends: int) -> None:
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "ann", "kept", "c1")
        servers.node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        lost = await gather_all(*(servers.node.send("ann", "ann", f"lost {n}", f"l{n}") for n in range(sends)))
        assert all(isinstance(one, StoreOutcomeUnknown) for one in lost)
        assert await _contents(servers.node, "ann") == ["kept"]
        servers.store.land()
        await servers.restart()
        assert await _contents(servers.node, "ann") == ["kept"]
        (conversation,), _ = await all_conversations(servers.node, "ann", 10)
        assert conversation["snippet"] == "kept"


async def a_paused_owner_wakes_with_a_write_on_its_way() -> None:
    """Nobody may be told that a replaced owner's write was applied."""
    async with cluster(late=True) as servers:
        paused = servers.node
        await paused.send("ann", "ann", "before", "c1")
        paused.store.hold(Point.WRITE)
        sending = asyncio.create_task(paused.send("ann", "ann", "from the grave", "c2"))
        await settle()
        paused.pause()
        await servers.start()
        assert await _contents(servers.node, "ann") == ["before"]
        paused.wake()
        (answer,) = await gather_all(sending)
        assert isinstance(answer, HandoverInProgress), answer
        assert await _contents(servers.node, "ann") == ["before"]


async def a_replaced_owner_is_asked() -> None:
    """It has the mailbox in memory, as it was."""
    async with cluster(late=True) as servers:
        old = servers.node
        await old.send("ann", "bob", "first", "c1")
        await old.messages("bob")
        await servers.start()
        await servers.node.send("ann", "bob", "second", "c2")
        for answer in await gather_all(
            old.messages("bob"),
            old.conversations("bob"),
            old.status("ann", "c1"),
            old.send("ann", "bob", "first", "c1"),
            old.send("ann", "bob", "another payload", "c1"),
            old.mark_read("bob", bytes(16), bytes(16)),
            old.messages("bob", bytes(16)),
        ):
            assert isinstance(answer, HandoverInProgress), answer


async def a_lease_lapses_during_a_write_and_returns() -> None:
    """The write was executed and nobody was told. The mailbox in memory is without it, the row is not."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "ann", "first", "c1")
        node.store.hold(Point.ANSWER)
        sending = asyncio.create_task(node.send("ann", "ann", "second", "c2"))
        await settle()
        node.lapse()
        node.store.release(Point.ANSWER)
        (answer,) = await gather_all(sending)
        assert isinstance(answer, HandoverInProgress), answer
        node.renew()
        assert await _contents(node, "ann") == ["first", "second"]
        again = await node.send("ann", "ann", "second", "c2")
        assert again.duplicate
        await node.send("ann", "ann", "third", "c3")
        await servers.restart()
        assert await _contents(servers.node, "ann") == ["first", "second", "third"]


async def a_lease_lapses_between_a_load_and_an_answer_and_returns() -> None:
    """Whoever asked meanwhile was refused; whoever asks again gets what stands."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "first", "c1")
        await servers.quiet()
        for user in ("ann", "bob"):
            node.owner.table.drop(node.owner.table.row(user))
        node.store.hold(Point.READ)
        asking = asyncio.create_task(node.conversations("bob"))
        await settle()
        node.lapse()
        node.store.release(Point.READ)
        (answer,) = await gather_all(asking)
        assert isinstance(answer, HandoverInProgress), answer
        node.renew()
        assert await _contents(node, "bob") == ["first"]


async def a_claim_lands_after_another_owner_has_claimed() -> None:
    """The woken owner's view of the row is older than what the new one confirmed: it may remove nothing by it.

    The message of an owner that died lands between the woken owner's read and the new owner's. The new one counts it,
    the woken one does not.
    """
    async with cluster(late=True) as servers:
        dead = servers.node
        await dead.send("ann", "ann", "before", "c1")
        dead.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        await gather_all(dead.send("ann", "ann", "late", "c2"))
        await servers.kill(dead)
        woken = await servers.start()
        await settle(500)
        woken.store.hold(Point.WRITE)
        asking = asyncio.create_task(woken.messages("ann", direct_conversation_id("ann", "ann")))
        await settle()
        servers.store.land()
        new = await servers.start()
        confirmed = await new.send("ann", "ann", "late", "c2")
        assert confirmed.duplicate
        woken.wake()
        (answer,) = await gather_all(asking)
        assert isinstance(answer, HandoverInProgress), answer
        await asyncio.sleep(1)  # what was to be removed would be removed by now
        await servers.restart()
        again = await servers.node.send("ann", "ann", "late", "c2")
        assert again.message_id == confirmed.message_id
        assert await _contents(servers.node, "ann") == ["before", "late"]


async def two_owners_die_before_a_message_is_delivered() -> None:
    """Each of them has loaded the sender's row; what its outbox holds goes only when the recipient has it."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "first", "c1")
        await asyncio.sleep(1)
        sending = asyncio.create_task(node.send("ann", "bob", "second", "c2"))
        while not node.owner.delivery.pending:
            await settle(1)
        await servers.kill(node)
        await gather_all(sending)
        second = await servers.start()
        await settle(2)
        second.owner._deliver = _never  # type: ignore[method-assign,assignment]
        second.owner.delivery._deliver = _never
        await second.conversations("ann")
        await asyncio.sleep(1)
        await servers.kill(second)
        await servers.start()
        await asyncio.sleep(1)
        await servers.quiet()
        assert await _contents(servers.node, "bob") == ["first", "second"]


def _never(*_: object) -> "asyncio.Future[Any]":
    """A delivery that does not come to its end."""
    return asyncio.get_running_loop().create_future()


async def a_replaced_owner_reads_a_page() -> None:
    """It meets the cells of the one that replaced it: by its own list they are invalid, and it may not remove them."""
    async with cluster(late=True, settings=CRAMPED) as servers:
        conversation = direct_conversation_id("ann", "ann")
        for n in range(4):
            await servers.node.send("ann", "ann", f"text {n}", f"c{n}")
        old = await servers.restart()
        await old.conversations("ann")  # its messages are not in memory
        old.store.hold(Point.READ)
        asking = asyncio.create_task(old.messages("ann", conversation, page_size=50))
        await settle()
        new = await servers.start()
        for n in range(4, 6):
            await new.send("ann", "ann", f"text {n}", f"c{n}")
        old.store.release(Point.READ)
        (answer,) = await gather_all(asking)
        assert isinstance(answer, HandoverInProgress), answer
        await asyncio.sleep(1)  # what was to be removed would be removed by now
        await servers.restart()
        assert await _contents(servers.node, "ann") == [f"text {n}" for n in range(6)]


async def a_message_comes_while_a_poll_reads() -> None:
    """The poll's page is older than the message, and nobody wakes a poll that is not waiting yet."""
    async with cluster(late=False, settings=UNLIMITED) as servers:
        node = servers.node
        conversation = direct_conversation_id("ann", "ann")
        await node.send("ann", "ann", "first", "c1")
        token = (await node.messages("ann", conversation)).token
        await node.send("ann", "bob", "elsewhere", "c2")
        await servers.restart()  # what the log holds is read from the store
        node = servers.node
        await node.conversations("ann")
        node.store.hold(Point.READ)
        began = asyncio.get_running_loop().time()
        poll = asyncio.create_task(node.messages("ann", conversation, token=token, wait_ms=50_000))
        await settle()
        await node.send("ann", "ann", "second", "c3")
        node.store.release(Point.READ)
        assert [item["messageContent"] for item in parsed(await poll)] == ["second"]
        assert asyncio.get_running_loop().time() - began < 1


async def a_read_meets_what_is_not_committed() -> None:
    """The store has executed a write of which nobody was told yet."""
    async with cluster(late=True, settings=CRAMPED) as servers:
        conversation = direct_conversation_id("ann", "ann")
        for n in range(4):
            await servers.node.send("ann", "ann", f"text {n}", f"c{n}")
        node = await servers.restart()
        await node.conversations("ann")  # its messages are not in memory
        node.store.hold(Point.ANSWER)
        sending = asyncio.create_task(node.send("ann", "ann", "on its way", "c9"))
        await settle()
        page = await node.messages("ann", conversation, page_size=50)
        assert [item["messageContent"] for item in parsed(page)] == [f"text {n}" for n in (3, 2, 1, 0)]
        node.store.release(Point.ANSWER)
        await sending
        delta = parsed(await node.messages("ann", conversation, token=page.token))
        assert [item["messageContent"] for item in delta] == ["on its way"]


async def requests_of_one_sender_are_pipelined() -> None:
    """An API server forwards them in the order of arrival, without waiting for answers."""
    async with cluster(late=True) as servers:
        await servers.node.send("ann", "bob", "0", "c0")
        await asyncio.gather(*(servers.node.send("ann", "bob", str(n), f"c{n}") for n in range(1, 10)))
        await servers.quiet()
        for user in ("ann", "bob"):
            assert await _contents(servers.node, user) == [str(n) for n in range(10)]


async def two_mutations_of_a_row_at_once() -> None:
    """The second is asked for while the first is on its way; the first one then does not happen."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "ann", "0", "c0")
        node.store.hold(Point.WRITE)
        first = asyncio.create_task(node.send("ann", "ann", "1", "c1"))
        await settle()
        second = asyncio.create_task(node.send("ann", "ann", "2", "c2"))
        await settle()
        node.store.release(Point.WRITE)
        results = await gather_all(first, second)
        assert len({result.last_updated_timestamp for result in results}) == 2
        items, _ = await all_messages(node, "ann", None, 10)
        assert [item["messageContent"] for item in items] == ["2", "1", "0"]


async def a_retry_comes_after_a_restart() -> None:
    for late in (False, True):
        async with cluster(late=late) as servers:
            first = await servers.node.send("ann", "bob", "once", "c1")
            await servers.restart()
            again = await servers.node.send("ann", "bob", "once", "c1")
            assert again.duplicate
            assert again.message_id == first.message_id
            assert await _contents(servers.node, "bob") == ["once"]


async def an_outbox_survives_its_owner() -> None:
    """The sender's row is written, the recipient's is not, and the owner dies; nobody asks for the sender again."""
    async with cluster(late=True) as servers:
        node = servers.node
        sending = asyncio.create_task(node.send("ann", "bob", "on its way", "c1"))
        while not node.owner.delivery.pending:
            await settle(1)
        await servers.kill(node)
        await gather_all(sending)
        await servers.start()
        await asyncio.sleep(1)
        assert await _contents(servers.node, "bob") == ["on its way"]


async def a_message_is_delivered_again() -> None:
    """Its outbox cell was not removed before the owner died."""
    async with cluster(late=True) as servers:
        for n in range(3):
            await servers.node.send("ann", "bob", f"text {n}", f"c{n}")
        await servers.restart()  # at once: the cells wait for company before they are removed
        await asyncio.sleep(1)
        await servers.quiet()
        assert await _contents(servers.node, "bob") == ["text 0", "text 1", "text 2"]
        (conversation,), _ = await all_conversations(servers.node, "bob", 5)
        assert conversation["unreadCount"] == 3


async def a_poll_waits_while_the_mailbox_is_loaded_anew() -> None:
    """A write of unknown outcome became true; nobody applied it, so only the load can tell."""
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "ann", "first", "c1")
        token = (await node.messages("ann")).token
        poll = asyncio.create_task(node.messages("ann", token=token, wait_ms=50_000))
        await settle()
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        await gather_all(node.send("ann", "ann", "second", "c2"))
        await node.conversations("ann")
        began = asyncio.get_running_loop().time()
        assert [item["messageContent"] for item in parsed(await poll)] == ["second"]
        assert asyncio.get_running_loop().time() == began


async def a_poll_ends_in_the_moment_of_a_commit() -> None:
    """Its time is over and a message comes before its task runs: the token must not be behind the message."""
    waiters = Waiters(per_user=8, most=8)
    for why in (Woken.TIME, Woken.DRAIN):
        waiter = Waiter("ann", SoleGrant(0), 5, only_messages=True, conversation_id=None)
        waiting = waiters.begin(waiter, 60)
        await settle()
        waiter.wake(why)
        waiters.notify("ann", [LogCell(6, 1, ChangeKind.MESSAGE, bytes(16), bytes(16))], 6)
        assert await waiting is why
        assert waiter.head == 5


async def a_window_is_filled_while_it_overflows() -> None:
    """A read of older messages is on its way while more messages come than the window holds."""
    copies = [MessageCopy(n.to_bytes(16, "big"), n, 0, b"{}", n) for n in range(10)]
    window = Window(copies[5].message_id, limit=2, limit_bytes=1 << 20)
    missed = window.missed
    for copy in copies[6:9]:
        window.add(copy)
    window.fill(copies[4:6], copies[3].message_id, missed)
    held = [copy.message_id for copy in window.copies]
    assert held == [copy.message_id for copy in copies[:9] if copy.message_id > window.floor]


async def a_window_is_filled_while_a_message_sorts_below_it() -> None:
    """A read of older messages is on its way while a late message comes that belongs among them."""
    copies = [MessageCopy(n.to_bytes(16, "big"), n, 0, b"{}", n) for n in range(10)]
    window = Window(copies[8].message_id, limit=100, limit_bytes=1 << 20)
    missed = window.missed
    window.add(copies[6])
    window.fill([copies[5], copies[7], copies[8]], copies[4].message_id, missed)
    held = [copy.message_id for copy in window.copies]
    assert held == [copy.message_id for copy in copies[5:9] if copy.message_id > window.floor]
