"""Conversations that strangers begin: who is told of them, who is not, and what accepts them."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.features import KNOWN, REQUESTS
from rowbox.cacheserver.port import FetchRequests, RequestsShown
from rowbox.cacheserver.push.pushes import PATIENCE_S
from rowbox.mailbox.account import requests
from rowbox.mailbox.account.deeds import (
    AccountDeed,
    BlockUser,
    CreateProfile,
    DeleteConversation,
    SetContact,
    SetConversation,
    UpdateProfile,
)
from rowbox.mailbox.errors import FeatureOff, UnknownConversation
from rowbox.mailbox.group import GroupSettings, WhoMay, group_conversation_id
from rowbox.mailbox.groups.requests import Add
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import CONTACTS, EVERYONE
from rowbox.mailbox.settings.config import MessageSettings
from tests.checking import assert_no_findings
from tests.owner.people import test_profiles
from tests.owner.people.test_presence import sees
from tests.owner.people.test_profiles import both_kinds, done
from tests.owner.push.test_pushes import SOON_S, world
from tests.owner.receipts.test_receipts import follow, followed, seen
from tests.owner.search.searching import searching, whole
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import UNLIMITED, Cluster, Node, parsed
from tests.support.virtual_time import virtual_time

WITH_ANN = direct_conversation_id("ann", "bob")
ACCEPTED = SetConversation(WITH_ANN, accepts=True)


def servers(*, late: bool, receipts: bool = False) -> AbstractAsyncContextManager[Cluster]:
    settings = replace(UNLIMITED, messages=MessageSettings(receipts="all")) if receipts else UNLIMITED
    return test_profiles.servers(late=late, settings=settings)


async def bob_chooses(node: Node) -> None:
    """Bob lets only his contacts write to him at once."""
    await done(node, "bob", CreateProfile("Bob", messages_from=CONTACTS))


async def send(node: Node, text: str, sender: str = "ann", recipient: str = "bob") -> bytes:
    await asyncio.sleep(0.01)  # two that are sent in one moment are in no order
    return (await node.send(sender, recipient, text, f"{sender} {text}")).message_id


async def page(node: Node, below: bytes | None = None, most: int = 20, user: str = "bob") -> RequestsShown:
    return await node.process.call(node.owner.fetch_requests(FetchRequests(user, below, most)))


async def waiting(node: Node, user: str = "bob") -> list[str]:
    """Whose conversations wait, the one with the newest message first."""
    shown = await page(node, user=user)
    assert shown.following is None
    found = [json.loads(one) for one in shown.conversations]
    assert all(one["request"] for one in found)
    return [next(name for name in one["participants"] if name != user) for one in found]


async def listed(node: Node, user: str = "bob") -> list[str]:
    items = parsed(await node.conversations(user))
    assert not any("request" in one for one in items)
    return [next(name for name in one["participants"] if name != user) for one in items]


async def texts(node: Node, user: str = "bob", conversation: bytes | None = None) -> list[str]:
    return [one["messageContent"] for one in parsed(await node.messages(user, conversation))]


@both_kinds
@virtual_time
async def test_what_a_stranger_begins_waits_apart_and_is_there_to_be_read(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        await done(node, "bob", SetContact("cem"))
        token, list_token = (await node.changes("bob")).token, (await node.conversations("bob")).token
        for sender in ("ann", "cem", "ann"):
            await send(node, f"hello {made.clock.now_us()}", sender)
        await made.quiet()
        for _ in range(2):
            assert (await waiting(node), await listed(node)) == (["ann"], ["cem"])
            assert len(await texts(node, "bob", WITH_ANN)) == 2
            assert len(await texts(node)) == 3
            node = await made.restart()
        changes = await node.changes("bob", token=token)
        assert len(changes.messages) == 3
        told = {tuple(one["participants"]): one for one in map(json.loads, changes.conversations)}
        assert [one.get("request") for one in told.values()] in ([True, None], [None, True])
        delta = await node.conversations("bob", token=list_token)
        assert delta.is_delta
        assert len(delta.items) == 2
        assert not any("request" in one for one in parsed(await node.conversations("ann"))), "it is bob's alone"


async def by_an_answer(node: Node) -> None:
    await send(node, "who are you?", "bob", "ann")


def by(deed: AccountDeed) -> Callable[[Node], Any]:
    async def do(node: Node) -> None:
        assert (await done(node, "bob", deed)).changed

    return do


accepting = pytest.mark.parametrize(
    "accept",
    [by(ACCEPTED), by_an_answer, by(SetContact("ann", "Ann"))],
    ids=["by the deed", "by an answer", "by making a contact"],
)


@both_kinds
@accepting
@virtual_time
async def test_what_is_accepted_is_a_conversation_as_any_other(*, late: bool, accept: Callable[[Node], Any]) -> None:
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        await send(node, "hello")
        await send(node, "hello", "cem")
        await made.quiet()
        token = (await node.changes("bob")).token
        await accept(node)
        await made.quiet()
        changed = [json.loads(one) for one in (await node.changes("bob", token=token)).conversations]
        assert [("request" in one, one["conversationId"]) for one in changed] == [(False, WITH_ANN.hex())]
        for _ in range(2):
            assert (await waiting(node), await listed(node)) == (["cem"], ["ann"])
            node = await made.restart()
        assert not (await done(node, "bob", ACCEPTED)).changed
        await done(node, "bob", SetContact("ann", is_removed=True))
        await send(node, "and again")
        await made.quiet()
        assert (await waiting(node), await listed(node)) == (["cem"], ["ann"]), "it stays accepted"


@both_kinds
@virtual_time
async def test_what_was_begun_otherwise_never_waits(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await send(node, "before he chose")
        await bob_chooses(node)
        await send(node, "after it")
        await send(node, "first", "bob", "cem")
        await send(node, "an answer", "cem")
        await send(node, "a note", "bob", "bob")
        await done(node, "bob", UpdateProfile(messages_from=EVERYONE))
        await send(node, "hello", "dai")
        await made.quiet()
        assert await waiting(node) == []
        others = {tuple(one["participants"]) for one in parsed(await node.conversations("bob"))}
        assert others == {("ann", "bob"), ("bob",), ("bob", "cem"), ("bob", "dai")}
        with pytest.raises(UnknownConversation):
            await done(node, "bob", SetConversation(direct_conversation_id("bob", "eve"), accepts=True))


@both_kinds
@virtual_time
async def test_a_message_that_comes_again_or_changed_begins_nothing_twice(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        sent = await node.send("ann", "bob", "hello", "c1")
        await made.quiet()
        await done(node, "bob", ACCEPTED)
        said = Message(sent.message_id, WITH_ANN, "ann", ("ann", "bob"), "hello")

        async def deliver_again() -> None:
            await node.owner._deliver("bob", [said])

        await node.process.call(deliver_again())
        await node.change("ann", sent, "hello!")
        await made.quiet()
        assert (await waiting(node), await texts(node)) == ([], ["hello!"])


@both_kinds
@virtual_time
async def test_its_sender_is_told_nothing_until_it_is_accepted(*, late: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        node = made.node
        await bob_chooses(node)
        token = await followed(node, "bob")
        message = await send(node, "hello")
        await made.quiet()
        for _ in range(2):
            token = await follow(node, "bob", token)
        await node.mark_read("bob", WITH_ANN, message)
        await asyncio.sleep(60)
        await made.receipts_told()
        assert await seen(node, "ann", WITH_ANN) == (None, None)
        assert await sees(node, "ann", "bob") == await sees(node, "bob", "ann") == (False,)
        node = await made.restart()
        await asyncio.sleep(60)
        await made.receipts_told()
        assert await seen(node, "ann", WITH_ANN) == (None, None), "nor by a load that looks for what was not told"
        await done(node, "bob", ACCEPTED)
        await asyncio.sleep(60)
        await made.receipts_told()
        assert await seen(node, "ann", WITH_ANN) == (message, message)
        assert await sees(node, "ann", "bob") == await sees(node, "bob", "ann") == (True,)


@both_kinds
@virtual_time
async def test_who_answers_what_he_has_read_has_its_sender_told(*, late: bool) -> None:
    async with servers(late=late, receipts=True) as made:
        node = made.node
        await bob_chooses(node)
        message = await send(node, "hello")
        await made.quiet()
        await node.mark_read("bob", WITH_ANN, message)
        await by_an_answer(node)
        await asyncio.sleep(60)
        await made.receipts_told()
        assert await seen(node, "ann", WITH_ANN) == (message, message)


@both_kinds
@virtual_time
async def test_no_device_is_told_of_it_and_no_number_counts_it(late: bool) -> None:
    async with world(late=late) as all_:
        await done(all_.node, "ann", CreateProfile("Ann", messages_from=CONTACTS))
        await done(all_.node, "ann", SetContact("cem"))
        await all_.register("phone")
        await all_.send("hello")
        await all_.servers.restart()
        await all_.send("are you there?")
        await asyncio.sleep(PATIENCE_S + SOON_S)
        assert all_.phones.taken() == []
        await all_.send("hello", "cem")
        await asyncio.sleep(PATIENCE_S + SOON_S)
        ((_, note),) = all_.phones.taken()
        assert note.badge == 1  # type: ignore[union-attr]
        await done(all_.node, "ann", ACCEPTED)
        await all_.send("well?")
        await asyncio.sleep(PATIENCE_S + SOON_S)
        ((_, note),) = all_.phones.taken()
        assert note.badge == 2  # type: ignore[union-attr]


@both_kinds
@virtual_time
async def test_who_deletes_it_has_declined_it_and_the_next_message_waits_again(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        await send(node, "hello")
        await made.quiet()
        await done(node, "bob", DeleteConversation(WITH_ANN))
        assert await waiting(node) == await listed(node) == await texts(node) == []
        node = await made.restart()
        assert await waiting(node) == await listed(node) == []
        await send(node, "please")
        await made.quiet()
        assert (await waiting(node), await listed(node), await texts(node)) == (["ann"], [], ["please"])
        await done(node, "bob", BlockUser("ann"))
        await send(node, "please!")
        await made.quiet()
        assert await texts(node) == ["please"]


@both_kinds
@virtual_time
async def test_beyond_as_many_as_may_wait_the_oldest_is_declined(
    monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    monkeypatch.setattr(requests, "MOST_REQUESTS", 3)
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        for name in ("ann", "cem", "dai"):
            await send(node, "hello", name)
        await made.quiet()
        await send(node, "again", "ann")
        await made.quiet()
        await asyncio.gather(*(send(node, "hello", name) for name in ("eve", "fay")))
        await made.quiet()
        for _ in range(2):
            assert set(await waiting(node)) == {"ann", "eve", "fay"}
            assert sorted(await texts(node)) == ["again", "hello", "hello", "hello"]
            node = await made.restart()
        await send(node, "hello again", "cem")
        await made.quiet()
        assert len(await waiting(node)) == 3
        assert (await listed(node), (await listed(node, "dai"))) == ([], ["bob"]), "its sender has it"


@both_kinds
@virtual_time
async def test_they_come_by_pages_the_newest_first(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await bob_chooses(node)
        for name in ("u1", "u2", "u3", "u4", "u5"):
            await send(node, "hello", name)
        await made.quiet()
        below, found = None, list[str]()
        while True:
            shown = await page(node, below, 2)
            found += [json.loads(one)["lastSenderId"] for one in shown.conversations]
            below = shown.following
            if below is None:
                break
        assert found == ["u5", "u4", "u3", "u2", "u1"]
        assert (await page(node, bytes(32))).conversations == ()


@virtual_time
async def test_it_goes_along_with_a_mailbox_that_is_handed_over() -> None:
    async with servers(late=True) as made:
        await bob_chooses(made.node)
        await send(made.node, "hello")
        await made.quiet()
        node = await made.move()
        assert (await waiting(node), await listed(node)) == (["ann"], [])
        await send(node, "again")
        await made.quiet()
        await done(node, "bob", ACCEPTED)
        assert (await waiting(node), await listed(node)) == ([], ["ann"])


@virtual_time
async def test_the_recipients_owner_decides_whoever_has_the_sender() -> None:
    async with sharing() as made:
        first, second = made.nodes
        made.give(second, {shard("bob")})
        await bob_chooses(second)
        await asyncio.gather(send(first, "hello"), send(second, "hello", "bob", "ann"))
        await made.quiet()
        await send(first, "hello", "cem")
        await made.quiet()
        assert (await waiting(second), await listed(second)) == (["cem"], ["ann"])
        assert await waiting(first, "ann") == []
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


@both_kinds
@virtual_time
async def test_a_search_finds_it_before_it_is_accepted_and_after(tmp_path: Path, *, late: bool) -> None:
    async with searching(tmp_path, late=late) as made:
        node = made.node
        await bob_chooses(node)
        await send(node, "an apple")
        assert [one["messageContent"] for one in (await whole(node, "bob", "apple"))] == ["an apple"]
        await done(node, "bob", ACCEPTED)
        assert [one["messageContent"] for one in (await whole(node, "bob", "apple"))] == ["an apple"]


@both_kinds
@virtual_time
async def test_only_contacts_bring_somebody_into_groups_who_says_so(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await done(node, "bob", CreateProfile("Bob", group_adds=CONTACTS))
        group = group_conversation_id("ann", "g")
        await node.create_group("ann", "bob", "cem", settings=GroupSettings(who_can_add=WhoMay.ALL))
        await made.quiet()
        await asyncio.sleep(5)
        assert parsed(await node.conversations("bob")) == []
        assert {one.user_id for one in (await node.group("ann", group)).view.members} == {"ann", "cem"}
        assert parsed(await node.messages("ann", group))[0]["event"]["type"] == "declined"
        await done(node, "bob", SetContact("cem"))
        await node.change_group("cem", group, Add(("bob",), 100))
        await made.quiet()
        assert len((await node.group("ann", group)).view.members) == 3
        (shown,) = parsed(await node.conversations("bob"))
        assert shown["membership"] == "in"
        await node.create_group("bob", "ann", named="his own")
        await made.quiet()
        assert len(parsed(await node.conversations("bob"))) == 2


@both_kinds
@virtual_time
async def test_what_a_profile_says_of_strangers_is_kept_and_changed_by_parts(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        wanted = CreateProfile("Bob", messages_from=CONTACTS, group_adds=CONTACTS)
        first = await done(node, "bob", wanted)
        assert await done(node, "bob", wanted) == replace(first, changed=False)
        assert not (await done(node, "bob", UpdateProfile(messages_from=CONTACTS))).changed
        await done(node, "bob", UpdateProfile(group_adds=EVERYONE))
        node = await made.restart()
        profile = await node.process.call(node.owner.profile_of("bob"))
        assert profile is not None
        assert (profile.name, profile.messages_from, profile.group_adds) == ("Bob", CONTACTS, EVERYONE)


@virtual_time
async def test_nobody_lets_strangers_wait_before_all_servers_know_how() -> None:
    """Contacts need no server to know them, and what a profile says else neither."""
    async with servers(late=True) as made:
        node = made.node
        assert node.ownership is not None
        node.ownership.features = tuple(one for one in KNOWN if one != REQUESTS)
        await done(node, "bob", CreateProfile("Bob", last_seen=CONTACTS))
        await done(node, "bob", SetContact("cem"))
        await done(node, "bob", UpdateProfile(messages_from=EVERYONE))
        for deed in (
            CreateProfile("Ann", messages_from=CONTACTS),
            UpdateProfile(messages_from=CONTACTS),
            UpdateProfile("Bobby", group_adds=CONTACTS),
        ):
            with pytest.raises(FeatureOff):
                await done(node, "bob", deed)
        await send(node, "hello")
        await made.quiet()
        assert (await waiting(node), await listed(node)) == ([], ["ann"])
        node.ownership.features = KNOWN
        assert (await done(node, "bob", UpdateProfile("Bobby", group_adds=CONTACTS))).changed
