"""A kind of index cells that was just added is fenced, kept, loaded, folded and checked like those that ship.

The kind is tests/any_kind.py's. Its mutations have no log entry, so all of this holds without one.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.node.tenure import EpochGrant
from rowbox.cacheserver.rows import claimed_row, folding, loader
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox import two_states
from rowbox.mailbox.aggregate import mailbox as mailbox_module
from rowbox.mailbox.aggregate import plan as plan_module
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import CONVERSATION, KINDS, FenceCell
from rowbox.mailbox.check import fence_check
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.errors import HandoverInProgress, StoreOutcomeUnknown
from rowbox.mailbox.fence import FOLD_AFTER_MS, newest
from rowbox.mailbox.two_states import IndexCell
from tests.any_kind import NOTE, ONE, OTHER, Note, notes_are_known, notes_of, write_note
from tests.checking import assert_no_findings, findings_of
from tests.support.cluster import SHARDS, Cluster, cluster, gather_all, parsed, version_of
from tests.support.parts import in_small_parts
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN = row_key("ann", SHARDS)


@pytest.fixture(autouse=True)
def _kind() -> Iterator[None]:
    with notes_are_known():
        yield


async def cells(servers: Cluster) -> list[IndexCell[Note]]:
    """Those of ann's notes."""
    columns = (await servers.store.get_row(ANN, (Family.INDEX,)))[Family.INDEX]
    found = [codec.decode_index(*column) for column in columns]
    return [cell for cell in found if isinstance(cell, IndexCell) and cell.kind == NOTE.letter]


async def unknown_outcome(servers: Cluster, fault: Fault, *texts: str, key: bytes = ONE) -> None:
    """Writes notes in one mutation that ends in a fault."""
    servers.node.store.faults.next(fault, Op.MUTATE)
    answers = await gather_all(*(write_note(servers.node, "ann", text, key) for text in texts))
    assert all(isinstance(answer, StoreOutcomeUnknown) for answer in answers), answers


async def settled(servers: Cluster) -> None:
    """What is under way is over, and what was to be removed is."""
    await servers.quiet()
    await asyncio.sleep(1)


async def assert_sound(servers: Cluster) -> None:
    await settled(servers)
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


# ---------------------------------------------------------------------- without a log entry


@both_kinds
@virtual_time
async def test_what_is_written_is_read_by_this_owner_and_by_those_that_follow(late: bool) -> None:
    async with cluster(late=late) as servers:
        await write_note(servers.node, "ann", "first")
        await write_note(servers.node, "ann", "second")
        assert await notes_of(servers.node, "ann") == ["first", "second"]
        for _ in range(2):
            await servers.restart()
            assert await notes_of(servers.node, "ann") == ["first", "second"]
        await write_note(servers.node, "ann", "third")
        await servers.restart()
        assert await notes_of(servers.node, "ann") == ["first", "second", "third"]
        await assert_sound(servers)


@both_kinds
@virtual_time
async def test_its_version_is_not_given_again(late: bool) -> None:
    async with cluster(late=late) as servers:
        await servers.node.send("ann", "ann", "hi", "c1")
        servers.clock.jump(60)
        version = await write_note(servers.node, "ann", "first")
        servers.clock.jump(-60)
        sent = await servers.node.send("ann", "ann", "hi", "c2")
        assert sent.last_updated_timestamp > version
        version = await write_note(servers.node, "ann", "second")
        await servers.restart()
        sent = await servers.node.send("ann", "ann", "hi", "c3")
        assert sent.last_updated_timestamp > version
        await assert_sound(servers)


@both_kinds
@virtual_time
async def test_what_changes_nothing_is_not_written(late: bool) -> None:
    async with cluster(late=late) as servers:
        version = await write_note(servers.node, "ann", "once")
        batches = servers.node.owner.committer.counters.batches
        assert await write_note(servers.node, "ann", "once") == version
        assert servers.node.owner.committer.counters.batches == batches


