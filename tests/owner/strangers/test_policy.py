"""users.policy: who may be written to first. What is refused has written nothing, and what there is goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import ChangeAccount
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import CreateProfile
from rowbox.mailbox.errors import OwnerAway, UnknownUser
from rowbox.mailbox.group import group_conversation_id
from rowbox.mailbox.groups.requests import Add
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.settings.config import UsersSettings
from tests.checking import assert_no_findings
from tests.owner.shards.sharing import Sharing, shard, sharing
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, cluster, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
KNOWN = replace(UNLIMITED, users=UsersSettings(policy="known"))
WITH_BOB = direct_conversation_id("ann", "bob")
MAIL = tuple(family for family in Family if family is not Family.INDEX)


@asynccontextmanager
async def servers(*, late: bool) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late, settings=KNOWN) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def make_known(node: Node, *users: str) -> None:
    for user in users:
        await node.process.call(node.owner.change_account(ChangeAccount(user, CreateProfile(user.title()))))


async def contents(node: Node, user: str) -> list[str]:
    return [message["messageContent"] for message in reversed(parsed(await node.messages(user)))]


async def mail_of(made: Cluster, user: str) -> list[object]:
    columns = await made.store.get_row(row_key(user, SHARDS), MAIL)
    return [column for family in MAIL for column in columns[family]]


@both_kinds
@virtual_time
async def test_a_first_message_to_somebody_unknown_writes_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        for _ in range(2):
            with pytest.raises(UnknownUser):
                await node.send("ann", "bob", "hello", "c1")
        assert await mail_of(made, "ann") == await mail_of(made, "bob") == []
        assert parsed(await node.conversations("ann")) == []
        await make_known(node, "bob")
        sent = await node.send("ann", "bob", "hello", "c1")
        assert not sent.duplicate, "the same send, once it may be"
        assert (await node.send("ann", "bob", "hello", "c1")).duplicate
        await node.send("bob", "ann", "an answer to somebody unknown", "c1")
        await node.send("ann", "ann", "a note", "c2")
        assert await contents(node, "bob") == ["hello", "an answer to somebody unknown"]


@both_kinds
@virtual_time
async def test_conversations_of_before_go_on_and_new_ones_are_asked_about(*, late: bool) -> None:
    async with cluster(late=late) as made:
        await made.node.send("ann", "bob", "hello", "c1")
        made.settings = KNOWN
        node = await made.restart()
        await node.send("ann", "bob", "and again", "c2")
        assert (await node.send("ann", "bob", "hello", "c1")).duplicate
        with pytest.raises(UnknownUser):
            await node.send("ann", "cem", "hello", "c3")
        made.settings = UNLIMITED
        node = await made.restart()
        await node.send("ann", "cem", "hello", "c3")


@both_kinds
@virtual_time
async def test_who_is_made_known_while_others_write_to_him(*, late: bool) -> None:
    """Each send is refused, or there once; none that comes behind one that was accepted is refused."""
    async with servers(late=late) as made:
        node = made.node
        sends = [asyncio.create_task(node.send("ann", "bob", f"{n}", f"c{n}")) for n in range(5)]
        known = asyncio.create_task(make_known(node, "bob"))
        sends += [asyncio.create_task(node.send("ann", "bob", f"{n}", f"c{n}")) for n in range(5, 10)]
        ended = await asyncio.gather(*sends, return_exceptions=True)
        await known
        was_refused = [isinstance(one, UnknownUser) for one in ended]
        assert was_refused == sorted(was_refused, reverse=True)
        await made.quiet()
        accepted = [str(n) for n, refused in enumerate(was_refused) if not refused]
        assert await contents(node, "bob") == accepted == await contents(node, "ann")


def elsewhere(user: str) -> list[str]:
    """Users of other shards than this one's, and than one another's."""
    by_shard = {shard(f"bob{number}"): f"bob{number}" for number in range(50)}
    by_shard.pop(shard(user), None)
    return list(by_shard.values())


@asynccontextmanager
async def two_owners() -> AsyncIterator[tuple[Sharing, Node, Node, str, str]]:
    """Ann's owner, and that of two others, of different shards."""
    async with sharing(settings=KNOWN) as made:
        first, second = made.nodes
        bob, cem = elsewhere("ann")[:2]
        made.give(second, {shard(bob), shard(cem)})
        yield made, first, second, bob, cem


@virtual_time
async def test_the_owner_of_the_recipient_is_asked_and_messages_keep_their_order() -> None:
    async with two_owners() as (made, first, second, bob, _):
        with pytest.raises(UnknownUser):
            await first.send("ann", bob, "hello", "c0")
        await make_known(second, bob)
        sends = []
        for number in range(12):
            sends.append(asyncio.create_task(first.send("ann", bob, f"{number}", f"c{number}")))
            for _ in range(number % 4):
                await asyncio.sleep(0)
        await asyncio.gather(*sends)
        await made.quiet()
        assert await contents(first, "ann") == [str(number) for number in range(12)]
        assert not first.owner.first_messages._lines


@virtual_time
async def test_where_nobody_answers_for_the_recipient_only_the_first_message_to_him_waits() -> None:
    async with two_owners() as (_, first, second, bob, cem):
        await make_known(second, bob, cem)
        await first.send("ann", cem, "hello", "c0")
        await second.process.call(second.owner.close_shards({shard(bob)}))
        refused = asyncio.create_task(first.send("ann", bob, "hello", "c1"))
        await asyncio.sleep(0.5)
        await asyncio.wait_for(first.send("ann", cem, "again", "c2"), 1)
        with pytest.raises(OwnerAway):
            await refused
        second.process.run(second.owner.reopen, {shard(bob)})
        await first.send("ann", bob, "hello", "c1")


@both_kinds
@virtual_time
async def test_nobody_unknown_is_brought_into_a_group(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await make_known(node, "bob")
        group = group_conversation_id("ann", "g")
        with pytest.raises(UnknownUser, match="cem"):
            await node.create_group("ann", "bob", "cem")
        assert parsed(await node.conversations("ann")) == []
        await node.create_group("ann", "bob")
        await node.create_group("ann", "bob")
        with pytest.raises(UnknownUser, match="cem"):
            await node.change_group("ann", group, Add(("cem",), 100))
        await make_known(node, "cem")
        await node.change_group("ann", group, Add(("cem",), 100))
        assert len((await node.group("ann", group)).view.members) == 3
