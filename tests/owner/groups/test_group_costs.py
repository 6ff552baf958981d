"""What a message to a group costs a store, counted at it, and how the deliveries of a group are bounded."""

import asyncio

import pytest

from rowbox.cacheserver.groups.group_rows import MOST_BACKLOG
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import Overloaded, RateLimited
from rowbox.mailbox.group import group_name
from rowbox.mailbox.groups.requests import Update
from rowbox.mailbox.settings.config import GroupsSettings, Settings
from tests.owner.test_costs import Calls, D, I, L, M, O, metrics
from tests.support.cluster import SHARDS, cluster
from tests.support.virtual_time import virtual_time

N = 100
MEMBERS = [f"member-{number}" for number in range(1, N)]


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_a_message_to_a_hundred_members_is_two_writes_one_after_the_other(late: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late) as servers:
            node = servers.node
            group = (await node.create_group("ann", *MEMBERS)).conversation_id
            await servers.quiet()
            await asyncio.sleep(1)
            before, calls = metrics(node), Calls(node, patch)
            sent = await node.send_to("ann", group, "x", "c")
            assert sent.pending_recipients == 0
            own = row_key(group_name(group), SHARDS)
            members = {row_key(user, SHARDS): [I, L, M] for user in MEMBERS}
            copies = members | {row_key("ann", SHARDS): [D, I, L, M]}
            assert calls.made == [("mutate", {own: [D, I, L, M, O]}), ("mutate", copies)]
            await asyncio.sleep(1)
            assert calls.made[2:] == [("delete", {own: [O]})]
            change = {name: value - before[name] for name, value in metrics(node).items()}
            assert change["rowbox_commit_cells_total"] + change["rowbox_cells_removed_total"] <= 5 + 3 * N + 3


@virtual_time
async def test_messages_that_come_together_join_in_every_row() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        group = (await node.create_group("ann", *MEMBERS[:9])).conversation_id
        await servers.quiet()
        before = metrics(node)
        await asyncio.gather(*(node.send_to(user, group, "x", "c") for user in MEMBERS[:9]))
        await servers.quiet()
        change = {name: value - before[name] for name, value in metrics(node).items()}
        assert change["rowbox_commits_total"] <= 4


@virtual_time
async def test_a_group_whose_members_do_not_answer_refuses_what_is_too_much() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowbox.cacheserver.groups.group_rows.MOST_BACKLOG", 3)
        async with cluster(late=True) as servers:
            node = servers.node
            group = (await node.create_group("ann", "bob")).conversation_id
            await servers.quiet()
            assert node.owner.delivery.backlog(group_name(group)) == 0 < MOST_BACKLOG
            patch.setattr(node.owner.delivery, "backlog", lambda _name: 3)
            with pytest.raises(Overloaded):
                await node.send_to("ann", group, "x", "c")
            assert (await node.send("ann", "bob", "x", "c")).pending_recipients == 0


@virtual_time
async def test_a_group_has_limits_of_its_own() -> None:
    limited = Settings(groups=GroupsSettings(fan_out_burst_bytes=100, fan_out_bytes_per_second=10, change_burst=1))
    async with cluster(late=True, settings=limited) as servers:
        node = servers.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await node.send_to("ann", group, "x" * 40, "1")
        with pytest.raises(RateLimited):
            await node.send_to("bob", group, "x" * 40, "1")
        await node.change_group("ann", group, Update("one", None))
        with pytest.raises(RateLimited):
            await node.change_group("ann", group, Update("two", None))
        await asyncio.sleep(60)
        await node.send_to("bob", group, "x" * 40, "1")
        assert (await node.change_group("ann", group, Update("two", None))).changed
