"""The queue for many waits: contract, order, cost. (tests/property/test_timer_queue.py: against a plain model.)"""

import asyncio
import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import pytest

from rowbox.mailbox.timing.timer_queue import SHORTEST_STEP_S, STEP_S, TimerQueue, step_of
from tests.support.virtual_time import VirtualTimeLoop, settle, virtual_time

MANY = 10_000


class Item:
    """Something that waits, and nothing else."""


def queue_of(ended: list[Any]) -> TimerQueue[Any]:
    return TimerQueue(asyncio.get_running_loop(), ended.append)


@virtual_time
async def test_each_wait_ends_within_a_step_after_its_time_and_never_before() -> None:
    loop, ended = asyncio.get_running_loop(), dict[float, float]()
    queue = TimerQueue[float](loop, lambda time_s: ended.update({time_s: loop.time()}))
    times = [0.0, 0.001, 0.3, 0.7, 1.0, 2.95, 55.0, 54.999]
    await asyncio.sleep(0.05)
    for time_s in times:
        queue.add(time_s, time_s)
    await asyncio.sleep(60)
    late = [ended[time_s] - 0.05 - time_s for time_s in times]
    assert all(-1e-9 <= late_s <= STEP_S + 1e-9 for late_s in late), late


@virtual_time
async def test_equal_times_end_in_the_order_of_their_adding_and_earlier_steps_first() -> None:
    ended: list[str] = []
    queue = queue_of(ended)
    for name, after_s in [("z", 5.0), ("y", 5.0), ("late", 9.0), ("x", 5.0), ("early", 1.0)]:
        queue.add(name, after_s)
    assert list(queue) == ["z", "y", "late", "x", "early"]
    assert "late" in queue
    assert "later" not in queue
    await asyncio.sleep(10)
    assert ended == ["early", "z", "y", "x", "late"]
    assert len(queue) == 0


@virtual_time
async def test_what_is_removed_is_not_called_and_not_held() -> None:
    ended: list[Item] = []
    queue = queue_of(ended)
    item = Item()
    gone = weakref.ref(item)
    queue.add(item, 5.0)
    queue.remove(item)
    queue.remove(item)
    del item
    assert gone() is None
    await asyncio.sleep(10)
    assert ended == []


@virtual_time
async def test_what_is_added_again_begins_its_time_anew() -> None:
    ended: list[str] = []
    queue = queue_of(ended)
    queue.add("a", 5.0)
    await asyncio.sleep(4)
    queue.add("a", 5.0)
    await asyncio.sleep(4)
    assert ended == []
    await asyncio.sleep(2)
    assert ended == ["a"]


@virtual_time
async def test_an_error_goes_to_the_loop_and_takes_nobody_s_turn() -> None:
    loop, ended, told = asyncio.get_running_loop(), list[str](), list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail_once(item: str) -> None:
        ended.append(item)
        if item == "bad":
            raise ValueError(item)

    queue = TimerQueue[str](loop, fail_once)
    for name, after_s in [("bad", 1.0), ("same step", 1.0), ("later", 2.0)]:
        queue.add(name, after_s)
    await asyncio.sleep(3)
    assert ended == ["bad", "same step", "later"]
    assert [str(error) for error in told] == ["bad"]


@virtual_time
async def test_what_another_one_s_end_removes_is_not_called() -> None:
    ended: list[str] = []

    def end(item: str) -> None:
        ended.append(item)
        queue.remove("b")

    queue = TimerQueue[str](asyncio.get_running_loop(), end)
    for name in "abc":
        queue.add(name, 1.0)
    await asyncio.sleep(2)
    assert ended == ["a", "c"]


@virtual_time
async def test_what_an_end_adds_is_called_in_a_later_turn_even_at_once() -> None:
    loop, ended = asyncio.get_running_loop(), list[str]()

    def end(item: str) -> None:
        ended.append(item)
        if item == "a":
            queue.add("b", 0.0)
            loop.call_soon(ended.append, "the loop's turn")

    queue = TimerQueue[str](loop, end)
    queue.add("a", 1.0)
    await asyncio.sleep(2)
    assert ended == ["a", "the loop's turn", "b"]


@virtual_time
async def test_one_that_is_added_again_by_another_one_s_end_waits_its_new_time() -> None:
    loop, ended = asyncio.get_running_loop(), list[tuple[str, float]]()

    def end(item: str) -> None:
        ended.append((item, loop.time()))
        if item == "a":
            queue.add("b", 1.0)

    queue = TimerQueue[str](loop, end, step_s=0.25)
    queue.add("a", 1.0)
    queue.add("b", 1.0)
    await asyncio.sleep(3)
    assert ended == [("a", 1.0), ("b", 2.0)]


@virtual_time
async def test_after_the_loop_stood_still_all_that_is_due_ends_at_once_and_in_order() -> None:
    ended: list[int] = []
    queue = queue_of(ended)
    for number in (3, 1, 2, 9):
        queue.add(number, float(number))
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._jumping.now_s += 5.0
    await settle(2)
    assert ended == [1, 2, 3]


