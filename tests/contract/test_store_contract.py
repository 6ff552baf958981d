"""What cacheserver/stores/port.py promises, sentence by sentence, of every store in conftest.STORES."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rowbox.cacheserver.stores.port import Column, Put, RowDelete, RowMutation, Store
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreUnavailable

from .conftest import SHARDS, TTL_MS, Stamps

ROW = b"0001/alice"
OTHER = b"0001/bob"
I, M, L, D, O = Family.INDEX, Family.MESSAGES, Family.LOG, Family.DEDUPE, Family.OUTBOX  # noqa: E741 - their letters
ALL = list(Family)

_names = count()
qualifiers = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"\x00", b"\x00\x00", b"\xff", b"\xff\xff", b"a", b"a\x00"]
)
cells = st.dictionaries(qualifiers, st.binary(min_size=1, max_size=8), max_size=12)
over_one_store = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has a row of its own in the one store
        HealthCheck.too_slow,
    ],
)


def fresh_row(shard: int = 2) -> bytes:
    return b"%04x/user%d" % (shard, next(_names))


def shard(number: int) -> range:
    """One shard, as a scan takes it."""
    return range(number, number + 1)


async def put(store: Store, stamps: Stamps, row: bytes, family: Family, columns: Sequence[Column]) -> None:
    await store.mutate([RowMutation(row, [Put(family, *column) for column in columns])], stamps.next())


async def whole(store: Store, row: bytes, family: Family) -> list[Column]:
    return (await store.get_row(row, [family]))[family]


# Rows and columns


async def test_a_missing_row_is_empty_in_every_asked_family(store: Store) -> None:
    assert await store.get_row(ROW, [I, D]) == {I: [], D: []}


async def test_a_row_holds_what_was_put_by_family_and_ascending(store: Store, stamps: Stamps) -> None:
    puts = [Put(I, b"b", b"2"), Put(I, b"a", b"1"), Put(M, b"a", b"3"), Put(O, b"x", b"4")]
    await store.mutate([RowMutation(ROW, puts)], stamps.next())
    assert await store.get_row(ROW, [I, M, L]) == {I: [(b"a", b"1"), (b"b", b"2")], M: [(b"a", b"3")], L: []}


async def test_a_row_within_a_number_of_columns_is_read_whole_and_a_larger_one_not_at_all(
    store: Store, stamps: Stamps
) -> None:
    puts = [Put(I, b"b", b"2"), Put(I, b"a", b"1"), Put(D, b"a", b"3"), Put(M, b"a", b"4"), Put(O, b"x", b"5")]
    await store.mutate([RowMutation(ROW, puts), RowMutation(OTHER, [Put(I, b"a", b"v")])], stamps.next())
    found = {I: [(b"a", b"1"), (b"b", b"2")], D: [(b"a", b"3")], O: [(b"x", b"5")]}
    assert await store.get_row_within(ROW, [I, D, O], 4) == found
    assert await store.get_row_within(ROW, [I, D, O], 5) == found
    for most in (1, 2, 3):
        assert await store.get_row_within(ROW, [I, D, O], most) is None
    assert await store.get_row_within(ROW, [L, I], 2) == {I: found[I], L: []}
    assert await store.get_row_within(b"0001/nobody", [I, D], 1) == {I: [], D: []}


async def test_one_call_puts_several_rows(store: Store, stamps: Stamps) -> None:
    await store.mutate(
        [RowMutation(ROW, [Put(I, b"a", b"1")]), RowMutation(OTHER, [Put(I, b"a", b"2")])], stamps.next()
    )
    assert [await whole(store, row, I) for row in (ROW, OTHER)] == [[(b"a", b"1")], [(b"a", b"2")]]


async def test_rows_whose_keys_begin_alike_do_not_mix(store: Store, stamps: Stamps) -> None:
    rows = [b"0001/a", b"0001/a+", b"0001/a.", b"0001/aa", b"0001/b"]
    await store.mutate([RowMutation(row, [Put(M, b"q", row), Put(M, b"\xff", row)]) for row in rows], stamps.next())
    for row in rows:
        expected = [(b"q", row), (b"\xff", row)]
        assert await whole(store, row, M) == expected
        assert await store.get_range(row, M, b"", b"\xff\xff", 10) == expected


async def test_a_put_replaces_the_value(store: Store, stamps: Stamps) -> None:
    await put(store, stamps, ROW, I, [(b"a", b"old")])
    await put(store, stamps, ROW, I, [(b"a", b"new")])
    assert await whole(store, ROW, I) == [(b"a", b"new")]


async def test_calls_begun_in_order_stand_in_that_order(store: Store, stamps: Stamps) -> None:
    await asyncio.gather(*(put(store, stamps, ROW, I, [(b"a", b"%d" % number)]) for number in range(40)))
    assert await whole(store, ROW, I) == [(b"a", b"39")]


async def test_a_long_value_comes_back_whole(store: Store, stamps: Stamps) -> None:
    value = bytes(range(256)) * 1024
    await put(store, stamps, ROW, M, [(b"a", value)])
    assert await whole(store, ROW, M) == [(b"a", value)]


# Reading a part


async def test_named_columns_that_exist_come_back_ascending_and_once(store: Store, stamps: Stamps) -> None:
    await put(store, stamps, ROW, D, [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    assert await store.get_columns(ROW, D, [b"c", b"x", b"a", b"c"]) == [(b"a", b"1"), (b"c", b"3")]
    assert await store.get_columns(ROW, D, []) == []


@over_one_store
@given(content=cells, start=qualifiers, stop=qualifiers, limit=st.integers(0, 14), keys_only=st.booleans())
async def test_a_range_is_what_a_sorted_dict_says(
    store: Store, stamps: Stamps, content: dict[bytes, bytes], start: bytes, stop: bytes, limit: int, keys_only: bool
) -> None:
    row = fresh_row()
    await put(store, stamps, row, M, list(content.items()))
    expected = [(q, b"" if keys_only else v) for q, v in sorted(content.items()) if start <= q < stop][:limit]
    assert await store.get_range(row, M, start, stop, limit, keys_only=keys_only) == expected


@over_one_store
@given(content=cells, limit=st.integers(1, 5))
async def test_paging_by_the_last_qualifier_gives_every_column_once(
    store: Store, stamps: Stamps, content: dict[bytes, bytes], limit: int
) -> None:
    row, start, found = fresh_row(), b"", list[Column]()
    await put(store, stamps, row, L, list(content.items()))
    while page := await store.get_range(row, L, start, b"\xff" * 6, limit):
        found += page
        start = keys.after(page[-1][0])
    assert found == sorted(content.items())


@over_one_store
@given(
    lengths=st.dictionaries(qualifiers, st.integers(1, 400), max_size=70),
    start=qualifiers,
    stop=qualifiers,
    limit=st.integers(1, 80),
    limit_bytes=st.integers(1, 10_000),
)
async def test_a_part_is_what_fits_and_says_where_the_range_goes_on(
    store: Store,
    stamps: Stamps,
    lengths: dict[bytes, int],
    start: bytes,
    stop: bytes,
    limit: int,
    limit_bytes: int,
) -> None:
    row = fresh_row()
    await put(store, stamps, row, M, [(qualifier, b"v" * length) for qualifier, length in lengths.items()])
    fitting, room_bytes = list[Column](), limit_bytes
    every = [(qualifier, b"v" * length) for qualifier, length in sorted(lengths.items()) if start <= qualifier < stop]
    for column in every[:limit]:
        room_bytes -= len(column[1])
        if room_bytes < 0 and fitting:
            break
        fitting.append(column)
    following = every[len(fitting)][0] if len(fitting) < len(every) else None
    assert await store.get_part(row, M, start, stop, limit=limit, limit_bytes=limit_bytes) == (fitting, following)


async def test_parts_of_large_values_give_every_column_once(store: Store, stamps: Stamps) -> None:
    sizes = [1, 60_000, 300, 65_000, 65_000, 2, 64_000, *([65_535] * 20), *([10] * 60), *([65_535] * 5)]
    expected = [(b"%03d" % place, b"v" * size) for place, size in enumerate(sizes)]
    await put(store, stamps, ROW, M, expected)
    found, start = list[Column](), b""
    while True:
        part = await store.get_part(ROW, M, start, b"\xff", limit=50, limit_bytes=1 << 18)
        assert len(part.columns) == 1 or sum(len(value) for _, value in part.columns) <= 1 << 18
        assert 0 < len(part.columns) <= 50
        found += part.columns
        if part.next is None:
            break
        start = part.next
    assert found == expected
    keys_alone = await store.get_range(ROW, M, b"", b"\xff", 1000, keys_only=True)
    assert keys_alone == [(qualifier, b"") for qualifier, _ in expected]


@over_one_store
@given(steps=st.lists(st.tuples(qualifiers, st.binary(min_size=1, max_size=4) | st.none()), max_size=20))
async def test_puts_and_deletes_are_what_a_dict_says(
    store: Store, stamps: Stamps, steps: list[tuple[bytes, bytes | None]]
) -> None:
    """None deletes. A qualifier that was deleted is not used again, as the port asks."""
    row, model, gone = fresh_row(), dict[bytes, bytes](), set[bytes]()
    for qualifier, value in steps:
        if value is None:
            await store.delete([RowDelete(row, [(D, qualifier)])], stamps.next())
            model.pop(qualifier, None)
            gone.add(qualifier)
        elif qualifier not in gone:
            await put(store, stamps, row, D, [(qualifier, value)])
            model[qualifier] = value
    assert await whole(store, row, D) == sorted(model.items())


async def test_a_row_is_read_at_one_moment(store: Store, stamps: Stamps) -> None:
    async def write() -> None:
        for number in range(1, 60):
            puts = [Put(family, b"n", b"%d" % number) for family in ALL]
            await store.mutate([RowMutation(ROW, puts)], stamps.next())

    async def read() -> set[bytes]:
        row = await store.get_row(ROW, ALL)
        return {value for columns in row.values() for _, value in columns}

    writing = asyncio.create_task(write())
    while not writing.done():
        assert len(await read()) <= 1
        await asyncio.sleep(0)
    assert await read() == {b"59"}


async def test_a_confirmed_write_is_seen_by_every_read(store: Store, stamps: Stamps) -> None:
    for number in range(30):
        await put(store, stamps, ROW, I, [(b"%02d" % number, b"v")])
        assert (await store.get_columns(ROW, I, [b"%02d" % number])) == [(b"%02d" % number, b"v")]
        assert len(await store.get_range(ROW, I, b"", b"\xff", 100)) == number + 1
        assert len((await store.scan(shard(1), I, None, 1))[0][1]) == number + 1


# Deleting


async def test_a_delete_removes_exactly_the_named_columns(store: Store, stamps: Stamps) -> None:
    for row in (ROW, OTHER):
        await store.mutate([RowMutation(row, [Put(f, q, b"v") for f in (I, O) for q in (b"a", b"b")])], stamps.next())
    await store.delete([RowDelete(ROW, [(O, b"a")]), RowDelete(OTHER, [(I, b"b"), (O, b"b")])], stamps.next())
    assert await store.get_row(ROW, [I, O]) == {I: [(b"a", b"v"), (b"b", b"v")], O: [(b"b", b"v")]}
    assert await store.get_row(OTHER, [I, O]) == {I: [(b"a", b"v")], O: [(b"a", b"v")]}


async def test_deleting_what_is_absent_is_no_error(store: Store, stamps: Stamps) -> None:
    await store.delete([RowDelete(ROW, [(O, b"a")])], stamps.next())
    assert await whole(store, ROW, O) == []


# Compare and set


async def test_compare_and_set_puts_iff_the_column_holds_what_was_expected(store: Store, stamps: Stamps) -> None:
    async def cas(expected: bytes | None, value: bytes) -> bool:
        return await store.compare_and_set(ROW, I, b"c", expected, value)

    assert not await cas(b"1", b"2")
    assert await cas(None, b"1")
    assert not await cas(None, b"2")
    assert not await cas(b"0", b"2")
    assert await whole(store, ROW, I) == [(b"c", b"1")]
    assert await cas(b"1", b"2")
    assert await whole(store, ROW, I) == [(b"c", b"2")]


async def test_of_many_who_compare_and_set_at_once_one_succeeds(store: Store, stamps: Stamps) -> None:
    answers = await asyncio.gather(*(store.compare_and_set(ROW, I, b"c", None, b"%d" % number) for number in range(20)))
    assert sum(answers) == 1
    assert await whole(store, ROW, I) == [(b"c", b"%d" % answers.index(True))]


async def test_what_was_set_stands_however_often_and_fast_it_is_set(store: Store, stamps: Stamps) -> None:
    for number in range(30):
        expected = b"%d" % (number - 1) if number else None
        assert await store.compare_and_set(ROW, I, b"c", expected, b"%d" % number)
        assert await whole(store, ROW, I) == [(b"c", b"%d" % number)]


# Scanning


async def test_a_scan_gives_the_rows_of_one_shard_that_have_the_family(store: Store, stamps: Stamps) -> None:
    await store.mutate(
        [
            RowMutation(b"0000/z", [Put(O, b"a", b"1")]),
            RowMutation(b"0001/a", [Put(O, b"a", b"1"), Put(O, b"b", b"2")]),
            RowMutation(b"0001/b", [Put(I, b"a", b"1")]),
            RowMutation(b"0001/c", [Put(O, b"a", b"3"), Put(I, b"a", b"1")]),
            RowMutation(b"0002/a", [Put(O, b"a", b"1")]),
        ],
        stamps.next(),
    )
    rows = [(b"0001/a", [(b"a", b"1"), (b"b", b"2")]), (b"0001/c", [(b"a", b"3")])]
    assert await store.scan(shard(1), O, None, 10) == rows
    assert await store.scan(shard(1), O, None, 1) == rows[:1]
    assert await store.scan(shard(1), O, b"0001/a", 10) == rows[1:]
    assert await store.scan(shard(1), O, b"0001/b", 10) == rows[1:]
    assert await store.scan(shard(1), O, b"0001/c", 10) == []
    assert await store.scan(shard(SHARDS - 1), O, None, 10) == []


async def test_paging_a_scan_gives_every_row_once(store: Store, stamps: Stamps) -> None:
    rows = sorted(b"0003/user%d" % number for number in range(23))
    await store.mutate([RowMutation(row, [Put(I, b"a", row)]) for row in rows], stamps.next())
    found: list[bytes] = []
    while page := await store.scan(shard(3), I, found[-1] if found else None, 5):
        found += [row for row, _ in page]
    assert found == rows


async def test_a_scan_of_several_shards_goes_on_from_one_to_the_next(store: Store, stamps: Stamps) -> None:
    rows = [b"%04x/user%d" % (number, user) for number in range(3, 8) for user in range(3)]
    await store.mutate([RowMutation(row, [Put(I, b"a", row), Put(I, b"b", row)]) for row in rows], stamps.next())
    asked = range(4, 7)
    expected = rows[3:12]
    assert [row for row, _ in await store.scan(asked, I, None, 100)] == expected
    assert await store.scan_rows(asked, I, None, 100) == expected
    assert await store.scan_rows(asked, I, rows[4], 100) == rows[5:12]
    found: list[bytes] = []
    while page := await store.scan_rows(asked, I, found[-1] if found else None, 4):
        found += page
    assert found == expected
    assert await store.scan_rows(range(SHARDS), I, None, 100) == rows


async def test_row_keys_are_of_rows_that_have_the_family_and_come_once(store: Store, stamps: Stamps) -> None:
    many = [Put(M, b"%03d" % number, b"v") for number in range(300)]
    await store.mutate([RowMutation(ROW, many), RowMutation(OTHER, [Put(I, b"a", b"1")])], stamps.next())
    assert await store.scan_rows(shard(1), M, None, 10) == [ROW]
    assert await store.scan_rows(shard(1), I, None, 10) == [OTHER]
    await store.delete([RowDelete(OTHER, [(I, b"a")])], stamps.next())
    assert await store.scan_rows(shard(1), I, None, 10) == []


@pytest.mark.parametrize("row", [keys.CLUSTER_ROW, keys.META_START + b"any"])
async def test_a_row_outside_the_shards_is_a_row_that_no_scan_shows(store: Store, stamps: Stamps, row: bytes) -> None:
    """Any but the schema's, which a store may hold itself."""
    await store.mutate([RowMutation(row, [Put(I, b"a", b"1"), Put(I, b"b", b"2")])], stamps.next())
    assert await store.compare_and_set(row, I, b"c", None, b"3")
    assert not await store.compare_and_set(row, I, b"c", b"4", b"5")
    await store.delete([RowDelete(row, [(I, b"b")])], stamps.next())
    assert await whole(store, row, I) == [(b"a", b"1"), (b"c", b"3")]
    assert await store.get_columns(row, I, [b"c"]) == [(b"c", b"3")]
    assert await store.get_range(row, I, b"b", b"z", 10) == [(b"c", b"3")]
    assert await store.scan(range(SHARDS), I, None, 10) == []
    assert await store.scan_rows(range(SHARDS), I, None, 10) == []


