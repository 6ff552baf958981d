"""The memory store's faults do what they say: a simulation is worth what its faults are."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable, StoreUnusable

I = Family.INDEX  # noqa: E741 - its letter
A, B = b"0001/a", b"0001/b"
LATE_ONLY = [Fault.FAIL_AFTER, Fault.EXECUTE_TWICE, Fault.EXECUTE_LATE, Fault.EXECUTE_PARTLY]


def make(*, late_writes: bool = True) -> MemoryStore:
    return MemoryStore(64, {Family.DEDUPE: 100}, late_writes=late_writes, now_ms=lambda: 1000)


def write(store: MemoryStore, value: bytes, timestamp_ms: int, *rows: bytes) -> Coroutine[object, object, None]:
    return store.mutate([RowMutation(row, [Put(I, b"q", value), Put(I, b"r", value)]) for row in rows], timestamp_ms)


async def values(store: MemoryStore, row: bytes = A) -> list[bytes]:
    return [value for _, value in (await store.get_row(row, [I]))[I]]


async def reaches(store: MemoryStore, point: Point) -> None:
    """Until a call stands at the held gate."""
    while not store.gates[point].waiting:  # noqa: ASYNC110 - in turns of the loop, no time passes
        await asyncio.sleep(0)


async def test_fail_before_writes_nothing_ever() -> None:
    store = make()
    store.faults.next(Fault.FAIL_BEFORE)
    with pytest.raises(StoreUnavailable) as failure:
        await write(store, b"1", 1, A)
    assert not isinstance(failure.value, StoreOutcomeUnknown)
    assert (await values(store), store.late_count) == ([], 0)


async def test_fail_after_has_written_but_does_not_say_so() -> None:
    store = make()
    store.faults.next(Fault.FAIL_AFTER)
    with pytest.raises(StoreOutcomeUnknown):
        await write(store, b"1", 1, A)
    assert (await values(store), store.late_count) == ([b"1", b"1"], 0)


async def test_execute_late_writes_when_it_lands_row_by_row_and_each_row_whole() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_LATE)
    with pytest.raises(StoreOutcomeUnknown):
        await write(store, b"1", 1, A, B)
    assert (await values(store, A), await values(store, B), store.late_count) == ([], [], 2)
    store.land_one(1)
    assert (await values(store, A), await values(store, B)) == ([], [b"1", b"1"])
    store.land()
    assert (await values(store, A), store.late_count) == ([b"1", b"1"], 0)


async def test_a_late_write_does_not_hide_what_was_written_after_it() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_LATE)
    with pytest.raises(StoreOutcomeUnknown):
        await write(store, b"old", 1, A)
    await write(store, b"new", 2, A)
    store.land()
    assert await values(store) == [b"new", b"new"]


async def test_execute_twice_is_confirmed_and_lands_again_after_a_delete_that_hides_it() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_TWICE)
    await write(store, b"1", 1, A)
    await store.delete([RowDelete(A, [(I, b"q")])], 2)
    assert await values(store) == [b"1"]
    store.land()
    assert await values(store) == [b"1"]


async def test_after_a_major_compaction_a_late_put_is_seen_although_its_column_was_deleted() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_TWICE)
    await write(store, b"1", 1, A)
    await store.delete([RowDelete(A, [(I, b"q")])], 2)
    store.compact()
    assert await values(store) == [b"1"]
    store.land()
    assert await values(store) == [b"1", b"1"]


async def test_execute_partly_writes_the_first_half_of_the_rows_and_the_others_when_they_land() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_PARTLY)
    with pytest.raises(StoreOutcomeUnknown):
        await write(store, b"1", 1, A, B)
    assert (await values(store, A), await values(store, B)) == ([b"1", b"1"], [])
    store.forget_late()
    store.land()
    assert await values(store, B) == []


async def test_a_retried_compare_and_set_meets_itself_and_answers_false() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
    assert not await store.compare_and_set(A, I, b"q", None, b"1")
    assert await values(store) == [b"1"]


async def test_a_late_compare_and_set_looks_at_its_condition_when_it_lands() -> None:
    store = make()
    store.faults.next(Fault.EXECUTE_LATE)
    with pytest.raises(StoreOutcomeUnknown):
        await store.compare_and_set(A, I, b"q", None, b"late")
    await store.compare_and_set(A, I, b"q", None, b"now")
    store.land()
    assert await values(store) == [b"now"]


async def test_a_set_is_newer_than_what_a_clock_ahead_of_the_stores_has_put() -> None:
    store = make()
    await write(store, b"ahead", 5000, A)
    assert await store.compare_and_set(A, I, b"q", b"ahead", b"set")
    assert await store.get_columns(A, I, [b"q"]) == [(b"q", b"set")]


async def test_faults_wait_in_order_for_the_call_they_are_for() -> None:
    store = make()
    store.faults.next(Fault.FAIL_BEFORE, Op.READ)
    store.faults.next(Fault.FAIL_BEFORE)
    await write(store, b"1", 1, A)
    with pytest.raises(StoreUnavailable):
        await values(store)
    with pytest.raises(StoreUnavailable):
        await store.delete([RowDelete(A, [(I, b"q")])], 2)
    assert await values(store) == [b"1", b"1"]


async def test_break_ends_an_embedded_store_for_good() -> None:
    store = make(late_writes=False)
    await write(store, b"1", 1, A)
    store.faults.next(Fault.BREAK)
    for call in (lambda: write(store, b"2", 2, A), lambda: write(store, b"3", 3, A), lambda: values(store)):
        with pytest.raises(StoreUnusable):
            await call()
    assert await values(store.reopen()) == [b"1", b"1"]


@pytest.mark.parametrize("fault", LATE_ONLY)
def test_an_embedded_store_has_no_late_writes(fault: Fault) -> None:
    with pytest.raises(ValueError, match=fault.name):
        make(late_writes=False).faults.next(fault)


def test_a_clusters_store_does_not_break() -> None:
    with pytest.raises(ValueError, match="BREAK"):
        make().faults.next(Fault.BREAK)


def test_a_read_cannot_execute_late() -> None:
    with pytest.raises(ValueError, match="read"):
        make().faults.next(Fault.EXECUTE_LATE, Op.READ)


async def _fates(seed: int) -> list[str]:
    store = make()
    chances = dict.fromkeys([Fault.FAIL_BEFORE, *LATE_ONLY], 0.15)
    store.faults.roll(seed, chances, read_chance=0.2)
    answers: list[object] = []
    for number in range(60):
        calls = write(store, b"%d" % number, number, A, B), values(store)
        answers += await asyncio.gather(*calls, return_exceptions=True)
    store.faults.clear()
    await write(store, b"end", 60, A)
    return [type(answer).__name__ for answer in answers] + [str(store.late_count)]


async def test_dice_fall_the_same_for_the_same_seed() -> None:
    fates = await _fates(1)
    assert fates == await _fates(1)
    assert fates != await _fates(2)
    assert {"StoreUnavailable", "StoreOutcomeUnknown", "NoneType", "list"} <= set(fates)


@pytest.mark.parametrize(
    ("call", "point"),
    [
        (lambda store: write(store, b"1", 1, A), Point.WRITE),
        (lambda store: write(store, b"1", 1, A), Point.ANSWER),
        (lambda store: store.delete([RowDelete(A, [(I, b"q")])], 1), Point.WRITE),
        (lambda store: store.compare_and_set(A, I, b"q", None, b"1"), Point.WRITE),
        (values, Point.READ),
        (lambda store: store.get_columns(A, I, [b"q"]), Point.READ),
        (lambda store: store.get_range(A, I, b"", b"z", 1), Point.READ),
        (lambda store: store.scan(range(1, 2), I, None, 1), Point.READ),
        (lambda store: store.scan_rows(range(1, 2), I, None, 1), Point.READ),
    ],
)
async def test_a_held_call_goes_on_when_it_is_released(
    call: Callable[[MemoryStore], Coroutine[object, object, object]], point: Point
) -> None:
    store = make()
    store.hold(point)
    calling = asyncio.create_task(call(store))
    await reaches(store, point)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not calling.done()
    store.release(point)
    await calling


async def test_a_write_held_before_its_answer_has_executed() -> None:
    store = make()
    store.hold(Point.ANSWER)
    writing = asyncio.create_task(write(store, b"1", 1, A))
    await reaches(store, Point.ANSWER)
    assert await values(store) == [b"1", b"1"]
    store.release(Point.ANSWER)
    await writing


async def test_every_call_yields_to_the_loop() -> None:
    store = make()
    calls = [write(store, b"1", 1, A), values(store), store.scan(range(1, 2), I, None, 1), store.verify()]
    for call in calls:
        calling = asyncio.ensure_future(call)
        await asyncio.sleep(0)
        assert not calling.done()
        await calling


@pytest.mark.parametrize("late_writes", [False, True])
async def test_a_store_reopened_holds_what_had_executed_and_not_what_had_not(late_writes: bool) -> None:
    store = make(late_writes=late_writes)
    await write(store, b"1", 1, A)
    store.hold()
    writing = asyncio.create_task(write(store, b"2", 2, A))
    await reaches(store, Point.WRITE)
    following = store.reopen()
    await asyncio.wait([writing])
    store.release()
    assert await values(following) == [b"1", b"1"]
    with pytest.raises(StoreUnavailable):
        await values(store)


async def test_a_snapshot_is_the_disk_at_that_moment() -> None:
    store = make(late_writes=False)
    await write(store, b"1", 1, A)
    disk = store.snapshot()
    await write(store, b"2", 2, A)
    assert await values(store.reopen(disk)) == [b"1", b"1"]


async def test_two_nodes_share_cells_and_what_has_not_landed() -> None:
    one = make()
    other = one.beside()
    one.faults.next(Fault.EXECUTE_LATE)
    with pytest.raises(StoreOutcomeUnknown):
        await write(one, b"1", 1, A)
    await one.close()
    other.land()
    assert await values(other) == [b"1", b"1"]


async def test_it_refuses_what_the_port_forbids() -> None:
    store = make()
    with pytest.raises(ValueError, match="twice"):
        await write(store, b"1", 1, A, A)
    with pytest.raises(ValueError, match="empty"):
        await write(store, b"", 1, A)