@both_kinds
@virtual_time
async def test_nobody_is_woken_who_would_be_told_nothing(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "ann", "hi", "c1")
        messages, conversations = (await node.messages("ann")).token, (await node.conversations("ann")).token
        waits = [
            asyncio.create_task(node.messages("ann", token=messages, wait_ms=50_000)),
            asyncio.create_task(node.conversations("ann", token=conversations, wait_ms=50_000)),
        ]
        await settle()
        parked = list(node.owner.waiters._by_user["ann"])
        version = await write_note(node, "ann", "not told")
        await settle()
        assert node.owner.waiters._by_user["ann"] == parked
        assert [waiter.head for waiter in parked] == [version, version]
        node.owner.table._evict(node.owner.table.row("ann"))
        await notes_of(node, "ann")
        await settle()
        assert node.owner.waiters._by_user["ann"] == parked, "nor by a load: they know of that version"
        await node.send("bob", "ann", "news", "c2")
        told = [parsed(page) for page in await asyncio.gather(*waits)]
        assert [one["messageContent"] for one in told[0]] == ["news"]
        assert len(told[1]) == 1


@both_kinds
@virtual_time
async def test_deltas_go_on_over_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await write_note(node, "ann", "before there was a conversation")
        token = (await node.messages("ann")).token
        await node.send("bob", "ann", "one", "c1")
        await servers.quiet()
        await write_note(node, "ann", "between")
        await node.send("bob", "ann", "two", "c2")
        await servers.quiet()
        version = await write_note(node, "ann", "after")
        for _ in range(2):
            page = await servers.node.messages("ann", token=token)
            assert [one["messageContent"] for one in parsed(page)] == ["one", "two"]
            assert (page.is_delta, version_of(page.token)) == (True, version)
            await servers.restart()


@both_kinds
@virtual_time
async def test_it_counts_for_the_memory(late: bool) -> None:
    async with cluster(late=late) as servers:
        table = servers.node.owner.table
        await write_note(servers.node, "ann", "short")
        before = table.size_bytes
        await write_note(servers.node, "ann", "x" * 10_000)
        grown = table.size_bytes - before
        assert 10_000 <= grown <= 12_000
        await write_note(servers.node, "ann", "y")
        assert table.size_bytes - before - grown < 100
        of_writer = table.row("ann").size_bytes
        await servers.restart()
        await notes_of(servers.node, "ann")
        assert servers.node.owner.table.row("ann").size_bytes == pytest.approx(of_writer, abs=700)


# ---------------------------------------------------------------------- late writes, unknown outcomes, takeovers


@virtual_time
async def test_a_late_write_counts_nowhere_and_the_state_before_it_everywhere() -> None:
    async with cluster(late=True) as servers:
        await write_note(servers.node, "ann", "kept")
        await write_note(servers.node, "ann", "kept", OTHER)
        await unknown_outcome(servers, Fault.EXECUTE_LATE, "too late", "too late as well")
        assert await notes_of(servers.node, "ann") == ["kept"]
        servers.store.land()
        for _ in range(3):
            assert await notes_of(await servers.restart(), "ann") == ["kept"]
            assert await notes_of(servers.node, "ann", OTHER) == ["kept"]
        await write_note(servers.node, "ann", "next")
        assert await notes_of(await servers.restart(), "ann") == ["kept", "next"]
        await assert_sound(servers)


@virtual_time
async def test_a_write_whose_outcome_was_unknown_and_that_happened_is_not_lost() -> None:
    async with cluster(late=True) as servers:
        await write_note(servers.node, "ann", "first")
        await unknown_outcome(servers, Fault.FAIL_AFTER, "second")
        version = await write_note(servers.node, "ann", "second")
        assert await notes_of(servers.node, "ann") == ["first", "second"]
        assert await write_note(servers.node, "ann", "third") > version
        assert await notes_of(await servers.restart(), "ann") == ["first", "second", "third"]
        await assert_sound(servers)


@virtual_time
async def test_a_paused_owner_confirms_nothing() -> None:
    async with cluster(late=True) as servers:
        paused = servers.node
        await write_note(paused, "ann", "before")
        paused.store.hold(Point.WRITE)
        writing = asyncio.create_task(write_note(paused, "ann", "from the grave"))
        await settle()
        paused.pause()
        await servers.start()
        assert await notes_of(servers.node, "ann") == ["before"]
        paused.wake()
        (answer,) = await gather_all(writing)
        assert isinstance(answer, HandoverInProgress), answer
        assert await notes_of(servers.node, "ann") == ["before"]


