"""Looks at one row at a time, also of a store that servers write to: what is found broken there is looked at again.

A cluster's store does not stand still: several reads of a row show several moments, and a change between two of them
looks broken. So a row with findings is read again, until it has not changed during the reading (every change writes the
index) or LOOKS readings have shown the same finding.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.invariants import RowCheck, RowFrame

LOOKS = 5
"""The most readings of a row that changes while it is read."""

OnMessage = Callable[[MessageCell, Sequence[str]], None]
"""Hears of a message that counts in the row, with the participants of its conversation."""


class Looked(NamedTuple):
    """What was found in a row, and how many conversations and copies of messages the first reading has counted."""

    findings: list[Finding]
    conversations: int
    messages: int


class _Reading(NamedTuple):
    frame: RowFrame
    looked: Looked


class RowLooks:
    """Judges rows of one store by themselves. `horizon` says what may have expired by now."""

    def __init__(self, store: StoreReader, horizon: Callable[[], Horizon]) -> None:
        self._store = store
        self._horizon = horizon

    async def at(self, user_id: str, row: bytes, on_message: OnMessage) -> Looked:
        """What is broken in a user's row. `on_message` hears of the messages of the first reading."""
        first = reading = await self._read(user_id, row, on_message)
        lasting = first.looked.findings
        for _ in range(LOOKS - 1):
            if not lasting:
                break
            if await RowCells(self._store, ignore).frame(row) == reading.frame:
                lasting = reading.looked.findings
                break
            reading = await self._read(user_id, row, None)
            lasting = [finding for finding in lasting if finding in reading.looked.findings]
        return first.looked._replace(findings=lasting)

    async def _read(self, user_id: str, row: bytes, on_message: OnMessage | None) -> _Reading:
        unreadable: list[str] = []
        cells = RowCells(self._store, unreadable.append)
        frame = await cells.frame(row)
        check = RowCheck(user_id, frame, self._horizon(), fenced=self._store.late_writes)
        messages = 0
        async for message in cells.messages(row):
            counted = check.message(*message)
            if counted is not None:
                messages += 1
                if on_message is not None:
                    on_message(counted.cell, counted.state.participants)
        async for entry in cells.log(row):
            check.log_entry(entry)
        findings = check.end()
        if unreadable:  # further findings would only follow from the cells that could not be read
            findings = [Finding(Code.UNREADABLE_CELL, user_id, text) for text in unreadable]
        return _Reading(frame, Looked(findings, check.conversation_count, messages))
