"""A move is as it was before, or as it is after it, whoever dies, sleeps or stalls at whichever step."""

import asyncio

import pytest

from rowbox.cacheserver.shardmap import map_store
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import NotTheOwner
from tests.moves.servers import BEAT_S, Routed, Servers
from tests.moves.steps import ALL, STEPS, USERS, all_is_there, begun, end, moved, said_to, with_mail
from tests.support.cluster import parsed
from tests.support.virtual_time import virtual_time


@pytest.mark.parametrize("survives", [False, True], ids=["nothing_executes", "what_was_sent_executes"])
@pytest.mark.parametrize("step", STEPS)
@virtual_time
async def test_the_mover_dies(step: str, survives: bool) -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, step)
    await servers.kill(mover, writes_survive=survives)
    servers.network.comes.set()
    await servers.take_over(mover, [target])
    servers.store.land()
    await asyncio.sleep(2)
    assert target.ownership.shards == set(ALL)
    await all_is_there(servers)
    await end(servers)


@pytest.mark.parametrize("step", STEPS)
@virtual_time
async def test_the_target_dies(step: str) -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, step)
    await servers.kill(target)
    servers.network.comes.set()
    await servers.take_over(target, [mover])
    for point in Point:
        mover.store.release(point)
    await asyncio.sleep(3)
    assert mover.ownership.shards == set(ALL)
    await all_is_there(servers)
    await end(servers)


@pytest.mark.parametrize("step", STEPS)
@virtual_time
async def test_the_mover_is_paused_and_replaced_and_wakes(step: str) -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, step)
    for point in Point:
        mover.store.hold(point)
    await servers.take_over(mover, [target])
    await asyncio.sleep(2)
    await all_is_there(servers)
    servers.network.comes.set()
    for point in Point:
        mover.store.release(point)
    await asyncio.sleep(3)
    assert (await servers.standing()).shards_of(target.name) == tuple(ALL)
    for user in USERS:
        with pytest.raises(NotTheOwner):
            await mover.node.messages(user)
    await end(servers)


@pytest.mark.parametrize("step", STEPS)
@virtual_time
async def test_the_store_stalls_for_the_mover_and_comes_back(step: str) -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, step)
    for point in Point:
        mover.store.hold(point)
    await asyncio.sleep(20)
    servers.network.comes.set()
    for point in Point:
        mover.store.release(point)
    await asyncio.sleep(5)
    assert sorted([*mover.ownership.shards, *target.ownership.shards]) == list(ALL)
    if step in ("the swap", "its answer"):
        assert target.ownership.shards == set(ALL), "what was sent before the stall is done after it"
    await all_is_there(servers)
    await end(servers)


# ---------------------------------------------------------------------- from the swap on


@pytest.mark.parametrize("executes", [False, True])
@virtual_time
async def test_from_the_swap_on_nothing_is_answered_until_a_newer_map_was_read(executes: bool) -> None:
    """The call has failed, and may execute as long as the version stands that it expects."""
    servers = Servers()
    mover, target, _ = await begun(servers, "the swap")
    with pytest.raises(NotTheOwner):
        mover.ownership.grant_of(0).check()
    mover.store.hold(Point.READ)
    for _ in range(map_store._TRIES):
        mover.store.faults.next(Fault.EXECUTE_LATE, Op.COMPARE_AND_SET)
    mover.store.release(Point.WRITE)
    await asyncio.sleep(1)
    assert servers.store.late_count == map_store._TRIES
    with pytest.raises(NotTheOwner):
        await mover.node.messages("user0")
    if executes:
        servers.store.land()
        await asyncio.sleep(2 * BEAT_S)
        await target.node.send("user0", "user0", "by the target", "c9")
        with pytest.raises(NotTheOwner):
            await mover.node.messages("user0")
    mover.store.release(Point.READ)
    await asyncio.sleep(2)
    servers.store.land()
    await asyncio.sleep(2)
    assert (target if executes else mover).ownership.shards == set(ALL)
    await all_is_there_but(servers, "by the target")
    await end(servers)


@virtual_time
async def test_what_was_given_away_is_not_answered_for_where_the_map_is_not_applied() -> None:
    """An incarnation that is ending applies no maps any more."""
    servers = Servers()
    mover, target = await servers.start(1, beats=False) + await servers.start(1)
    await with_mail(servers)
    mover.moves._tenure = mover.moves._tenure._replace(learn=lambda _standing: None)
    await servers.ask_to_move(ALL, target)
    await mover.process.call(mover.read())
    await moved(target)
    for user in USERS:
        with pytest.raises(NotTheOwner):
            await mover.node.messages(user)
    await end(servers)


async def all_is_there_but(servers: Servers, extra: str) -> None:
    for user in USERS:
        contents = [item["messageContent"] for item in parsed(await Routed(servers).messages(user))]
        assert set(contents) - {extra} == set(said_to(user))


@virtual_time
async def test_a_swap_that_executes_twice_does_so_once() -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, "the swap")
    mover.store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
    mover.store.release(Point.WRITE)
    await moved(target)
    await servers.ask_to_move(ALL, mover)
    await moved(mover)
    servers.store.land()
    await asyncio.sleep(2)
    assert mover.ownership.shards == set(ALL)
    await all_is_there(servers)
    await end(servers)
