"""The embedded store and a clock that is wrong for a while: nothing is deleted by time that was not seen to pass."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.stores.files.clock_file import NAME, ClockFile
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.clocks.clock_trust import Remembered, by_word
from rowbox.mailbox.errors import StoreUnavailable

from .rocksdb_fixture import opened

ROW = b"0001/alice"
DAY_MS = 86_400_000
DAY_S = 86_400
TTL_MS = {Family.MESSAGES: 30 * DAY_MS, Family.DEDUPE: 7 * DAY_MS}
NOW_US = 1_800_000_000_000_000


class Machine:
    """Both clocks of a machine, in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall_us, self.boot_s = NOW_US, 100.0

    def passes(self, seconds: float) -> None:
        self.wall_us += int(seconds * 1_000_000)
        self.boot_s += seconds

    @asynccontextmanager
    async def started(self) -> AsyncIterator[tuple[RocksStore, TrustedTime]]:
        """A store as a server opens it; closed, the store remembers the time."""
        time = TrustedTime(wall_us=lambda: self.wall_us, boot_s=lambda: self.boot_s)
        await time.begin(ClockFile(self.folder))
        how = {"now_ms": lambda: time.seen_us() // 1000, "may_purge": lambda: not time.doubt, "ttl_ms": TTL_MS}
        async with opened(self.folder, **how) as store:
            yield store, time
            await time.close()

    async def put(self, store: RocksStore) -> None:
        for family in TTL_MS:
            await store.mutate([RowMutation(ROW, [Put(family, b"q", b"v")])], self.wall_us // 1000)


async def _purged(store: RocksStore) -> int:
    """How many columns the purge deletes in a walk over all families."""
    return sum([await store.purge.step() for _ in range(2 * len(TTL_MS))])


async def _shown(store: RocksStore) -> int:
    return sum(map(len, (await store.get_row(ROW, list(TTL_MS))).values()))


async def test_of_swaps_at_once_one_takes_place_and_all_hear_of_it(tmp_path: Path) -> None:
    """A stop cancels a save whose thread goes on, and saves again; an operator says a word in between."""
    async with opened(tmp_path, ttl_ms=TTL_MS):
        memory = ClockFile(tmp_path)
        stands: Remembered | None = None
        for number in range(50):
            swaps = [memory.swap(stands, Remembered(NOW_US + 4 * number + each)) for each in range(4)]
            heard = await asyncio.gather(*swaps)
            assert set(heard) == {await memory.read()}
            stands = heard[0]


async def test_a_kill_or_a_full_disk_in_the_middle_of_what_is_remembered_leaves_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was being written had the name of the marker of a store that was never finished: all was gone."""
    machine = Machine(tmp_path)
    async with machine.started() as (store, _):
        await machine.put(store)
    before = await ClockFile(tmp_path).read()
    assert before is not None

    def fails(_descriptor: int) -> None:
        raise OSError("no space left, or the end of the process")

    with monkeypatch.context() as patch:
        patch.setattr("rowbox.cacheserver.stores.files.clock_file.os.fsync", fails)
        with pytest.raises(StoreUnavailable):
            await ClockFile(tmp_path).swap(before, before)
    machine.passes(60)
    async with machine.started() as (store, _):
        assert await _shown(store) == 2
        assert await ClockFile(tmp_path).read() == before


async def test_a_clock_that_is_years_ahead_for_seconds_deletes_nothing(tmp_path: Path) -> None:
    """The purge took one reading of the clock, and deleted everybody's mail for good."""
    machine = Machine(tmp_path)
    async with machine.started() as (store, time):
        await machine.put(store)
        machine.wall_us += 10 * 365 * DAY_S * 1_000_000
        await time.loop._work()
        assert time.doubt
        assert await _purged(store) == 0
        assert await _shown(store) == 2
        machine.wall_us -= 10 * 365 * DAY_S * 1_000_000
        await time.loop._work()
        assert not time.doubt
        assert await _purged(store) == 0


async def test_a_start_with_a_clock_that_is_two_months_ahead_deletes_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.started() as (store, _):
        await machine.put(store)
    machine.wall_us += 61 * DAY_S * 1_000_000
    async with machine.started() as (store, time):
        assert not time.doubt
        machine.passes(6 * DAY_S)
        await time.loop._work()
        assert (await _purged(store), await _shown(store)) == (0, 2)


async def test_what_has_expired_while_the_machine_was_off_goes_once_that_time_is_confirmed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.started() as (store, _):
        await machine.put(store)
    machine.wall_us += 61 * DAY_S * 1_000_000
    machine.boot_s = 50.0
    async with machine.started() as (store, time):
        for _ in range(8):
            machine.passes(DAY_S)
            await time.loop._work()
        assert (await _purged(store), await _shown(store)) == (2, 0)


async def test_what_expires_while_the_server_runs_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.started() as (store, time):
        await machine.put(store)
        machine.passes(8 * DAY_S)
        await time.loop._work()
        assert (await _purged(store), await _shown(store)) == (1, 1)


async def test_the_memory_is_kept_while_the_server_runs_and_survives_its_kill(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.started() as (_, time):
        await time.loop._work()
        machine.passes(61)
        await time.loop._work()
        stands = await ClockFile(tmp_path).read()
        assert stands is not None
        assert stands.latest_us == machine.wall_us
        kept = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(kept)  # what a kill at that moment leaves
    machine.wall_us -= 3600 * 1_000_000
    async with machine.started() as (_, time):
        assert "the clock is 1 h behind" in time.doubt


async def test_a_server_that_saves_after_an_operator_s_word_does_not_take_it_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.started() as (_, time):
        await time.loop._work()
        memory = ClockFile(tmp_path)
        word = by_word(machine.wall_us, "operator")
        assert await memory.swap(await memory.read(), word) == word
        machine.passes(61)
        await time.loop._work()
    stands = await memory.read()
    assert stands is not None
    assert stands.word == "operator"
