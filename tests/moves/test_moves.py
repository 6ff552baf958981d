"""Shards move between servers that live: with what is in memory, without a request that fails, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import TypeVar

import pytest

from rowbox.cacheserver.node.moves import MoveLimits
from rowbox.cacheserver.port import Locate
from rowbox.cacheserver.rows.stash import HandedRow, HandOver
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import NotTheOwner
from rowbox.mailbox.ids import shard_of
from tests.moves.servers import BEAT_S, Routed, Server, Servers, until
from tests.moves.steps import ALL, USERS, all_is_there, before_the_body, begun, end, moved, with_mail
from tests.support.cluster import SHARDS, parsed
from tests.support.virtual_time import settle, virtual_time

_T = TypeVar("_T")


@virtual_time
async def test_a_move_takes_what_is_in_memory_along() -> None:
    servers = Servers()
    first, second = await servers.start(1) + await servers.start(1)
    routed = await with_mail(servers)
    await asyncio.sleep(1)
    await servers.ask_to_move(ALL, second)
    await moved(second)
    assert first.ownership.shards == set()
    assert len(first.owner.table) == 0
    second.store.hold(Point.READ)
    for user in USERS:
        assert len((await routed.messages(user)).items) == 2
    assert (second.owner.loader.warm_loads, second.owner.table.loads) == (len(USERS), 0)
    second.store.release(Point.READ)
    assert (first.moves.counters.moves, first.moves.counters.moved_shards) == (1, SHARDS)
    assert first.moves.counters.warm_rows == second.moves.counters.taken_rows == len(USERS)
    assert (first.moves.counters.cold_rows, first.moves.counters.closed_shards) == (0, 0)
    assert first.moves.counters.closed_s < 0.1, "the time until the target has read the map does not count"
    standing = await servers.standing()
    assert standing.moving == ()
    await end(servers)


@virtual_time
async def test_after_a_move_its_new_owner_says_where_clients_reach_it() -> None:
    servers = Servers()
    first, second = await servers.start(1) + await servers.start(1)
    await with_mail(servers)
    asked = Locate(USERS[0])
    assert (await first.process.call(first.owner.locate(asked))).url == first.url
    await servers.ask_to_move(ALL, second)
    await moved(second)
    assert (await second.process.call(second.owner.locate(asked))).url == second.url
    with pytest.raises(NotTheOwner):
        await first.process.call(first.owner.locate(asked))
    await end(servers)


@virtual_time
async def test_a_mover_applies_the_map_that_its_swap_has_made_before_its_next_beat() -> None:
    """It tells by which map it refuses, so that who asks it goes on at once."""
    servers = Servers()
    (mover,) = await servers.start(1, beats=False)
    (target,) = await servers.start(1)
    await servers.ask_to_move(ALL, target)
    await mover.process.call(mover.read())
    await moved(target)
    assert mover.ownership.shards == set()
    assert mover.view.version == (await servers.standing()).version
    await end(servers)


# ---------------------------------------------------------------------- under load


class Clients:
    """Everybody writes, reads and waits without a pause, as a router does it: it waits where it is told NotTheOwner."""

    def __init__(self, servers: Servers) -> None:
        self.routed = Routed(servers, Random(7).choice)
        self.asked = 0
        self.longest_s = 0.0
        self.is_over = False
        self.sent: dict[str, int] = dict.fromkeys(USERS, 0)
        self.tasks = [asyncio.create_task(self._client(user)) for user in USERS]

    async def _client(self, user: str) -> None:
        dice = Random(user)
        while not self.is_over:
            await asyncio.sleep(dice.uniform(0.01, 0.2))
            number = self.sent[user] + 1
            sent = await self._ask(partial(self.routed.send, user, user, f"{number}", f"c{number}"))
            assert not sent.duplicate
            self.sent[user] = number
            page = await self._ask(partial(self.routed.messages, user, page_size=1))
            assert parsed(page)[0]["messageContent"] == f"{number}"

    async def _ask(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.asked += 1
        while True:
            try:
                answer = await ask()
            except NotTheOwner:
                await asyncio.sleep(0.02)
                continue
            self.longest_s = max(self.longest_s, loop.time() - began_s)
            return answer

    async def end(self) -> None:
        self.is_over = True
        await asyncio.gather(*self.tasks)


@pytest.mark.parametrize("count", [2, 3])
@virtual_time
async def test_no_request_fails_while_everything_moves(count: int) -> None:
    servers = Servers()
    members = await servers.start(count)
    for server in members:
        for point in Point:
            server.store.gates[point].pause_s = 0.003
    clients = Clients(servers)
    dice = Random(count)
    for _ in range(20):
        await asyncio.sleep(0.7)
        shards = dice.sample(ALL, SHARDS // 2) if dice.random() < 0.5 else ALL
        await servers.ask_to_move(shards, dice.choice(members))
    await asyncio.sleep(3)
    await clients.end()
    counters = [server.moves.counters for server in members]
    assert sum(one.moved_shards for one in counters) > 5 * SHARDS
    assert sum(one.given_up for one in counters) == 0
    assert clients.asked > 2_000
    assert clients.longest_s < 1.0, "a beat of the target, and what the move itself takes"
    warm = sum(server.owner.loader.warm_loads for server in members)
    cold = sum(server.owner.table.loads for server in members)
    assert cold < 3 * len(USERS) < warm
    await end(servers)


# ---------------------------------------------------------------------- moves that are given up


async def is_open(server: Server) -> bool:
    """Whether it answers for everybody."""
    for user in USERS:
        await server.node.send(user, user, "open", f"open {asyncio.get_running_loop().time()}")
        await server.node.messages(user)
    return True


@virtual_time
async def test_a_write_that_does_not_end_ends_the_move() -> None:
    servers = Servers(limits=MoveLimits(move_s=2.0))
    mover, target, _ = await begun(servers, "a write ends")
    assert mover.owner.pipeline is not None
    await asyncio.sleep(1.5)
    with pytest.raises(NotTheOwner):
        await mover.node.messages("user0")
    await asyncio.sleep(1.0)
    assert (await mover.node.conversations("user0")).items, "it is open again"
    mover.store.release(Point.ANSWER)
    await asyncio.sleep(0.1)
    counted = mover.moves.counters
    assert (counted.begun, counted.given_up, counted.moves, counted.closed_shards) == (1, 1, 0, 0)
    assert 1.9 < counted.closed_s < 2.2
    assert (await servers.standing()).moving == (), "and the map says that all stays"
    assert await is_open(mover)
    assert target.ownership.shards == set()
    await end(servers)


@virtual_time
async def test_a_target_that_cannot_be_reached_gets_nothing() -> None:
    servers = Servers()
    servers.network.dice, servers.network.lost = Random(1), 2.0
    mover, target = await servers.start(1) + await servers.start(1)
    await with_mail(servers)
    for attempt in range(1, 4):
        await servers.ask_to_move(ALL, target)
        await asyncio.sleep(2 ** (attempt - 1) + BEAT_S)
        assert mover.moves.counters.given_up == attempt, "each time it waits longer before it tries again"
        assert (await servers.standing()).moving == ()
        assert await is_open(mover)
    servers.network.lost = 0.0
    await servers.ask_to_move(ALL, target)
    await moved(target, seconds=10.0)
    await end(servers)


@virtual_time
async def test_a_store_that_stalls_before_the_swap_is_sent_opens_the_shards_again() -> None:
    servers = Servers(limits=MoveLimits(swap_s=1.0))
    mover, _, _ = await begun(servers, "the body")
    await asyncio.sleep(0.5)
    with pytest.raises(NotTheOwner):
        await mover.node.messages("user0")
    await asyncio.sleep(1.0)
    assert (await mover.node.conversations("user0")).items
    mover.store.release(Point.WRITE)
    await asyncio.sleep(0.5)
    assert (await servers.standing()).moving == ()
    assert await is_open(mover)
    await end(servers)


@virtual_time
async def test_what_is_called_off_meanwhile_stays() -> None:
    servers = Servers()
    mover, target, _ = await begun(servers, "the hand-over")
    await servers.ask_to_move(ALL, None)
    servers.network.comes.set()
    await asyncio.sleep(2)
    assert (mover.ownership.shards, target.ownership.shards) == (set(ALL), set())
    counted = mover.moves.counters
    assert (counted.moves, counted.given_up, counted.moved_shards) == (0, 1, 0)
    assert await is_open(mover)
    await end(servers)


@virtual_time
async def test_what_still_stands_of_a_move_is_given_away() -> None:
    """The plan has changed its mind about some of the shards."""
    servers = Servers()
    mover, target, _ = await begun(servers, "the hand-over")
    await servers.ask_to_move(range(10), None)
    servers.network.comes.set()
    await asyncio.sleep(2)
    assert mover.ownership.shards == set(range(10))
    assert target.ownership.shards == set(range(10, SHARDS))
    await all_is_there(servers)
    assert target.owner.loader.warm_loads > 0
    await end(servers)


@virtual_time
async def test_who_loses_the_race_for_the_map_makes_its_change_anew() -> None:
    """Nothing of another's change is lost, and what was handed over is still what the map names."""
    servers = Servers()
    mover, target, _ = await begun(servers, "the swap")
    third = Server(servers, "third", MoveLimits())
    servers.by_name["third"] = third
    await third.process.call(third.start())
    await servers.change(lambda standing: standing.next().listing([ListedNode("third", node_id="third")]))
    mover.store.release(Point.WRITE)
    await moved(target)
    assert (await servers.standing()).node("third") is not None
    await all_is_there(servers)
    assert target.owner.loader.warm_loads > 0
    await end(servers)