async def test_a_scan_does_not_give_a_row_whose_columns_were_deleted(store: Store, stamps: Stamps) -> None:
    await store.mutate([RowMutation(row, [Put(O, b"a", b"1")]) for row in (ROW, OTHER)], stamps.next())
    await store.delete([RowDelete(ROW, [(O, b"a")])], stamps.next())
    assert await store.scan(shard(1), O, None, 10) == [(OTHER, [(b"a", b"1")])]


# Time


@pytest.mark.parametrize("family", ALL)
async def test_no_read_returns_a_column_older_than_its_familys_ttl(
    store: Store, stamps: Stamps, family: Family
) -> None:
    ttl_ms = TTL_MS.get(family, 365 * 86_400_000)
    margin_ms = 60_000
    await store.mutate([RowMutation(ROW, [Put(family, b"old", b"v")])], stamps.now_ms - ttl_ms - margin_ms)
    await store.mutate([RowMutation(ROW, [Put(family, b"young", b"v")])], stamps.now_ms - ttl_ms + margin_ms)
    kept = [(b"young", b"v")] if family in TTL_MS else [(b"old", b"v"), (b"young", b"v")]
    assert await whole(store, ROW, family) == kept
    assert await store.get_columns(ROW, family, [b"old", b"young"]) == kept
    assert await store.get_range(ROW, family, b"", b"\xff", 10) == kept
    assert await store.get_range(ROW, family, b"", b"\xff", 1) == kept[:1]
    assert await store.get_range(ROW, family, b"", b"\xff", 1, keys_only=True) == [(kept[0][0], b"")]
    assert await store.get_part(ROW, family, b"", b"\xff", limit=10, limit_bytes=10) == (kept, None)
    assert await store.scan(shard(1), family, None, 10) == [(ROW, kept)]
    await store.mutate([RowMutation(OTHER, [Put(family, b"old", b"v")])], stamps.now_ms - ttl_ms - margin_ms)
    assert await store.scan_rows(shard(1), family, None, 10) == ([ROW] if family in TTL_MS else [ROW, OTHER])


