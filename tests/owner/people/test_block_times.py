"""Who is blocked cannot tell it by how long he waits over a store whose calls each take a hundredth of a second."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rowbox.cacheserver.port import ChangeResult, SendResult, TtlResult
from rowbox.cacheserver.stores.memory.store import MemoryStore
from tests.owner.people.test_blocks import block, both_kinds
from tests.support.cluster import Cluster, Node, cluster
from tests.support.virtual_time import virtual_time

CALL_S = 0.01
Deed = Callable[[Node, str, SendResult], Coroutine[Any, Any, SendResult | ChangeResult | TtlResult]]


def sends(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, SendResult]:
    return node.send(user, "bob", "a new one", "new")


def sends_again(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, SendResult]:
    return node.send(user, "bob", "text", "sent")


def edits(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, ChangeResult]:
    return node.change(user, sent, "another text")


def takes_back(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, ChangeResult]:
    return node.change(user, sent, None)


def reacts(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, ChangeResult]:
    return node.react(user, sent, "👍")


def sets_a_ttl(node: Node, user: str, sent: SendResult) -> Coroutine[Any, Any, TtlResult]:
    return node.set_ttl(user, sent.conversation_id, 3_600_000)


def slowed(store: MemoryStore) -> None:
    """From now on each of its calls takes CALL_S: each goes through one of these two."""
    read, write = store._begin_read, store._write

    async def slow_read(*rows: bytes) -> None:
        await asyncio.sleep(CALL_S)
        await read(*rows)

    async def slow_write(*what: Any) -> list[object]:
        await asyncio.sleep(CALL_S)
        return await write(*what)

    store._begin_read = slow_read  # type: ignore[assignment, method-assign]
    store._write = slow_write  # type: ignore[assignment, method-assign]


async def times(made: Cluster, deed: Deed, *, is_cold: bool) -> tuple[int, type]:
    """How many hundredths of a second Ann waits for what she does, and of what type the answer is."""
    sent = await made.node.send("ann", "bob", "text", "sent")
    await made.quiet()
    if is_cold:
        await made.restart()
    slowed(made.node.store)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    answer = await made.node.process.call(deed(made.node, "ann", sent))
    return round((loop.time() - began_s) / CALL_S), type(answer)


@both_kinds
@pytest.mark.parametrize("is_cold", [False, True], ids=["in-memory", "cold"])
@pytest.mark.parametrize("deed", [sends, sends_again, edits, takes_back, reacts, sets_a_ttl])
@virtual_time
async def test_who_is_blocked_waits_as_long_as_any_other(late: bool, is_cold: bool, deed: Deed) -> None:
    waited = {}
    for blocked in ("ann", "zed"):
        async with cluster(late=late) as made:
            for user in ("ann", "zed"):
                await made.node.send(user, "bob", "hello", "first")
            await block(made.node, "bob", blocked)
            waited[blocked] = await times(made, deed, is_cold=is_cold)
    assert waited["ann"] == waited["zed"]
    assert waited["ann"][0] > 0 or deed is sends_again