@virtual_time
async def test_nothing_begins_while_a_shard_has_no_owner() -> None:
    servers = Servers()
    mover, target = await servers.start(1) + await servers.start(1)
    await servers.ask_to_move(range(32), target)
    await moved(target, 32)
    await servers.kill(target)
    (another,) = await servers.start(1)
    await servers.change(lambda standing: standing.next().unlisting([target.name]).sending([40], another.name))
    await asyncio.sleep(3)
    assert another.ownership.shards == set()
    assert 40 in mover.ownership.shards
    await servers.take_over(target, [mover])
    await servers.change(
        lambda standing: standing.next().giving(standing.ownerless, mover.name) if standing.ownerless else None
    )
    await moved(another, 1)
    await end(servers)


@virtual_time
async def test_a_mover_that_is_closed_opens_its_shards_again() -> None:
    servers = Servers()
    mover, _, _ = await begun(servers, "the hand-over")
    await mover.process.call(mover.moves.close())
    assert await is_open(mover)
    servers.network.comes.set()
    await end(servers)


# ---------------------------------------------------------------------- what the target takes


@virtual_time
async def test_what_came_of_another_attempt_is_not_used() -> None:
    """It was on its way when the mover opened again, and was written to. It comes again, and last."""
    servers = Servers()
    mover, target, routed = await begun(servers, "the body")
    await asyncio.sleep(MoveLimits().swap_s + 0.1)
    mover.store.release(Point.WRITE)
    await until(lambda: mover.moves.counters.given_up == 1)
    old = [part for _, part in servers.network.sent if part.rows]
    assert sum(len(part.rows) for part in old) == len(USERS)
    await asyncio.sleep(BEAT_S)
    for user in USERS:
        await routed.send(user, user, "newer", "c2")
    await asyncio.sleep(1)
    await before_the_body(servers, mover, target)
    for part in old:
        assert await target.process.call(target.moves.take_in(part, mover.name, 0, 1.0)) == len(part.rows)
    mover.store.release(Point.WRITE)
    await moved(target)
    for user in USERS:
        assert parsed(await routed.messages(user))[0]["messageContent"] == "newer"
    assert target.owner.loader.warm_loads == 0
    await end(servers)


