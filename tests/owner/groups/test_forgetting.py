"""How long a group's row knows a send: until all members have had the message for an hour."""

import asyncio
from typing import Final

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.groups.forgetting import KEPT_S, PAUSE_S
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import GroupMoved, NotTheOwner, RowboxError, StoreUnavailable
from rowbox.mailbox.group import group_name
from rowbox.mailbox.groups.group_row import OLD_AFTER_US
from rowbox.mailbox.groups.requests import GroupRequest, GroupSend, GroupSent
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from tests.owner.groups.test_group_delivery import without_cid
from tests.owner.groups.test_groups import both_kinds, checked, told
from tests.support.cluster import SHARDS, Cluster, cluster
from tests.support.virtual_time import virtual_time

FORGOTTEN_S: Final = KEPT_S + 2 * PAUSE_S + 30.0
"""By then whatever all had at the beginning is forgotten."""


def known(made: Cluster, group: bytes, user: str | None = None) -> int:
    """How many sends a row in the store knows: the group's, or a user's."""
    row = row_key(user or group_name(group), SHARDS)
    return len(made.store.cells.columns(row, Family.DEDUPE))


async def sent(made: Cluster, group: bytes, text: str) -> GroupSend:
    """Sends a message of Ann's: what the group's row was asked for."""
    door, asked = made.node.owner.front_door, list[GroupRequest]()
    reach = door._ask

    async def heard(request: GroupRequest) -> object:
        asked.append(request)
        return await reach(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "_ask", heard)
        await made.node.send_to("ann", group, text, text)
    (request,) = asked
    assert isinstance(request, GroupSend)
    return request


async def asked_again(made: Cluster, request: GroupSend) -> bool:
    """Whether the group's row knows a send, of which a try comes late."""
    answer = await made.node.owner.groups.ask(request)
    assert isinstance(answer, GroupSent)
    return answer.duplicate


