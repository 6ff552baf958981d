"""Whose turn it is at a row: first come, first served, also where a command needs a read before it is decided."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.ids import direct_conversation_id, from_text
from rowbox.mailbox.settings.config import CommitSettings
from tests.support.cluster import UNLIMITED, Cluster, Node, cluster, parsed
from tests.support.virtual_time import run_virtual, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
CALL_S = 0.005
ARRIVAL_S = 0.003


def slow(node: Node) -> None:
    """Each call to the store takes its time from now on."""
    for point in (Point.READ, Point.WRITE):
        node.store.gates[point].pause_s = CALL_S


async def incoming(node: Node, recipient: str, senders: int = 40) -> None:
    """Messages to one user, one each ARRIVAL_S, until it is cancelled."""
    sends: set[asyncio.Task[Any]] = set()
    for number in range(1_000_000):
        send = asyncio.create_task(node.send(f"sender{number % senders}", recipient, "x", f"in{number}"))
        sends.add(send)
        send.add_done_callback(sends.discard)
        await asyncio.sleep(ARRIVAL_S)


async def took(call: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    began = asyncio.get_running_loop().time()
    answer = await call
    return answer, asyncio.get_running_loop().time() - began


async def busy_recipient(servers: Cluster, senders: int = 40) -> "asyncio.Task[None]":
    """Bob is sent messages all the time, and everybody is in memory."""
    node = servers.node
    for number in range(senders):
        await node.conversations(f"sender{number}")
    slow(node)
    stream = asyncio.create_task(incoming(node, "bob", senders))
    await asyncio.sleep(1)
    return stream


@both_kinds
@virtual_time
async def test_a_retry_is_answered_however_fast_messages_come_in(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("bob", "ann", "once", "c")
        stream = await busy_recipient(servers)
        answer, seconds = await took(node.send("bob", "ann", "once", "c"))
        assert answer.duplicate
        assert seconds <= 10 * CALL_S
        stream.cancel()


@both_kinds
@virtual_time
async def test_a_mark_below_the_window_is_answered_however_fast_messages_come_in(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        conversation, messages = await with_more_than_a_window(node, "bob")
        stream = await busy_recipient(servers)
        marking = node.mark_read("bob", conversation, messages[-1])
        marked, seconds = await took(marking)
        assert marked.unread_count == 99
        assert seconds <= 10 * CALL_S
        stream.cancel()


@both_kinds
@virtual_time
async def test_what_waits_behind_a_retry_goes_on_with_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("bob", "ann", "once", "c")
        stream = await busy_recipient(servers)
        retry = asyncio.create_task(took(node.send("bob", "ann", "once", "c")))
        await asyncio.sleep(0)
        new, seconds = await took(node.send("bob", "ann", "new", "c2"))
        assert not new.duplicate
        assert seconds <= 10 * CALL_S
        await retry
        stream.cancel()


async def with_more_than_a_window(node: Node, user: str) -> tuple[bytes, list[bytes]]:
    """A conversation of `user` and its messages, newest first, of which memory does not hold the oldest."""
    for number in range(100):
        await node.send("dai", user, str(number), f"c{number}")
    conversation = direct_conversation_id("dai", user)
    page = await node.messages(user, conversation, page_size=100)
    return conversation, [from_text(item["messageId"], "messageId") for item in parsed(page)]


async def marks_for_ever(node: Node, user: str, conversation: bytes, message: bytes) -> None:
    """Marks that change nothing, and need two reads each to say so."""
    while True:
        await node.mark_read(user, conversation, message)


async def retry_to_someone_who_reads(servers: Cluster) -> tuple[Any, float]:
    """Bob is sent messages all the time, and his own retry also needs ann's row, which is read all the time."""
    node = servers.node
    await node.send("bob", "ann", "once", "c")
    conversation, messages = await with_more_than_a_window(node, "ann")
    await node.mark_read("ann", conversation, messages[0])
    stream = await busy_recipient(servers)
    marking = [marks_for_ever(node, "ann", conversation, messages[-1]) for _ in range(3)]
    streams = [stream, *map(asyncio.create_task, marking)]
    await asyncio.sleep(0.5)
    try:
        async with asyncio.timeout(5):
            return await took(node.send("bob", "ann", "once", "c"))
    finally:
        for task in streams:
            task.cancel()


@virtual_time
async def test_what_a_retry_has_read_stays_true_while_it_waits_for_another_row() -> None:
    async with cluster(late=False) as servers:
        answer, seconds = await retry_to_someone_who_reads(servers)
        assert answer.duplicate
        assert seconds <= 10 * CALL_S


def test_without_the_reservation_that_retry_starves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Row, "reserved_for", property(lambda _: None, lambda *_: None))

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=False) as servers:
            with pytest.raises(TimeoutError):
                await retry_to_someone_who_reads(servers)

    scenario()