@virtual_time
async def test_a_cell_of_an_older_epoch_goes_once_its_key_is_written_anew() -> None:
    async with cluster(late=True) as servers:
        await write_note(servers.node, "ann", "first")
        await write_note(servers.node, "ann", "first", OTHER)
        old = servers.node.owner.table.grant_of("ann")
        await servers.restart()
        await write_note(servers.node, "ann", "second")
        await settled(servers)
        assert {(cell.key, cell.epoch == old.epoch) for cell in await cells(servers)} == {
            (ONE, False),
            (OTHER, True),
        }
        assert await notes_of(await servers.restart(), "ann", OTHER) == ["first"]
        await assert_sound(servers)


@virtual_time
async def test_a_row_that_is_read_in_parts_keeps_a_key_together() -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_small_parts(patch)
        async with cluster(late=True) as servers:
            for number in range(4):
                await write_note(servers.node, "ann", f"n{number}")
                await write_note(servers.node, "ann", f"n{number}", OTHER)
                await servers.restart()
            await notes_of(servers.node, "ann")
            await unknown_outcome(servers, Fault.EXECUTE_LATE, "too late")
            assert len(await notes_of(servers.node, "ann")) == 4
            servers.store.land()
            for key in (ONE, OTHER):
                assert await notes_of(await servers.restart(), "ann", key) == ["n0", "n1", "n2", "n3"]
            await assert_sound(servers)
            assert [cell.key for cell in await cells(servers)] == [ONE, OTHER], "what carries nothing was removed"


@virtual_time
async def test_a_late_state_beside_a_valid_one_keeps_the_list_from_being_folded() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "FOLD_AT", 3)
        async with cluster(late=True) as servers:
            await write_note(servers.node, "ann", "kept")
            await unknown_outcome(servers, Fault.EXECUTE_LATE, "too late")
            for number in range(5):
                await servers.restart()
                await servers.node.send("ann", "ann", f"text {number}", f"c{number}")
            servers.store.land()
            servers.clock.jump(FOLD_AFTER_MS / 1000 + 60)
            await notes_of(await servers.restart(), "ann")
            assert not await is_folded(servers)
            await write_note(servers.node, "ann", "next")
            await settled(servers)
            await notes_of(await servers.restart(), "ann")
            assert await is_folded(servers)
            assert await notes_of(servers.node, "ann") == ["kept", "next"]
            await assert_sound(servers)


async def is_folded(servers: Cluster) -> bool:
    columns = (await servers.store.get_row(ANN, (Family.INDEX,)))[Family.INDEX]
    found = [codec.decode_index(*column) for column in columns]
    return newest(cell.fence for cell in found if isinstance(cell, FenceCell))[0].folded


# ---------------------------------------------------------------------- the check


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    "broken",
    [
        lambda cell: replace(cell, current=replace(cell.current, epoch=cell.epoch - 1)),
        lambda cell: replace(cell, previous=cell.current),
        lambda cell: replace(cell, previous=replace(cell.previous, version=cell.current.version + 1)),
        lambda cell: replace(cell, previous=replace(cell.previous, epoch=cell.epoch + 1)),
    ],
    ids=["of another epoch", "the same twice", "a newer one before", "a higher epoch before"],
)
@virtual_time
async def test_states_that_are_not_in_order_are_found_whatever_their_kind(
    is_known: bool, broken: Callable[[Any], Any]
) -> None:
    async with cluster(late=True) as servers:
        for text in ("first", "second", "third"):
            await write_note(servers.node, "ann", text)
        await assert_sound(servers)
        (cell,) = await cells(servers)
        await servers.store.mutate(
            [RowMutation(ANN, [Put(*codec.encode(broken(cell)))])], servers.clock.now_ms() + 60_000
        )
        with pytest.MonkeyPatch.context() as patch:
            if not is_known:
                patch.delitem(KINDS, NOTE.letter)
            found = await findings_of(servers.store, servers.settings, servers.clock.now_us())
        assert Code.INDEX_CELL in {finding.code for finding in found}
        assert (Code.UNKNOWN_KIND in {finding.code for finding in found}) != is_known


# ---------------------------------------------------------------------- each rule left out


def _only_what_is_logged_is_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "changes_nothing", property(lambda self: not self.log))


def _only_what_is_logged_is_applied(patch: pytest.MonkeyPatch) -> None:
    apply = Mailbox.apply
    patch.setattr(Mailbox, "apply", lambda self, plan: apply(self, plan) if plan.log else None)


def _only_what_is_logged_moves_the_head(patch: pytest.MonkeyPatch) -> None:
    apply = Mailbox.apply

    def applied(self: Mailbox, plan: Plan) -> None:
        before = self.head
        apply(self, plan)
        self.head = plan.head if plan.log else before

    patch.setattr(Mailbox, "apply", applied)


