"""Rows that were put back to an older state, as by a restore of a part of the store: a member's, the group's."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest

from rowbox.cacheserver.delivery.group_events import Delivered
from rowbox.cacheserver.delivery.parcels import Parcel
from rowbox.cacheserver.delivery.recovery import PAUSE_S
from rowbox.cacheserver.delivery.spilled import Spilled
from rowbox.cacheserver.port import ChangeAccount
from rowbox.cacheserver.stores.port import Column, Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import SetConversation
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import EventGap, HandoverInProgress, NotAMember, UnknownConversation
from rowbox.mailbox.group import group_name
from rowbox.mailbox.groups.requests import Add, Remove, SetRole, Update
from rowbox.mailbox.message import Message
from tests.checking import findings_of
from tests.owner.groups.test_group_changes import HEART, UP, shown
from tests.owner.groups.test_groups import both_kinds, five, listed, told
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, cluster
from tests.support.virtual_time import virtual_time

Stored: TypeAlias = Mapping[Family, list[Column]]


def stored(made: Cluster, name: str) -> Stored:
    """What a row holds."""
    return {family: made.store.cells.columns(row_key(name, SHARDS), family) for family in Family}


async def put_back(made: Cluster, name: str, before: Stored) -> None:
    """Puts a row back, while no server runs, and starts one."""
    await made.quiet()
    await asyncio.sleep(1)  # what was delivered has left the outboxes
    await made.kill()
    row, store = row_key(name, SHARDS), made.store.beside()
    made.clock.jump(1.0)
    columns = [(family, column[0]) for family, held in stored(made, name).items() for column in held]
    if columns:
        await store.delete([RowDelete(row, columns)], made.clock.now_ms())
    made.clock.jump(1.0)
    puts = [Put(family, *column) for family, held in before.items() for column in held]
    if puts:
        await store.mutate([RowMutation(row, puts)], made.clock.now_ms())
    made.clock.jump(1.0)
    await made.start()


async def findings(made: Cluster) -> set[tuple[str, str]]:
    found = await findings_of(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)
    return {(one.code, one.user_id) for one in found}


@both_kinds
@virtual_time
async def test_a_members_row_that_was_put_back_has_what_it_lacked_with_the_next_event(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made)).conversation_id
        await made.node.send_to("ann", group, "one", "1")
        await made.quiet()
        before = stored(made, "cid")
        edited = await made.node.send_to("bob", group, "two", "2")
        reacted = await made.node.send_to("cid", group, "three", "3")
        taken_back = await made.node.send_to("dan", group, "four", "4")
        await made.node.change("bob", edited, "zwei")
        await made.node.react("eve", reacted, UP)
        await made.node.change("dan", taken_back, None)
        await made.node.change_group("ann", group, SetRole("cid", "admin"))
        await put_back(made, "cid", before)
        assert await told(made.node, "cid", group) == ["created:bob,cid,dan,eve", "one"]
        last = await made.node.send_to("bob", group, "five", "5")
        await made.quiet()
        assert last.pending_recipients == 0
        for user in ("bob", "cid"):
            assert (await told(made.node, user, group))[1:] == ["one", "zwei", "three", "", "role:cid", "five"]
        assert (await shown(made.node, "cid", reacted))["reactions"] == (await shown(made.node, "bob", reacted))[
            "reactions"
        ]
        assert (await shown(made.node, "cid", taken_back))["unsentBy"] == "dan"
        assert (await listed(made.node, "cid"))["role"] == "admin"
        assert made.node.owner.delivery.group_events.resumed == 1
        again = await made.node.send_to("cid", group, "three", "3")
        assert (again.message_id, again.duplicate) == (reacted.message_id, True)
        assert (await made.node.react("cid", edited, HEART)).changed
        await made.quiet()
        assert await findings(made) == set()


@both_kinds
@virtual_time
async def test_what_a_row_that_was_put_back_lacked_takes_the_group_out_of_the_archive(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made)).conversation_id
        deed = SetConversation(group, is_archived=True)
        await made.node.process.call(made.node.owner.change_account(ChangeAccount("cid", deed)))
        before = stored(made, "cid")
        await made.node.send_to("ann", group, "one", "1")
        await put_back(made, "cid", before)
        assert (await listed(made.node, "cid"))["archived"]
        await made.node.change_group("ann", group, SetRole("bob", "admin"))  # a message that nobody wrote
        await made.quiet()
        assert await told(made.node, "cid", group) == ["created:bob,cid,dan,eve", "one", "role:bob"]
        assert "archived" not in await listed(made.node, "cid")
        assert await findings(made) == set()


@both_kinds
@virtual_time
async def test_a_row_that_was_put_back_to_before_the_join_is_in_again(late: bool) -> None:
    async with cluster(late=late) as made:
        before = stored(made, "cid")
        group = (
            await five(
                made,
            )
        ).conversation_id
        await made.node.send_to("cid", group, "one", "1")
        await put_back(made, "cid", before)
        with pytest.raises(UnknownConversation):
            await made.node.send_to("cid", group, "two", "2")
        await made.node.send_to("ann", group, "three", "3")
        await made.quiet()
        assert await told(made.node, "cid", group) == ["created:bob,cid,dan,eve", "one", "three"]
        await made.node.send_to("cid", group, "four", "4")
        assert (await listed(made.node, "cid"))["name"] == "the five"
        assert await findings(made) == set()


@both_kinds
@virtual_time
async def test_who_was_removed_meanwhile_has_what_came_before_that_and_is_out(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made)).conversation_id
        before = stored(made, "cid")
        await made.node.send_to("ann", group, "one", "1")
        await made.node.change_group("ann", group, Remove("cid"))
        await made.node.send_to("ann", group, "not for cid", "2")
        await put_back(made, "cid", before)
        assert (await listed(made.node, "cid"))["membership"] == "in", "nothing has told him yet"
        with pytest.raises(NotAMember):
            await made.node.send_to("cid", group, "hello", "3")
        await made.node.change_group("ann", group, Add(("cid",), 9))
        await made.node.change_group("ann", group, Remove("cid"))
        await made.quiet()
        shows = await told(made.node, "cid", group)
        assert shows == ["created:bob,cid,dan,eve", "one", "removed:cid", "added:cid", "removed:cid"]
        assert (await listed(made.node, "cid"))["membership"] == "removed"
        assert await findings(made) == set()


@both_kinds
@virtual_time
async def test_what_cannot_be_brought_back_is_named_by_the_check_and_goes_on(late: bool) -> None:
    """Of a message that the row has, what was done to it in the lost time; and what came before the newest hundred."""
    async with cluster(late=late) as made:
        group = (await five(made)).conversation_id
        sent = await made.node.send_to("bob", group, "one", "1")
        await made.quiet()
        before = stored(made, "cid")
        await made.node.change("bob", sent, "eins")
        for number in range(105):
            await made.node.send_to("ann", group, f"text {number}", f"t{number}")
        await put_back(made, "cid", before)
        await made.node.send_to("ann", group, "last", "2")
        await made.quiet()
        shows = await told(made.node, "cid", group)
        assert shows[1:] == ["one", *(f"text {number}" for number in range(5, 105)), "last"]
        assert {user for _, user in await findings(made)} == {"cid"}
        await made.node.change("bob", sent, "uno")
        await made.quiet()
        assert (await told(made.node, "cid", group))[1] == "uno"


@both_kinds
@virtual_time
async def test_a_groups_row_that_was_put_back_goes_on(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await five(made)).conversation_id
        await made.node.send_to("ann", group, "one", "1")
        await made.quiet()
        before = stored(made, group_name(group))
        await made.node.send_to("ann", group, "lost", "2")
        await put_back(made, group_name(group), before)
        again = await made.node.send_to("ann", group, "lost", "2")
        assert again.duplicate, "her own row knows it"
        await made.node.send_to("bob", group, "three", "3")
        await made.node.change_group("ann", group, Update("another name", None))
        await made.quiet()
        for user in ("ann", "bob", "cid"):
            assert await told(made.node, user, group) == ["created:bob,cid,dan,eve", "one", "lost", "three", "renamed:"]
        assert made.node.owner.delivery.group_events.gaps == 0
        assert {code for code, _ in await findings(made)} == {"copy_unsent"}


@both_kinds
@virtual_time
async def test_who_is_in_by_a_lost_event_alone_is_added_again(late: bool) -> None:
    async with cluster(late=late) as made:
        group = (await made.node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        before = stored(made, group_name(group))
        await made.node.change_group("ann", group, Add(("cid",), 9))
        await made.node.change_group("ann", group, Remove("bob"))
        await put_back(made, group_name(group), before)
        await made.node.send_to("ann", group, "two", "2")
        with pytest.raises(UnknownConversation):
            await made.node.send_to("cid", group, "hello", "3")
        with pytest.raises(NotAMember):
            await made.node.send_to("bob", group, "hello", "3")
        for user in ("bob", "cid"):
            if user == "bob":
                await made.node.change_group("ann", group, Remove(user))
            await made.node.change_group("ann", group, Add((user,), 9))
        await made.node.send_to("ann", group, "four", "4")
        await made.quiet()
        for user in ("bob", "cid"):
            assert "four" in await told(made.node, user, group)
            await made.node.send_to(user, group, f"{user} is in", "5")


async def behind(made: Cluster) -> bytes:
    """A group whose member Cid has lost a message, and has another one coming, which is a gap to his row."""
    group = (await five(made)).conversation_id
    await made.quiet()
    before = stored(made, "cid")
    await made.node.send_to("ann", group, "lost", "1")
    await put_back(made, "cid", before)
    return group


@virtual_time
async def test_what_stands_before_an_event_is_said_again_where_that_failed() -> None:
    """... at its owner, and on its way; and nothing that others have to get waits for it."""
    async with cluster(late=True) as made:
        group = await behind(made)
        events = made.node.owner.delivery.group_events
        say, bring, failed = events._resumption, events._steps.deliver, list[str]()

        def says(cell: OutboxCell, user_id: str) -> object:
            if not failed:
                failed.append("said")
                raise HandoverInProgress("not now")
            return say(cell, user_id)

        def brings(recipient: str, messages: Sequence[Message]) -> Delivered:
            part = messages[0].group
            if part is not None and part.resumed is not None and failed == ["said"]:
                failed.append("brought")
                raise HandoverInProgress("not now")
            return bring(recipient, messages)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events, "_resumption", says)
            patch.setattr(events, "_steps", events._steps._replace(deliver=brings))
            await made.node.send_to("ann", group, "next", "2")
            assert (await told(made.node, "bob", group))[-1] == "next"
            await made.quiet()
        assert failed == ["said", "brought"]
        assert (await told(made.node, "cid", group))[1:] == ["lost", "next"]
        assert (events.resumed, events.gaps) == (1, 3)


@virtual_time
async def test_a_row_that_still_lacks_something_is_not_told_again_and_again() -> None:
    """That cannot be; were it so, its events would wait in the outbox, and the others' go on."""
    async with cluster(late=True) as made:
        group = await behind(made)
        delivery = made.node.owner.delivery
        events = delivery.group_events

        def drops(plan: Plan, *_: object) -> int:
            return plan.head

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rowbox.mailbox.groups.member_row.take_resumption", drops)
            await made.node.send_to("ann", group, "next", "2")
            await made.quiet()
            assert (events.resumed, events.gaps) == (1, 2)
            assert delivery.has_spilled(group_name(group))
            assert (await made.node.send("dan", "cid", "hello", "3")).pending_recipients == 0
        await asyncio.sleep(2 * PAUSE_S)
        assert (await told(made.node, "cid", group))[1:] == ["lost", "next"]
        assert not delivery.has_spilled(group_name(group))


