"""What is left in the store of conversations that users have deleted for themselves, emptied in the background.

From the deletion on nobody is shown any of it, whatever becomes of the cells: the floor of OwnSettings says so, and
stays for ever. What is done here only gives back the room. In a conversation of two a message's cell is written anew
without what was said, and so stays known: a delivery that comes again is no new message. It goes with retention, as
any other, when no delivery of it is taken any more. In a group the chain knows what came, and the cells are removed.

One part of one conversation after the other; where it goes on is in the settings (`sweep_from`), so the next owner goes
on there, once the mailbox is loaded. A part is done when a read finds nothing left of it: where the server that wrote a
message had a clock ahead of this one's, what is written now stands behind that, and is written again a little later.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.commands import Command, CommandResult, SweepCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import OWN, MessageCell
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreUnavailable

PART_CELLS: Final = 256
"""Cells at most in one step."""
PAUSE_S: Final = 0.02
"""Between two steps: others' commands come first."""
AGAIN_S: Final = 1.0
"""Before a part is emptied that was emptied just before."""
MOST: Final = 10_000
"""Conversations that wait at most; any other waits for the next load of its mailbox."""


class DeletedCopies:
    """Empties what one owner's users have deleted, in the rounds of `loop`."""

    def __init__(
        self,
        table: Table,
        reader: RowReader,
        cleaner: Cleaner,
        submit: Callable[[Command], None],
        seen_us: NowUs,
    ) -> None:
        self._table = table
        self._reader = reader
        self._cleaner = cleaner
        self._submit = submit
        self._seen_us = seen_us
        self._waiting: dict[tuple[str, bytes], int] = {}
        """With how often each was told of: it may be deleted once more while its last step is written."""
        self.loop = BackgroundLoop("deleted-copies", self._round)
        self._last: tuple[str, bytes, bytes] | None = None
        """What was emptied last: whose, of which conversation, from which messageId on."""
        self.emptied = 0
        """Cells that were emptied or removed."""

    def __len__(self) -> int:
        """How many conversations have something left, as far as this owner knows."""
        return len(self._waiting)

    def deleted(self, user_id: str, conversation_ids: Iterable[bytes]) -> None:
        """Is told of what a user has just deleted."""
        for conversation_id in conversation_ids:
            place = user_id, conversation_id
            if place in self._waiting or len(self._waiting) < MOST:
                self._waiting[place] = self._waiting.get(place, 0) + 1
        self.loop.wake()

    def loaded(self, mailbox: Mailbox) -> None:
        """Is told of a mailbox that was loaded: an earlier owner may have left something."""
        if mailbox.index.floors:
            left = [one for one, own in mailbox.index.own.items() if own.sweep_from]
            if left:
                self.deleted(mailbox.user_id, left)

    async def _round(self) -> float | None:
        """One step of the conversation that has waited longest."""
        if not self._waiting:
            return None
        place, told = next(iter(self._waiting.items()))
        try:
            pause_s = await self._step(*place)
        except HandoverInProgress:
            pause_s = None  # whoever owns the user now finds it, when he loads the mailbox
        except RowboxError:
            self._waiting[place] = self._waiting.pop(place)  # the others come first
            raise
        told_since = self._waiting.pop(place)
        if pause_s is not None or told_since != told:
            self._waiting[place] = told_since
        return (pause_s or PAUSE_S) if self._waiting else None

    async def _step(self, user_id: str, conversation_id: bytes) -> float | None:
        """The pause before the next one; None: nothing is left. Raises what a load, a read and a write raise."""
        row, mailbox = await self._table.loaded(user_id)
        own, state = mailbox.state(OWN, conversation_id), mailbox.index.get(conversation_id)
        if own is None or state is None or not own.sweep_from or mailbox.is_erased:
            return None
        view, begin = View(row.key, mailbox, self._seen_us()), own.sweep_from
        try:
            left, following = await self._left(view, conversation_id, begin, own.floor)
            if not left and following:  # that part was emptied by the step before
                begin = following
                left, following = await self._left(view, conversation_id, begin, own.floor)
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        cells = [(one.message_id, one.epoch, one.version, one.first_version, one.expires_us) for one in left]
        if state.group is not None and cells:
            columns = [(Family.MESSAGES, keys.message_qualifier(conversation_id, *cell)) for cell in cells]
            if not await self._cleaner.remove_now(row.key, columns, mailbox.head):
                raise StoreUnavailable("the part of the store that has this mailbox does not answer")
            cells = []
        going_on = begin if left else following
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._submit(SweepCommand(user_id, conversation_id, own.floor, cells, going_on, future=future))
        done = await future
        self.emptied += len(left)
        if done is not None and not going_on:
            return None
        place = (user_id, conversation_id, begin) if left else None
        was_so, self._last = place is not None and place == self._last, place
        return AGAIN_S if was_so else PAUSE_S

    async def _left(
        self, view: View, conversation_id: bytes, begin: bytes, floor: int
    ) -> tuple[list[MessageCell], bytes]:
        """Cells from a messageId on, downwards, of deleted messages, with what was said; and where to go on."""
        found, following = await self._reader.cells_from(view, conversation_id, begin, PART_CELLS)
        return [cell for cell in found if cell.came <= floor and cell.sender_id], following