@both_kinds
@virtual_time
async def test_a_send_is_forgotten_an_hour_after_all_have_it(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid", "eve")).conversation_id
        request = await sent(made, group, "one")
        await asyncio.sleep(KEPT_S - 1)
        assert known(made, group) == 1
        assert await asked_again(made, request)
        await asyncio.sleep(FORGOTTEN_S - KEPT_S)
        assert (known(made, group), known(made, group, "ann")) == (0, 1)
        with pytest.raises(GroupMoved):
            await asked_again(made, request)
        again = await node.send_to("ann", group, "one", "one")
        assert (again.duplicate, again.pending_recipients) == (True, 0), "her own row knows it"
        await node.send_to("ann", group, "two", "two")
        assert known(made, group) == 1
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0
        assert len(node.owner.groups.forgetting) == 0, "nobody writes there"
        assert await told(node, "bob", group) == ["created:bob,cid,eve", "one", "two"]


@both_kinds
@virtual_time
async def test_the_hour_begins_when_the_last_member_has_it(late: bool) -> None:
    """Until then the sender's own row may be the one without it: a try that it accepts is known to nobody else."""
    async with checked(late=late) as made:
        group = (await made.node.create_group("ann", "bob", "cid", "eve")).conversation_id
        await made.quiet()
        async with without_cid(made):
            request = await sent(made, group, "one")
            await asyncio.sleep(2 * FORGOTTEN_S)
            later = await sent(made, group, "two")
            assert known(made, group) == 2
        await made.quiet()
        await asyncio.sleep(PAUSE_S + 30)
        assert await asked_again(made, request)
        await asyncio.sleep(KEPT_S - PAUSE_S - 60)
        assert await asked_again(made, request)
        assert await asked_again(made, later)
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0


@both_kinds
@virtual_time
async def test_what_comes_later_is_kept_as_long(late: bool) -> None:
    async with checked(late=late) as made:
        group = (await made.node.create_group("ann", "bob", "eve")).conversation_id
        await sent(made, group, "one")
        await asyncio.sleep(KEPT_S - 1)
        request = await sent(made, group, "two")
        await asyncio.sleep(2 * PAUSE_S)
        assert known(made, group) == 1
        assert await asked_again(made, request)
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0


@both_kinds
@virtual_time
async def test_what_a_scan_has_to_read_back_is_kept(late: bool) -> None:
    """Nobody here knows who has what of a group whose events have spilled."""
    async with checked(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid", "eve")).conversation_id
        await made.quiet()
        delivery = node.owner.delivery
        deliver = delivery._deliver

        def damaged(recipient: str, messages: object) -> object:
            if recipient == "cid":
                raise ValueError("this row does not decode")
            return deliver(recipient, messages)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery, "_deliver", damaged)
            await sent(made, group, "one")
            await asyncio.sleep(FORGOTTEN_S)
            assert delivery.has_spilled(group_name(group))
            assert known(made, group) == 1
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0


@virtual_time
async def test_the_next_owner_forgets_what_the_last_one_has_left() -> None:
    async with checked(late=True) as made:
        group = (await made.node.create_group("ann", "bob", "eve")).conversation_id
        for number in range(5):
            await sent(made, group, f"text {number}")
        await made.restart()
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 5, "nobody has written there since"
        await sent(made, group, "one more")
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0
        _, mailbox = await made.node.owner.table.loaded(group_name(group))
        assert mailbox.client_ids.count == 6, "a number too many costs one read, for a day at most"
        made.clock.jump(24 * 3600.0)
        await sent(made, group, "tomorrow")
        await asyncio.sleep(FORGOTTEN_S)
        assert mailbox.client_ids.count == 1


@virtual_time
async def test_a_send_that_was_under_way_at_the_mark_is_forgotten_with_the_next_one() -> None:
    async with checked(late=True) as made:
        group = (await made.node.create_group("ann", "bob", "cid", "eve")).conversation_id
        await made.quiet()
        async with without_cid(made):
            await sent(made, group, "one")
            await asyncio.sleep(PAUSE_S + 30)
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 1
        await asyncio.sleep(FORGOTTEN_S)
        assert known(made, group) == 0


@virtual_time
async def test_the_earliest_on_the_way_need_not_have_come_first() -> None:
    """What was read back from an outbox comes behind what others are still to get."""
    async with cluster(late=True) as made:
        delivery = made.node.owner.delivery
        cells = []
        for version in (70, 50, 60):
            message = Message(message_id(version, 0), bytes(16), "ann", ("ann", "bob"), "x")
            cells.append(OutboxCell(message.message_id, 1, version, message))
        async with without_cid(made, "bob"):
            delivery.add("ann", row_key("ann", SHARDS), cells)
            assert delivery.earliest({"ann", "cid"}) == {"ann": 50}
            delivery.give_away(lambda _sender: True)
            assert delivery.earliest({"ann"}) == {}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), NotTheOwner("given away")])
@virtual_time
async def test_what_fails_is_tried_again(error: RowboxError) -> None:
    async with checked(late=True) as made:
        owner = made.node.owner
        groups = [(await made.node.create_group("ann", "bob", named=name)).conversation_id for name in ("one", "two")]
        for group in groups:
            await sent(made, group, "x" + group.hex())
        remove, failed = owner.cleaner.remove_now, list[bytes]()

        async def removes(row: bytes, *of: object) -> None:
            if row == row_key(group_name(groups[0]), SHARDS) and not failed:
                failed.append(row)
                raise error
            await remove(row, *of)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner.cleaner, "remove_now", removes)
            await asyncio.sleep(FORGOTTEN_S)
        assert failed
        is_given_away = isinstance(error, NotTheOwner)
        assert [known(made, group) for group in groups] == [1 if is_given_away else 0, 0]
        assert owner.groups.forgetting.loop.failures == (0 if is_given_away else 1)


@virtual_time
async def test_a_late_try_is_refused_before_the_send_is_forgotten() -> None:
    async with checked(late=True) as made:
        group = (await made.node.create_group("ann", "bob", "eve")).conversation_id
        request = await sent(made, group, "one")
        old = replace(request, by=replace(request.by, accepted_us=made.clock.now_us() - OLD_AFTER_US))
        assert await asked_again(made, old), "it is known"
        unknown = replace(old, client_message_id="another")
        with pytest.raises(GroupMoved):
            await asked_again(made, unknown)
