"""Settlements: conversations whose states tell of what retention has taken get states that do not (Plan.settle).

A fetch of conversations has them settled first: before a page, the conversations of that page; before a delta, all of
the mailbox, because the delta tells of what retention changes. So nothing is written for mailboxes that
nobody looks at, and nothing is looked for where nothing has ended (Endings.first).

It is done in parts of AT_ONCE, each a command like any other. Before a delta it ends when so many conversations have
changed that there will be none: the answer then is a page, and the other parts follow, one after the other, while
others' commands go on between them. A fetch waits for PATIENCE_S at most, and not for a store that takes no
writes: then it shows what the states say at this time (Conversation.at), and the next one tries again.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.commands import Command, CommandResult, SettleCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.mailbox.aggregate.plan import Settled
from rowbox.mailbox.errors import Overloaded, RowboxError, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.pages.conversation_pages import has_delta

AT_ONCE = 100
PATIENCE_S = 2.0
LOOK_S = 30.0
"""Between two looks at the mailboxes that are followed: a follower hears so much later at most of what has ended."""
LOOK_AT_ONCE = 1_000
"""Mailboxes looked at in one turn of the loop."""
MOST_GOING_ON = 100
"""Mailboxes at most in which settlements go on by themselves; any other waits for its next fetch."""


class Settling:
    """Settles conversations of one owner's users."""

    def __init__(
        self,
        table: Table,
        submit: Callable[[Command], None],
        now_us: NowUs,
        followed: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        """`followed` gives the users whose mailboxes are followed."""
        self._table = table
        self._followed = followed
        self.loop = BackgroundLoop("followed-endings", self._round)
        """Looks at the mailboxes that are followed: a follower is told of changes alone, and nobody asks for him. The
        first follower wakes it."""
        self._submit = submit
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._going_on: set[str] = set()
        self._is_closed = False

    async def settle(self, user_id: str, conversation_ids: Sequence[bytes]) -> bool:
        """Settles some conversations of a user, AT_ONCE at most. False where that cannot be done now.

        Raises what a load raises, HandoverInProgress, StoreDamaged.
        """
        deadline = self._loop.time() + PATIENCE_S
        while True:
            command = SettleCommand(user_id, conversation_ids, future=self._loop.create_future())
            try:
                self._submit(command)
                settled = await asyncio.wait_for(command.future, deadline - self._loop.time())
            except (StoreUnavailable, StoreOutcomeUnknown, Overloaded, TimeoutError):
                return False
            assert isinstance(settled, Settled)
            if not settled.left:
                return True

    async def before_delta(self, user_id: str, token: int) -> None:
        """Settles all that has ended in a mailbox, or enough of it to leave no delta from `token`. Raises as `settle`.

        In a mailbox in which that is not to be had now, something is left.
        """
        while True:
            _, mailbox = await self._table.loaded(user_id)
            horizon = mailbox.horizon(self._now_us())
            if mailbox.index.endings.first > horizon:
                return
            if not has_delta(mailbox, token):
                self._go_on(user_id)
                return
            ended = mailbox.index.ended(horizon, AT_ONCE)
            if not ended:
                await asyncio.sleep(0)  # only entries of the past were met, and there are more
            elif not await self.settle(user_id, ended):
                return

    async def a_part(self, user_id: str) -> bool:
        """Settles AT_ONCE of what has ended in a mailbox. Whether more is left that can be settled now.

        Raises as `settle`.
        """
        ended = await self._next_ended(user_id)
        if not ended or not await self.settle(user_id, ended):
            return False
        return bool(await self._next_ended(user_id))

    async def _next_ended(self, user_id: str) -> Sequence[bytes]:
        """Some of the conversations that have ended in a mailbox, AT_ONCE at most; none where none has."""
        while True:
            _, mailbox = await self._table.loaded(user_id)
            horizon = mailbox.horizon(self._now_us())
            ended = mailbox.index.ended(horizon, AT_ONCE)
            if ended or mailbox.index.endings.first > horizon:
                return ended
            await asyncio.sleep(0)  # only entries of the past were met, and there are more

    async def _round(self) -> float | None:
        followed = tuple(self._followed())
        for place, user_id in enumerate(followed):
            row = self._table.peek(user_id)
            mailbox = row.mailbox if row is not None else None
            if mailbox is not None and mailbox.index.endings.first <= mailbox.horizon(self._now_us()):
                with suppress(RowboxError):  # another look does it, here or at its next owner
                    await self.a_part(user_id)
            elif place % LOOK_AT_ONCE == LOOK_AT_ONCE - 1:
                await asyncio.sleep(0)
        return LOOK_S if followed else None

    def close(self) -> None:
        """Begins no further part."""
        self._is_closed = True

    def _go_on(self, user_id: str) -> None:
        if user_id not in self._going_on and len(self._going_on) < MOST_GOING_ON:
            self._going_on.add(user_id)
            self._next_part(user_id)

    def _next_part(self, user_id: str) -> None:
        """Settles another part of a mailbox that is still in memory, or ends there."""
        row = self._table.peek(user_id)
        mailbox = row.mailbox if row is not None else None
        if self._is_closed or mailbox is None or mailbox.index.endings.first > mailbox.horizon(self._now_us()):
            self._going_on.discard(user_id)
            return
        ended = mailbox.index.ended(mailbox.horizon(self._now_us()), AT_ONCE)
        command = SettleCommand(user_id, ended, future=self._loop.create_future())
        command.future.add_done_callback(partial(self._after_part, user_id))
        try:
            self._submit(command)
        except RowboxError as error:
            command.future.set_exception(error)

    def _after_part(self, user_id: str, part: "asyncio.Future[CommandResult]") -> None:
        if part.cancelled() or part.exception() is not None:
            self._going_on.discard(user_id)  # its next fetch meets what is left
        else:
            self._next_part(user_id)
