"""What a router has sent behind a write that was refused is refused as well: nothing overtakes what comes again."""

import asyncio

import pytest

from rowbox.cacheserver.port import MarkRead, Routed, Send, SendResult
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import (
    HandoverInProgress,
    NotTheOwner,
    StoreOutcomeUnknown,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.revocation import Bearer
from tests.support.cluster import Node, all_messages, cluster
from tests.support.virtual_time import settle, virtual_time

ROUTER, OTHER_ROUTER = 7, 8


def send(
    node: Node,
    name: str,
    turn: int | None,
    *,
    router: int = ROUTER,
    user: str = "ann",
    bearer: Bearer | None = None,
) -> "asyncio.Task[SendResult]":
    routed = None if turn is None else Routed(router, turn)
    return asyncio.ensure_future(node.owner.send(Send(user, "zoe", name, name, bearer, routed)))


async def outcome(asked: "asyncio.Task[SendResult]") -> object:
    return (await asyncio.gather(asked, return_exceptions=True))[0]


async def sent(node: Node) -> list[str]:
    items, _ = await all_messages(node, "ann", None, 100)
    return [item["messageContent"] for item in items][::-1]


def comes_too_early(outcome: object) -> bool:
    return isinstance(outcome, NotTheOwner) and outcome.map_version == 0


@pytest.mark.parametrize("fault", [Fault.FAIL_AFTER, Fault.EXECUTE_LATE], ids=["written", "not written"])
@virtual_time
async def test_what_waits_behind_a_write_of_unknown_outcome_comes_again_behind_it(fault: Fault) -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        before = await node.send("ann", "zoe", "before", "before")
        node.store.faults.next(fault, Op.MUTATE)
        node.store.hold(Point.WRITE)
        first = send(node, "1", 1)
        await settle()
        second, third = send(node, "2", 1), send(node, "3", 0)
        mark = MarkRead("ann", before.conversation_id, before.message_id, None, Routed(ROUTER, 1))
        marking = asyncio.ensure_future(node.owner.mark_read(mark))
        others = [send(node, "of another router", 1, router=OTHER_ROUTER), send(node, "of none", None)]
        coming = asyncio.ensure_future(node.send("zoe", "ann", "hello", "hello"))
        await settle()
        node.store.release(Point.WRITE)
        assert isinstance(await outcome(first), StoreOutcomeUnknown)
        assert all(map(comes_too_early, await asyncio.gather(second, third, marking, return_exceptions=True)))
        await asyncio.gather(*others, coming)
        again = await asyncio.gather(*(send(node, name, 2) for name in "123"))
        assert [result.duplicate for result in again] == [fault is Fault.FAIL_AFTER, False, False]
        assert [name for name in await sent(node) if name in "123"] == ["1", "2", "3"]
        assert not node.owner.pipeline.waiting.count
        node.store.land()
        await servers.quiet()


@virtual_time
async def test_a_write_that_comes_before_anybody_has_heard_of_the_refusal_is_refused() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "zoe", "before", "before")
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        first = send(node, "1", 1)
        for _ in range(1_000):
            if node.owner.committer.counters.unknown_outcomes:
                break
            await asyncio.sleep(0)
        assert not first.done()
        with pytest.raises(NotTheOwner):
            await node.owner.send(Send("ann", "zoe", "2", "2", None, Routed(ROUTER, 1)))
        assert isinstance(await outcome(first), StoreOutcomeUnknown)


@virtual_time
async def test_what_waits_for_a_load_whose_claim_has_an_unknown_outcome_is_refused_with_the_first() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        sends = [send(node, name, 1) for name in "123"]
        first, *others = await asyncio.gather(*sends, return_exceptions=True)
        assert isinstance(first, StoreOutcomeUnknown)
        assert all(map(comes_too_early, others))
        await asyncio.gather(*(send(node, name, 2) for name in "123"))
        assert await sent(node) == ["1", "2", "3"]


@virtual_time
async def test_a_lease_that_comes_back_lets_nothing_overtake_what_it_had_refused() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "zoe", "before", "before")
        node.store.hold(Point.WRITE)
        first = send(node, "1", 1)
        await settle()
        second = send(node, "2", 1)
        await settle()
        node.lapse()
        node.store.release(Point.WRITE)
        assert isinstance(await outcome(first), HandoverInProgress)
        node.renew()
        assert comes_too_early(await outcome(second))
        await asyncio.gather(*(send(node, name, 2) for name in "12"))
        assert await sent(node) == ["before", "1", "2"]
        await servers.quiet()


@virtual_time
async def test_what_waits_behind_a_write_that_waited_too_long_is_not_begun() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "zoe", "before", "before")
        node.store.hold(Point.WRITE)
        under_way = send(node, "under way", None)
        await settle()
        first = send(node, "1", 1)
        await asyncio.sleep(5)
        second = send(node, "2", 1)
        assert isinstance(await outcome(first), StoreOutcomeUnknown)
        node.store.release(Point.WRITE)
        assert comes_too_early(await outcome(second))
        await outcome(under_way)
        await asyncio.gather(*(send(node, name, 2) for name in "12"))
        assert [name for name in await sent(node) if name in "12"] == ["1", "2"]
        node.store.land()
        await servers.quiet()


@virtual_time
async def test_a_write_that_ended_by_its_own_decision_refuses_nothing() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await asyncio.gather(send(node, "1", 1))
        unknown = MarkRead("ann", bytes(16), bytes(16), None, Routed(ROUTER, 1))
        marking = asyncio.ensure_future(node.owner.mark_read(unknown))
        second = send(node, "2", 1)
        assert isinstance(
            (await asyncio.gather(marking, return_exceptions=True))[0], UnknownConversation | UnknownMessage
        )
        assert not isinstance(await outcome(second), Exception)


@pytest.mark.parametrize("turn", [1, None], ids=["by a router", "by none"])
@virtual_time
async def test_a_write_whose_token_is_another_users_keeps_its_place_while_that_users_row_is_read(
    turn: int | None,
) -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        before = await node.send("ann", "zoe", "before", "before")
        node.store.hold(Point.READ)
        bearers = [None, Bearer("one"), None, Bearer("other"), Bearer("one")]
        sends = [send(node, name, turn, bearer=bearer) for name, bearer in zip("12345", bearers, strict=True)]
        mark = MarkRead("ann", before.conversation_id, before.message_id)
        marking = asyncio.ensure_future(node.owner.mark_read(mark))
        elsewhere = send(node, "by somebody else", turn, user="zoe")
        await settle()
        assert [one.done() for one in (*sends, marking, elsewhere)] == [True, False, False, False, False, False, True]
        sends[3].cancel()
        node.store.release(Point.READ)
        await asyncio.gather(*sends, marking, return_exceptions=True)
        assert [name for name in await sent(node) if name in "12345"] == ["1", "2", "3", "5"]
        assert not node.owner.revocations._lines
        await servers.quiet()


@virtual_time
async def test_what_waits_behind_a_write_whose_token_could_not_be_judged_comes_again_behind_it() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "zoe", "before", "before")
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        first, second = send(node, "1", 1, bearer=Bearer("one")), send(node, "2", 1)
        assert isinstance(await outcome(first), StoreOutcomeUnknown)
        assert comes_too_early(await outcome(second))
        await asyncio.gather(send(node, "1", 2, bearer=Bearer("one")), send(node, "2", 2))
        assert await sent(node) == ["before", "1", "2"]
