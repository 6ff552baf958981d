"""Who waits, and what ends it. (tests/owner/pages/test_polls.py: the same, seen by a client.)"""

import asyncio

import pytest

from rowbox.cacheserver.cache.waiters import Waiter, Waiters, Woken
from rowbox.cacheserver.ownership import SoleGrant
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.errors import Overloaded
from rowbox.mailbox.ids import ZERO_ID
from rowbox.mailbox.timing.timer_queue import STEP_S
from tests.support.virtual_time import settle, virtual_time

HERE, THERE = bytes(16), bytes(15) + b"\x01"


def waiter(user: str = "ann", head: int = 5, conversation: bytes | None = None, *, messages: bool = True) -> Waiter:
    return Waiter(user, SoleGrant(0), head, only_messages=messages, conversation_id=conversation)


async def wait(waiters: Waiters, one: Waiter, timeout_s: float) -> Woken:
    """As a fetch waits."""
    try:
        return await waiters.begin(one, timeout_s)
    finally:
        waiters.end(one)


@pytest.mark.parametrize(
    ("messages", "conversation", "change", "is_woken"),
    [
        (True, None, (ChangeKind.MESSAGE, HERE), True),
        (True, None, (ChangeKind.READ_MARK, HERE), False),
        (True, HERE, (ChangeKind.MESSAGE, HERE), True),
        (True, HERE, (ChangeKind.MESSAGE, THERE), False),
        (False, None, (ChangeKind.READ_MARK, THERE), True),
    ],
)
def test_a_change_wakes_those_who_wait_for_it_and_tells_the_others_the_head(
    messages: bool, conversation: bytes | None, change: tuple[ChangeKind, bytes], is_woken: bool
) -> None:
    @virtual_time
    async def scenario() -> None:
        waiters = Waiters(per_user=8, most=8)
        one = waiter(conversation=conversation, messages=messages)
        waiting = asyncio.create_task(wait(waiters, one, 10))
        await settle()
        waiters.notify("bob", [LogCell(8, 1, *change, ZERO_ID)], 8)
        waiters.notify("ann", [LogCell(9, 1, *change, ZERO_ID)], 9)
        assert await waiting is (Woken.CHANGE if is_woken else Woken.TIME)
        assert one.head == (5 if is_woken else 9)

    scenario()


@virtual_time
async def test_a_wait_that_ended_does_not_take_a_later_head() -> None:
    """What it waits for wakes it no more, and is hidden by the token of what comes behind that."""
    for end in (Woken.TIME, Woken.DRAIN):
        waiters = Waiters(per_user=8, most=8)
        one = waiter()
        waiting = asyncio.create_task(wait(waiters, one, 10))
        await settle()
        one.wake(end)
        waiters.notify("ann", [LogCell(9, 1, ChangeKind.MESSAGE, HERE, ZERO_ID)], 9)
        waiters.notify("ann", [LogCell(10, 1, ChangeKind.READ_MARK, HERE, ZERO_ID)], 10)
        assert await waiting is end
        assert one.head == 5


@virtual_time
async def test_a_mailbox_that_comes_into_memory_with_a_greater_head_wakes() -> None:
    waiters = Waiters(per_user=8, most=8)
    one = waiter(head=5)
    waiting = asyncio.create_task(wait(waiters, one, 10))
    await settle()
    waiters.notify_loaded("ann", 5)
    await settle()
    assert not waiting.done()
    waiters.notify_loaded("ann", 6)
    assert await waiting is Woken.CHANGE


@virtual_time
async def test_one_too_many_of_a_user_ends_the_oldest_and_one_too_many_of_all_is_refused() -> None:
    waiters = Waiters(per_user=2, most=3)
    of_ann = [asyncio.create_task(wait(waiters, waiter(), 10)) for _ in range(2)]
    of_bob = asyncio.create_task(wait(waiters, waiter("bob"), 10))
    await settle()
    with pytest.raises(Overloaded):
        await wait(waiters, waiter("cem"), 10)
    third = asyncio.create_task(wait(waiters, waiter(), 10))
    await settle()
    assert of_ann[0].result() is Woken.REPLACED
    assert waiters.count == 3
    assert await of_ann[1] is await third is await of_bob is Woken.TIME
    assert (waiters.count, waiters._by_user) == (0, {})


@virtual_time
async def test_a_wait_that_is_cancelled_frees_its_slot() -> None:
    waiters = Waiters(per_user=1, most=1)
    waiting = asyncio.create_task(wait(waiters, waiter(), 10))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (waiters.count, waiters._by_user) == (0, {})


@virtual_time
async def test_drain_ends_every_wait_and_each_that_begins_later() -> None:
    waiters = Waiters(per_user=8, most=100)
    waits = [asyncio.create_task(wait(waiters, waiter(f"u{n}"), 10)) for n in range(20)]
    await settle()
    waiters.drain()
    assert set(await asyncio.gather(*waits)) == {Woken.DRAIN}
    assert await wait(waiters, waiter(), 10) is Woken.DRAIN
    assert asyncio.get_running_loop().time() == 0


@virtual_time
async def test_each_wait_ends_when_its_time_is_over_and_never_before() -> None:
    waiters = Waiters(per_user=8, most=100)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ended_after(user: str, timeout_s: float) -> float:
        assert await wait(waiters, waiter(user), timeout_s) is Woken.TIME
        return loop.time() - began

    times = [10.0, 0.0, 3.0, 0.04, 10.05, 55.0]
    ended = await asyncio.gather(*(ended_after(f"u{n}", time) for n, time in enumerate(times)))
    assert all(time <= end <= time + STEP_S + 0.001 for time, end in zip(times, ended, strict=True)), ended


@virtual_time
async def test_a_wait_that_was_ended_leaves_nothing_behind() -> None:
    waiters = Waiters(per_user=8, most=100)
    waiting = [asyncio.create_task(wait(waiters, waiter(f"u{n}"), 10 + n % 3)) for n in range(20)]
    await settle()
    for task in waiting[::2]:
        task.cancel()
    waiters.drain()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert waiters.count == 0
    assert not waiters._ends
