"""A node's whole life over the memory store: one Owner for each incarnation, and answers only from the one at work."""

import asyncio

import pytest

from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.node.node import Node
from rowbox.cacheserver.owner.activity import WINDOW_S
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import FetchMessages
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from rowbox.cacheserver.shardmap.cluster_state import NodeCell, NodeLoad
from rowbox.cacheserver.shardmap.view import MOST_IN_VAIN
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import HandoverInProgress, NotTheOwner, StoreUnavailable, StoreVersionMismatch, TokenRevoked
from rowbox.mailbox.revocation import Bearer, token_hash
from tests.cluster.servers import Server, Servers, owner_and_other, servers
from tests.cluster.world import LEASE, SHARDS
from tests.support.virtual_time import virtual_time

PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000


@virtual_time
async def test_one_server_alone_owns_and_answers() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        assert only.node.unready_reasons()
        with pytest.raises(HandoverInProgress):
            await only.send("too early")
        only.node.start()
        await only.owning()
        await only.send("hello")
        assert len(await only.texts()) == 1
        assert not only.node.unready_reasons()


@virtual_time
async def test_a_store_that_is_away_at_the_start_is_waited_for() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        only.openings = [StoreUnavailable("nobody there")] * 3
        only.node.start()
        await asyncio.sleep(1.5)
        assert only.node.unready_reasons() == ("waiting for the store: nobody there",)
        await only.owning()
        assert not only.broken


@virtual_time
async def test_a_store_of_another_version_ends_it() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        error = StoreVersionMismatch("version 9")
        only.openings = [error]
        only.node.start()
        await asyncio.sleep(1.0)
        assert only.broken == [error]


@virtual_time
async def test_of_two_servers_with_one_node_id_the_second_owns_nothing_and_says_why() -> None:
    async with servers() as all_of_them:
        first, twin = (all_of_them.add("one") for _ in range(2))
        first.node.start()
        await first.owning()
        twin.node.start()
        await asyncio.sleep(30.0)
        reason = "the server at one says that it is one, too: give one another cluster.node_id"
        assert twin.node.unready_reasons() == (reason,)
        assert first.node.unready_reasons() == ()
        await first.send("one")
        with pytest.raises(HandoverInProgress, match=r"another cluster\.node_id"):
            await twin.texts()
        await first.node.close()
        async with asyncio.timeout(LEASE.beat_ms / 1000 + 0.5):
            await twin.owning()
        assert len(await twin.texts()) == 1


@virtual_time
async def test_a_second_server_stands_by_and_follows_the_one_that_stops() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await asyncio.sleep(30.0)
        assert second.node.unready_reasons() == ("the server first owns the mailboxes",)
        with pytest.raises(HandoverInProgress, match="first"):
            await second.texts()
        await first.node.close()
        async with asyncio.timeout(LEASE.beat_ms / 1000 + 0.5):
            await second.owning()
        await second.send("two")
        assert len(await second.texts()) == 2


def _no_owner_yet(_: Store, __: Ownership) -> Owner:
    raise StoreUnavailable("it takes a while")


@virtual_time
async def test_a_server_that_stops_before_its_first_owner_is_made_keeps_its_shards_from_nobody() -> None:
    """It waited for moves that nobody made: 30 s in which its shards were answered for by nobody."""
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        third = all_of_them.add("third", leave_s=30.0)
        third.node._appointment._make_owner = _no_owner_yet
        for server in (third, second):
            server.node.start()
            await server.listed()
        await first.node.close()
        for _ in range(500):
            if third.node._shards:
                break
            await asyncio.sleep(0.01)
        assert third.node._shards
        assert third.node.owner is None
        began_s = asyncio.get_running_loop().time()
        await third.node.close()
        assert asyncio.get_running_loop().time() - began_s < 5.0
        await asyncio.sleep(2 * LEASE.beat_ms / 1000)
        assert len(second.node._shards) == SHARDS
        await second.send("two")


