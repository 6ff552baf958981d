"""Moves that have come to a step, for a test that breaks them there."""

import asyncio
from collections.abc import Awaitable, Callable

from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.ids import shard_of
from tests.checking import assert_no_findings
from tests.moves.servers import Routed, Server, Servers, until
from tests.support.cluster import SHARDS, parsed
from tests.support.virtual_time import settle

USERS = [f"user{number}" for number in range(40)]
ALL = range(SHARDS)


async def with_mail(servers: Servers) -> Routed:
    """Everybody has written to his neighbour, who has read it."""
    routed = Routed(servers)
    for user, other in zip(USERS, USERS[1:] + USERS[:1], strict=True):
        await routed.send(user, other, f"from {user}", "c1")
    for user in USERS:
        assert len((await routed.messages(user)).items) == 2
    return routed


async def moved(target: Server, count: int = SHARDS, seconds: float = 5.0) -> None:
    """Until so many shards are the target's, and it knows that."""
    await until(lambda: len(target.ownership.shards) >= count, seconds)


async def end(servers: Servers) -> None:
    await asyncio.sleep(400)
    await servers.close()
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


Step = Callable[[Servers, Server, Server], Awaitable[None]]


async def stopped(server: Server, point: Point) -> None:
    """Returns when one call of a server's is stopped there."""
    await until(lambda: server.store.gates[point].waiting == 1)


async def _while_a_write_ends(servers: Servers, mover: Server, _target: Server) -> None:
    mover.store.hold(Point.ANSWER)
    user = next(user for user in USERS if shard_of(user, SHARDS) in mover.ownership.shards)
    mover.process.spawn(mover.node.owner.send(Send(user, user, "on its way", "on-its-way")))
    await settle()
    await servers.ask_to_move(ALL, _target)
    await mover.process.call(mover.read())
    await settle()


async def _while_it_is_handed_over(servers: Servers, mover: Server, target: Server) -> None:
    await servers.ask_to_move(ALL, target)
    await mover.process.call(mover.read())
    servers.network.comes.clear()
    servers.network.sent.clear()
    await target.process.call(target.read())
    while not any(part.rows for _, part in servers.network.sent):
        servers.network.comes.set()
        await asyncio.sleep(0)
        servers.network.comes.clear()


async def before_the_body(servers: Servers, mover: Server, target: Server) -> None:
    mover.store.hold(Point.WRITE)
    await servers.ask_to_move(ALL, target)
    await mover.process.call(mover.read())
    await stopped(mover, Point.WRITE)


async def _before_the_swap(servers: Servers, mover: Server, target: Server) -> None:
    await before_the_body(servers, mover, target)
    mover.store.release(Point.WRITE)
    await until(lambda: mover.store.gates[Point.WRITE].waiting == 0, step_s=0)
    mover.store.hold(Point.WRITE)
    await stopped(mover, Point.WRITE)


async def _after_the_swap(servers: Servers, mover: Server, target: Server) -> None:
    await _before_the_swap(servers, mover, target)
    mover.store.hold(Point.ANSWER)
    mover.store.release(Point.WRITE)
    await stopped(mover, Point.ANSWER)
    assert (await servers.standing()).shards_of(mover.name) == ()


STEPS: dict[str, Step] = {
    "a write ends": _while_a_write_ends,
    "the hand-over": _while_it_is_handed_over,
    "the body": before_the_body,
    "the swap": _before_the_swap,
    "its answer": _after_the_swap,
}


async def begun(servers: Servers, step: str) -> tuple[Server, Server, Routed]:
    """A mover and a target, with the move at a step."""
    mover, target = await servers.start(1) + await servers.start(1)
    routed = await with_mail(servers)
    await asyncio.sleep(1)
    await STEPS[step](servers, mover, target)
    return mover, target, routed


async def all_is_there(servers: Servers) -> None:
    """Every confirmed message is, once, whoever owns what by now; and everybody can write."""
    routed = Routed(servers)
    for user in USERS:
        contents = [item["messageContent"] for item in parsed(await routed.messages(user))]
        assert sorted(set(contents) - {"on its way"}) == sorted(set(said_to(user)))
        assert len(contents) == len(set(contents))
    for user in USERS:
        await routed.send(user, user, "after it", "c2")


def said_to(user: str) -> list[str]:
    before = USERS[USERS.index(user) - 1]
    return [f"from {user}", f"from {before}"]
