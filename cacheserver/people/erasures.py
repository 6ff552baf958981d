"""Goes on with the erasure of users who are deleted, whoever began it: the work between the steps that their rows note.

mailbox/account/erasing.py says what the steps are, and decides them. A row is looked at when its user is deleted, when
it is loaded, and when a scan for outboxes comes to it (delivery/recovery.py): the reminder in its outbox stays until
the erasure is done. So nothing of it is in memory alone: after a crash at any point the next owner goes on from the
step that the row names, and what was done behind that is done again, which changes nothing:

    groups     the group's row removes a member once
    cells      removing what is removed already removes nothing
    a step     is noted once

Cells are removed by their exact names, in calls of their own, and only those of this owner's epoch and of lower ones
(docs/consistency.md, rule 2). A cell of a higher epoch means that another owner has the row, and goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.commands import Command, CommandResult, EraseCommand
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.rows.cleaner import BATCH_COLUMNS, Cleaner
from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.account.erasing import KEPT, SWEPT_AFTER_US
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import MEMBERSHIP, PROFILE
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import NotTheOwner, RowboxError
from rowbox.mailbox.fence import map_version_of
from rowbox.mailbox.group import Standing
from rowbox.mailbox.people.profile import Erasure, ErasureStep
from rowbox.mailbox.timing.rarely import Rarely

log = logging.getLogger(__name__)

AGAIN_S: Final = 1.0
"""The pause before a row is looked at again that is not as far as it has to be: its outbox is not empty, or something
was found that had to be removed."""
LONGEST_PAUSE_S: Final = 60.0
LOOKED_AT_S: Final = 600.0
"""How long at most a row is left alone that waits for late writes: the time that it waits for may jump."""

MOST: Final = 10_000
"""Users whose rows are looked at; of any other a later scan says so again."""

Leave = Callable[[str, bytes], Awaitable[None]]
"""Has a group's row remove a member who is deleted: (userId, conversationId)."""


class _Work:
    """The erasure of one user, as memory knows it."""

    __slots__ = ("at_s", "begun_us", "pause_s", "step")

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        """When the row is looked at next, by the loop's clock."""
        self.pause_s = AGAIN_S
        """After the next failure."""
        self.step: ErasureStep | None = None
        self.begun_us = 0