def _every_new_head_wakes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Waiters, "notify", lambda self, user_id, _changes, head: self.notify_loaded(user_id, head))


def _waiters_hear_only_of_what_is_logged(patch: pytest.MonkeyPatch) -> None:
    notify = Waiters.notify
    patch.setattr(
        Waiters, "notify", lambda self, user, changes, head: notify(self, user, changes, head) if changes else None
    )


def _only_conversations_are_loaded(patch: pytest.MonkeyPatch) -> None:
    init = Mailbox.__init__
    patch.setattr(Mailbox, "__init__", lambda self, *args, **how: init(self, *args, **(how | {"others": None})))


def _only_conversations_take_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mailbox_module, "state_bytes", lambda _state: 0)


def _only_conversations_become_stale(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "changes", lambda self: [(CONVERSATION.letter, self.states)])


def _no_state_before(patch: pytest.MonkeyPatch) -> None:
    def first_ones(kind: bytes, epoch: int, states: Any, _before: Any) -> Any:
        return two_states.cells_of(kind, epoch, states, two_states.nothing_before)

    patch.setattr(plan_module, "cells_of", first_ones)


def _only_the_last_state_is_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_states, "states_of", lambda cell: [cell.current])


def _late_writes_count(patch: pytest.MonkeyPatch) -> None:
    for module in (two_states, claimed_row):
        patch.setattr(module, "is_valid", lambda *_: True)


def _the_epoch_stays_after_an_unknown_outcome(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EpochGrant, "leave_epoch", lambda _: None)


def _a_fold_looks_at_the_last_state_only(patch: pytest.MonkeyPatch) -> None:
    def of_last(qualifier: bytes, value: bytes) -> Any:
        cell = codec.decode_index(qualifier, value)
        return [] if isinstance(cell, FenceCell) else list(two_states.stamps_of([cell]))[1:]

    patch.setitem(folding._STAMPS, Family.INDEX, of_last)


def _parts_may_cut_a_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loader, "whole_keys", lambda cells: (cells, []))


def _no_order_is_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fence_check, "is_in_order", lambda _: True)


_read = test_what_is_written_is_read_by_this_owner_and_by_those_that_follow
_order = test_states_that_are_not_in_order_are_found_whatever_their_kind
_late = test_a_late_write_counts_nowhere_and_the_state_before_it_everywhere


@pytest.mark.parametrize(
    ("rule_left_out", "story"),
    [
        (_only_what_is_logged_is_written, partial(_read, False)),
        (_only_what_is_logged_is_written, partial(_read, True)),
        (_only_what_is_logged_is_applied, partial(_read, False)),
        (_only_what_is_logged_is_applied, partial(_read, True)),
        (_only_what_is_logged_moves_the_head, partial(test_its_version_is_not_given_again, False)),
        (_only_what_is_logged_moves_the_head, partial(test_its_version_is_not_given_again, True)),
        (_every_new_head_wakes, partial(test_nobody_is_woken_who_would_be_told_nothing, True)),
        (_waiters_hear_only_of_what_is_logged, partial(test_nobody_is_woken_who_would_be_told_nothing, True)),
        (_only_conversations_are_loaded, partial(_read, False)),
        (_only_conversations_are_loaded, partial(_read, True)),
        (_only_conversations_take_memory, partial(test_it_counts_for_the_memory, False)),
        (_only_conversations_become_stale, test_a_cell_of_an_older_epoch_goes_once_its_key_is_written_anew),
        (_no_state_before, _late),
        (_only_the_last_state_is_looked_at, _late),
        (_late_writes_count, _late),
        (_the_epoch_stays_after_an_unknown_outcome, _late),
        (_a_fold_looks_at_the_last_state_only, test_a_late_state_beside_a_valid_one_keeps_the_list_from_being_folded),
        (_parts_may_cut_a_key, test_a_row_that_is_read_in_parts_keeps_a_key_together),
        (_no_order_is_asked_for, partial(_order, True, lambda cell: replace(cell, previous=cell.current))),
    ],
    ids=lambda part: part.__name__.strip("_") if hasattr(part, "__name__") else "",
)
def test_without_the_rule_the_story_ends_badly(
    rule_left_out: Callable[[pytest.MonkeyPatch], None], story: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_left_out(monkeypatch)
    with pytest.raises(AssertionError):
        story()
