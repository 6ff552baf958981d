"""Who may be shown whose presence, as owners say it: by the rows of both."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import AskPresence, ChangeAccount, PresenceTerms
from rowbox.mailbox.account.deeds import BlockUser, CreateProfile, UnblockUser, UpdateProfile
from rowbox.mailbox.errors import RateLimited, TokenRevoked
from rowbox.mailbox.people.profile import EVERYONE, NOBODY
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import RateLimitSettings
from tests.owner.people.test_profiles import both_kinds, servers
from tests.owner.shards.sharing import shard, sharing
from tests.support.cluster import UNLIMITED, Node
from tests.support.virtual_time import virtual_time


async def terms(node: Node, user: str, *users: str, bearer: Bearer | None = None) -> PresenceTerms:
    return await node.process.call(node.owner.presence_terms(AskPresence(user, users, bearer)))


async def sees(node: Node, user: str, *users: str) -> Sequence[bool | None]:
    return (await terms(node, user, *users)).sees


async def choose(node: Node, user: str, last_seen: str) -> None:
    deed = ChangeAccount(user, CreateProfile(user))
    await node.process.call(node.owner.change_account(replace(deed, deed=UpdateProfile(last_seen=last_seen))))


async def made_known(node: Node, user: str, last_seen: str = EVERYONE) -> None:
    await node.process.call(node.owner.change_account(ChangeAccount(user, CreateProfile(user, last_seen=last_seen))))


@both_kinds
@virtual_time
async def test_those_in_a_conversation_of_two_see_each_other_and_nobody_else_does(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        assert await sees(node, "ann", "bob", "cid") == (False, False)
        await node.send("ann", "bob", "hello", "c1")
        assert await sees(node, "ann", "bob", "cid") == (True, False)
        assert await sees(node, "bob", "ann", "cid", "ann") == (True, False, True)
        assert await sees(node, "cid", "ann") == (False,)
        assert (await terms(node, "ann")).sees == ()


@both_kinds
@virtual_time
async def test_who_hides_is_not_seen_and_does_not_see(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await node.send("ann", "bob", "hello", "c1")
        await made_known(node, "ann")
        assert not (await terms(node, "ann")).hides
        await choose(node, "ann", NOBODY)
        node = await made.restart()
        assert (await terms(node, "ann", "bob")) == PresenceTerms(hides=True, sees=(False,))
        assert await sees(node, "bob", "ann") == (False,)
        await choose(node, "ann", EVERYONE)
        assert await sees(node, "ann", "bob") == (True,)
        assert await sees(node, "bob", "ann") == (True,)
        await made_known(node, "dan", NOBODY)
        assert (await terms(node, "dan")).hides


@virtual_time
async def test_owners_of_others_are_asked_and_one_who_is_away_is_no_answer() -> None:
    async with sharing() as made:
        first, second = made.nodes
        bob, cid = [user for user in ("bob", "cem", "dai", "eve", "fay") if shard(user) != shard("ann")][:2]
        made.give(second, {shard(bob), shard(cid)})
        for other in (bob, cid):
            await first.send("ann", other, "hello", f"c-{other}")
        await made_known(second, cid, NOBODY)
        assert await sees(first, "ann", bob, cid) == (True, False)
        await second.process.call(second.owner.close_shards({shard(bob)}))
        answers = dict(zip((bob, cid), await sees(first, "ann", bob, cid), strict=True))
        assert answers[bob] is None
        second.process.run(second.owner.reopen, {shard(bob)})
        assert await sees(first, "ann", bob) == (True,)


@virtual_time
async def test_a_question_costs_a_fetch_and_one_more_for_every_five_users() -> None:
    limits = RateLimitSettings(fetch_burst=5, fetch_per_second=0.001)
    async with servers(late=True, settings=replace(UNLIMITED, rate_limits=limits)) as made:
        node = made.node
        quota = (await terms(node, "ann", *(f"u{number}" for number in range(6)))).quota
        assert quota is not None
        assert quota.remaining == 2
        assert (await terms(node, "ann")).quota.remaining == 1  # type: ignore[union-attr]
        with pytest.raises(RateLimited):
            await terms(node, "ann", "bob")
        assert (await terms(node, "bob")).quota is not None


@both_kinds
@virtual_time
async def test_a_revoked_token_is_told_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        bearer = Bearer("ann", made.clock.now_us() / 1e6)
        await node.revoke_user("ann")
        with pytest.raises(TokenRevoked):
            await terms(node, "ann", bearer=bearer)


@both_kinds
@virtual_time
async def test_a_block_hides_both_from_each_other_until_it_ends(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await node.send("ann", "bob", "hello", "c1")
        for deed, is_shown in ((BlockUser("bob"), False), (UnblockUser("bob"), True)):
            await node.process.call(node.owner.change_account(ChangeAccount("ann", deed)))
            assert await sees(node, "ann", "bob") == (is_shown,)
            assert await sees(node, "bob", "ann") == (is_shown,)
