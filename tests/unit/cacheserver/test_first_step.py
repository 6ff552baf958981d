"""Coroutines whose first step is made at once."""

import asyncio

import pytest

from rowbox.cacheserver.first_step import Beginning, Ended, begin
from tests.support.virtual_time import virtual_time


async def outside(begun: object) -> object:
    """The result of `begin`, called where no task runs."""
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            done.set_result(begin(begun, "test"))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - the test judges it
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(call)
    return await done


@virtual_time
async def test_what_waits_for_nothing_gets_no_task() -> None:
    async def at_once() -> int:
        return 5

    before = asyncio.all_tasks()
    assert await outside(at_once()) == Ended(5)
    assert asyncio.all_tasks() == before


@virtual_time
async def test_what_a_first_step_raises_is_raised() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await outside(fails())


@virtual_time
async def test_the_rest_waits_returns_raises_and_is_cancelled_as_in_any_task() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    async def waits() -> str:
        await asyncio.sleep(0)
        try:
            found = await first
        except asyncio.CancelledError:
            return "cancelled"
        return f"{found} {await second}"

    for number in range(3):
        first, second = loop.create_future(), loop.create_future()
        task = await outside(waits())
        assert isinstance(task, asyncio.Task)
        await asyncio.sleep(0)
        if number == 0:
            first.set_result("one")
            second.set_exception(KeyError("two"))
            with pytest.raises(KeyError):
                await task
        elif number == 1:
            first.set_result("one")
            second.set_result("two")
            assert await task == "one two"
        else:
            await asyncio.sleep(0)
            task.cancel()
            assert await task == "cancelled"


@virtual_time
async def test_a_timeout_that_begins_in_a_first_step_ends_the_wait() -> None:
    async def waits() -> str:
        try:
            async with asyncio.timeout(3):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return f"after {asyncio.get_running_loop().time():.0f} s"
        return ""

    task = await outside(waits())
    assert isinstance(task, asyncio.Task)
    assert await task == "after 3 s"


@virtual_time
async def test_a_wait_for_in_a_first_step_and_another_after_it() -> None:
    async def waits() -> str:
        assert await asyncio.wait_for(asyncio.sleep(1, "in time"), 3) == "in time"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 3)
        return "done"

    task = await outside(waits())
    assert isinstance(task, asyncio.Task)
    assert await task == "done"


@virtual_time
async def test_outside_of_a_first_step_there_is_no_task_as_before() -> None:
    seen: list[object] = []

    async def looks() -> None:
        seen.append(asyncio.current_task())

    def call() -> None:
        begin(looks(), "test")
        seen.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(call)
    await asyncio.sleep(0.1)
    assert isinstance(seen[0], Beginning)
    assert seen[1] is None
    assert Beginning().cancel() is False
    assert (Beginning().cancelling(), Beginning().uncancel()) == (0, 0)
