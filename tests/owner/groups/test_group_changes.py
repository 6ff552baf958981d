"""Messages of groups that are edited, taken back and reacted to: who may, who sees it, and from when on."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.groups.reaction_rounds import ROUND_S
from rowbox.cacheserver.port import SendResult
from rowbox.mailbox.errors import (
    MessageTooLarge,
    MessageUnsent,
    NotAllowed,
    NotAMember,
    NotTheAuthor,
    RateLimited,
    TooLateToChange,
    TooManyReactions,
    UnknownMessage,
)
from rowbox.mailbox.group import GroupSettings, WhoMay, group_name
from rowbox.mailbox.groups.requests import Add, Leave, Remove, SetRole, Update
from rowbox.mailbox.reactions import MOST_KINDS
from rowbox.mailbox.settings.config import GroupsSettings, MessageSettings, Settings
from tests.owner.groups.test_groups import both_kinds, checked, five, listed, told
from tests.owner.test_costs import metrics
from tests.support.cluster import Cluster, Json, Node, all_messages, cluster, parsed
from tests.support.virtual_time import virtual_time

UP, HEART = "\U0001f44d", "❤️"
ALL = ("ann", "bob", "cid", "dan", "eve")


async def shown(node: Node, user: str, sent: SendResult) -> Json:
    """A message in a user's mailbox."""
    items, _ = await all_messages(node, user, sent.conversation_id, 3)
    (item,) = (one for one in items if one["messageId"] == sent.message_id.hex())
    return item


def reacted(item: Json) -> list[tuple[str, int, bool]]:
    return [(one["emoji"], one["count"], one["mine"]) for one in item.get("reactions", ())]


async def group_with(made: Cluster, **how: Any) -> tuple[bytes, SendResult]:
    """The five, with a message of Bob."""
    group = (await five(made, **how)).conversation_id
    sent = await made.node.send_to("bob", group, "hello", "1")
    await made.quiet()
    return group, sent


