"""A user who is deleted: nobody gets in, nothing comes in, and all that his row had goes, whatever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rowbox.cacheserver.features import BLOCKS, DELETIONS, KNOWN
from rowbox.cacheserver.people import erasures
from rowbox.cacheserver.port import FetchUsers
from rowbox.mailbox.account.deeds import CreateProfile, UpdateProfile
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import FeatureOff, RowboxError, TokenRevoked, UserDeleted
from rowbox.mailbox.groups.requests import Add
from rowbox.mailbox.people.profile import ErasureStep
from rowbox.mailbox.revocation import Bearer
from tests.checking import assert_no_findings
from tests.owner.people.erased import (
    TEXTS,
    Trap,
    a_life,
    columns_of,
    delete,
    done,
    everything,
    kinds,
    step_of,
    until_done,
)
from tests.support.cluster import Cluster, cluster, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
LATER = 9e9
"""When a token was issued: long after whatever happens here."""


@asynccontextmanager
async def servers(*, late: bool) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def assert_erased(made: Cluster) -> None:
    """The row has its tombstone, what refuses tokens, and in a cluster's store the fence; nothing that Ann wrote."""
    columns = await columns_of(made)
    assert sorted(kinds(columns)) == (["if", "ip", "it"] if made.late else ["ip", "it"])
    assert not [one for one in TEXTS for column in columns if one in b"".join(column[1:])]


@both_kinds
@virtual_time
async def test_all_that_a_row_had_is_gone_and_its_peers_keep_their_copies(*, late: bool) -> None:
    async with servers(late=late) as made:
        group = await a_life(made.node)
        first = await delete(made.node)
        assert (first.changed, first.step) == (True, ErasureStep.CLOSED)
        await until_done(made)
        await assert_erased(made)
        again = await delete(made.node)
        assert (again.changed, again.step) == (False, ErasureStep.DONE)
        members = (await made.node.group("bob", group)).view.members
        assert [(one.user_id, one.role) for one in members] == [("bob", "owner"), ("carol", "member")]
        assert {one.get("messageContent") for one in parsed(await made.node.messages("bob"))} >= {
            "secret 2",
            "secret 3",
            "secret 5",
        }
        await made.restart()
        await asyncio.sleep(400.0)
        await assert_erased(made)


@both_kinds
@virtual_time
async def test_the_store_names_the_user_in_the_tombstones_key_and_in_rows_of_peers_alone(*, late: bool) -> None:
    """Peers: who was in a conversation with her. Nobody else's row has anything of her, nor has any row beside mail."""
    async with servers(late=late) as made:
        await a_life(made.node)
        await made.node.send("dora", "erin", "nothing of hers", "c1")
        await delete(made.node)
        await until_done(made)
        named = {name for name, *column in await everything(made) if b"ann" in b"".join(map(_bytes, column))}
        assert "ann" not in named
        assert named <= {"bob", "carol", "dave", "eve"} | {name for name in named if name.startswith("!g")}


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else b""


