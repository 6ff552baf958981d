"""kill -9 of one owner of three, with the settings that a server has by default: whom it concerns, and for how long."""

import asyncio
import time
from random import Random
from typing import Final, NamedTuple

from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.steady import Request, Steady, failures
from tests.integration.support.server_process import DEADLINE_S

USERS_OF_EACH: Final = 32
_SETTLES_S: Final = 2.0


class Killed(NamedTuple):
    """What came of it."""

    back_s: list[float]
    """Of each user of the killed owner: the time from the kill to an answer."""
    failed: list[Request]
    """Requests of the owner's users that failed: those of others are counted apart."""
    others_failed: list[Request]
    others: int
    """Requests of users of the other owners meanwhile."""


async def kill_an_owner(fleet: Fleet, random: Random) -> Killed:
    """Kills one under load, and starts it when everybody has been answered since."""
    await fleet.is_well()
    users = await fleet.users_by_owner(USERS_OF_EACH)
    victim = random.choice(fleet.caches)
    hit = set(users[victim.name])
    everybody = [user_id for of_owner in users.values() for user_id in of_owner]
    load = Steady(fleet.client, everybody, random)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        async with asyncio.timeout(DEADLINE_S):
            await load.all_answered_since(time.monotonic())
        before_s = time.monotonic()
        await asyncio.sleep(_SETTLES_S)
        killed_s = time.monotonic()
        victim.server.kill()
        await victim.server.ended()
        async with asyncio.timeout(DEADLINE_S):
            await load.all_answered_since(killed_s)
        load.finish()
    assert [one for one in failures(load.requests) if before_s < one.ended_s < killed_s] == []
    after = [one for one in load.requests if one.ended_s > killed_s]
    first_s = {one.user_id: one.ended_s for one in reversed(after) if one.user_id in hit and not one.failure}
    await victim.server.start()
    return Killed(
        [moment_s - killed_s for moment_s in first_s.values()],
        [one for one in failures(after) if one.user_id in hit],
        [one for one in failures(after) if one.user_id not in hit],
        sum(one.user_id not in hit for one in after),
    )