@virtual_time
async def test_a_server_that_is_cut_off_is_replaced_and_can_neither_confirm_nor_answer() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await second.listed()
        first.cut_off()
        async with asyncio.timeout(PATIENCE_S + 2.5):
            await second.owning()
        assert len(await second.texts()) == 1
        await second.send("two")
        with pytest.raises(HandoverInProgress):  # from memory: its lease is over
            await first.texts()
        assert first.node.unready_reasons() == ("the lease has lapsed: the store does not answer",)
        first.cut_off(is_cut=False)
        await asyncio.sleep(5.0)
        assert first.node.unready_reasons() == ("the server second owns the mailboxes",)
        assert first.node.owner is None
        await second.node.close()
        async with asyncio.timeout(LEASE.beat_ms / 1000 + 0.5):
            await first.owning()
        assert len(await first.texts()) == 2, "under a new incarnation it knows what the other wrote"


@virtual_time
async def test_moves_are_counted_over_all_incarnations_of_a_server() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await second.listed()
        first.moved[0].begun = 3
        first.cut_off()
        await second.owning()
        first.cut_off(is_cut=False)
        await asyncio.sleep(5.0)
        assert len(first.moved) == 2, "another incarnation began"
        first.moved[1].begun += 1
        counted = {name: value for name, _, _, labels, value in first.node.samples() if not labels}
        assert counted["rowbox_moves_begun_total"] == 4, "a counter of a process never falls"


@virtual_time
async def test_a_poll_of_a_replaced_server_ends_with_an_error() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        token = (await first.node.fetch_messages(FetchMessages("ben"))).token
        poll = asyncio.create_task(first.node.fetch_messages(FetchMessages("ben", token=token, wait_ms=50_000)))
        second.node.start()
        await second.listed()
        first.cut_off()
        await second.owning()
        await second.send("two")
        first.cut_off(is_cut=False)
        with pytest.raises(HandoverInProgress):
            await poll


@virtual_time
async def test_a_fence_above_the_map_has_the_map_raised_above_it() -> None:
    """As after a restore of a backup in which the map is older than the rows."""
    async with servers() as all_of_them:
        first = all_of_them.add("first")
        first.node.start()
        await first.owning()
        old_map = dict((await all_of_them.store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX])[b"map"]
        await first.node.close()
        for name in ("second", "third"):
            later = all_of_them.add(name)
            later.node.start()
            await later.owning()
            await later.send(name)
            await later.node.close()
        newest = dict((await all_of_them.store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX])[b"map"]
        await all_of_them.store.compare_and_set(CLUSTER_ROW, Family.INDEX, b"map", newest, old_map)
        fourth = all_of_them.add("fourth")
        fourth.node.start()
        await fourth.owning()
        with pytest.raises(HandoverInProgress):
            await fourth.texts()
        await asyncio.sleep(1.0)
        await fourth.owning()
        assert len(await fourth.texts()) == 2
        await fourth.send("after the restore")
        assert len(await fourth.texts()) == 3


@virtual_time
async def test_cells_of_the_ended_are_removed_by_the_next_owner() -> None:
    async with servers() as all_of_them:
        for number in range(5):
            server = all_of_them.add(str(number))
            server.node.start()
            await server.owning()
            await server.node.close()
        row = (await all_of_them.store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX]
        assert len(row) == 2, "the map and the last node"


@virtual_time
async def test_a_bug_in_a_beat_is_logged_and_counted_and_the_server_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        failing = [LookupError("a bug")]
        make = only.node._appointment._make_owner

        def make_or_fail(store: Store, ownership: Ownership) -> Owner:
            if failing:
                raise failing.pop()
            return make(store, ownership)

        only.node._appointment._make_owner = make_or_fail
        only.node.start()
        await only.owning()
        await only.send("hello")
        assert only.broken == []
        assert only.node._loop.failures == 1
        assert [record for record in caplog.records if record.exc_info and "beats" in record.getMessage()]


@virtual_time
async def test_a_server_whose_beats_meet_a_bug_again_and_again_leaves_the_mailboxes_to_another() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await asyncio.sleep(1.0)
        attend = first.node._attend_to_restore

        async def fails(membership: Membership) -> bool:
            await attend(membership)
            raise LookupError("a bug")

        first.node._attend_to_restore = fails  # type: ignore[method-assign]
        await asyncio.sleep(2 * PATIENCE_S)
        await second.owning()
        await second.send("two")
        assert first.node.owner is None
        assert first.broken == []