async def test_an_expired_column_is_absent_to_compare_and_set(store: Store, stamps: Stamps) -> None:
    await store.mutate([RowMutation(ROW, [Put(D, b"a", b"1")])], stamps.now_ms - TTL_MS[D] - 60_000)
    assert not await store.compare_and_set(ROW, D, b"a", b"1", b"2")
    assert await store.compare_and_set(ROW, D, b"a", None, b"2")


async def test_an_expired_column_that_is_put_anew_is_there(store: Store, stamps: Stamps) -> None:
    await store.mutate([RowMutation(ROW, [Put(D, b"a", b"1")])], stamps.now_ms - TTL_MS[D] - 60_000)
    await put(store, stamps, ROW, D, [(b"a", b"2")])
    assert await whole(store, ROW, D) == [(b"a", b"2")]


async def test_of_two_puts_the_greater_timestamp_stands_or_embedded_the_last(store: Store, stamps: Stamps) -> None:
    early, late = stamps.next(), stamps.next()
    await store.mutate([RowMutation(ROW, [Put(I, b"a", b"late")])], late)
    await store.mutate([RowMutation(ROW, [Put(I, b"a", b"early")])], early)
    assert await whole(store, ROW, I) == [(b"a", b"late" if store.late_writes else b"early")]


async def test_a_delete_hides_an_older_put_that_executes_after_it_but_not_embedded(
    store: Store, stamps: Stamps
) -> None:
    early, late = stamps.next(), stamps.next()
    await store.delete([RowDelete(ROW, [(I, b"a")])], late)
    await store.mutate([RowMutation(ROW, [Put(I, b"a", b"1")])], early)
    await store.mutate([RowMutation(ROW, [Put(I, b"a", b"2")])], late)
    assert await whole(store, ROW, I) == ([] if store.late_writes else [(b"a", b"2")])


