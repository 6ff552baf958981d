"""The commit pipeline: who joins whom, who waits for whom, and what happens to those that wait."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.commands import SendCommand
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.hbase_schema.keys import row_key, shard_of_row
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    Overloaded,
    RowboxError,
    StoreOutcomeUnknown,
    StoreUnavailable,
)
from rowbox.mailbox.settings.config import CacheSettings, CommitSettings, Settings
from rowbox.mailbox.timing.rarely import EVERY_S
from tests.checking import assert_no_findings
from tests.support.cluster import CRAMPED, SHARDS, UNLIMITED, Cluster, Node, all_messages, cluster, gather_all
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


def with_commit(**changes: Any) -> Settings:
    return replace(UNLIMITED, commit=CommitSettings(**changes))


async def warm(node: Node, *users: str) -> None:
    for user in users:
        await node.conversations(user)


async def contents(node: Node, user: str) -> list[str]:
    items, _ = await all_messages(node, user, None, 100)
    return [item["messageContent"] for item in items][::-1]


@virtual_time
async def test_commands_that_wait_together_are_one_store_call() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        await warm(node, "ann", "bob")
        before = node.owner.committer.counters.batches
        await asyncio.gather(*(node.send("ann", "bob", str(n), f"c{n}") for n in range(50)))
        assert node.owner.committer.counters.batches == before + 1
        assert await contents(node, "bob") == [str(n) for n in range(50)]


@both_kinds
@virtual_time
async def test_commands_that_come_while_a_write_is_on_its_way_join_the_next(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await warm(node, "ann")
        node.store.hold(Point.WRITE)
        first = asyncio.create_task(node.send("ann", "ann", "0", "c0"))
        await settle()
        others = [asyncio.create_task(node.send("ann", "ann", str(n), f"c{n}")) for n in range(1, 6)]
        await settle()
        assert node.store.gates[Point.WRITE].waiting == 1
        before = node.owner.committer.counters.batches
        node.store.release(Point.WRITE)
        await asyncio.gather(first, *others)
        assert node.owner.committer.counters.batches == before + 1


@both_kinds
@virtual_time
async def test_of_two_joined_sends_with_one_id_and_two_payloads_the_second_is_refused(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        first, second, third = await gather_all(
            node.send("ann", "bob", "one", "c"),
            node.send("ann", "bob", "two", "c"),
            node.send("ann", "bob", "one", "c"),
        )
        assert isinstance(second, ClientMessageIdReused)
        assert (first.duplicate, third.duplicate) == (False, True)
        assert first.message_id == third.message_id
        assert await contents(node, "bob") == ["one"]


@both_kinds
@virtual_time
async def test_a_cold_row_is_loaded_once_for_everybody(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await gather_all(
            *(node.send("ann", "ann", str(n), f"c{n}") for n in range(10)),
            *(node.messages("ann") for _ in range(10)),
            *(node.conversations("ann") for _ in range(10)),
        )
        assert node.owner.table.loads == 1


@both_kinds
@virtual_time
async def test_a_load_that_fails_is_answered_and_the_next_one_is_tried(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        answers = await gather_all(*(node.send("ann", "ann", str(n), f"c{n}") for n in range(3)))
        assert isinstance(answers[0], StoreUnavailable)
        assert not isinstance(answers[2], Exception)
        await node.send("ann", "ann", "again", "c0")
        shown = await contents(node, "ann")
        assert shown[-1] == "again"


@virtual_time
async def test_a_send_whose_recipient_cannot_be_loaded_is_refused_and_the_rest_goes_on() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        await warm(node, "ann")
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        to_bob, to_self = await gather_all(node.send("ann", "bob", "x", "c1"), node.send("ann", "ann", "y", "c2"))
        assert isinstance(to_bob, StoreUnavailable)
        assert not isinstance(to_self, Exception)
        assert await contents(node, "bob") == []


@both_kinds
@virtual_time
async def test_a_write_that_was_refused_changed_nothing(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "bob", "before", "c0")
        node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
        (refused,) = await gather_all(node.send("ann", "bob", "refused", "c1"))
        assert type(refused) is StoreUnavailable
        assert await contents(node, "ann") == ["before"]
        assert not (await node.send("ann", "bob", "refused", "c1")).duplicate
        await servers.quiet()
        assert await contents(node, "bob") == ["before", "refused"]


@virtual_time
async def test_commits_that_fail_are_logged_by_kind_and_without_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "before", "c0")
        for number in range(5):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
            await gather_all(node.send("ann", "bob", "a secret", f"refused-{number}"))
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        await gather_all(node.send("ann", "bob", "a secret", "unknown"))
        await asyncio.sleep(EVERY_S + 1.0)
        await node.send("ann", "bob", "a secret", "between")  # claims the row anew, after the unknown outcome
        node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
        await gather_all(node.send("ann", "bob", "a secret", "late"))
        lines = [record.getMessage() for record in caplog.records if record.name.endswith(".committer")]
    assert [line.rpartition("(")[2] for line in lines] == [
        "1 such since the last line)",
        "1 such since the last line)",
        "5 such since the last line)",
    ]
    assert all(line.startswith("a commit of 1 rows failed, store_unavailable: ") for line in lines)
    assert not any("secret" in line for line in lines)


@virtual_time
async def test_an_unknown_outcome_that_happened_is_found_by_the_retry() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "before", "c0")
        epoch = node.owner.table.grant_of("ann").epoch
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        (unknown,) = await gather_all(node.send("ann", "bob", "happened", "c1"))
        assert isinstance(unknown, StoreOutcomeUnknown)
        assert node.owner.table.grant_of("ann").epoch == epoch + 1
        assert (await node.send("ann", "bob", "happened", "c1")).duplicate
        await servers.quiet()
        assert await contents(node, "bob") == ["before", "happened"]


@both_kinds
@virtual_time
async def test_too_many_waiting_commands_are_refused_early(late: bool) -> None:
    async with cluster(late=late, settings=with_commit(queue_commands=5)) as servers:
        node = servers.node
        users = [f"u{n}" for n in range(9)]
        await warm(node, *users)
        node.store.hold(Point.WRITE)
        sends = []
        for user in users:
            sends.append(asyncio.create_task(node.send(user, user, "x", "c")))
            await settle()
        refused = [task for task in sends if task.done()]
        assert refused == sends[6:], "one is on its way, five wait"
        for task in refused:
            error = task.exception()
            assert isinstance(error, Overloaded)
            assert error.retry_after_ms
        assert node.owner.pipeline.refused == 3
        node.store.release(Point.WRITE)
        await gather_all(*sends)
        assert node.owner.pipeline.waiting.count == node.owner.pipeline.waiting.size_bytes == 0
        for user in users:
            assert await contents(node, user) == (["x"] if user < "u6" else [])


@both_kinds
@virtual_time
async def test_commands_that_wait_too_long_are_told_that_the_outcome_is_unknown(late: bool) -> None:
    async with cluster(late=late, settings=with_commit(timeout_ms=2000)) as servers:
        node = servers.node
        await warm(node, "ann")
        loop = asyncio.get_running_loop()
        node.store.hold(Point.WRITE)
        began = loop.time()
        sends = [asyncio.create_task(node.send("ann", "ann", str(n), f"c{n}")) for n in range(2)]
        await settle()
        waiting = asyncio.create_task(node.send("ann", "ann", "2", "c2"))
        answers = await gather_all(*sends, waiting)
        assert all(isinstance(answer, StoreOutcomeUnknown) for answer in answers)
        assert 2.0 <= loop.time() - began <= 2.5
        node.store.release(Point.WRITE)
        await servers.quiet()
        assert await contents(node, "ann") == ["0", "1"], "what was begun is finished, what was not never begins"
        assert (await node.send("ann", "ann", "0", "c0")).duplicate
        assert not (await node.send("ann", "ann", "2", "c2")).duplicate


@both_kinds
@virtual_time
async def test_a_caller_that_leaves_does_not_stop_its_write(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await warm(node, "ann", "bob")
        node.store.hold(Point.WRITE)
        begun = asyncio.create_task(node.send("ann", "bob", "begun", "c0"))
        await settle()
        waiting = asyncio.create_task(node.send("ann", "bob", "waiting", "c1"))
        await settle()
        for task in (begun, waiting):
            task.cancel()
        await gather_all(begun, waiting)
        node.store.release(Point.WRITE)
        await servers.quiet()
        assert await contents(node, "ann") == ["begun"], "the one that had not begun never does"
        assert await contents(node, "bob") == ["begun"]


def _broken_decide(broken: Callable[[SendCommand], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    decide = SendCommand.decide

    def maybe(self: SendCommand, plans: Any) -> Any:
        if broken(self):
            raise ZeroDivisionError("a bug")
        return decide(self, plans)

    monkeypatch.setattr(SendCommand, "decide", maybe)


@both_kinds
def test_a_bug_in_a_decision_fails_its_own_command_and_wedges_nobody(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken_decide(lambda command: command.new.content == "bug", monkeypatch)

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=late) as servers:
            node = servers.node
            await warm(node, "ann", "bob", "cem")
            answers = await gather_all(
                node.send("ann", "bob", "0", "c0"),
                node.send("bob", "cem", "1", "c1"),
                node.send("cem", "cem", "bug", "c2"),
                node.send("cem", "cem", "3", "c3"),
            )
            assert type(answers[2]) is RowboxError
            assert not [command for command in node.owner.pipeline._outstanding if command.future.done()]
            for answer in answers:
                assert isinstance(answer, RowboxError) or answer.message_id
            for n, (sender, recipient) in enumerate([("ann", "bob"), ("bob", "cem")]):
                await node.send(sender, recipient, str(n), f"c{n}")
            await node.send("cem", "cem", "3", "c3")
            await servers.quiet()
            assert sorted(await contents(node, "bob")) == ["0", "1"]
            assert sorted(await contents(node, "cem")) == ["1", "3"]

    scenario()


def test_a_row_that_waits_for_its_own_batch_goes_on_when_that_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second command needed a read, its first one's batch was given up because of another row's bug."""
    _broken_decide(lambda command: command.new.content == "bug", monkeypatch)

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=True) as servers:
            node = servers.node
            await node.send("ann", "ann", "known", "known")
            await warm(node, "bob")
            answers = await gather_all(
                node.send("ann", "ann", "new", "new"),
                node.send("ann", "ann", "known", "known"),  # a retry: its record is read from the store
                node.send("bob", "bob", "bug", "bug"),
            )
            assert isinstance(answers[0], StoreUnavailable)
            assert answers[1].duplicate
            assert not (await node.send("ann", "ann", "new", "new")).duplicate

    scenario()


