"""What the checker finds of groups: each fault that is put into a member's part of one."""

import asyncio

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, MEMBER_MARKS, MessageCell
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.group import SENDS_KEPT_US, InGroup, group_name
from rowbox.mailbox.groups.requests import Remove
from rowbox.mailbox.receipts import MemberMarks, Move, Receipt
from rowbox.mailbox.settings.config import MessageSettings
from rowbox.mailbox.two_states import IndexCell
from tests.checking import findings_of
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, cluster
from tests.support.virtual_time import virtual_time


async def messages(made: Cluster, name: str) -> list[MessageCell]:
    """The messages of a row, the newest first."""
    columns = (await made.store.get_row(row_key(name, SHARDS), (Family.MESSAGES,)))[Family.MESSAGES]
    cells = [codec.decode(Family.MESSAGES, *column) for column in columns]
    return [cell for cell in cells if isinstance(cell, MessageCell)]


async def remove(made: Cluster, name: str, cell: MessageCell) -> None:
    made.clock.jump(1.0)
    family, qualifier, _ = codec.encode(cell)
    await made.store.delete([RowDelete(row_key(name, SHARDS), [(family, qualifier)])], made.clock.now_ms())


async def put(made: Cluster, name: str, cell: MessageCell) -> None:
    made.clock.jump(1.0)
    await made.store.mutate([RowMutation(row_key(name, SHARDS), [Put(*codec.encode(cell))])], made.clock.now_ms())