# The call itself


async def test_a_write_whose_caller_stops_waiting_is_finished(store: Store, stamps: Stamps) -> None:
    writing = asyncio.create_task(put(store, stamps, ROW, I, [(b"a", b"1")]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await put(store, stamps, ROW, I, [(b"b", b"2")])
    assert await whole(store, ROW, I) == [(b"a", b"1"), (b"b", b"2")]


async def test_closing_finishes_what_is_in_flight_and_twice_is_once(store: Store, stamps: Stamps) -> None:
    writing = asyncio.create_task(put(store, stamps, ROW, I, [(b"a", b"1")]))
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert writing.done()
    await writing
    await store.close()


async def test_a_closed_store_refuses_every_call(store: Store, stamps: Stamps) -> None:
    await store.close()
    calls = [
        store.mutate([RowMutation(ROW, [Put(I, b"a", b"1")])], stamps.next()),
        store.delete([RowDelete(ROW, [(I, b"a")])], stamps.next()),
        store.compare_and_set(ROW, I, b"a", None, b"1"),
        store.get_row(ROW, [I]),
        store.get_columns(ROW, I, [b"a"]),
        store.get_range(ROW, I, b"", b"\xff", 1),
        store.scan(shard(1), I, None, 1),
        store.scan_rows(shard(1), I, None, 1),
        store.verify(),
    ]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in errors), errors


async def test_a_store_tells_its_shards_and_figures(store: Store, stamps: Stamps) -> None:
    await store.verify()
    await put(store, stamps, ROW, I, [(b"a", b"1"), (b"b", b"2")])
    assert store.shards == SHARDS
    figures = await store.stats()
    assert figures.rows_estimate in {1, -1}
    assert all(figure >= -1 for figure in figures)
