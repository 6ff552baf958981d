"""What is switched on once all servers of a cluster know it, while they are upgraded one after the other."""

import asyncio
from collections.abc import Sequence

import pytest

from rowbox.cacheserver.features import BLOCKS, DELETIONS, KNOWN
from rowbox.cacheserver.port import AccountResult, ChangeAccount, FetchMessages, SetTtl, TtlResult
from rowbox.mailbox.account.deeds import BlockUser, DeleteConversation
from rowbox.mailbox.errors import FeatureOff
from rowbox.mailbox.ids import direct_conversation_id
from tests.cluster.servers import LONGEST_S, Server, Servers, servers
from tests.support.virtual_time import virtual_time

BEATS_S = 5.0


async def block(server: Server) -> AccountResult:
    return await server.node.change_account(ChangeAccount("ben", BlockUser("ann")))


async def deleted(server: Server) -> AccountResult:
    """Ben's copy of his conversation with Ann."""
    deed = DeleteConversation(direct_conversation_id("ann", "ben"))
    return await server.node.change_account(ChangeAccount("ben", deed))


async def ttl(server: Server) -> TtlResult:
    """What Ben and Ann write lasts for an hour."""
    return await server.node.set_ttl(SetTtl("ben", direct_conversation_id("ann", "ben"), 3_600_000))


def switched_on(server: Server) -> set[str]:
    return set(server.node.view.features)


async def stopped(server: Server) -> None:
    await server.node.close()


async def started(all_of_them: Servers, name: str, *, knows: Sequence[str] = KNOWN) -> Server:
    server = all_of_them.add(name, features=tuple(knows))
    server.node.start()
    return server


def owner_of(user: str, *running: Server) -> Server:
    """Who owns a user's shard."""
    for server in running:
        owner = server.node.owner
        if owner is not None and owner.table.owns(user):
            return server
    raise AssertionError(f"nobody owns {user}")


@virtual_time
async def test_a_rolling_upgrade_switches_blocks_on_with_its_last_server() -> None:
    """Nobody is blocked while one runs whose owners would show what is to be hidden; then everybody obeys it."""
    async with servers() as made:
        old = [await started(made, name, knows=()) for name in "abc"]
        for server in old:
            await server.listed()
        new: list[Server] = []
        for name, server in zip("abc", old, strict=True):
            for running in (*old[len(new) :], *new):
                owner = running.node.owner
                if owner is not None and owner.table.owns("ben"):
                    with pytest.raises(FeatureOff):
                        await block(running)
            await stopped(server)
            new.append(await started(made, name))
            await new[-1].listed()
            await asyncio.sleep(BEATS_S)
        await block(owner_of("ben", *new))
        await owner_of("ann", *new).send("unseen")
        await asyncio.sleep(BEATS_S)
        page = await owner_of("ben", *new).node.fetch_messages(FetchMessages("ben"))
        assert not page.items
        assert new[0].node.view.features == KNOWN
        # One of the old version that comes back is not listed, whoever else is there.
        back = await started(made, "d", knows=())
        await asyncio.sleep(LONGEST_S / 2)
        assert back.node.owner is None
        assert back.node.incarnation
        newest = new[0].node.view.newest
        assert newest is not None
        assert newest.node(back.node.incarnation) is None


@virtual_time
async def test_a_rolling_upgrade_from_blocks_switches_deletions_on_with_its_last_server() -> None:
    """Nobody deletes while one runs whose owners would show what was deleted; then nobody shows it."""
    async with servers() as made:
        old = [await started(made, name, knows=(BLOCKS,)) for name in "ab"]
        for server in old:
            await server.listed()
        await owner_of("ann", *old).send("secret")
        await asyncio.sleep(BEATS_S)
        with pytest.raises(FeatureOff):
            await deleted(owner_of("ben", *old))
        await stopped(old[0])
        new = [await started(made, "a")]
        await new[0].listed()
        await asyncio.sleep(BEATS_S)
        with pytest.raises(FeatureOff):
            await deleted(owner_of("ben", old[1], new[0]))
        assert switched_on(new[0]) == {BLOCKS}
        await stopped(old[1])
        new.append(await started(made, "b"))
        await new[1].listed()
        await asyncio.sleep(BEATS_S)
        assert switched_on(new[0]) == set(KNOWN)
        await deleted(owner_of("ben", *new))
        assert await owner_of("ben", *new).texts() == []
        assert len(await owner_of("ann", *new).texts("ann")) == 1
        back = await started(made, "c", knows=(BLOCKS,))
        await asyncio.sleep(LONGEST_S / 2)
        assert back.node.owner is None, "one that would show it is not listed"


@virtual_time
async def test_a_rolling_upgrade_switches_disappearing_messages_on_with_its_last_server() -> None:
    """No message has an end while one runs that would show it after that, and store what it is told without one."""
    async with servers() as made:
        old = [await started(made, name, knows=(BLOCKS, DELETIONS)) for name in "ab"]
        for server in old:
            await server.listed()
        await owner_of("ann", *old).send("for ever")
        await stopped(old[0])
        new = [await started(made, "a")]
        await new[0].listed()
        await asyncio.sleep(BEATS_S)
        with pytest.raises(FeatureOff):
            await ttl(owner_of("ben", old[1], new[0]))
        await stopped(old[1])
        new.append(await started(made, "b"))
        await new[1].listed()
        await asyncio.sleep(BEATS_S)
        assert (await ttl(owner_of("ben", *new))).changed
        await asyncio.sleep(BEATS_S)
        await owner_of("ann", *new).send("for an hour")
        await asyncio.sleep(BEATS_S)
        for user in ("ann", "ben"):
            shown = await owner_of(user, *new).texts(user)
            assert [b'"expiresTimestamp"' in one for one in shown] == [True, False]
        back = await started(made, "c", knows=(BLOCKS, DELETIONS))
        await asyncio.sleep(LONGEST_S / 2)
        assert back.node.owner is None, "one that would show it is not listed"