@virtual_time
async def test_only_the_owner_hands_over_and_only_what_is_to_move() -> None:
    servers = Servers()
    mover, target = await servers.start(1) + await servers.start(1)
    await with_mail(servers)
    rows = [HandedRow(user, has_outbox=False, packed=b"") for user in USERS]
    half = range(SHARDS // 2)
    mover.store.hold(Point.WRITE)
    await servers.ask_to_move(half, target)
    await asyncio.sleep(BEAT_S + 0.1)
    in_half = [user for user in USERS if shard_of(user, SHARDS) in half]
    take_in = target.moves.take_in
    assert await take_in(HandOver("x", rows), "a stranger", 0, 1.0) == 0
    assert await take_in(HandOver("x", rows), target.name, 0, 1.0) == 0
    assert await take_in(HandOver("x", rows), mover.name, 0, 1.0) == len(in_half)
    mover.store.release(Point.WRITE)
    await asyncio.sleep(3)
    await end(servers)


@virtual_time
async def test_what_comes_before_the_map_waits_for_it() -> None:
    servers = Servers()
    mover, target = await servers.start(1) + await servers.start(1, beats=False)
    await with_mail(servers)
    standing = await servers.ask_to_move(ALL, target)
    row = HandedRow("user0", has_outbox=False, packed=b"")
    taking = asyncio.create_task(target.moves.take_in(HandOver("x", [row]), mover.name, standing.version, 5.0))
    await settle()
    assert not taking.done()
    await target.process.call(target.read())
    assert await taking == 1
    late = target.moves.take_in(HandOver("x", [row]), mover.name, standing.version + 1, 1.0)
    assert await late == 0 or target.view.version, "after its time it is judged by what is known"
    await end(servers)