@both_kinds
def test_a_bug_in_a_read_fails_its_command_and_is_not_tried_for_ever(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=late) as servers:
            node = servers.node
            await node.send("ann", "ann", "known", "c")
            with monkeypatch.context() as patch:
                patch.setattr(RowReader, "answer", broken)
                retry, following = await gather_all(
                    node.send("ann", "ann", "known", "c"), node.send("ann", "ann", "next", "c2")
                )
            assert type(retry) is RowboxError
            assert not following.duplicate
            assert asyncio.get_running_loop().time() == 0
            assert (await node.send("ann", "ann", "known", "c")).duplicate

    scenario()


@pytest.mark.parametrize("follows", [True, False])
def test_a_read_that_fails_ends_no_other_command_than_its_own(follows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller has left, and the row was looked at meanwhile, because it had once waited for another row."""
    real = RowReader.answer
    begun: dict[bytes, asyncio.Event] = {row_key(user, SHARDS): asyncio.Event() for user in ("ann", "bob")}

    async def answer(self: RowReader, view: View, need: Any) -> Any:
        await begun[view.row].wait()
        if view.row == row_key("ann", SHARDS):
            raise StoreUnavailable("the read failed")
        return await real(self, view, need)

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=False) as servers:
            node = servers.node
            await warm(node, "cem")
            for user in ("ann", "bob"):
                await node.send(user, user, "known", "known")
            monkeypatch.setattr(RowReader, "answer", answer)
            bobs = asyncio.create_task(node.send("bob", "bob", "known", "known"))  # is read: bob is busy
            await settle()
            parked = asyncio.create_task(node.send("ann", "bob", "parked", "c0"))  # ann waits for bob
            await settle()
            retry = asyncio.create_task(node.send("ann", "ann", "known", "known"))
            await settle()
            parked.cancel()
            await node.send("cem", "ann", "in", "c1")  # ann's row is free again: what the retry needs is read
            await settle()
            following = [asyncio.create_task(node.send("ann", "ann", "new", "c2"))] if follows else []
            await settle()
            retry.cancel()
            begun[row_key("bob", SHARDS)].set()  # and ann is looked at once more
            await settle()
            begun[row_key("ann", SHARDS)].set()
            assert (await bobs).duplicate
            for task in following:
                assert not (await task).duplicate
            await servers.quiet()
            assert (await contents(node, "ann")) == ["known", "in", *(["new"] if follows else [])]

    scenario()


def test_who_waits_behind_a_reserved_row_goes_on_when_its_caller_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its command needed was read, and it waits for its recipient's row; nothing else would tell those behind."""
    real = RowReader.answer
    may_end: dict[bytes, asyncio.Event] = {row_key(user, SHARDS): asyncio.Event() for user in ("ann", "bob")}

    async def answer(self: RowReader, view: View, need: Any) -> Any:
        await may_end[view.row].wait()
        return await real(self, view, need)

    @virtual_time
    async def scenario() -> None:
        async with cluster(late=False) as servers:
            node = servers.node
            await warm(node, "cem")
            await node.send("ann", "bob", "known", "known")
            await node.send("bob", "bob", "known", "known")
            monkeypatch.setattr(RowReader, "answer", answer)
            retry = asyncio.create_task(node.send("ann", "bob", "known", "known"))  # is read, and reserves ann
            await settle()
            bobs = asyncio.create_task(node.send("bob", "bob", "known", "known"))  # is read: bob is busy
            await settle()
            may_end[row_key("ann", SHARDS)].set()
            await settle()
            behind = asyncio.create_task(node.send("cem", "ann", "behind", "c1"))
            await settle()
            assert not behind.done()
            retry.cancel()
            await settle()
            may_end[row_key("bob", SHARDS)].set()
            await asyncio.gather(bobs, behind)
            assert asyncio.get_running_loop().time() == 0
            assert await contents(node, "ann") == ["known", "behind"]

    scenario()


@both_kinds
@virtual_time
async def test_batches_stay_within_their_bounds(late: bool) -> None:
    async with cluster(late=late, settings=with_commit(batch_rows=3, batch_bytes=64 * 1024)) as servers:
        node = servers.node
        users = [f"u{n}" for n in range(12)]
        await warm(node, *users)
        before = node.owner.committer.counters.batches
        await asyncio.gather(*(node.send(user, user, "x", "c") for user in users))
        assert node.owner.committer.counters.batches >= before + 4
        before = node.owner.committer.counters.batches
        await asyncio.gather(*(node.send("u0", "u0", "y" * 60_000, f"big{n}") for n in range(6)))
        assert node.owner.committer.counters.batches >= before + 3
        assert len(await contents(node, "u0")) == 7


@both_kinds
@virtual_time
async def test_everybody_gets_through_where_the_cache_holds_almost_nobody(late: bool) -> None:
    settings = replace(UNLIMITED, cache=CacheSettings(bytes=1, load_concurrency=2, window_messages=1))
    async with cluster(late=late, settings=settings) as servers:
        users = [f"u{n}" for n in range(12)]
        sends = [servers.node.send(a, b, f"{a} to {b}", b) for a in users for b in users]
        results = await asyncio.gather(*sends)
        assert len({result.message_id for result in results}) == 144
        await servers.quiet()
        for user in users:
            expected = {f"{user} to {other}" for other in users} | {f"{other} to {user}" for other in users}
            assert set(await contents(servers.node, user)) == expected
        await assert_no_findings(servers.store, settings, servers.clock.now_us())


@both_kinds
@virtual_time
async def test_close_finishes_what_was_begun(late: bool) -> None:
    servers = Cluster(late=late, settings=CRAMPED)
    node = await servers.start()
    await warm(node, "ann")
    node.store.hold(Point.WRITE)
    sending = asyncio.create_task(node.send("ann", "ann", "x", "c"))
    await settle()
    closing = asyncio.create_task(node.process.call(node.owner.close()))
    await settle()
    assert not closing.done()
    assert "draining" in node.owner.unready_reasons()
    node.store.release(Point.WRITE)
    await closing
    assert (await sending).message_id
    await servers.start()
    assert await contents(servers.node, "ann") == ["x"]
    await servers.close()


@both_kinds
@virtual_time
async def test_close_waits_for_a_command_that_waits_for_a_load(late: bool) -> None:
    """None of its own is in flight then: its write begins when the load is over."""
    async with cluster(late=late) as servers:
        node = servers.node
        node.store.hold(Point.READ)
        node.store.gates[Point.WRITE].pause_s = 1.0
        sending = asyncio.create_task(node.send("ann", "ann", "x", "c"))
        await settle()
        closing = asyncio.create_task(node.process.call(node.owner.close()))
        await settle()
        node.store.release(Point.READ)
        await closing
        assert sending.done()
        assert (await sending).message_id


@virtual_time
async def test_a_store_that_broke_is_an_unknown_outcome() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        await warm(node, "ann")
        node.store.faults.next(Fault.BREAK, Op.MUTATE)
        (answer,) = await gather_all(node.send("ann", "ann", "x", "c"))
        assert isinstance(answer, StoreOutcomeUnknown)


LANES = 4


def lane_of(user: str) -> int:
    return shard_of_row(row_key(user, SHARDS)) * LANES // SHARDS


@virtual_time
async def test_a_stalled_range_of_rows_does_not_hold_up_the_others() -> None:
    async with cluster(late=True, settings=with_commit(lanes=LANES)) as servers:
        node = servers.node
        users = [f"user{number}" for number in range(30)]
        await warm(node, *users)
        stalled, *others = users
        node.store.hold(Point.WRITE)
        waiting = asyncio.create_task(node.send(stalled, stalled, "waits", "c"))
        await settle()
        assert node.store.gates[Point.WRITE].waiting == 1
        free = [user for user in others if lane_of(user) != lane_of(stalled)]
        joined = next(user for user in others if lane_of(user) == lane_of(stalled))
        behind = asyncio.create_task(node.send(joined, joined, "behind it", "c"))
        sends = [asyncio.create_task(node.send(user, user, "free", "c")) for user in free]
        await settle()
        in_flight = {lane_of(user) for user in [stalled, *free]}
        assert node.store.gates[Point.WRITE].waiting == len(in_flight) == LANES, "one batch of each lane"
        node.store.release(Point.WRITE)
        await asyncio.gather(waiting, behind, *sends)


@virtual_time
async def test_a_batch_holds_rows_of_one_lane_only() -> None:
    async with cluster(late=True, settings=with_commit(lanes=LANES)) as servers:
        node = servers.node
        users = [f"user{number}" for number in range(30)]
        await warm(node, *users)
        before = node.owner.committer.counters.batches
        await asyncio.gather(*(node.send(user, user, "hello", "c") for user in users))
        assert node.owner.committer.counters.batches - before == LANES
