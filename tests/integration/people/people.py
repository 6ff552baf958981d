"""All that people of a round of chaos do beside their chat: blocks, deletions, devices, pushes, being there; and how
they set the conversations of their chat.

    begin       before anything goes wrong
    run         while things do
    finish      behind it: everything that was begun ends, and Redis goes away once more, alone
    verdict     from a cold start
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from rowbox.mailbox.representation import Conversation
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.people.choices import Choosing, choice_breaches
from tests.integration.people.devices import Devices
from tests.integration.people.receiving import Receiving
from tests.integration.people.watching import Watching


class People:
    """Those of one round."""

    def __init__(
        self, fleet: Fleet, name: str, random: Random, patience_s: float, lands_within_s: float, choosing: Choosing
    ) -> None:
        """`name`: their names begin with that. `choosing`: of who chats."""
        assert fleet.push_place is not None
        self._fleet = fleet
        self.receiving = Receiving(fleet, name, random, fleet.push_place, patience_s, lands_within_s)
        self.devices = Devices(fleet, name, random, patience_s, lands_within_s)
        self.watching = Watching(fleet, name, random)
        self.choosing = choosing
        self._running: list[asyncio.Task[None]] = []
        self._is_over = asyncio.Event()

    @property
    def pushes(self) -> int:
        """How many messages devices were told of."""
        return len(self.receiving.told.pushed)

    async def begin(self) -> None:
        await self.receiving.begin()
        await self.watching.begin()

    async def run(self) -> None:
        """Returns when `finish` does."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watching.run())
            self._running = [tasks.create_task(self.receiving.run()), tasks.create_task(self.devices.run())]
            await self._is_over.wait()

    async def finish(self) -> None:
        """No fault is left. What is slow because of one is waited for before Redis goes away."""
        self.receiving.finish()
        self.devices.finish()
        await self._fleet.is_well()
        await self.watching.without_redis(self._fleet.redis)
        await asyncio.gather(*self._running)
        await self.devices.sockets_end()
        await self.receiving.pushes_go_on()
        self._is_over.set()

    async def verdict(self, lists: Mapping[str, Sequence[Conversation]]) -> int:
        """Holds all that they were told against what servers say that have just been started; `lists`: of who chats.
        How many copies of messages the store has of theirs: what is hidden is one as well, and there once; what was
        deleted is none.
        """
        assert await self.receiving.breaches() == []
        assert await self.devices.breaches() == []
        assert self.watching.breaches() == []
        assert choice_breaches(self.choosing.made, lists) == []
        mailboxes = [self._fleet.client(user_id) for user_id in (*self.watching.users, *self.watching.writers)]
        watching = sum([len(await client.all_messages()) for client in mailboxes])
        return self.receiving.copies + 2 * self.devices.messages + watching
