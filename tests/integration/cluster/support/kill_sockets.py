"""kill -9 of a server under many sockets: for how long whom is told nothing, and that nobody has a gap."""

import asyncio
import time
from collections.abc import Collection, Sequence
from random import Random
from typing import Final, NamedTuple

from tests.integration.cluster.support.fleet import Fleet, Machine
from tests.integration.cluster.support.listeners import Crowd, Listener, crowd_of

_AT_ONCE: Final = 500
"""Messages on their way: more than the killed server's users, so that nobody else's wait for these."""
_WRITERS: Final = 4
_PATIENCE_S: Final = 120.0
"""A duration is told and not judged here."""


class SocketsBack(NamedTuple):
    """What came of one kill."""

    server: str
    hit_s: Sequence[float]
    """From the kill to the first message that was sent since: of those whose mailbox it owned, or who had their sockets
    at it.
    """
    others_s: Sequence[float]
    wrong: Sequence[str]
    """Whose copy has a gap, or is not what a fetch shows."""


async def kill_under_sockets(fleet: Fleet, sockets: int, random: Random) -> list[SocketsBack]:
    """An owner and an API server are killed, one after the other, while people write to one another."""
    done: list[SocketsBack] = []
    for machine in (random.choice(fleet.caches), random.choice(fleet.apis)):
        # Others for each kill: who begins to follow is told nothing of what he had before, and his copy would lack it.
        users = tuple(f"{machine.name}-{number}" for number in range(sockets))
        await fleet.is_well()
        async with crowd_of(fleet, users, random, _WRITERS, _PATIENCE_S) as crowd:
            done.append(await _killed(fleet, crowd, machine))
        await machine.server.start()
        fleet.in_rotation = list(fleet.apis)
    return done


async def _killed(fleet: Fleet, crowd: Crowd, machine: Machine) -> SocketsBack:
    owners = {listener.user: await fleet.owner_of(listener.user) for listener in crowd.listeners}
    hit = {
        listener.user
        for listener in crowd.listeners
        if machine is owners[listener.user] or listener.server == machine.server.url
    }
    fleet.in_rotation = [api for api in fleet.apis if api is not machine]  # as a load balancer does
    killed_s = time.monotonic()
    machine.server.kill()
    await machine.server.ended()
    back_s = await _all_hear(crowd, killed_s)
    wrong = await crowd.is_at_rest()
    return SocketsBack(machine.name, _of(back_s, hit), _of(back_s, back_s.keys() - hit), wrong)


async def _all_hear(crowd: Crowd, killed_s: float) -> dict[str, float]:
    """By user, after how long he was told of a message that was sent since the kill."""
    room = asyncio.Semaphore(_AT_ONCE)
    back_s: dict[str, float] = {}

    async def hear(listener: Listener) -> None:
        async with room:
            text = f"after the kill {killed_s}"
            sending = asyncio.create_task(crowd.send(listener.user, listener.user, text))
            await listener.hears(text, _PATIENCE_S)
            back_s[listener.user] = time.monotonic() - killed_s
            await sending

    await asyncio.gather(*map(hear, crowd.listeners))
    return back_s


def _of(back_s: dict[str, float], users: Collection[str]) -> list[float]:
    return sorted(back_s[user] for user in users)