@virtual_time
async def test_a_send_to_someone_who_retries_all_the_time_gets_its_turn() -> None:
    """The other direction: each retry of bob makes his row busy with a read."""
    async with cluster(late=False) as servers:
        node = servers.node
        for number in range(50):
            await node.send("bob", "ann", str(number), f"c{number}")
        await node.conversations("cem")
        slow(node)

        async def retry_for_ever() -> None:
            while True:
                await asyncio.gather(*(node.send("bob", "ann", str(n), f"c{n}") for n in range(2)))

        streams = [asyncio.create_task(retry_for_ever()) for _ in range(10)]
        await asyncio.sleep(1)
        _, seconds = await took(node.send("cem", "bob", "x", "c"))
        ahead = 2 * len(streams)
        assert seconds <= (ahead + 5) * CALL_S, "it waits for the retries that came before it, and no others"
        for stream in streams:
            stream.cancel()


@virtual_time
async def test_retries_to_each_other_do_not_wait_for_each_other() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        pairs = [("ann", "bob"), ("bob", "cem"), ("cem", "ann")]
        for sender, recipient in pairs:
            await node.send(sender, recipient, "once", "c")
        slow(node)
        stream = [asyncio.create_task(incoming(node, user, 5)) for user in ("ann", "bob", "cem")]
        await asyncio.sleep(0.5)
        sends = [node.send(sender, recipient, "once", "c") for _ in range(5) for sender, recipient in pairs]
        answers, seconds = await took(asyncio.gather(*sends))  # type: ignore[arg-type]
        assert all(answer.duplicate for answer in answers)
        assert seconds <= 60 * CALL_S
        for task in stream:
            task.cancel()


class Turn:
    """One command of the property below: who, to whom, whether it is a retry, and when."""

    def __init__(self, sender: int, recipient: int, *, is_retry: bool, after_ms: int) -> None:
        self.sender, self.recipient, self.is_retry, self.after_ms = sender, recipient, is_retry, after_ms

    def __repr__(self) -> str:
        return f"{'retry' if self.is_retry else 'send'} {self.sender}->{self.recipient} after {self.after_ms} ms"


USERS = 3
MOST_CALLS = 5
"""Of the store, that the first of all may wait for: one in flight, its read, a read in flight for a later command of
its other row, a batch that began meanwhile, and its write, or that of those behind it in its batch."""
EACH_ONCE = [
    Turn(0, 2, is_retry=True, after_ms=0),
    Turn(0, 0, is_retry=False, after_ms=1),
    Turn(2, 1, is_retry=True, after_ms=2),
    Turn(1, 1, is_retry=False, after_ms=4),
]
"""The first one's own read ends while row 2 is read for the third; that ends while the fourth is written."""
turns = st.lists(
    st.builds(
        lambda sender, recipient, is_retry, after_ms: Turn(sender, recipient, is_retry=is_retry, after_ms=after_ms),
        st.integers(0, USERS - 1),
        st.integers(0, USERS - 1),
        st.booleans(),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=60,
)


@both_kinds
@settings(max_examples=int(os.environ.get("ROWBOX_PROPERTY_EXAMPLES", "60")), deadline=None)
@given(script=turns)
@example(script=EACH_ONCE)
def test_nobody_waits_for_more_than_what_came_before(late: bool, script: list[Turn]) -> None:
    """However many come later: each command ahead costs MOST_CALLS at most, as itself does."""

    async def scenario() -> None:
        # A delivery is a command too, which arrives when the send is confirmed: nobody waits for it here.
        at_once = replace(UNLIMITED, commit=CommitSettings(delivery_wait_ms=0))
        async with cluster(late=late, settings=at_once) as servers:
            await play(servers, script)

    run_virtual(scenario())


async def play(servers: Cluster, script: list[Turn]) -> None:
    node = servers.node
    for sender in range(USERS):
        for recipient in range(USERS):
            await node.send(f"u{sender}", f"u{recipient}", "once", f"to{recipient}")
    await servers.quiet()
    slow(node)
    waiting: set[asyncio.Task[Any]] = set()
    ends: list[asyncio.Task[None]] = []

    async def one(number: int, turn: Turn, ahead: int) -> None:
        sender, recipient = f"u{turn.sender}", f"u{turn.recipient}"
        client_id = f"to{turn.recipient}" if turn.is_retry else f"new{number}"
        answer, seconds = await took(node.send(sender, recipient, "once", client_id))
        assert answer.duplicate is turn.is_retry
        assert seconds <= (ahead + 1) * MOST_CALLS * CALL_S + 0.001, f"{turn} behind {ahead}: {seconds}"

    for number, turn in enumerate(script):
        await asyncio.sleep(turn.after_ms / 1000)
        waiting = {task for task in waiting if not task.done()}
        task = asyncio.create_task(one(number, turn, len(waiting) + node.owner.delivery.pending))
        waiting.add(task)
        ends.append(task)
    await asyncio.gather(*ends)
