"""A part of the store falls silent: the others go on, and what waits for it is told so, until it is back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.delivery.recovery import PAUSE_S
from rowbox.cacheserver.owner.samples import owner_samples
from rowbox.cacheserver.stores import quarantine as quarantine_module
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.ranges import MemoryRanges
from rowbox.cacheserver.stores.quarantine import REPORT_EVERY_S, Quarantine
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import RowboxError, StoreOutcomeUnknown, StoreUnavailable
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, Cluster, Node, all_messages, cluster, gather_all
from tests.support.virtual_time import WallClock, settle, virtual_time

RANGES = 17
USERS = [f"user{number}" for number in range(510)]
CALL_S = 0.02
THINK_S = 10.0
"""Between two sends of one user: in each call there are others, and at each time most are in memory and do nothing."""
PATIENCE_S = 1.0
DEADLINE_S = 5.0


def firsts(count: int = RANGES) -> list[bytes]:
    """The first keys of ranges of about as many shards each."""
    return [b"" if number == 0 else b"%04x/" % (number * SHARDS // count) for number in range(count)]


@asynccontextmanager
async def with_ranges(count: int = RANGES) -> AsyncIterator[tuple[Cluster, Node, MemoryRanges]]:
    """An owner over a store of so many ranges, each call of which takes its time. Everybody is in memory."""
    async with cluster(late=True) as servers:
        await servers.kill()
        ranges = MemoryRanges(firsts(count), DEADLINE_S)
        servers.store.ranges = ranges
        node = await servers.start()
        await settle(3 * SHARDS)
        for user in USERS:
            await node.conversations(user)
        for point in (Point.READ, Point.WRITE):
            node.store.gates[point].pause_s = CALL_S
        yield servers, node, ranges
        ranges.restore()
        await asyncio.sleep(10)
        await servers.quiet()


def range_of(ranges: MemoryRanges, user: str) -> bytes:
    return ranges.of(row_key(user, SHARDS))


class Load:
    """Everybody writes to himself now and then; what became of it, by user."""

    def __init__(self, node: Node, users: list[str]) -> None:
        self._node = node
        self.confirmed: Counter[str] = Counter()
        self.refused: Counter[type] = Counter()
        self.longest_s: dict[str, float] = dict.fromkeys(users, 0.0)
        pauses = [THINK_S * number / len(users) for number in range(len(users))]
        self._tasks = [asyncio.create_task(self._write(*who)) for who in zip(users, pauses, strict=True)]

    async def _write(self, user: str, pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(pause_s)
        for number in range(1_000_000):
            began = loop.time()
            try:
                await self._node.send(user, user, "x", f"load{number}")
                self.confirmed[user] += 1
            except RowboxError as error:
                self.refused[type(error)] += 1
            self.longest_s[user] = max(self.longest_s[user], loop.time() - began)
            await asyncio.sleep(THINK_S)

    def take(self) -> Counter[str]:
        """What was confirmed since the last time."""
        taken, self.confirmed = self.confirmed, Counter()
        self.longest_s = dict.fromkeys(self.longest_s, 0.0)
        return taken

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def rates(ranges: MemoryRanges, load: Load, silent: list[bytes]) -> tuple[float, float, float]:
    """Of those whose ranges answer: sends a second before the silence and during it, and the longest wait.

    Those that were in one call with a row of a silent range hear of its deadline. That comes once, and is left out of
    the rate.
    """
    others = [user for user in USERS if range_of(ranges, user) not in silent]
    await asyncio.sleep(THINK_S)
    load.take()
    await asyncio.sleep(20)
    taken = load.take()
    before = sum(taken[user] for user in others) / 20
    ranges.silence(*silent)
    await asyncio.sleep(DEADLINE_S + 2)
    longest_s = max(load.longest_s[user] for user in others)
    load.take()
    await asyncio.sleep(20)
    longest_s = max(longest_s, *(load.longest_s[user] for user in others))
    taken = load.take()
    return before, sum(taken[user] for user in others) / 20, longest_s


@virtual_time
async def test_one_silent_range_of_seventeen_does_not_stop_the_others() -> None:
    async with with_ranges() as (_, node, ranges):
        load = Load(node, USERS)
        before, during, longest_s = await rates(ranges, load, [firsts()[5]])
        assert longest_s <= DEADLINE_S + 1.5
        assert during >= 0.95 * before
        await load.stop()


@virtual_time
async def test_a_dead_server_with_every_third_range_does_not_stop_the_others() -> None:
    async with with_ranges(30) as (_, node, ranges):
        load = Load(node, USERS)
        before, during, longest_s = await rates(ranges, load, firsts(30)[::3])
        assert longest_s <= DEADLINE_S + 1.5
        assert during >= 0.95 * before
        await load.stop()


def test_without_that_rule_everybody_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(Quarantine, "complain", nothing)

    @virtual_time
    async def scenario() -> None:
        async with with_ranges() as (_, node, ranges):
            load = Load(node, USERS)
            before, during, _ = await rates(ranges, load, [firsts()[5]])
            assert during < 0.6 * before
            await load.stop()

    scenario()


@virtual_time
async def test_who_is_not_in_the_call_that_hangs_waits_for_its_patience_and_not_for_its_deadline() -> None:
    async with with_ranges() as (_, node, ranges):
        silent = firsts()[5]
        ranges.silence(silent)
        victim = next(user for user in USERS if range_of(ranges, user) == silent)
        hanging = asyncio.create_task(gather_all(node.send(victim, victim, "x", "c")))
        await asyncio.sleep(2 * CALL_S)
        began = asyncio.get_running_loop().time()
        others = [user for user in USERS if range_of(ranges, user) != silent]
        for answer in await gather_all(*(node.send(user, user, "x", "c") for user in others)):
            assert answer.message_id
        assert asyncio.get_running_loop().time() - began <= PATIENCE_S + 3 * CALL_S
        await hanging


@virtual_time
async def test_what_is_asked_of_a_silent_range_is_refused_early_and_served_when_it_is_back() -> None:
    async with with_ranges() as (servers, node, ranges):
        silent = firsts()[5]
        victim = next(user for user in USERS if range_of(ranges, user) == silent)
        ranges.silence(silent)
        (unknown,) = await gather_all(node.send(victim, victim, "lost", "c0"))
        assert type(unknown) is StoreOutcomeUnknown
        await asyncio.sleep(DEADLINE_S)
        assert node.owner.quarantine.away == 1
        calls = [node.send(victim, victim, "x", "c1"), node.conversations(victim), node.status(victim, "c0")]
        began = asyncio.get_running_loop().time()
        for refused in await gather_all(*calls):
            assert type(refused) is StoreUnavailable, "nothing was written, and that is known"
            assert refused.retry_after_ms == quarantine_module.RETRY_AFTER_MS
        assert asyncio.get_running_loop().time() == began
        ranges.restore()
        await asyncio.sleep(quarantine_module.LONGEST_PAUSE_S + 1)
        assert node.owner.quarantine.away == node.owner.quarantine.suspects == 0
        assert not (await node.send(victim, victim, "x", "c1")).duplicate
        servers.store.land()
        assert not (await node.send(victim, victim, "lost", "c0")).duplicate, "what landed late does not count"
        items, _ = await all_messages(node, victim, None, 10)
        assert [item["messageContent"] for item in items] == ["lost", "x"]
        await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


@virtual_time
async def test_a_range_that_is_only_slow_loses_nothing_and_refuses_nobody() -> None:
    """Three seconds of garbage collection: no unknown outcome, as before."""
    async with with_ranges() as (_, node, ranges):
        silent = firsts()[5]
        victims = [user for user in USERS if range_of(ranges, user) == silent]
        ranges.silence(silent)
        sends = [asyncio.create_task(node.send(user, user, str(n), f"c{n}")) for user in victims for n in range(2)]
        await asyncio.sleep(2)
        sends += [asyncio.create_task(node.send(user, user, "more", "more")) for user in victims]
        await asyncio.sleep(1)
        ranges.restore()
        for answer in await gather_all(*sends):
            assert answer.message_id
        assert node.owner.committer.counters.unknown_outcomes == 0


@virtual_time
async def test_loads_and_reads_of_a_silent_range_take_nobody_s_turn() -> None:
    async with with_ranges() as (_, node, ranges):
        silent = firsts()[5]
        cold = [f"cold{number}" for number in range(3000)]
        behind = [user for user in cold if range_of(ranges, user) == silent]
        others = [user for user in cold if range_of(ranges, user) != silent][:100]
        ranges.silence(silent)
        first = asyncio.create_task(gather_all(*(node.conversations(user) for user in behind[:30])))
        await asyncio.sleep(PATIENCE_S + 0.5)
        waiting = asyncio.create_task(gather_all(*(node.conversations(user) for user in behind[30:])))
        await settle()
        began = asyncio.get_running_loop().time()
        for answer in await gather_all(*(node.conversations(user) for user in others)):
            assert answer.items == []
        assert asyncio.get_running_loop().time() - began <= 20 * CALL_S
        for answers in (await first, await waiting):
            assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert asyncio.get_running_loop().time() <= 4 * DEADLINE_S, "they waited for the verdict only"


@virtual_time
async def test_recipients_in_a_silent_range_get_their_messages_when_it_is_back_in_order() -> None:
    async with with_ranges() as (servers, node, ranges):
        silent = firsts()[5]
        victim = next(user for user in USERS if range_of(ranges, user) == silent)
        sender = next(user for user in USERS if range_of(ranges, user) != silent)
        ranges.silence(silent)
        for number in range(20):
            result = await node.send(sender, victim, str(number), f"c{number}")
            assert result.pending_recipients == 1
        retries = node.owner.delivery.retries
        await asyncio.sleep(60)
        assert node.owner.delivery.retries - retries <= 60 / (quarantine_module.RETRY_AFTER_MS / 2000)
        ranges.restore()
        await asyncio.sleep(30)
        await servers.quiet()
        items, _ = await all_messages(node, victim, None, 100)
        in_order = sorted(items, key=lambda item: item["lastUpdatedTimestamp"])
        assert [item["messageContent"] for item in in_order] == [str(number) for number in range(20)]


@virtual_time
async def test_removals_go_on_beside_a_silent_range() -> None:
    async with with_ranges() as (servers, node, ranges):
        silent = firsts()[5]
        victim = next(user for user in USERS if range_of(ranges, user) == silent)
        sender, recipient = [user for user in USERS if range_of(ranges, user) != silent][:2]
        ranges.silence(silent)
        await gather_all(node.send(victim, victim, "x", "c"))
        await asyncio.sleep(DEADLINE_S)
        node.owner.cleaner.remove(row_key(victim, SHARDS), [(Family.OUTBOX, b"any")], servers.clock.now_us())
        await node.send(sender, recipient, "x", "c")
        await asyncio.sleep(2)
        columns = servers.store._cells.columns(row_key(sender, SHARDS), Family.OUTBOX)
        assert columns == []


@virtual_time
async def test_a_scan_leaves_out_what_is_away_and_does_not_wait_for_it() -> None:
    async with with_ranges() as (_, node, ranges):
        ranges.silence(firsts()[5])
        victim = next(user for user in USERS if range_of(ranges, user) == firsts()[5])
        await gather_all(node.send(victim, victim, "x", "c"))
        await asyncio.sleep(DEADLINE_S)
        began = asyncio.get_running_loop().time()
        await node.process.call(node.owner.recovery.scan())
        assert asyncio.get_running_loop().time() - began <= 1
        assert PAUSE_S > 1


@virtual_time
async def test_it_is_said_that_a_part_of_the_store_is_away_and_not_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with with_ranges(30) as (_, node, ranges):
        cold = [f"cold{user}" for user in USERS[:100]]
        silent = {range_of(ranges, user) for user in cold} & set(firsts(30)[::3])
        ranges.silence(*silent)
        for _ in range(6):
            await gather_all(*(node.conversations(user) for user in cold))
            await asyncio.sleep(10)

        def said() -> list[str]:
            return [record.getMessage() for record in caplog.records if "ranges of the store" in record.getMessage()]

        figures = {name: value for name, _, _, _, value in owner_samples(node.owner)}
        assert figures["rowbox_store_ranges"] == 30
        assert figures["rowbox_store_ranges_unavailable"] == len(silent)
        assert 1 <= len(said()) <= 3
        assert f"{len(silent)} of 30" in said()[-1]
        assert node.owner.unready_reasons() == ()
        assert node.owner.warnings() == (f"{len(silent)} of 30 ranges of the store do not answer",)
        ranges.restore()
        await asyncio.sleep(2 * REPORT_EVERY_S)
        assert said()[-1] == "all ranges of the store answer again"
        assert node.owner.warnings() == ()


@virtual_time
async def test_a_server_none_of_whose_ranges_answers_is_not_ready() -> None:
    async with with_ranges() as (_, node, ranges):
        ranges.silence(*firsts())
        await gather_all(*(node.send(user, user, "x", "c") for user in USERS))
        await asyncio.sleep(4 * DEADLINE_S)
        assert node.owner.unready_reasons() == ("the store does not answer",)
        ranges.restore()
        await asyncio.sleep(2 * DEADLINE_S)
        assert node.owner.unready_reasons() == ()
        for answer in await gather_all(*(node.send(user, user, "y", "c2") for user in USERS)):
            assert answer.message_id


@virtual_time
async def test_a_range_that_is_away_is_probed_by_one_call_with_growing_pauses() -> None:
    async with with_ranges() as (_, node, ranges):
        silent = firsts()[5]
        victim = next(user for user in USERS if range_of(ranges, user) == silent)
        ranges.silence(silent)
        await gather_all(node.send(victim, victim, "x", "c"))
        await asyncio.sleep(60)
        before = len(ranges.probed)
        await asyncio.sleep(70)
        assert 8 <= len(ranges.probed) - before <= 12
        assert set(ranges.probed[before:]) == {silent}


@virtual_time
async def test_in_healthy_times_nothing_is_probed_and_calls_stay_as_wide() -> None:
    async with with_ranges() as (_, node, ranges):
        before = node.owner.committer.counters.batches
        for number in range(20):
            await asyncio.gather(*(node.send(user, user, "x", f"c{number}") for user in USERS))
        assert node.owner.committer.counters.batches - before <= 21
        assert ranges.probed == []


@virtual_time
async def test_close_does_not_wait_for_a_silent_range() -> None:
    async with with_ranges() as (servers, node, ranges):
        silent = firsts()[5]
        victims = [user for user in USERS if range_of(ranges, user) == silent]
        ranges.silence(silent)
        sends = [asyncio.create_task(node.send(user, user, "x", "c")) for user in victims]
        await asyncio.sleep(PATIENCE_S + 0.5)
        sends += [asyncio.create_task(node.send(user, user, "y", "c2")) for user in victims]
        await settle()
        began = asyncio.get_running_loop().time()
        await node.process.call(node.owner.close())
        assert asyncio.get_running_loop().time() - began <= 2 * DEADLINE_S
        assert all(isinstance(answer, StoreUnavailable) for answer in await gather_all(*sends))
        await servers.restart()


@virtual_time
async def test_what_was_asked_before_a_range_last_proved_itself_is_no_complaint() -> None:
    """Calls that hung in a silence end in errors long after it is over: none of them shuts the range again."""
    ranges = MemoryRanges(firsts())
    quarantine = Quarantine(ranges, StoreClock(WallClock().now_us), patience_s=PATIENCE_S, away_s=DEADLINE_S)
    loop, row = asyncio.get_running_loop(), row_key("ann", SHARDS)
    hung_s = loop.time()
    await asyncio.sleep(1.0)
    quarantine.complain([row], hung_s)
    assert (quarantine.suspects, quarantine.is_open(row)) == (1, False)
    await asyncio.sleep(0.1)
    assert (quarantine.suspects, quarantine.is_open(row)) == (0, True)
    quarantine.complain([row], hung_s)
    assert (quarantine.suspects, quarantine.is_open(row)) == (0, True)
    quarantine.complain([row], loop.time())
    assert quarantine.suspects == 1
    await quarantine.close()