@both_kinds
@virtual_time
async def test_nobody_gets_in_from_the_answer_on_with_whatever_token(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await a_life(node)
        await delete(node)
        for bearer in (Bearer("ann", LATER), Bearer("ann", LATER, b"", "d1", is_of_device=True)):
            with pytest.raises(TokenRevoked):
                await node.send("ann", "bob", "more", "c9", bearer)
            with pytest.raises(TokenRevoked):
                await node.changes("ann", bearer=bearer)
            with pytest.raises(TokenRevoked):
                await node.conversations("ann", bearer=bearer)
            with pytest.raises(TokenRevoked):
                await delete(node, bearer=bearer)
        await until_done(made)
        for _ in range(2):
            with pytest.raises(TokenRevoked):
                await made.node.changes("ann", bearer=Bearer("ann", LATER))
            await made.restart()
        await made.node.revoke_user("ann")
        with pytest.raises(TokenRevoked):
            await made.node.changes("ann", bearer=Bearer("ann", LATER))


@both_kinds
@pytest.mark.parametrize("bearer", [None, Bearer("root", 1.0)], ids=["nobody's token", "an administrator's"])
@virtual_time
async def test_nobody_else_reads_or_writes_for_the_user_either(bearer: Bearer | None, *, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await a_life(node)
        await delete(node, bearer=bearer)
        with pytest.raises(UserDeleted):
            await node.send("ann", "bob", "more", "c9", bearer)
        with pytest.raises(UserDeleted):
            await done(node, "ann", CreateProfile("Ann"), bearer)
        with pytest.raises(UserDeleted):
            await done(node, "ann", UpdateProfile("Ann"), bearer)
        with pytest.raises(UserDeleted):
            await node.changes("ann", bearer=bearer)
        with pytest.raises(UserDeleted):
            await node.conversations("ann", bearer=bearer)
        (shown,) = (await node.process.call(node.owner.fetch_users(FetchUsers("bob", ("ann",))))).profiles
        assert shown is None


@both_kinds
@virtual_time
async def test_what_comes_after_it_is_acknowledged_and_dropped(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        await a_life(node)
        await delete(node)
        sent = await node.send("bob", "ann", "secret 6", "c7")
        assert sent.pending_recipients == 0
        await node.change("bob", sent, "secret 7")
        await node.react("bob", sent, "\N{THUMBS UP SIGN}")
        await until_done(made)
        for number in range(8, 10):
            await made.node.send("bob", "ann", f"secret {number}", f"c{number}")
            await made.restart()
        await asyncio.sleep(400.0)
        await assert_erased(made)


@both_kinds
@virtual_time
async def test_who_is_deleted_is_in_no_group_whoever_adds_him_when(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        group = await a_life(node)
        other = (await node.create_group("bob", "carol", named="other")).conversation_id
        await delete(node)
        await node.change_group("bob", other, Add(("ann",), 100))
        await until_done(made)
        await made.node.change_group("bob", group, Add(("ann",), 100))
        await made.node.send_to("bob", group, "secret 8", "c8")
        await made.node.create_group("bob", "ann", named="third")
        await asyncio.sleep(10.0)
        for one in (group, other):
            assert "ann" not in [member.user_id for member in (await made.node.group("bob", one)).view.members]
        await assert_erased(made)


@virtual_time
async def test_what_was_sent_before_arrives_before_anything_is_removed() -> None:
    async with servers(late=True) as made:
        node = made.node
        await a_life(node)
        node.owner.delivery._is_closed = True
        await node.send("ann", "bob", "the last one", "c3")
        await delete(node)
        await asyncio.sleep(200.0)
        assert await step_of(made) is ErasureStep.CLOSED
        await made.restart()
        await until_done(made)
        assert "the last one" in {one.get("messageContent") for one in parsed(await made.node.messages("bob"))}
        await assert_erased(made)


@virtual_time
async def test_nobody_is_deleted_before_all_servers_know_how() -> None:
    async with servers(late=True) as made:
        node = made.node
        assert node.ownership is not None
        node.ownership.features = (BLOCKS, DELETIONS)
        with pytest.raises(FeatureOff):
            await delete(node)
        assert await columns_of(made) == []
        node.ownership.features = KNOWN
        assert (await delete(node)).changed


@both_kinds
@virtual_time
async def test_two_requests_at_once_are_one(*, late: bool) -> None:
    async with servers(late=late) as made:
        await a_life(made.node)
        both = await asyncio.gather(*(delete(made.node) for _ in range(2)))
        assert sorted(one.changed for one in both) == [False, True]
        await until_done(made)
        await assert_erased(made)


@both_kinds
@virtual_time
async def test_a_user_of_whom_there_is_nothing_is_deleted_as_well(*, late: bool) -> None:
    async with servers(late=late) as made:
        await delete(made.node)
        await until_done(made)
        await assert_erased(made)
        with pytest.raises(UserDeleted):
            await done(made.node, "ann", CreateProfile("Ann"))


@both_kinds
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@virtual_time
async def test_an_owner_that_is_killed_at_any_write_is_followed_by_one_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, *, late: bool, after: bool
) -> None:
    """The last sweep is due after two minutes here: the day that it waits for is one of 500 scans."""
    monkeypatch.setattr(erasures, "SWEPT_AFTER_US", 120 * US_PER_S)
    for at in range(1, 40):
        async with cluster(late=late) as made:
            await a_life(made.node)
            await made.quiet()
            trap = Trap(made.node, at, after=after)
            asking = asyncio.create_task(delete(made.node))
            finished = asyncio.create_task(until_done(made, sweep_s=400.0))
            reached = asyncio.create_task(trap.reached.wait())
            await asyncio.wait({reached, finished}, return_when=asyncio.FIRST_COMPLETED)
            for task in (finished, reached):
                task.cancel()
            await made.kill()
            await asyncio.gather(asking, finished, reached, return_exceptions=True)
            await made.start()
            if isinstance(asking.exception(), RowboxError) or asking.cancelled() or await step_of(made) is None:
                await delete(made.node)
            await until_done(made, sweep_s=400.0)
            await assert_erased(made)
            await assert_no_findings(made.store, made.settings, made.clock.now_us())
        if not trap.reached.is_set():
            assert at > 5
            return
    raise AssertionError("an erasure makes that many writes?")