@both_kinds
@virtual_time
async def test_an_edit_reaches_all_members_once(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        page = await node.messages("cid", group)
        begun = await node.changes("dan")
        changed = await node.change("bob", sent, "hallo")
        assert changed.changed
        again = await node.change("bob", sent, "hallo")
        assert (again.changed, again.last_updated_timestamp) == (False, changed.last_updated_timestamp)
        await made.quiet()
        for user in ALL:
            item = await shown(node, user, sent)
            assert (item["messageContent"], item["senderId"]) == ("hallo", "bob")
            assert item["editedTimestamp"] > item["sentTimestamp"]
            assert (await listed(node, user))["snippet"] == "hallo"
            assert (await listed(node, user))["unreadCount"] == (0 if user == "bob" else 1)
        assert (await shown(node, "bob", sent))["lastUpdatedTimestamp"] == changed.last_updated_timestamp
        assert [item["messageContent"] for item in parsed(await node.messages("cid", group, token=page.token))] == [
            "hallo"
        ]
        changes = await node.changes("dan", token=begun.token)
        assert [len(changes.messages), len(changes.conversations)] == [1, 1]
        await node.send_to("ann", group, "next", "2")
        await made.quiet()
        assert (await told(node, "eve", group))[1:] == ["hallo", "next"]


@both_kinds
@virtual_time
async def test_what_was_taken_back_stays_so(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        await node.react("eve", sent, UP)
        await node.change("bob", sent, "hallo")
        assert (await node.change("bob", sent, None)).changed
        assert not (await node.change("bob", sent, None)).changed
        with pytest.raises(MessageUnsent):
            await node.change("bob", sent, "once more")
        with pytest.raises(MessageUnsent):
            await node.react("ann", sent, UP)
        assert not (await node.react("ann", sent, "")).changed
        await made.restart()
        node = made.node
        for user in ALL:
            item = await shown(node, user, sent)
            assert (item["messageContent"], item["unsent"], item["unsentBy"]) == ("", True, "bob")
            assert not {"editedTimestamp", "reactions"} & item.keys()
            conversation = await listed(node, user)
            assert (conversation["snippet"], conversation["lastMessageUnsent"]) == (None, True)
            assert conversation["unreadCount"] == (0 if user == "bob" else 1)
        await node.send_to("bob", group, "next", "2")
        await made.quiet()
        assert "lastMessageUnsent" not in await listed(node, "eve")


@both_kinds
@virtual_time
async def test_who_may_change_what(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, of_bob = await group_with(made)
        of_ann = await node.send_to("ann", group, "from ann", "1")
        with pytest.raises(NotTheAuthor):
            await node.change("cid", of_bob, "hallo")
        with pytest.raises(NotTheAuthor):
            await node.change("cid", of_bob, None)
        with pytest.raises(NotTheAuthor):
            await node.change("ann", of_bob, "an owner edits nobody else's text")
        await node.change_group("ann", group, SetRole("cid", "admin"))
        with pytest.raises(NotTheAuthor):
            await node.change("cid", of_bob, "nor does an admin")
        assert (await node.change("cid", of_ann, None)).changed
        assert (await node.change("ann", of_bob, None)).changed
        assert not (await node.change("cid", of_bob, None)).changed
        await made.restart()
        node = made.node
        for user in ALL:
            assert (await shown(node, user, of_ann))["unsentBy"] == "cid"
            assert (await shown(node, user, of_bob))["unsentBy"] == "ann"
        with pytest.raises(MessageUnsent):
            await node.change("bob", of_bob, "hallo")
        with pytest.raises(MessageTooLarge):
            await node.change("bob", of_bob, "x" * 16_385)
        unknown = replace(of_bob, message_id=of_bob.message_id[:-1] + b"\x08")
        for missing in (unknown, replace(of_bob, message_id=bytes(16))):
            with pytest.raises(UnknownMessage):
                await node.change("bob", missing, None)
            with pytest.raises(UnknownMessage):
                await node.react("bob", missing, UP)


@both_kinds
@virtual_time
async def test_system_messages_stay_as_they_are(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        _, sent = await group_with(made)
        items, _ = await all_messages(node, "ann", sent.conversation_id, 3)
        created = replace(sent, message_id=bytes.fromhex(items[-1]["messageId"]))
        for change in ("another text", None):
            with pytest.raises(NotAllowed):
                await node.change("ann", created, change)
        with pytest.raises(NotAllowed):
            await node.react("bob", created, UP)


@both_kinds
@virtual_time
async def test_an_edit_is_writing_and_has_its_time(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        await node.change_group("ann", group, SetRole("cid", "admin"))
        of_ann = await node.send_to("ann", group, "from ann", "1")
        made.clock.jump(25 * 3600.0)
        with pytest.raises(TooLateToChange):
            await node.change("bob", sent, "hallo")
        made.clock.jump(24 * 3600.0)
        with pytest.raises(TooLateToChange):
            await node.change("bob", sent, None)
        assert (await node.change("cid", sent, None)).changed
        assert (await node.change("ann", of_ann, None)).changed  # an owner's own, too


@virtual_time
async def test_who_may_not_write_edits_nothing() -> None:
    async with checked(late=True) as made:
        node = made.node
        group, _ = await group_with(made, settings=GroupSettings(who_can_add=WhoMay.ALL))
        sent = await node.send_to("bob", group, "from bob", "2")
        await node.change_group("ann", group, Update(None, GroupSettings(who_can_send=WhoMay.ADMINS)))
        with pytest.raises(NotAllowed):
            await node.change("bob", sent, "hallo")
        assert (await node.react("bob", sent, UP)).changed
        assert (await node.change("bob", sent, None)).changed


@virtual_time
async def test_where_nobody_changes_messages_admins_do_not_either() -> None:
    none = Settings(messages=MessageSettings(edit_window_ms=0, unsend_window_ms=0, reaction_window_ms=0))
    async with cluster(late=True, settings=none) as made:
        node = made.node
        _, sent = await group_with(made)
        for user, content in (("bob", "hallo"), ("bob", None), ("ann", None)):
            with pytest.raises(TooLateToChange):
                await node.change(user, sent, content)
        with pytest.raises(TooLateToChange):
            await node.react("ann", sent, UP)


@both_kinds
@virtual_time
async def test_who_came_in_later_hears_nothing_of_earlier_messages(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        await node.change_group("ann", group, Add(("fay",), 100))
        await made.quiet()
        fay = await node.changes("fay")
        before = (await node.owner.table.loaded("fay"))[1].head
        await node.change("bob", sent, "hallo")
        await node.react("ann", sent, UP)
        await asyncio.sleep(2 * ROUND_S)
        await node.change("bob", sent, None)
        await made.quiet()
        assert await told(node, "fay", group) == ["added:fay"]
        changes = await node.changes("fay", token=fay.token)
        assert (list(changes.messages), list(changes.conversations)) == ([], [])
        assert (await node.owner.table.loaded("fay"))[1].head > before
        for change in ("hallo", None):
            with pytest.raises(UnknownMessage):
                await node.change("fay", sent, change)
        with pytest.raises(UnknownMessage):
            await node.react("fay", sent, UP)
        await node.send_to("bob", group, "for all", "2")
        await made.restart()
        assert await told(made.node, "fay", group) == ["added:fay", "for all"]


@both_kinds
@virtual_time
async def test_who_left_sees_nothing_of_what_is_changed_later(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        other = await node.send_to("bob", group, "and this", "2")
        await node.change_group("ann", group, Remove("cid"))
        await node.change_group("dan", group, Leave())
        await node.change("bob", sent, "hallo")
        await node.react("ann", sent, UP)
        await asyncio.sleep(2 * ROUND_S)
        await made.quiet()
        for user in ("cid", "dan"):
            item = await shown(node, user, sent)
            assert item["messageContent"] == "hello"
            assert not {"editedTimestamp", "reactions"} & item.keys()
            with pytest.raises(NotAMember):
                await node.react(user, sent, UP)
            with pytest.raises(NotAMember):
                await node.change(user, sent, None)
        await node.change_group("ann", group, Add(("cid",), 100))
        await made.quiet()
        assert (await shown(node, "cid", sent))["messageContent"] == "hello", "what was done meanwhile he never hears"
        assert (await node.change("bob", other, "and that")).changed
        assert (await node.react("cid", sent, HEART)).changed
        await made.quiet()
        assert (await shown(node, "cid", other))["messageContent"] == "and that", "he is in, and has that message"
        assert reacted(await shown(node, "cid", sent)) == [(UP, 1, False), (HEART, 1, True)]


@both_kinds
@virtual_time
async def test_everybody_reacts_in_one_way_and_sees_how_all_do(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group, sent = await group_with(made)
        token = (await node.messages("dan", group)).token
        assert (await node.react("ann", sent, UP)).changed
        assert not (await node.react("ann", sent, UP)).changed
        await asyncio.sleep(2 * ROUND_S)
        assert (await node.react("cid", sent, UP)).changed
        await asyncio.sleep(2 * ROUND_S)
        assert (await node.react("ann", sent, HEART)).changed
        await made.quiet()
        assert reacted(await shown(node, "ann", sent)) == [(UP, 1, False), (HEART, 1, True)]
        assert reacted(await shown(node, "cid", sent)) == [(UP, 1, True), (HEART, 1, False)]
        (item,) = parsed(await node.messages("dan", group, token=token))
        assert [one["users"] for one in item["reactions"]] == [["cid"], ["ann"]]
        assert (item["messageContent"], (await listed(node, "dan"))["unreadCount"]) == ("hello", 1)
        await node.change("bob", sent, "hallo")
        await asyncio.sleep(2 * ROUND_S)
        for user in ("cid", "ann"):
            assert (await node.react(user, sent, "")).changed
            assert not (await node.react(user, sent, "")).changed
            await asyncio.sleep(2 * ROUND_S)
        await made.restart()
        for user in ALL:
            item = await shown(made.node, user, sent)
            assert (item["messageContent"], reacted(item)) == ("hallo", [])


@both_kinds
@virtual_time
async def test_reactions_that_come_together_are_one_event(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        _, sent = await group_with(made)
        others = [f"other-{number}" for number in range(40)]
        await node.change_group("ann", sent.conversation_id, Add(tuple(others), 100))
        late_one = await node.send_to("ann", sent.conversation_id, "who comes?", "2")
        await made.quiet()
        _, mailbox = await node.owner.table.loaded("bob")
        chain_before, log_before = mailbox.head, len(mailbox.log)
        answers = await asyncio.gather(*(node.react(user, late_one, UP) for user in (*ALL, *others)))
        assert all(answer.changed for answer in answers)
        await made.quiet()
        assert mailbox.head > chain_before
        assert len(mailbox.log) - log_before == 2, "the first one, and all that came within a second"
        for user in ("bob", others[0]):
            assert reacted(await shown(node, user, late_one)) == [(UP, 45, True)]
            (of_all,) = (await shown(node, user, late_one))["reactions"]
            assert len(of_all["users"]) == 5
        await asyncio.sleep(2 * ROUND_S)
        assert len(node.owner.groups.reactions) == 0


@virtual_time
async def test_a_message_has_so_many_kinds_of_reactions_at_most() -> None:
    async with checked(late=True) as made:
        node = made.node
        _, sent = await group_with(made)
        others = [f"other-{number}" for number in range(MOST_KINDS)]
        await node.change_group("ann", sent.conversation_id, Add(tuple(others), 100))
        last = await node.send_to("ann", sent.conversation_id, "how are you?", "2")
        await made.quiet()
        emoji = [chr(0x1F400 + number) for number in range(MOST_KINDS + 1)]
        await asyncio.gather(*(node.react(user, last, one) for user, one in zip(others, emoji, strict=False)))
        with pytest.raises(TooManyReactions):
            await node.react("bob", last, emoji[-1])
        assert (await node.react("bob", last, emoji[0])).changed
        await asyncio.sleep(2 * ROUND_S)
        with pytest.raises(TooManyReactions):
            await node.react("bob", last, emoji[-1])
        assert (await node.react(others[-1], last, "")).changed
        await asyncio.sleep(2 * ROUND_S)
        assert (await node.react("bob", last, emoji[-1])).changed


@both_kinds
@virtual_time
async def test_what_an_owner_has_not_delivered_its_next_one_does(late: bool) -> None:
    async with cluster(late=late) as made:
        group, sent = await group_with(made)
        other = await made.node.send_to("cid", group, "another", "1")
        await made.quiet()
        node = made.node
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node.owner.delivery, "_begin", lambda _recipient: None)
            asked = [
                asyncio.create_task(node.change("bob", sent, "hallo")),
                asyncio.create_task(node.react("ann", sent, UP)),
                asyncio.create_task(node.change("cid", other, None)),
            ]
            await asyncio.sleep(2)  # longer than an answer waits for the others' rows
            assert not any(one.done() for one in asked), "the own row has it first"
            assert node.owner.delivery.backlog(group_name(group)) == 3
            for one in asked:
                one.cancel()
        await made.restart()
        await asyncio.sleep(1)
        await made.quiet()
        for user in ALL:
            item = await shown(made.node, user, sent)
            assert (item["messageContent"], reacted(item)) == ("hallo", [(UP, 1, user == "ann")])
            assert (await shown(made.node, user, other))["unsent"]


@virtual_time
async def test_changes_count_for_the_groups_limit_where_something_is_changed() -> None:
    limited = Settings(groups=GroupsSettings(fan_out_burst_bytes=4_000, fan_out_bytes_per_second=10))
    async with cluster(late=True, settings=limited) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        sent = await node.send_to("bob", group, "hello", "1")
        assert (await node.change("bob", sent, "hallo")).changed
        assert (await node.react("ann", sent, UP)).changed
        await asyncio.sleep(2 * ROUND_S)
        with pytest.raises(RateLimited):
            await node.change("bob", sent, "hello")
        with pytest.raises(RateLimited):
            await node.react("ann", sent, HEART)
        assert not (await node.change("bob", sent, "hallo")).changed
        await asyncio.sleep(600)
        assert (await node.change("bob", sent, "hello")).changed


@virtual_time
async def test_a_change_of_a_message_costs_one_write_of_each_row() -> None:
    async with cluster(late=True) as made:
        _, sent = await group_with(made)
        before = metrics(made.node)
        assert (await made.node.change("bob", sent, "hallo")).changed
        await made.quiet()
        change = {name: value - before[name] for name, value in metrics(made.node).items()}
        assert change["rowbox_commits_total"] == 2
        # m, i, l and o in the group's row, m, i, l in each member's; then the outbox cell and what was superseded
        assert change["rowbox_commit_cells_total"] == 4 + 3 * 5