class Erasures:
    """The erasures of one owner's users. `has_outbox`: whether something that a loaded row's user has sent is not known
    to have arrived.
    """

    def __init__(
        self,
        store: StoreReader,
        table: Table,
        submit: Callable[[Command], None],
        cleaner: Cleaner,
        leave: Leave,
        has_outbox: Callable[[str], bool],
        seen_us: Callable[[], int],
    ) -> None:
        self._store = store
        self._table = table
        self._submit = submit
        self._cleaner = cleaner
        self._leave = leave
        self._has_outbox = has_outbox
        self._seen_us = seen_us
        self._loop = asyncio.get_running_loop()
        self._work: dict[str, _Work] = {}
        self._failures = Rarely(self._loop.time)
        self.loop = BackgroundLoop("erasures", self._round)
        self.done = 0
        """Erasures that came to their end here."""

    def look_at(self, user_id: str) -> None:
        """Has the row of a user who is deleted looked at soon, unless it is known when to look at it."""
        if user_id not in self._work and len(self._work) < MOST:
            self._work[user_id] = _Work(self._loop.time())
            self.loop.wake()

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the users of whom `is_given` says so."""
        for user_id in [user_id for user_id in self._work if is_given(user_id)]:
            del self._work[user_id]

    @property
    def under_way(self) -> int:
        """How many users' rows have something that is still to be removed, as far as is known here."""
        return sum(work.step is not ErasureStep.SWEEPING for work in self._work.values())

    @property
    def oldest_s(self) -> float:
        """For how long the oldest of these has been under way, in seconds."""
        waiting = [work for work in self._work.values() if work.step is not ErasureStep.SWEEPING]
        begun = [work.begun_us for work in waiting if work.begun_us]
        return max(0.0, (self._seen_us() - min(begun)) / US_PER_S) if begun else 0.0

    async def _round(self) -> float | None:
        """Looks at the rows that are due, one after the other."""
        for user_id, work in list(self._work.items()):
            if work.at_s <= self._loop.time() and self._work.get(user_id) is work:
                await self._look(user_id, work)
        if not self._work:
            return None
        return max(0.0, min(work.at_s for work in self._work.values()) - self._loop.time())

    async def _look(self, user_id: str, work: _Work) -> None:
        try:
            pause_s = await self._go_on(user_id, work)
        except NotTheOwner:
            self._work.pop(user_id, None)  # whoever has the row finds it by its reminder
        except RowboxError as error:
            number = self._failures.count(error.code)
            if number:
                log.warning("the erasure of a user has to wait: %s (%d such since the last line)", error, number)
            work.at_s = self._loop.time() + work.pause_s
            work.pause_s = min(LONGEST_PAUSE_S, 2 * work.pause_s)
        else:
            work.pause_s = AGAIN_S
            if pause_s is None:
                self._work.pop(user_id, None)
            else:
                work.at_s = self._loop.time() + pause_s

    async def _go_on(self, user_id: str, work: _Work) -> float | None:
        """Does what the row's step asks for. Returns the pause before the next look; None: the erasure is done."""
        self._table.admitted(user_id)
        row, mailbox = await self._table.loaded(user_id)
        profile = mailbox.state(PROFILE)
        if profile is None or profile.erasure is None:
            return None
        erasure = profile.erasure
        work.step, work.begun_us = erasure.step, erasure.begun_us
        if erasure.step is ErasureStep.CLOSED:
            return await self._close(user_id, mailbox)
        if erasure.step is ErasureStep.DONE:
            await self._remove(row, mailbox, None, (Family.OUTBOX,))
            return None
        if profile.epoch != mailbox.epoch:  # what the row keeps has to be of this epoch: all else of lower ones goes
            await self._enter(user_id, erasure.step)
            return 0.0
        left_us = erasure.wiped_us + SWEPT_AFTER_US - self._seen_us() if self._store.late_writes else 0
        if erasure.step is ErasureStep.SWEEPING and left_us > 0:
            return min(LOOKED_AT_S, left_us / US_PER_S + AGAIN_S)
        if await self._remove(row, mailbox, erasure):
            return AGAIN_S
        if erasure.step is ErasureStep.WIPING:
            return await self._has_wiped(row, mailbox)
        await self._enter(user_id, ErasureStep.DONE)
        self.done += 1
        return 0.0

    async def _close(self, user_id: str, mailbox: Mailbox) -> float:
        for conversation_id, known in list(mailbox.states_of(MEMBERSHIP).items()):
            if known.standing is Standing.IN:
                await self._leave(user_id, conversation_id)
        if self._has_outbox(user_id):
            return AGAIN_S
        await self._enter(user_id, ErasureStep.WIPING)
        return 0.0

    async def _has_wiped(self, row: Row, mailbox: Mailbox) -> float:
        """The store has no more of the mailbox than is kept: nor has memory, before the row says so."""
        others = any(states for letter, states in mailbox.others.items() if letter not in KEPT)
        if len(mailbox.index) or others:
            self._table.drop_replaced(row, mailbox)
            return AGAIN_S if row.mailbox is mailbox else 0.0
        await self._enter(row.user_id, ErasureStep.SWEEPING)
        return 0.0

    async def _enter(self, user_id: str, step: ErasureStep) -> None:
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        self._submit(EraseCommand(user_id, step, future=future))
        await future

    async def _remove(
        self, row: Row, mailbox: Mailbox, erasure: Erasure | None, families: Iterable[Family] = tuple(Family)
    ) -> bool:
        """Removes all of the row but what is kept; `erasure` None: the reminder too. Whether there was anything.

        Whether it is gone the next look says: calls may not hold the row.
        """
        found = False
        for family in families:
            start: bytes | None = b""
            while start is not None:
                columns = await self._store.get_range(
                    row.key, family, start, LAST_QUALIFIER, BATCH_COLUMNS, keys_only=True
                )
                gone = [qualifier for qualifier, _ in columns if not _is_kept(family, qualifier, mailbox, erasure)]
                row.grant.check()
                if gone:
                    found = True
                    await self._cleaner.remove_now(row.key, [(family, one) for one in gone], mailbox.head)
                    await asyncio.sleep(0)
                start = keys.after(columns[-1][0]) if len(columns) == BATCH_COLUMNS else None
        return found


def _is_kept(family: Family, qualifier: bytes, mailbox: Mailbox, erasure: Erasure | None) -> bool:
    """Whether a column stays. NotTheOwner where it is of a higher epoch: another owner has claimed the row."""
    epoch = keys.epoch_of(family, qualifier)
    if mailbox.is_fenced and epoch > mailbox.epoch:
        raise NotTheOwner("another node has claimed this user", map_version=map_version_of(epoch))
    if family is Family.OUTBOX:
        return erasure is not None and keys.split_outbox_qualifier(qualifier)[0] == erasure.reminder
    is_state_kept = family is Family.INDEX and (qualifier[:1] in KEPT or qualifier[:1] == keys.FENCE_PREFIX)
    return is_state_kept and (epoch == mailbox.epoch or (not mailbox.is_fenced))
