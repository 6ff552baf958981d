"""Profiles, as owners keep and tell them: in one row, whoever owns it, and told to the user's own devices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import AccountResult, ChangeAccount, Changed, FetchUsers, Lost, UsersShown
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import AccountDeed, CreateProfile, UpdateProfile
from rowbox.mailbox.errors import (
    OwnerAway,
    RateLimited,
    RowboxError,
    StoreOutcomeUnknown,
    TokenRevoked,
    UnknownUser,
    UserExists,
)
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from tests.checking import assert_no_findings
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, cluster
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN = CreateProfile("Ann", "https://a.example/ann", {"locale": "en"})
DAY_S = 86_400.0


@asynccontextmanager
async def servers(*, late: bool, settings: Settings = UNLIMITED) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late, settings=settings) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def done(node: Node, user: str, deed: AccountDeed, bearer: Bearer | None = None) -> AccountResult:
    return await node.process.call(node.owner.change_account(ChangeAccount(user, deed, bearer)))


async def shown(node: Node, user: str, *users: str, bearer: Bearer | None = None) -> UsersShown:
    return await node.process.call(node.owner.fetch_users(FetchUsers(user, users, bearer)))


async def name_of(node: Node, user: str, asker: str = "bob") -> str | None:
    (profile,) = (await shown(node, asker, user)).profiles
    return None if profile is None else profile.name


@both_kinds
@virtual_time
async def test_a_user_is_made_known_once_and_changed_by_parts(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        assert await name_of(node, "ann") is None
        with pytest.raises(UnknownUser):
            await done(node, "ann", UpdateProfile("Anna"))
        first = await done(node, "ann", ANN)
        assert first.changed
        assert await done(node, "ann", ANN) == replace(first, changed=False)
        with pytest.raises(UserExists):
            await done(node, "ann", replace(ANN, name="Anna"))
        second = await done(node, "ann", UpdateProfile("Anna"))
        assert await done(node, "ann", UpdateProfile("Anna", ANN.avatar, ANN.attributes)) == replace(
            second, changed=False
        )
        third = await done(node, "ann", UpdateProfile(avatar="", attributes={}))
        assert first.version < second.version < third.version
        for _ in range(2):
            nobody, found, none = (await shown(node, "bob", "nobody", "ann", "bob")).profiles
            assert (nobody, none) == (None, None)
            assert found == Profile(third.version, found.epoch if found else 0, "Anna", "", {}, first.version)
            node = await made.restart()


@both_kinds
@virtual_time
async def test_what_is_refused_or_is_so_already_writes_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await done(node, "ann", ANN)
        row = row_key("ann", SHARDS)
        before = await made.store.get_row(row, tuple(Family))
        await done(node, "ann", ANN)
        await done(node, "ann", UpdateProfile("Ann"))
        with pytest.raises(UserExists):
            await done(node, "ann", CreateProfile("Another"))
        assert await made.store.get_row(row, tuple(Family)) == before


@both_kinds
@virtual_time
async def test_the_users_devices_are_told_and_nobody_else(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await node.send("ann", "bob", "hello", "c1")
        tokens = {user: (await node.changes(user)).token for user in ("ann", "bob")}
        told: list[Changed | Lost] = []
        following = await node.follow("ann", told.append)
        poll = asyncio.create_task(node.changes("ann", token=tokens["ann"], wait_ms=50_000))
        lists = await node.conversations("ann")
        listing = asyncio.create_task(node.conversations("ann", token=lists.token, wait_ms=50_000))
        await asyncio.sleep(1)
        await done(node, "ann", ANN)
        answer = await asyncio.wait_for(poll, 1)
        assert (answer.account, answer.has_more) == (True, False)
        assert not answer.messages
        assert not answer.conversations
        (one,) = told
        assert isinstance(one, Changed)
        assert one.frame is not None
        frame = json.loads(one.frame)
        assert (frame["account"], frame["messages"], frame["conversations"]) == (True, [], [])
        assert frame["lastUpdatedTimestamp"] == one.head == answer.token
        assert not (await node.changes("ann", token=answer.token)).account
        assert not (await node.changes("bob", token=tokens["bob"])).account
        await node.send("bob", "ann", "hello", "c1")
        listed = await asyncio.wait_for(listing, 1)
        assert len(listed.items) == 1, "the profile is none of a conversation's business"
        following.close()


@both_kinds
@virtual_time
async def test_a_page_that_ends_before_the_change_does_not_tell_of_it(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        begun = (await node.changes("ann")).token
        for number in range(3):
            await node.send("ann", "bob", "hello", f"c{number}")
        await done(node, "ann", ANN)
        first = await node.changes("ann", token=begun, page_size=2)
        assert (len(first.messages), first.account, first.has_more) == (2, False, True)
        second = await node.changes("ann", token=first.token, page_size=2)
        assert (len(second.messages), second.account, second.has_more) == (1, True, False)


@both_kinds
@virtual_time
async def test_a_token_of_before_the_log_is_not_served_where_only_the_account_changed(*, late: bool) -> None:
    """Nothing else says that such a mailbox has a past: without it the change would be hidden for good."""
    async with servers(late=late) as made:
        node = made.node
        await done(node, "ann", ANN)
        begun = (await node.changes("ann")).token
        await done(node, "ann", UpdateProfile("Anna"))
        assert (await node.changes("ann", token=begun)).account
        await asyncio.sleep(made.settings.store.token_life_ms / 1000 + 2 * DAY_S)
        for _ in range(2):
            answer = await node.changes("ann", token=begun)
            assert (answer.is_delta, answer.reset_reason) == (False, "expired")
            node = await made.restart()


@virtual_time
async def test_users_of_other_owners_are_asked_for_and_waited_for() -> None:
    async with sharing() as made:
        first, second = made.nodes
        others = [user for user in ("bob", "cem", "dai", "eve", "fay") if shard(user) != shard("ann")]
        made.give(second, {shard(user) for user in others})
        await done(first, "ann", ANN)
        for user in others[1:]:
            await done(second, user, CreateProfile(user.title()))
        profiles = (await shown(first, "ann", "ann", *others)).profiles
        assert [None if one is None else one.name for one in profiles] == ["Ann", None, *map(str.title, others[1:])]
        assert await name_of(second, "ann", asker=others[0]) == "Ann"
        # The shard is between two owners: nobody answers, and then the other one does.
        lost = {shard("ann")}
        await first.process.call(first.owner.close_shards(lost))
        asked = asyncio.create_task(name_of(second, "ann", asker=others[0]))
        await asyncio.sleep(1)
        assert not asked.done()
        made.give(second, lost)
        assert await asyncio.wait_for(asked, 1) == "Ann"


@virtual_time
async def test_an_owner_who_stays_away_is_no_word_about_the_one_who_asks() -> None:
    """NotTheOwner would have the router look for another owner of the one who asks."""
    async with sharing() as made:
        first, second = made.nodes
        bob = next(user for user in ("bob", "cem", "dai") if shard(user) != shard("ann"))
        made.give(second, {shard(bob)})
        await second.process.call(second.owner.close_shards({shard(bob)}))
        with pytest.raises(OwnerAway) as caught:
            await shown(first, "ann", bob)
        assert caught.value.retry_after_ms == 1000
        second.process.run(second.owner.reopen, {shard(bob)})


@virtual_time
async def test_who_asks_pays_for_every_five_users_and_nobody_else_does() -> None:
    limits = RateLimitSettings(fetch_burst=4, fetch_per_second=0.001)
    async with servers(late=True, settings=replace(UNLIMITED, rate_limits=limits)) as made:
        node = made.node
        many = [f"u{number}" for number in range(11)]
        for count, left in ((5, 3), (6, 1), (1, 0)):
            quota = (await shown(node, "ann", *many[:count])).quota
            assert quota is not None
            assert quota.remaining == left
        with pytest.raises(RateLimited):
            await shown(node, "ann", "bob")
        assert (await shown(node, "bob", "ann")).quota.remaining == 3  # type: ignore[union-attr]


@both_kinds
@virtual_time
async def test_a_revoked_token_makes_nobody_known_and_is_told_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        bearer = Bearer("ann", made.clock.now_us() / 1e6)
        await node.revoke_user("ann")
        with pytest.raises(TokenRevoked):
            await done(node, "ann", ANN, bearer)
        with pytest.raises(TokenRevoked):
            await shown(node, "ann", "bob", bearer=bearer)
        assert await name_of(node, "ann") is None
        admin = Bearer("root", made.clock.now_us() / 1e6)
        await done(node, "ann", ANN, admin)
        await node.revoke_user("root")
        with pytest.raises(TokenRevoked):
            await done(node, "ann", UpdateProfile("Anna"), admin)


@virtual_time
async def test_a_write_of_unknown_outcome_that_is_sent_again_is_one_profile() -> None:
    async with servers(late=True) as made:
        node = made.node
        assert await name_of(node, "ann") is None
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        outcomes: list[AccountResult | RowboxError] = []
        for _ in range(2):
            try:
                outcomes.append(await done(node, "ann", ANN))
            except StoreOutcomeUnknown as error:
                outcomes.append(error)
        assert isinstance(outcomes[0], StoreOutcomeUnknown)
        assert isinstance(outcomes[1], AccountResult)
        assert not outcomes[1].changed
        assert await name_of(node, "ann") == "Ann"


@both_kinds
@virtual_time
async def test_two_who_make_a_user_known_at_once(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        both = await asyncio.gather(
            *(done(node, "ann", CreateProfile(name)) for name in ("One", "Other", "One")), return_exceptions=True
        )
        assert [type(one) for one in both] == [AccountResult, UserExists, AccountResult]
        assert await name_of(node, "ann") == "One"
