"""Limits of groups, as somebody meets them who wants to keep others from using a group or a server."""

import asyncio
from collections.abc import Sequence

import pytest

from rowbox.cacheserver.budget import SHARES
from rowbox.cacheserver.delivery.group_events import Delivered
from rowbox.mailbox.errors import NotAllowed, Overloaded, RateLimited, StoreUnavailable
from rowbox.mailbox.group import GroupSettings, WhoMay, group_name
from rowbox.mailbox.groups.requests import Add, Leave, Remove, Update
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import GroupsSettings, RateLimitSettings, Settings
from tests.owner.groups.test_groups import both_kinds, listed, told
from tests.support.cluster import UNLIMITED, cluster, gather_all
from tests.support.virtual_time import virtual_time

CHANGES = 6
LIMITED = Settings(
    rate_limits=RateLimitSettings(send_burst=1_000, send_per_second=1_000),
    groups=GroupsSettings(
        change_burst=CHANGES, change_per_second=0.001, fan_out_burst_bytes=20_000, fan_out_bytes_per_second=1
    ),
)


@virtual_time
async def test_who_may_not_change_a_group_does_not_use_up_its_changes() -> None:
    async with cluster(late=True, settings=LIMITED) as made:
        node = made.node
        group = (await node.create_group("ann", "bob", "cid")).conversation_id
        await made.quiet()
        for _ in range(2 * CHANGES):
            with pytest.raises(NotAllowed):
                await node.change_group("bob", group, Remove("cid"))
            assert not (await node.change_group("ann", group, Update("", None))).changed, "it is so already"
        assert (await node.change_group("ann", group, Update("ours", None))).changed


@virtual_time
async def test_who_changes_a_group_all_the_time_can_be_removed_and_everybody_can_leave() -> None:
    async with cluster(late=True, settings=LIMITED) as made:
        node = made.node
        settings = GroupSettings(who_can_edit_info=WhoMay.ALL)
        group = (await node.create_group("ann", "bob", "cid", settings=settings)).conversation_id
        await made.quiet()
        names = [Update(f"name {number}", None) for number in range(2 * CHANGES)]
        ended = await gather_all(*(node.change_group("bob", group, name) for name in names))
        assert isinstance(ended[-1], RateLimited)
        assert (await node.change_group("ann", group, Remove("bob"))).changed
        with pytest.raises(RateLimited):
            await node.change_group("ann", group, Add(("dan",), 100))
        for _ in range(CHANGES):
            with pytest.raises(RateLimited):
                await node.change_group("ann", group, Update("ours again", None))
        assert (await node.change_group("cid", group, Leave())).changed


@virtual_time
async def test_who_may_not_write_into_a_group_or_sends_again_does_not_use_up_its_fan_out() -> None:
    async with cluster(late=True, settings=LIMITED) as made:
        node = made.node
        settings = GroupSettings(who_can_send=WhoMay.ADMINS)
        group = (await node.create_group("ann", "bob", settings=settings)).conversation_id
        await made.quiet()
        await node.send_to("ann", group, "x" * 5_000, "1")
        for number in range(10):
            with pytest.raises(NotAllowed):
                await node.send_to("bob", group, "x" * 5_000, str(number))
            assert (await node.send_to("ann", group, "x" * 5_000, "1")).duplicate
        await node.send_to("ann", group, "x" * 2_000, "2")
        with pytest.raises(RateLimited):
            await node.send_to("ann", group, "x" * 5_000, "3")


@virtual_time
async def test_a_message_costs_its_group_the_bytes_of_its_copies() -> None:
    async with cluster(late=True, settings=LIMITED) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        await node.send_to("ann", group, "😂" * 1_500, "1")
        with pytest.raises(RateLimited):
            await node.send_to("ann", group, "😂" * 1_500, "2")
        small = (await node.create_group("ann", "bob", named="small")).conversation_id
        ended = await gather_all(*(node.send_to("ann", small, "x", f"small {number}") for number in range(100)))
        assert isinstance(ended[-1], RateLimited)


@virtual_time
async def test_a_reaction_costs_its_group_the_copies_that_it_has_written_anew() -> None:
    """Each member's row writes the message again, with its text."""
    async with cluster(late=True, settings=LIMITED) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        sent = await node.send_to("ann", group, "x" * 7_000, "1")
        with pytest.raises(RateLimited):
            await node.react("bob", sent, "\U0001f44d")
        little = (await node.create_group("ann", "bob", named="little")).conversation_id
        sent = await node.send_to("ann", little, "x", "2")
        assert (await node.react("bob", sent, "\U0001f44d")).changed


