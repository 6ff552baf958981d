"""Looks up the marks of a row where they come from: no row says of another user that he has read more than his own row
does.
"""

from rowbox.cacheserver.check.row_cells import RowCells
from rowbox.cacheserver.check.user_lookup import is_erased_in
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Code, Finding, Report
from rowbox.mailbox.check.invariants import RowCheck


class ReceiptLookups:
    """Looks up marks in other rows. `lookups` counts these."""

    def __init__(self, store: StoreReader, cells: RowCells) -> None:
        self._store = store
        self._cells = cells
        self.lookups = 0

    async def findings(self, user_id: str, check: RowCheck) -> list[Finding]:
        """What is wrong with the marks of a user's row. Marks only rise, so theirs are read after these."""
        report = Report(user_id)
        for conversation_id, marks in check.receipts.items():
            other = check.other_of(conversation_id)
            if not marks.read or other is None:
                continue
            read = await self._read_by(other, conversation_id)
            if marks.read > read and not await is_erased_in(self._store, other):
                text = f"{other} has read up to {marks.read.hex()}, as conversation {conversation_id.hex()} says here"
                report(Code.RECEIPT_AHEAD, f"{text}; that user's row says {read.hex() or 'nothing'}")
        return report.findings

    async def _read_by(self, user_id: str, conversation_id: bytes) -> bytes:
        """The read mark in a user's row; b"": it has none."""
        self.lookups += 1
        row = row_key(user_id, self._store.shards)
        states = await self._cells.states(row, CONVERSATION, conversation_id)
        fence = FenceCheck(await self._cells.fences(row), Report(user_id), fenced=self._store.late_writes)
        known = fence.states(states)[CONVERSATION.letter].get(conversation_id)
        return known.read_mark if known is not None else b""