async def codes(made: Cluster, user: str) -> set[Code]:
    """What the check of a whole store and that of the user's mailbox say of the user's part of a group, both alike."""
    now_us = made.clock.now_us()
    found = {one.code for one in await findings_of(made.store, UNLIMITED, now_us, slack_us=0) if one.user_id == user}
    report = await MailboxCheck(made.store, UNLIMITED.store, made.clock.now_us, slack_us=0).check(user)
    across = {Code.COPY_MISSING, Code.COPY_DIFFERS, Code.COPY_UNSENT, Code.NOT_A_MEMBER, Code.RECEIPT_AHEAD}
    assert found & across == {one.code for one in report.findings} & across
    return found & across


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_a_chain_that_is_behind_what_the_row_shows_is_found(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await made.node.create_group("ann", "bob")).conversation_id
        await made.node.send_to("ann", group, "hello", "1")
        await made.quiet()
        made.clock.jump(1.0)
        row = row_key("bob", SHARDS)
        columns = (await made.store.get_row(row, (Family.INDEX,)))[Family.INDEX]
        (cell,) = (codec.decode(Family.INDEX, *one) for one in columns if one[0][:1] == CONVERSATION.letter)
        assert isinstance(cell, IndexCell)
        behind = replace(cell, current=replace(cell.current, group=InGroup(1, "ann")))
        await made.store.mutate([RowMutation(row, [Put(*codec.encode(behind))])], made.clock.now_ms())
        found = await findings_of(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)
        assert {one.code for one in found if one.user_id == "bob"} >= {Code.GROUP_CHAIN}


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_each_fault_in_a_members_part_is_found(late: bool) -> None:
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        await node.send_to("ann", group, "to all", "1")
        await node.change_group("ann", group, Remove("cid"))
        await node.send_to("ann", group, "not to cid", "2")
        await made.quiet()
        assert await codes(made, "bob") == set()
        newest, *_ = await messages(made, "bob")
        await remove(made, "bob", newest)
        assert await codes(made, "bob") == {Code.COPY_MISSING}
        await put(made, "bob", newest)
        assert await codes(made, "bob") == set()
        await put(made, "cid", newest)
        assert await codes(made, "cid") == {Code.NOT_A_MEMBER}
        of_group, *_ = await messages(made, group_name(group))
        await remove(made, group_name(group), of_group)
        assert await codes(made, "bob") == {Code.COPY_UNSENT}


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_each_fault_in_a_changed_copy_is_found(late: bool) -> None:
    async with cluster(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        sent = await node.send_to("ann", group, "hello", "1")
        await made.quiet()
        (as_sent,) = [cell for cell in await messages(made, "bob") if cell.told is None]
        await node.react("cid", sent, "\U0001f44d")
        await node.change_group("ann", group, Remove("cid"))
        await node.change("ann", sent, "hallo")
        await made.quiet()
        await asyncio.sleep(5)  # what was there before the change is removed
        for user in ("bob", "cid"):
            assert await codes(made, user) == set()
        (changed,) = [cell for cell in await messages(made, "bob") if cell.told is None]
        unchanged = replace(changed, content="hello", change=None)
        for fault in (replace(changed, content="hi"), replace(changed, tallies=()), unchanged):
            await put(made, "bob", fault)
            assert await codes(made, "bob") == {Code.COPY_DIFFERS}
            await put(made, "bob", changed)
            assert await codes(made, "bob") == set()
        await remove(made, "bob", changed)
        await put(made, "bob", as_sent)
        assert await codes(made, "bob") == {Code.COPY_DIFFERS}, "it lacks what was done to it"
        await remove(made, "bob", as_sent)
        await put(made, "bob", changed)
        (of_cid,) = [cell for cell in await messages(made, "cid") if cell.told is None]
        assert of_cid.content == "hello"
        await put(made, "cid", replace(of_cid, content="hallo", change=changed.change))
        assert await codes(made, "cid") == {Code.NOT_A_MEMBER}, "it was done after he had left"


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_each_fault_in_a_members_marks_is_found(late: bool) -> None:
    settings = replace(UNLIMITED, messages=MessageSettings(receipts="all"))
    async with cluster(late=late, settings=settings) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        first = (await node.send_to("ann", group, "one", "1")).message_id
        second = (await node.send_to("ann", group, "two", "2")).message_id
        await made.quiet()
        await node.mark_read("bob", group, first)
        receipt = Receipt(group, "bob", first, first, 5)
        await node.process.call(_taken(node, group_name(group), receipt))
        name, row = group_name(group), row_key(group_name(group), SHARDS)
        columns = (await made.store.get_row(row, (Family.INDEX,)))[Family.INDEX]
        (cell,) = (codec.decode(Family.INDEX, *one) for one in columns if one[0][:1] == MEMBER_MARKS.letter)
        assert isinstance(cell, IndexCell)

        async def found_with(cell: IndexCell[MemberMarks], name: str = name) -> set[tuple[str, Code]]:
            made.clock.jump(1.0)
            place = row_key(name, SHARDS)
            await made.store.mutate([RowMutation(place, [Put(*codec.encode(cell))])], made.clock.now_ms())
            found = await findings_of(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)
            return {(one.user_id, one.code) for one in found}

        def with_moves(*up_to: bytes) -> IndexCell[MemberMarks]:
            moves = tuple(Move(one, 5) for one in up_to)
            return replace(cell, current=replace(cell.current, moves=moves))

        assert await found_with(cell) == set()
        assert await found_with(with_moves(second)) == {("bob", Code.RECEIPT_AHEAD)}
        assert await codes(made, "bob") == {Code.RECEIPT_AHEAD}
        assert await found_with(with_moves(first, first)) == {(name, Code.RECEIPTS)}
        assert await found_with(with_moves(*[bytes([one]) * 16 for one in range(5)])) >= {(name, Code.RECEIPTS)}
        behind = replace(cell, current=replace(cell.current, delivered=b"\xff" * 16))
        assert await found_with(behind) == {(name, Code.RECEIPTS)}
        another = replace(cell, current=replace(cell.current, user_id="cid"))
        assert await found_with(another) == {(name, Code.RECEIPTS)}
        assert await found_with(cell) == set()
        assert await found_with(cell, "bob") == {("bob", Code.RECEIPTS)}


async def _taken(node: Node, name: str, receipt: Receipt) -> int:
    return await node.owner.take_receipts(name, [receipt])


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_a_groups_row_that_has_forgotten_a_send_too_early_is_found(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await made.node.create_group("ann", "bob")).conversation_id
        await made.node.send_to("ann", group, "hello", "1")
        await made.quiet()
        row = row_key(group_name(group), SHARDS)
        ((qualifier, _),) = (await made.store.get_row(row, (Family.DEDUPE,)))[Family.DEDUPE]
        made.clock.jump(1.0)
        await made.store.delete([RowDelete(row, [(Family.DEDUPE, qualifier)])], made.clock.now_ms())
        now_us = made.clock.now_us()
        (found,) = await findings_of(made.store, UNLIMITED, now_us, slack_us=0)
        assert (found.code, found.user_id) == (Code.DEDUPE_MISSING, group_name(group))
        assert not await findings_of(made.store, UNLIMITED, now_us + SENDS_KEPT_US, slack_us=0)