@virtual_time
async def test_groups_take_their_share_of_what_is_on_its_way_and_no_more() -> None:
    """Else everybody's messages are refused while groups' members do not answer."""
    async with cluster(late=True) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        budget = node.owner.delivery.budget
        budget.add(budget.most_bytes // 2)
        await node.send_to("ann", group, "a little", "1")
        node.owner.delivery._held[group_name(group)] = [1, budget.most_bytes // SHARES]
        with pytest.raises(Overloaded):
            await node.send_to("ann", group, "too much", "2")
        with pytest.raises(Overloaded):
            await node.change_group("ann", group, Update("too much", None))
        assert (await node.change_group("ann", group, Remove("bob"))).changed
        assert (await node.send("ann", "bob", "of two", "3")).message_id
        del node.owner.delivery._held[group_name(group)]
        budget.remove(budget.most_bytes // 2)


@virtual_time
async def test_who_makes_groups_has_a_limit_of_his_own() -> None:
    limits = RateLimitSettings(send_burst=1_000, send_per_second=1_000, create_burst=2, create_per_second=0.001)
    async with cluster(late=True, settings=Settings(rate_limits=limits)) as made:
        node = made.node
        for number in range(2):
            assert (await node.create_group("ann", "bob", named=f"g{number}")).changed
        with pytest.raises(RateLimited):
            await node.create_group("ann", "bob", named="one more")
        assert (await node.create_group("bob", "ann", named="his")).changed


@virtual_time
async def test_nothing_is_changed_while_too_much_of_its_users_is_on_its_way() -> None:
    async with cluster(late=True, settings=UNLIMITED) as made:
        node = made.node
        sent = await node.send("ann", "bob", "hello", "1")
        await made.quiet()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.delivery, "refuses", lambda user: user == "ann")
            with pytest.raises(Overloaded):
                await node.change("ann", sent, "hallo")
            assert (await node.react("bob", sent, "\U0001f44d")).changed
        assert (await node.change("ann", sent, "hallo")).changed


@both_kinds
@virtual_time
async def test_who_is_in_as_many_groups_as_there_may_be_makes_none(late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late, settings=UNLIMITED) as made:
            node = made.node
            group = (await node.create_group("ann", "bob")).conversation_id
            await made.quiet()
            patch.setattr("rowbox.mailbox.groups.member_row.MOST_GROUPS", 1)
            with pytest.raises(NotAllowed):
                await node.create_group("ann", "bob", named="one more")
            assert not (await node.create_group("ann", "bob")).changed, "a retry of the first one"
            await node.change_group("ann", group, Leave())
            assert (await node.create_group("ann", "cid", named="another")).changed


@virtual_time
async def test_a_member_who_cannot_be_reached_does_not_stop_his_group() -> None:
    """His part waits in the group's outbox; the others go on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowbox.cacheserver.groups.group_rows.MOST_BACKLOG", 20)
        patch.setattr("rowbox.cacheserver.delivery.delivery.MOST_HELD_OF_GROUPS", 10)
        async with cluster(late=True) as made:
            node = made.node
            group = (await node.create_group("ann", "bob", "cid")).conversation_id
            await made.quiet()
            delivery = node.owner.delivery
            deliver = delivery._deliver

            def all_but_cid(recipient: str, messages: Sequence[Message]) -> Delivered:
                if recipient == "cid":
                    raise StoreUnavailable("this part of the store is away")
                return deliver(recipient, messages)

            patch.setattr(delivery, "_deliver", all_but_cid)
            for number in range(60):
                await node.send_to("ann", group, f"text {number}", str(number))
            assert len(await told(node, "bob", group)) == 61
            assert (await node.send("bob", "ann", "of two", "of two")).pending_recipients == 0
            patch.setattr(delivery, "_deliver", deliver)
            await asyncio.sleep(200)
            await node.owner.recovery.scan()
            await made.quiet()
            assert (await told(node, "cid", group)) == (await told(node, "ann", group))
            assert (await listed(node, "cid"))["unreadCount"] == 60
