"""The walk over a whole store: what takes bytes, several rows or several pages. One row's rules: test_invariants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.check import row_cells
from rowbox.cacheserver.check.census import take_census
from rowbox.cacheserver.check.checker import SLACK_US, Checker, Progress
from rowbox.cacheserver.check.row_looks import LOOKS
from rowbox.cacheserver.rows.walk import RUN_SHARDS
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Column, Put, RowDelete, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import message_qualifier, row_key, split_message_qualifier
from rowbox.mailbox.cells import FenceCell, MessageCell, OutboxCell
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import direct_conversation_id, sent_timestamp
from rowbox.mailbox.message import Message
from tests.checking import assert_no_findings, findings_of
from tests.owner.test_background import FOREIGN
from tests.support.cluster import SHARDS, Cluster, cluster
from tests.support.virtual_time import virtual_time

ALICE, BOB = row_key("alice", SHARDS), row_key("bob", SHARDS)
WITH_BOB = direct_conversation_id("alice", "bob")
BOTH = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


@asynccontextmanager
async def written(*, late: bool) -> AsyncIterator["Written"]:
    """Two mailboxes that the owner wrote: alice to bob and to herself, bob to alice."""
    async with cluster(late=late) as made:
        for number in range(3):
            await made.node.send("alice", "bob", f"from alice {number}", f"a{number}")
            await made.node.send("bob", "alice", f"from bob {number}", f"b{number}")
        await made.node.send("alice", "alice", "to herself", "note")
        await made.quiet()
        await made.node.process.call(made.node.owner.cleaner.flush())
        yield Written(made)


class Written:
    """A store and how to damage it."""

    def __init__(self, made: Cluster) -> None:
        self.made = made
        self.store: MemoryStore = made.store
        self.settings = made.settings
        self.clock = made.clock

    async def findings(self) -> list[Finding]:
        return await findings_of(self.store, self.settings, self.clock.now_us())

    async def assert_clean(self) -> None:
        await assert_no_findings(self.store, self.settings, self.clock.now_us())

    async def columns(self, row: bytes, family: Family) -> list[Column]:
        return (await self.store.get_row(row, (family,)))[family]

    async def messages(self, row: bytes, sender: str) -> list[MessageCell]:
        """Between alice and bob in a row, of one sender, newest first."""
        cells = [codec.decode_message(*column) for column in await self.columns(row, Family.MESSAGES)]
        return [cell for cell in cells if (cell.conversation_id, cell.sender_id) == (WITH_BOB, sender)]

    async def put(self, row: bytes, *columns: tuple[Family, bytes, bytes]) -> None:
        await self.store.mutate([RowMutation(row, [Put(*column) for column in columns])], self._now_ms())

    async def delete(self, row: bytes, family: Family, *qualifiers: bytes) -> None:
        await self.store.delete([RowDelete(row, [(family, one) for one in qualifiers])], self._now_ms())

    async def change(self, row: bytes, message: MessageCell, **fields: str) -> None:
        await self.put(row, codec.encode(replace(message, **fields)))

    async def forget(self, row: bytes, message: MessageCell) -> None:
        """Takes a message and its log entry out of a row: of a read one that is not the newest no trace is left."""
        await self.delete(
            row,
            Family.MESSAGES,
            message_qualifier(message.conversation_id, message.message_id, message.epoch, message.version),
        )
        for qualifier, value in await self.columns(row, Family.LOG):
            if codec.decode_log(qualifier, value).message_id == message.message_id:
                await self.delete(row, Family.LOG, qualifier)

    def _now_ms(self) -> int:
        self.clock.jump(1)
        return self.clock.now_ms()


def codes(findings: list[Finding]) -> set[tuple[Code, str]]:
    return {(finding.code, finding.user_id) for finding in findings}


@BOTH
@virtual_time
async def test_what_the_owner_wrote_has_no_finding(late: bool) -> None:
    async with written(late=late) as store:
        await store.assert_clean()


@virtual_time
async def test_progress_and_census_count_what_is_there() -> None:
    async with written(late=True) as made:
        store = made.store
        checker = Checker(store, made.settings.store, made.clock.now_us, is_live=False)
        seen = [item async for item in checker.run()]
        assert len(seen) == SHARDS / RUN_SHARDS
        assert checker.progress == Progress(SHARDS, SHARDS, rows=2, conversations=3, messages=13)
        census = [census async for census in take_census(store)][-1]
        assert (census.mailboxes, census.conversations, census.messages) == (2, 3, 13)
        keys = [split_message_qualifier(qualifier) for qualifier, _ in await made.columns(ALICE, Family.MESSAGES)]
        sent = sorted(sent_timestamp(key.message_id) for key in keys)
        assert (census.oldest_us, census.newest_us) == (sent[0], sent[-1])


# Bytes


@BOTH
@pytest.mark.parametrize("family", list(Family))
@virtual_time
async def test_a_cell_that_does_not_decode(late: bool, family: Family) -> None:
    async with written(late=late) as store:
        await store.put(ALICE, (family, b"c" + b"\x01" * 47, b"\x00"))
        assert codes(await store.findings()) == {(Code.UNREADABLE_CELL, "alice")}


@virtual_time
async def test_a_cell_under_a_qualifier_that_is_not_its_own() -> None:
    async with written(late=False) as store:
        qualifier, value = (await store.columns(ALICE, Family.MESSAGES))[0]
        await store.put(ALICE, (Family.MESSAGES, qualifier + b"\x00" * 4, value))
        assert codes(await store.findings()) == {(Code.UNREADABLE_CELL, "alice")}


@pytest.mark.parametrize("row", FOREIGN)
@pytest.mark.parametrize("family", [Family.INDEX, Family.OUTBOX])
@virtual_time
async def test_a_row_where_no_users_row_is(family: Family, row: bytes) -> None:
    async with written(late=False) as store:
        await store.put(row, (family, *(await store.columns(BOB, Family.INDEX))[0]))
        found = await store.findings()
        assert [(finding.code, finding.user_id) for finding in found] == [(Code.WRONG_ROW, repr(row)[2:-1])]


@pytest.mark.parametrize("row", FOREIGN)
@virtual_time
async def test_a_row_of_no_user_is_passed_by_the_second_look_at_copies(row: bytes) -> None:
    async with written(late=False) as store:
        await store.put(row, (Family.INDEX, *(await store.columns(BOB, Family.INDEX))[0]))
        await store.forget(BOB, (await store.messages(BOB, "alice"))[-1])
        assert {finding.code for finding in await store.findings()} == {Code.WRONG_ROW, Code.COPY_MISSING}


@pytest.mark.parametrize("row", FOREIGN)
@virtual_time
async def test_a_row_of_no_user_is_counted_apart_by_the_census(row: bytes) -> None:
    async with written(late=False) as store:
        await store.put(row, (Family.INDEX, *(await store.columns(BOB, Family.INDEX))[0]))
        *_, census = [census async for census in take_census(store.store)]
        assert (census.mailboxes, census.foreign_rows) == (2, 1)


@pytest.mark.parametrize("family", [family for family in Family if family is not Family.INDEX])
@virtual_time
async def test_a_row_that_the_index_does_not_know(family: Family) -> None:
    async with written(late=False) as store:
        await store.put(row_key("carol", SHARDS), (family, b"any", b"thing"))
        assert codes(await store.findings()) == {(Code.NO_INDEX, "carol")}


# Copies


@BOTH
@virtual_time
async def test_a_copy_that_is_missing(late: bool) -> None:
    async with written(late=late) as store:
        message = (await store.messages(BOB, "alice"))[-1]
        await store.forget(BOB, message)
        found = await store.findings()
        assert (Code.COPY_MISSING, "alice") in codes(found)
        assert message.message_id.hex() in str(found)
        assert {code for code, _ in codes(found)} == {Code.COPY_MISSING}


@BOTH
@virtual_time
async def test_a_copy_with_another_text(late: bool) -> None:
    async with written(late=late) as store:
        await store.change(BOB, (await store.messages(BOB, "alice"))[-1], content="forged")
        assert codes(await store.findings()) == {(Code.COPY_DIFFERS, "alice")}


@BOTH
@virtual_time
async def test_a_message_that_its_sender_did_not_send(late: bool) -> None:
    async with written(late=late) as store:
        message = (await store.messages(ALICE, "alice"))[-1]
        await store.forget(ALICE, message)
        assert (Code.COPY_UNSENT, "bob") in codes(await store.findings())


@virtual_time
async def test_what_is_in_the_outbox_may_be_missing() -> None:
    async with written(late=True) as store:
        cell = (await store.messages(ALICE, "alice"))[-1]
        await store.forget(BOB, (await store.messages(BOB, "alice"))[-1])
        message = Message(cell.message_id, WITH_BOB, "alice", ("alice", "bob"), cell.content)
        await store.put(ALICE, codec.encode(OutboxCell(cell.message_id, cell.epoch, cell.version, message)))
        await store.assert_clean()


@virtual_time
async def test_a_copy_of_a_replaced_owner_is_no_copy() -> None:
    async with written(late=True) as store:
        index = [codec.decode_index(*column) for column in await store.columns(BOB, Family.INDEX)]
        fence = next(cell.fence for cell in index if isinstance(cell, FenceCell))
        born = fence[-1].starts_after + 1
        await store.put(BOB, codec.encode(FenceCell(9 << 24, (*fence, FenceEntry(9 << 24, born, 0)))))
        assert (Code.COPY_MISSING, "alice") in codes(await store.findings())


# A store that does not stand still


class Writer:
    """Sends a message from alice to bob after each read of a range: `most` of them."""

    def __init__(self, made: Cluster, patch: pytest.MonkeyPatch, most: int) -> None:
        self.sent = 0
        read = made.store.get_range

        async def read_and_send(*arguments: Any, **options: Any) -> list[Column]:
            columns = await read(*arguments, **options)
            if self.sent < most:
                self.sent += 1
                await made.node.send("alice", "bob", f"meanwhile {self.sent}", f"m{self.sent}")
            return columns

        patch.setattr(made.store, "get_range", read_and_send)


async def live_check(store: Written) -> tuple[list[Finding], Progress]:
    checker = Checker(store.store, store.settings.store, store.clock.now_us)
    return [item async for item in checker.run() if isinstance(item, Finding)], checker.progress


@pytest.mark.parametrize("most", [1, 3, 1000])
@virtual_time
async def test_what_is_written_between_two_reads_is_no_finding(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    async with cluster(late=True) as made:
        await made.node.send("alice", "bob", "first", "a")
        made.clock.jump(2 * SLACK_US / 1e6)
        writer = Writer(made, monkeypatch, most)
        findings, progress = await live_check(Written(made))
        assert findings == []
        assert writer.sent >= min(most, LOOKS)
        assert not progress.is_second_look, "what is on its way puts no group out of balance"
        assert progress.rows == 2


@virtual_time
async def test_a_row_that_is_new_since_the_index_was_scanned_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster(late=True) as made:
        await made.node.send("alice", "alice", "first", "a")
        scan = made.store.scan_rows

        async def scan_then_send(shards: range, family: Family, after: bytes | None, limit: int) -> list[bytes]:
            rows = await scan(shards, family, after, limit)
            if family is Family.INDEX:
                await made.node.send("carol", "carol", "hello", "c")
            return rows

        monkeypatch.setattr(made.store, "scan_rows", scan_then_send)
        findings, progress = await live_check(Written(made))
        assert (findings, progress.rows) == ([], 1)


@virtual_time
async def test_a_broken_row_that_stands_still_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with written(late=True) as store:
        reads: list[bytes] = []
        read = store.store.get_range

        async def counted(row: bytes, *arguments: Any, **options: Any) -> list[Column]:
            reads.append(row)
            return await read(row, *arguments, **options)

        monkeypatch.setattr(store.store, "get_range", counted)
        await store.delete(ALICE, Family.LOG, (await store.columns(ALICE, Family.LOG))[0][0])
        assert codes((await live_check(store))[0]) == {(Code.LOG_MISSING, "alice")}
        assert sorted(reads) == sorted([ALICE, BOB] * 2), "the messages and the log of each"


@virtual_time
async def test_what_is_broken_is_found_also_while_its_row_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with written(late=True) as store:
        store.clock.jump(2 * SLACK_US / 1e6)
        message = (await store.messages(BOB, "alice"))[-1]
        await store.forget(BOB, message)
        entry = (await store.columns(ALICE, Family.LOG))[0][0]
        await store.delete(ALICE, Family.LOG, entry)
        Writer(store.made, monkeypatch, 1000)
        findings, _ = await live_check(store)
        assert codes(findings) == {(Code.LOG_MISSING, "alice"), (Code.COPY_MISSING, "alice")}


# Pages


@virtual_time
async def test_a_row_of_several_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cells, "PAGE_COLUMNS", 2)
    async with written(late=True) as store:
        await store.assert_clean()
        message = (await store.messages(BOB, "alice"))[-1]
        await store.forget(BOB, message)
        assert {code for code, _ in codes(await store.findings())} == {Code.COPY_MISSING}
