"""Single mailboxes checked beside an owner at work, and samples of all of them."""

import asyncio
from collections.abc import Sequence

import pytest

from rowbox.cacheserver.check import audit as audit_module
from rowbox.cacheserver.check.audit import Audit, AuditProgress, in_sample
from rowbox.cacheserver.check.mailbox_check import MailboxCheck, MailboxReport
from rowbox.cacheserver.check.mailbox_summary import changes_after, summary_of
from rowbox.cacheserver.stores.paced_reader import PacedReader
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import ChangeKind, OutboxCell
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from tests.owner.test_checker import ALICE, BOB, BOTH, Written, written
from tests.support.cluster import SHARDS
from tests.support.virtual_time import virtual_time

HOUR_S = 3600


async def checked(store: Written, user_id: str, *, slack_us: int = 0) -> MailboxReport:
    return await MailboxCheck(store.store, store.settings.store, store.clock.now_us, slack_us=slack_us).check(user_id)


async def audited(store: Written, share: float = 1.0, seed: str = "a") -> tuple[AuditProgress, list[Finding]]:
    audit = Audit(store.store, store.settings.store, store.clock.now_us, share=share, seed=seed)
    findings = [item async for item in audit.run() if isinstance(item, Finding)]
    return audit.progress, findings


def codes(findings: Sequence[Finding]) -> set[Code]:
    return {finding.code for finding in findings}


@BOTH
@virtual_time
async def test_a_sound_mailbox_is_read_and_each_of_its_copies_looked_up(*, late: bool) -> None:
    async with written(late=late) as store:
        await asyncio.sleep(HOUR_S)
        report = await checked(store, "alice")
        assert report == MailboxReport("alice", 2, 7, 6, []), "three to bob and three of his; her note is hers alone"
        assert await checked(store, "nobody") == MailboxReport("nobody", 0, 0, 0, [])


@BOTH
@virtual_time
async def test_a_copy_that_is_missing_is_found_from_both_sides(*, late: bool) -> None:
    async with written(late=late) as store:
        lost = (await store.messages(BOB, "alice"))[1]
        await store.forget(BOB, lost)
        await asyncio.sleep(HOUR_S)
        assert codes((await checked(store, "alice")).findings) == {Code.COPY_MISSING}
        _, findings = await audited(store)
        assert [finding.user_id for finding in findings if finding.code is Code.COPY_MISSING] == ["alice"]


@virtual_time
async def test_what_its_sender_never_had_and_what_says_something_else_is_found() -> None:
    async with written(late=True) as store:
        await store.forget(ALICE, (await store.messages(ALICE, "alice"))[0])
        await store.change(BOB, (await store.messages(BOB, "alice"))[1], content="something else")
        await asyncio.sleep(HOUR_S)
        assert Code.COPY_UNSENT in codes((await checked(store, "bob")).findings)
        assert Code.COPY_DIFFERS in codes((await checked(store, "alice")).findings)


@virtual_time
async def test_what_may_be_on_its_way_is_not_missed() -> None:
    """A message of the last minute, and one of any age that stands in the outbox."""
    async with written(late=True) as store:
        newest = (await store.messages(BOB, "alice"))[0]
        await store.forget(BOB, newest)
        assert not (await checked(store, "alice", slack_us=60_000_000)).findings
        await asyncio.sleep(HOUR_S)
        assert codes((await checked(store, "alice", slack_us=60_000_000)).findings) == {Code.COPY_MISSING}
    async with written(late=True) as store:
        for message in await store.messages(BOB, "alice"):
            await store.forget(BOB, message)
            told = Message(message.message_id, message.conversation_id, "alice", ("alice", "bob"), message.content)
            (sent,) = [one for one in await store.messages(ALICE, "alice") if one.message_id == message.message_id]
            await store.put(ALICE, codec.encode(OutboxCell(sent.message_id, sent.epoch, sent.version, told)))
        await asyncio.sleep(HOUR_S)
        assert not codes((await checked(store, "alice", slack_us=60_000_000)).findings) & {Code.COPY_MISSING}


@BOTH
@virtual_time
async def test_a_row_without_an_index_is_found(*, late: bool) -> None:
    async with written(late=late) as store:
        index = [qualifier for qualifier, _ in await store.columns(BOB, Family.INDEX)]
        await store.delete(BOB, Family.INDEX, *index)
        assert codes((await checked(store, "bob")).findings) == {Code.NO_INDEX}


@virtual_time
async def test_a_sample_is_drawn_by_user_and_another_seed_draws_another(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [f"user-{number}" for number in range(4000)]
    drawn = {seed: {user for user in users if in_sample(user, 0.1, seed)} for seed in "ab"}
    assert all(300 < len(sample) < 500 for sample in drawn.values())
    assert len(drawn["a"] & drawn["b"]) < 100
    assert drawn["a"] <= {user for user in users if in_sample(user, 0.2, "a")}
    async with written(late=False) as store:
        progress, _ = await audited(store)
        assert (progress.users, progress.mailboxes, progress.messages) == (2, 2, 13)
        assert progress.shards_done == progress.shards == SHARDS
        monkeypatch.setattr(audit_module, "in_sample", lambda user_id, *_: user_id == "bob")
        progress, _ = await audited(store)
        assert (progress.users, progress.mailboxes, progress.messages) == (2, 1, 6)


@virtual_time
async def test_a_paced_reader_begins_so_many_reads_in_a_second() -> None:
    async with written(late=False) as store:
        now_s, slept = 100.0, []

        async def sleep(seconds: float) -> None:
            nonlocal now_s
            slept.append(seconds)
            now_s += seconds

        reader = PacedReader(store.store, 4.0, lambda: now_s, sleep)
        for _ in range(9):
            await reader.get_row(ALICE, (Family.INDEX,))
        assert (now_s, reader.reads) == (102.0, 9)
        now_s += 60  # time in which nobody read is not made up for
        for _ in range(5):
            await reader.scan_rows(range(SHARDS), Family.INDEX, None, 1)
        assert now_s == 163.0
        await reader.get_range(ALICE, Family.LOG, b"", b"\xff", 1)
        assert (now_s, reader.shards, reader.late_writes) == (163.25, SHARDS, False)


@BOTH
@virtual_time
async def test_a_summary_counts_what_counts(*, late: bool) -> None:
    async with written(late=late) as store:
        summary = await summary_of(store.store, "alice")
        assert (summary.user_id, summary.row, summary.shard) == ("alice", ALICE, shard_of("alice", SHARDS))
        assert (len(summary.conversations), summary.messages, summary.client_ids, summary.outbox) == (2, 7, 4, 0)
        assert [listed.state.unread_count for listed in summary.conversations] == [0, 1]
        assert bool(summary.fence) is late
        empty = await summary_of(store.store, "nobody")
        assert (empty.head, empty.conversations, empty.row) == (0, [], row_key("nobody", SHARDS))


@virtual_time
async def test_changes_are_told_once_and_upwards() -> None:
    async with written(late=True) as store:
        changes = [change async for change in changes_after(store.store, "alice", 0)]
        assert [change.kind for change in changes] == [ChangeKind.MESSAGE] * 7
        versions = [change.version for change in changes]
        assert versions == sorted(set(versions))
        later = [change async for change in changes_after(store.store, "alice", versions[4])]
        assert later == changes[5:]