@virtual_time
async def test_a_row_of_which_the_group_knows_nothing_is_told_nothing() -> None:
    """Its events stay in the outbox, as a scan finds them."""
    async with cluster(late=True) as made:
        group = await behind(made)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rowbox.mailbox.groups.group_row.GroupRow.resumption", lambda *_: None)
            await made.node.send_to("ann", group, "next", "2")
            await made.quiet()
            assert made.node.owner.delivery.group_events.resumed == 0
            assert made.node.owner.delivery.has_spilled(group_name(group))


@virtual_time
async def test_where_the_outbox_may_hold_what_is_lacking_a_scan_reads_that_first() -> None:
    async with cluster(late=True) as made:
        group = await behind(made)
        delivery = made.node.owner.delivery
        events = delivery.group_events

        def is_spilled_meanwhile(recipient: str, parcel: Parcel, error: EventGap) -> None:
            delivery.spilled.setdefault(parcel.sender_id, Spilled()).add(recipient)
            gap(recipient, parcel, error)

        gap = events.gap
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(events, "gap", is_spilled_meanwhile)
            await made.node.send_to("ann", group, "next", "2")
            await made.quiet()
            assert (events.resumed, events.gaps) == (0, 1)
        await asyncio.sleep(2 * PAUSE_S)
        assert (events.resumed, events.gaps) == (1, 2)
        assert (await told(made.node, "cid", group))[1:] == ["lost", "next"]
