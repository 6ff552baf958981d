"""Looks up each copy of a message where it should be: in the rows of all participants, and in its sender's."""

from collections.abc import AsyncIterator, Callable

from rowbox.cacheserver.check.row_cells import RowCells
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Code, Finding, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.invariants import RowCheck, RowFrame
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.message import Message


class CopyCheck:
    """Looks up copies of the conversations for which `is_looked_at` is true.

    `before_us`: messages that were sent at that time or later are left out, because they may be on their way; None:
    nobody writes to the store meanwhile. The same goes for what was changed. `lookups` counts the rows in which a copy
    was looked for, and `on_missing(user_id, message)` hears of each user who has no copy of a message, or not its last
    change.
    """

    def __init__(
        self,
        store: StoreReader,
        cells: RowCells,
        is_looked_at: Callable[[bytes], bool],
        before_us: int | None,
        on_missing: Callable[[str, Message], None] = lambda _user_id, _message: None,
    ) -> None:
        self._store = store
        self._cells = cells
        self._is_looked_at = is_looked_at
        self._before_us = before_us
        self._on_missing = on_missing
        self.lookups = 0

    async def findings(self, user_id: str, row: bytes, frame: RowFrame, horizon: Horizon) -> AsyncIterator[Finding]:
        """Yields what is wrong with copies of messages that the user sent, and with the user's copies of others'."""
        check = RowCheck(user_id, frame, horizon, fenced=self._store.late_writes)
        on_their_way = {cell.message.message_id for cell in check.outbox}
        report = Report(user_id)
        async for cells in self._cells.messages(row):
            counted = check.message(*cells)
            if counted is None or not self._is_looked_at(counted.cell.conversation_id):
                continue
            message, state = counted
            if not self._is_judged(message, horizon):
                continue
            if message.sender_id != user_id:
                await self._check_sender(message, report)
            elif message.message_id not in on_their_way:
                for holder in state.participants:
                    if holder != user_id:
                        await self._check_holder(holder, message, state.participants, report)
        for finding in report.findings:
            yield finding

    def _is_judged(self, message: MessageCell, horizon: Horizon) -> bool:
        sent_us = sent_timestamp(message.message_id)
        newest_us = sent_us if message.change is None else message.change.version
        return horizon.messages < sent_us and (self._before_us is None or newest_us < self._before_us)

    async def _check_sender(self, message: MessageCell, report: Report) -> None:
        copies = await self._copies(message.sender_id, message)
        if copies and max(map(_changed_at, copies)) < _changed_at(message):
            text = f"message {message.message_id.hex()} has a change that {message.sender_id} did not make"
            report(Code.COPY_DIFFERS, text)
        if not copies:
            text = f"message {message.message_id.hex()} of {message.sender_id} is not in that user's row"
            report(Code.COPY_UNSENT, text)

    async def _check_holder(
        self, holder: str, message: MessageCell, participants: tuple[str, ...], report: Report
    ) -> None:
        copy = max(await self._copies(holder, message), key=lambda one: one.version, default=None)
        if copy is None or _changed_at(copy) < _changed_at(message):
            told = message.message_id, message.conversation_id, message.sender_id, participants, message.content
            self._on_missing(holder, Message(*told, message.change))
        if copy is None:
            report(Code.COPY_MISSING, f"{holder} has no copy of message {message.message_id.hex()}")
        elif _changed_at(copy) < _changed_at(message):
            report(
                Code.COPY_DIFFERS, f"{holder} has message {message.message_id.hex()} as it was before its last change"
            )
        elif _changed_at(copy) > _changed_at(message):
            pass  # its author has changed it again since this row was read
        elif (copy.sender_id, copy.content) != (message.sender_id, message.content):
            report(Code.COPY_DIFFERS, f"{holder} has message {message.message_id.hex()} with another text or sender")

    async def _copies(self, user_id: str, message: MessageCell) -> list[MessageCell]:
        """The valid cells of a message in a user's row."""
        self.lookups += 1
        row = row_key(user_id, self._store.shards)
        copies = await self._cells.copies(row, message.conversation_id, message.message_id)
        if not self._store.late_writes:
            return copies
        fence = FenceCheck(await self._cells.fences(row), Report(user_id), fenced=True)
        return [copy for copy in copies if fence.counts(copy.epoch, copy.version)]


def _changed_at(cell: MessageCell) -> int:
    """The author's version of the last change of a copy; 0: it is as it was sent."""
    return cell.change.version if cell.change is not None else 0
