"""Who follows a mailbox is told of each shown change, whatever becomes of the mailbox in memory."""

import asyncio
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import (
    HANDED_OVER,
    REPLACED,
    REVOKED,
    Changed,
    Follow,
    Following,
    Lost,
    connection_number,
)
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import (
    ConnectedElsewhere,
    HandoverInProgress,
    Overloaded,
    RowboxError,
    StoreOutcomeUnknown,
    TokenRevoked,
)
from rowbox.mailbox.pages.commit_frame import FRAME_BYTES
from rowbox.mailbox.pages.cursor import version_of
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import SocketSettings
from tests.owner.pages.test_polls import leave_memory
from tests.support.cluster import SHARDS, UNLIMITED, Node, cluster, gather_all
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


class Told(list[Changed | Lost]):
    """What a follower was told."""

    @property
    def changes(self) -> list[Changed]:
        return [one for one in self if isinstance(one, Changed)]

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in self if isinstance(one, Lost)]


def texts(changed: Changed) -> list[str]:
    assert changed.frame is not None
    return [message["messageContent"] for message in orjson.loads(changed.frame)["messages"]]


@both_kinds
@virtual_time
async def test_each_shown_change_is_told_once_to_everybody_with_one_frame(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, one, other = servers.node, Told(), Told()
        following = await node.follow("bob", one.append)
        await node.follow("bob", other.append)
        begun = following.head
        assert begun == (await node.changes("bob")).token
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        await node.mark_read("bob", sent.conversation_id, sent.message_id)
        first, second = one.changes
        assert [texts(first), texts(second)] == [["hi"], []]
        assert (first.prev, second.prev, following.head) == (begun, first.head, second.head)
        assert [each is same for each, same in zip(one, other, strict=True)] == [True, True]
        assert version_of(second.head) == version_of((await node.changes("bob")).token)
        assert orjson.loads(second.frame or b"")["conversations"][0]["unreadCount"] == 0
        following.close()
        following.close()
        await node.send("ann", "bob", "more", "c2")
        await servers.quiet()
        assert (len(one), len(other), node.owner.follows.followers.count) == (2, 3, 1)


@both_kinds
@virtual_time
async def test_a_hidden_change_is_told_to_nobody_and_makes_no_gap(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, told = servers.node, Told()
        following = await node.follow("bob", told.append)
        begun = following.head
        await node.revoke_user("bob")
        leave_memory(node, "bob")
        await node.changes("bob")
        assert (told, following.head) == ([], begun)
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        assert [(change.prev, texts(change)) for change in told.changes] == [(begun, ["hi"])]


@both_kinds
@virtual_time
async def test_a_mailbox_that_left_the_memory_is_followed_all_the_same(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, told = servers.node, Told()
        await node.follow("bob", told.append)
        node.owner.table._room.limit_bytes = 1
        await node.conversations("cem")
        assert node.owner.table.peek("bob") is None
        await settle()
        assert node.owner.table.peek("bob") is None, "an eviction loads nothing"
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        assert [texts(change) for change in told.changes] == [["hi"]]


@virtual_time
async def test_a_write_of_unknown_outcome_that_landed_is_told_although_nobody_asks() -> None:
    async with cluster(late=True) as servers:
        node, told = servers.node, Told()
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        following = await node.follow("bob", told.append)
        begun = following.head
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        (answer,) = await gather_all(node.mark_read("bob", sent.conversation_id, sent.message_id))
        assert isinstance(answer, StoreOutcomeUnknown)
        await asyncio.sleep(10)
        assert [(change.prev, change.frame) for change in told.changes] == [(begun, None)]
        pulled = await node.changes("bob", token=begun)
        assert orjson.loads(pulled.conversations[0])["unreadCount"] == 0
        assert pulled.token == following.head


@virtual_time
async def test_a_mailbox_that_cannot_be_loaded_again_now_is_loaded_later() -> None:
    async with cluster(late=True) as servers:
        node, told = servers.node, Told()
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        await node.follow("bob", told.append)
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        for _ in range(3):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        await gather_all(node.mark_read("bob", sent.conversation_id, sent.message_id))
        await asyncio.sleep(60)
        assert len(told.changes) == 1


@virtual_time
async def test_nothing_is_told_of_a_commit_whose_lease_had_lapsed() -> None:
    """It is in the store, and nobody here may say so; once the lease is renewed, it is found and told."""
    async with cluster(late=True) as servers:
        node, told = servers.node, Told()
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        await node.follow("bob", told.append)
        node.store.hold(Point.ANSWER)
        marking = asyncio.create_task(node.mark_read("bob", sent.conversation_id, sent.message_id))
        await settle()
        node.lapse()
        node.store.release(Point.ANSWER)
        await gather_all(marking)
        await asyncio.sleep(5)
        assert told == []
        node.renew()
        await asyncio.sleep(5)
        assert [change.frame for change in told.changes] == [None]


@virtual_time
async def test_nobody_begins_to_follow_an_owner_whose_lease_has_lapsed_meanwhile() -> None:
    """Somebody else may own the mailbox, and its head may be an older one."""
    async with cluster(late=True) as servers:
        node = servers.node
        node.store.hold(Point.READ)
        following = asyncio.create_task(node.follow("bob", Told().append))
        await settle()
        node.lapse()
        node.store.release(Point.READ)
        (answer,) = await gather_all(following)
        assert isinstance(answer, RowboxError)
        assert node.owner.follows.followers.count == 0


@both_kinds
@virtual_time
async def test_a_revoked_token_ends_who_came_with_it_and_nobody_else(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, mine, fresh, other = servers.node, Told(), Told(), Told()
        now_s = servers.clock.now_us() // 1_000_000
        await node.follow("bob", mine.append, Bearer("bob", now_s - 5.0))
        await node.follow("bob", fresh.append, Bearer("bob", now_s + 60.0))
        await node.follow("bob", other.append, Bearer("root", now_s - 5.0, b"h" * 16))
        await node.revoke_user("bob")
        assert (mine.reasons, fresh, other) == ([REVOKED], [], [])
        assert all(one.is_over for one in mine if isinstance(one, Lost))
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        assert [len(told.changes) for told in (mine, fresh, other)] == [0, 1, 1]
        (again,) = await gather_all(node.follow("bob", mine.append, Bearer("bob", now_s - 5.0)))
        assert isinstance(again, TokenRevoked)


@both_kinds
@virtual_time
async def test_one_follower_too_many_of_a_user_ends_the_oldest_and_of_all_is_refused(late: bool) -> None:
    few = replace(UNLIMITED, sockets=SocketSettings(max_followers_per_user=2, max_followers=4))
    async with cluster(late=late, settings=few) as servers:
        node, all_told = servers.node, [Told() for _ in range(3)]
        for told in all_told:
            await node.follow("bob", told.append)
        assert [told.reasons for told in all_told] == [[REPLACED], [], []]
        for user in ("cem", "dai"):
            await node.follow(user, Told().append)
        (refused,) = await gather_all(node.follow("eve", Told().append))
        assert isinstance(refused, Overloaded)


@both_kinds
@virtual_time
async def test_where_a_user_may_have_one_follower_the_newest_is_told(late: bool) -> None:
    one_each = replace(UNLIMITED, sockets=SocketSettings(max_followers_per_user=1))
    async with cluster(late=late, settings=one_each) as servers:
        node, first, second = servers.node, Told(), Told()
        await node.follow("bob", first.append)
        await node.follow("bob", second.append)
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        assert (first.reasons, first.changes, len(second.changes)) == ([REPLACED], [], 1)
        assert node.owner.follows.followers.count == 1


def of_phone(
    number: int, *, takes_place: bool = False, device_id: str = "phone", begun_s: float = 1_800_000_000
) -> Follow:
    """For the connection of this number; 0: for none."""
    connection = connection_number(int(begun_s * 1000), number) if number else 0
    return Follow("bob", Bearer("bob", 0.0, b"", device_id), connection, takes_place)


async def follow(node: Node, request: Follow, told: Told) -> Following:
    return await node.process.call(node.owner.follow(request, told.append))


@both_kinds
@virtual_time
async def test_the_newest_connection_of_a_device_ends_its_others_and_nobody_elses(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        phone, laptop, stream, now = Told(), Told(), Told(), Told()
        await follow(node, of_phone(1, takes_place=True), phone)
        await follow(node, of_phone(2, takes_place=True, device_id="laptop"), laptop)
        await follow(node, of_phone(0), stream)
        await follow(node, of_phone(3, takes_place=True), now)
        assert [told.reasons for told in (phone, laptop, stream, now)] == [[REPLACED], [], [], []]
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        assert [len(told.changes) for told in (phone, laptop, stream, now)] == [0, 1, 1, 1]


@both_kinds
@virtual_time
async def test_a_connection_that_goes_on_ends_nobody_and_is_refused_where_there_is_a_newer_one(late: bool) -> None:
    """It may be that of a client which has gone: it would throw out the one that is there, each time it is mended."""
    async with cluster(late=late) as servers:
        node, live, zombie = servers.node, Told(), Told()
        lost = await follow(node, of_phone(1, takes_place=True), zombie)
        lost.close()  # its link was lost: it is not told of the next one
        begun = await follow(node, of_phone(2, takes_place=True), live)
        (answer,) = await gather_all(follow(node, of_phone(1), zombie))
        assert isinstance(answer, ConnectedElsewhere)
        again = await follow(node, of_phone(2), live)  # with another token
        begun.close()
        (answer,) = await gather_all(follow(node, of_phone(1), zombie))
        assert isinstance(answer, ConnectedElsewhere)
        assert (live, zombie) == ([], [])
        await servers.restart()
        for connection, told in ((1, zombie), (2, live)):
            await follow(servers.node, of_phone(connection), told)
        assert (live, zombie) == ([], []), "the next owner knows of neither which is the newer one"
        await follow(servers.node, of_phone(3, takes_place=True), Told())
        assert (live.reasons, zombie.reasons) == ([REPLACED], [REPLACED])
        again.close()


@virtual_time
async def test_a_connection_that_begins_to_follow_long_after_it_has_begun_takes_nobodys_place() -> None:
    """Its follow has waited for an owner, the client has given it up, and is connected elsewhere since."""
    async with cluster(late=True) as servers:
        node, live = servers.node, Told()
        await follow(node, of_phone(1, takes_place=True, begun_s=110), live)
        (answer,) = await gather_all(follow(node, of_phone(2, takes_place=True, begun_s=100), Told()))
        assert isinstance(answer, ConnectedElsewhere)
        assert live.reasons == []
        await follow(node, of_phone(3, takes_place=True, begun_s=106), Told())
        assert live.reasons == [REPLACED], "the clocks of two servers may differ so much"


@both_kinds
@virtual_time
async def test_a_shard_that_goes_away_ends_its_followers(late: bool) -> None:
    if not late:
        return
    async with cluster(late=True) as servers:
        node, told = servers.node, Told()
        await node.follow("bob", told.append)
        await node.process.call(node.owner.close_shards(range(SHARDS)))
        assert told == [], "it may stay after all"
        await servers.start()
        servers.gave_away(node)
        assert told.reasons == [HANDED_OVER]
        assert node.owner.follows.followers.count == 0
        (answer,) = await gather_all(node.follow("bob", told.append))
        assert isinstance(answer, HandoverInProgress)


@both_kinds
@virtual_time
async def test_a_commit_that_is_too_large_for_a_frame_is_told_without(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, told = servers.node, Told()
        await node.follow("bob", told.append)
        await node.send("ann", "bob", "x" * (FRAME_BYTES - 20_000), "c1")
        await node.send("ann", "bob", "x" * (FRAME_BYTES - 1), "c2")
        await servers.quiet()
        assert [change.frame is None for change in told.changes] == [False, True]


async def _follow_during(node: Node, what: Any) -> Told:
    told = Told()
    following = asyncio.create_task(node.owner.follow(Follow("bob"), told.append))
    await what
    await following
    return told


@virtual_time
async def test_whoever_begins_to_follow_while_the_mailbox_is_read_begins_with_its_head() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        leave_memory(node, "bob")
        told = await node.process.call(_follow_during(node, node.send("ann", "bob", "more", "c2")))
        await servers.quiet()
        changes = await node.changes("bob", token=0)
        assert len(changes.messages) == 2
        assert all(change.head == changes.token for change in told.changes)
