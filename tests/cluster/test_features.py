"""What is switched on once all servers of a cluster know it, while they are upgraded one after the other."""

import asyncio

import pytest

from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.port import AccountResult, ChangeAccount, FetchMessages
from rowbox.mailbox.account.deeds import BlockUser
from rowbox.mailbox.errors import FeatureOff
from tests.cluster.servers import LONGEST_S, Server, Servers, servers
from tests.support.virtual_time import virtual_time

BEATS_S = 5.0


async def block(server: Server) -> AccountResult:
    return await server.node.change_account(ChangeAccount("ben", BlockUser("ann")))


async def stopped(server: Server) -> None:
    await server.node.close()


async def started(all_of_them: Servers, name: str, *, knows: bool) -> Server:
    server = all_of_them.add(name, features=KNOWN if knows else ())
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
        old = [await started(made, name, knows=False) for name in "abc"]
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
            new.append(await started(made, name, knows=True))
            await new[-1].listed()
            await asyncio.sleep(BEATS_S)
        await block(owner_of("ben", *new))
        await owner_of("ann", *new).send("unseen")
        await asyncio.sleep(BEATS_S)
        page = await owner_of("ben", *new).node.fetch_messages(FetchMessages("ben"))
        assert not page.items
        assert new[0].node.view.features == KNOWN
        # One of the old version that comes back is not listed, whoever else is there.
        back = await started(made, "d", knows=False)
        await asyncio.sleep(LONGEST_S / 2)
        assert back.node.owner is None
        assert back.node.incarnation
        newest = new[0].node.view.newest
        assert newest is not None
        assert newest.node(back.node.incarnation) is None