@virtual_time
async def test_closing_gives_back_what_waited_and_calls_nobody() -> None:
    ended: list[str] = []
    queue = queue_of(ended)
    for name, after_s in [("a", 2.0), ("b", 1.0)]:
        queue.add(name, after_s)
    assert queue.close() == ["a", "b"]
    assert queue.close() == []
    await asyncio.sleep(3)
    assert ended == []
    queue.add("c", 1.0)  # it is as new
    await asyncio.sleep(2)
    assert ended == ["c"]


@virtual_time
async def test_a_queue_that_is_closed_leaves_nothing_with_the_loop() -> None:
    loop = asyncio.get_running_loop()
    queue = queue_of([])
    queue.add("a", 2.0)
    timer = queue._timer
    assert isinstance(timer, asyncio.TimerHandle)
    queue.close()
    assert timer.cancelled()
    assert loop.time() == 0


class EarlyLoop:
    """A loop whose timers are a moment early, as uvloop's are, which counts milliseconds."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(
        self, when: float, callback: Callable[..., object], /, *_args: Any, context: Context | None = None
    ) -> Any:
        self.timers.append(callback)
        self.now_s = when - 0.0004

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context)


def test_a_timer_that_is_a_moment_early_ends_the_step_and_is_not_set_again() -> None:
    """Set again for less than the loop can measure, it would keep the loop busy until the clock moves."""
    loop, ended = EarlyLoop(), list[str]()
    queue = TimerQueue[str](loop, ended.append)  # type: ignore[arg-type]  # call_at without arguments is all of it
    queue.add("a", 1.0)
    for timer in loop.timers:
        timer()
    assert (ended, len(loop.timers)) == (["a"], 1)


@virtual_time
async def test_an_end_that_closes_the_queue_is_the_last() -> None:
    ended: list[str] = []

    def end(item: str) -> None:
        ended.append(item)
        assert queue.close() == ["b", "c"]

    queue = TimerQueue[str](asyncio.get_running_loop(), end)
    for name, after_s in [("a", 1.0), ("b", 1.0), ("c", 2.0)]:
        queue.add(name, after_s)
    await asyncio.sleep(3)
    assert ended == ["a"]


@virtual_time
async def test_ends_belong_to_whoever_made_the_queue_and_not_to_who_added_first() -> None:
    """A line of the log that an end writes would carry the id of a request that has nothing to do with it."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []
    queue = TimerQueue[str](asyncio.get_running_loop(), lambda _: seen.append(request.get()))

    async def add() -> None:
        request.set("r1")
        queue.add("a", 1.0)

    await asyncio.create_task(add())
    await asyncio.sleep(2)
    assert seen == ["none"]


@virtual_time
async def test_many_waits_have_one_timer_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    set_at: list[float] = []
    call_at = loop.call_at

    def counting(when: float, *rest: Any, **options: Any) -> Any:
        set_at.append(when)
        return call_at(when, *rest, **options)

    loop.call_at = counting  # type: ignore[assignment,method-assign]
    queue = queue_of([])
    for number in range(MANY):
        queue.add(number, 30.0 + number / 1000)
    assert len(set_at) == 1
    for number in range(MANY):
        queue.remove(number)
    assert len(set_at) == 1
    queue.add(0, 10.0)
    assert len(set_at) == 2
    await asyncio.sleep(100)
    assert len(set_at) <= 4  # `sleep`'s own is one of them
    assert not queue._slots


@virtual_time
async def test_a_wait_costs_what_the_module_says() -> None:
    """Some 70 bytes: a dict's entries in the slot and in the index. A timer of the loop takes 256, with uvloop 580."""
    items = [Item() for _ in range(MANY)]
    queue = queue_of([])
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number, item in enumerate(items):
            queue.add(item, 20.0 + number * 7919 % 30_000 / 1000)
        each = (tracemalloc.get_traced_memory()[0] - before) / MANY
    finally:
        tracemalloc.stop()
    assert 40 < each < 100


@virtual_time
async def test_one_wait_more_takes_the_same_work_whatever_the_number_of_the_others() -> None:
    queue = queue_of([])

    def come_and_go() -> None:
        queue.add("one", 30.0)
        queue.remove("one")

    queue.add("first", 25.0)
    come_and_go()
    alone = calls_of(come_and_go)
    for number in range(MANY):
        queue.add(number, 29.0 + number / 10_000)
    assert calls_of(come_and_go) == alone <= 12


def calls_of(act: Callable[[], object]) -> int:
    """How many functions, Python's and C's, are called by `act`."""
    count = 0

    def note(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(("wait_s", "step_s"), [(0.0, SHORTEST_STEP_S), (0.02, 0.002), (1.0, 0.1), (600.0, STEP_S)])
def test_short_waits_have_short_steps(wait_s: float, step_s: float) -> None:
    assert step_of(wait_s) == pytest.approx(step_s)