@virtual_time
async def test_a_bug_that_recurs_in_each_beat_fills_no_row_with_incarnations() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")

        def fails(store: Store, ownership: Ownership) -> Owner:
            raise LookupError("a bug")

        only.node._appointment._make_owner = fails
        only.node.start()
        await asyncio.sleep(3600.0)
        cells = (await all_of_them.store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX]
        assert only.node._loop.failures > 30
        assert len(cells) < 80


@virtual_time
async def test_tokens_are_revoked_by_the_owner_alone_and_the_next_one_refuses_them() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await second.listed()
        now_s = all_of_them.clock.now_us() // US_PER_S
        old, one = Bearer("ben", float(now_s)), Bearer("ben", now_s + 3600.0, token_hash("one"))
        with pytest.raises(NotTheOwner, match="the server first owns this mailbox"):
            await second.node.revoke_user("ben")
        with pytest.raises(NotTheOwner, match="the server first owns the mailboxes"):
            await second.node.revoke_id("one")
        await first.node.revoke_user("ben")
        await first.node.revoke_id("one")
        await first.node.close()
        await second.owning()
        for bearer in (old, one):
            with pytest.raises(TokenRevoked):
                await second.node.fetch_messages(FetchMessages("ben", bearer=bearer))
        await second.node.fetch_messages(FetchMessages("ben", bearer=Bearer("ben", now_s + 3600.0)))


@virtual_time
async def test_a_peer_that_talks_of_maps_which_do_not_stand_makes_no_server_beat_without_end() -> None:
    async with servers() as all_of_them:
        owner, _ = await owner_and_other(all_of_them)
        before = rounds_of(owner.node, "beats")
        for number in range(6_000):
            owner.node.view.wanted((1 << 60) + number)
            await asyncio.sleep(0.01)
        assert rounds_of(owner.node, "beats") - before < 60 * 1000 / LEASE.beat_ms + 60 + 2 * MOST_IN_VAIN
        owner.node.view.wanted(1 << 61)
        owner.cut_off()
        await asyncio.sleep(30)
        assert owner.node.view.lag_s > 25
        owner.cut_off(is_cut=False)
        await asyncio.sleep(30)
        assert owner.node.view.lag_s == 0


def rounds_of(node: Node, loop: str) -> float:
    return next(
        value
        for name, _, _, labels, value in node.samples()
        if name == "rowbox_background_rounds_total" and labels["loop"] == loop
    )


@virtual_time
async def test_a_server_says_with_each_beat_what_it_does() -> None:
    async with servers() as all_of_them:
        owner, other = await owner_and_other(all_of_them)
        other.node.start()
        await other.listed()
        began_s = asyncio.get_running_loop().time()
        sends = 0
        while asyncio.get_running_loop().time() < began_s + 2 * WINDOW_S:
            await owner.send(f"message {sends}")
            await owner.texts()
            sends += 1
            await asyncio.sleep(0.1)
        rate = sends / (asyncio.get_running_loop().time() - began_s)
        does = (await cell_of(all_of_them, owner)).load
        assert does is not None
        assert does.sends_per_s == pytest.approx(rate, rel=0.1)
        assert does.fetches_per_s == pytest.approx(rate, rel=0.1)
        assert does.mailboxes == 2
        assert does.commit_p99_ms >= 0
        assert (await cell_of(all_of_them, other)).load is None  # it owns nothing
        await asyncio.sleep(2 * WINDOW_S)
        assert (await cell_of(all_of_them, owner)).load == NodeLoad(mailboxes=2)
        version = owner.node.view.version
        await asyncio.sleep(10)
        assert owner.node.view.version == version  # what it does is no reason for another map


async def cell_of(all_of_them: Servers, server: Server) -> NodeCell:
    cell = (await ClusterReader(all_of_them.store).whole()).cell_of(server.node.incarnation)
    assert cell is not None
    return cell


@virtual_time
async def test_each_incarnation_is_told_before_anybody_else_can_know_of_it() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        told: list[tuple[str, object]] = []
        only.node.on_incarnation = lambda: told.append((only.node.incarnation, only.node.view.newest))
        only.node.start()
        await only.owning()
        assert told == [(only.node.incarnation, None)]
