"""Contacts, as owners keep them: in one row, whoever owns it; who may be one; and who is shown to them alone."""

import asyncio

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import ChangeAccount, FetchContacts
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.mailbox.account import contacts
from rowbox.mailbox.account.deeds import CreateProfile, SetContact, UpdateProfile
from rowbox.mailbox.errors import OwnerAway, StoreOutcomeUnknown, TooManyContacts, UnknownUser
from rowbox.mailbox.people.profile import CONTACTS, NOBODY
from rowbox.mailbox.settings.config import UsersSettings
from tests.owner.people.test_presence import sees
from tests.owner.people.test_profiles import both_kinds, done, servers
from tests.owner.strangers.test_policy import two_owners
from tests.support.cluster import UNLIMITED, Node
from tests.support.virtual_time import virtual_time

KNOWN = replace(UNLIMITED, users=UsersSettings(policy="known"))


async def listed(node: Node, user: str, after: str = "", most: int = 200) -> list[tuple[str, str, bool]]:
    shown = await node.process.call(node.owner.fetch_contacts(FetchContacts(user, after, most)))
    return [(one.user_id, one.alias, one.is_favourite) for one in shown.contacts]


@both_kinds
@virtual_time
async def test_contacts_are_there_after_restarts_and_moves(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        first = await done(node, "ann", SetContact("bob", "Bob"))
        await done(node, "ann", SetContact("cem", is_favourite=True))
        node = await made.restart()
        assert await done(node, "ann", SetContact("bob", "Bob")) == replace(first, changed=False)
        await done(node, "ann", SetContact("cem", is_removed=True))
        await done(node, "ann", SetContact("bob", is_favourite=True))
        node = await made.restart()
        assert await listed(node, "ann") == [("bob", "Bob", True)]
        await done(node, "ann", SetContact("cem"))
        assert await listed(node, "ann") == [("bob", "Bob", True), ("cem", "", False)]
        assert await listed(node, "bob") == []


@virtual_time
async def test_contacts_go_along_with_a_mailbox_that_is_handed_over() -> None:
    async with servers(late=True) as made:
        await done(made.node, "ann", SetContact("bob", "Bob"))
        node = await made.move()
        assert await listed(node, "ann") == [("bob", "Bob", False)]
        await done(node, "ann", SetContact("bob", is_favourite=True))
        assert await listed(node, "ann") == [("bob", "Bob", True)]


@virtual_time
async def test_a_contact_whose_outcome_was_unknown_is_there_once() -> None:
    async with servers(late=True) as made:
        node = made.node
        await node.conversations("ann")
        await made.quiet()
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        with pytest.raises(StoreOutcomeUnknown):
            await done(node, "ann", SetContact("bob", "Bob"))
        assert not (await done(node, "ann", SetContact("bob", "Bob"))).changed
        assert await listed(node, "ann") == [("bob", "Bob", False)]


@both_kinds
@virtual_time
async def test_as_many_contacts_as_there_may_be(monkeypatch: pytest.MonkeyPatch, *, late: bool) -> None:
    monkeypatch.setattr(contacts, "MOST_CONTACTS", 3)
    async with servers(late=late) as made:
        node = made.node
        for other in ("bob", "cem", "dai"):
            await done(node, "ann", SetContact(other))
        await done(node, "ann", SetContact("dai", is_removed=True))
        with pytest.raises(TooManyContacts):
            await done(node, "ann", SetContact("eve"))
        await done(node, "ann", SetContact("dai"))
        assert len(await listed(node, "ann")) == 3


@both_kinds
@virtual_time
async def test_who_shows_himself_to_his_contacts_alone_sees_these_alone(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        for other in ("bob", "cem"):
            await node.send("ann", other, "hello", f"to {other}")
        await made.quiet()
        await done(node, "ann", CreateProfile("Ann", last_seen=CONTACTS))
        await done(node, "ann", SetContact("bob"))
        assert await sees(node, "bob", "ann") == (True,)
        assert await sees(node, "cem", "ann") == (False,)
        assert await sees(node, "ann", "bob", "cem") == (True, False)
        await done(node, "bob", SetContact("cem"))
        assert await sees(node, "bob", "ann") == (True,), "whom one knows says nothing of whom the other one knows"
        await done(node, "ann", SetContact("dai"))
        assert await sees(node, "dai", "ann") == (False,), "without a conversation of the two"
        node = await made.restart()
        assert await sees(node, "cem", "ann") == (False,)
        await done(node, "ann", SetContact("bob", is_removed=True))
        assert await sees(node, "bob", "ann") == (False,)
        await done(node, "ann", UpdateProfile(last_seen=NOBODY))
        await done(node, "ann", SetContact("bob"))
        assert await sees(node, "bob", "ann") == (False,)


@both_kinds
@virtual_time
async def test_only_who_is_known_becomes_a_contact_where_the_policy_says_so(*, late: bool) -> None:
    async with servers(late=late, settings=KNOWN) as made:
        node = made.node
        with pytest.raises(UnknownUser):
            await done(node, "ann", SetContact("bob"))
        assert not (await done(node, "ann", SetContact("bob", is_removed=True))).changed
        await done(node, "bob", CreateProfile("Bob"))
        await done(node, "ann", SetContact("bob"))
        made.settings = UNLIMITED
        node = await made.restart()
        await done(node, "ann", SetContact("cem"))
        made.settings = KNOWN
        node = await made.restart()
        await done(node, "ann", SetContact("cem", "Cem"))
        assert await listed(node, "ann") == [("bob", "", False), ("cem", "Cem", False)]


@virtual_time
async def test_an_owner_who_is_away_is_asked_once_and_what_comes_behind_waits_for_it() -> None:
    async with two_owners() as (_, first, second, bob, cem):
        await done(second, bob, CreateProfile("Bob"))
        deeds = [SetContact(bob, "Bob"), SetContact(bob, is_removed=True), SetContact(bob, "Robert")]
        tasks = [asyncio.create_task(done(first, "ann", deed)) for deed in deeds]
        assert [one.changed for one in await asyncio.gather(*tasks)] == [True, True, True]
        assert await listed(first, "ann") == [(bob, "Robert", False)]
        with pytest.raises(UnknownUser):
            await first.process.call(first.owner.change_account(ChangeAccount("ann", SetContact(cem))))
        await second.process.kill()
        with pytest.raises(OwnerAway):
            await done(first, "ann", SetContact(cem))
        await done(first, "ann", SetContact(bob, "Bob"))
        assert await listed(first, "ann") == [(bob, "Bob", False)]
