"""The invariants of the marks of a conversation (mailbox/receipts.py): of one row; of two, receipt_lookups.py."""

from rowbox.mailbox.cells import LogCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.receipts import ReceiptMarks


class ReceiptCheck:
    """Checks the marks of one conversation. Only log entries of receipts that count are given to it, and then `end`."""

    __slots__ = ("_horizon", "_log_version", "_marks", "_name", "_report", "_state")

    def __init__(
        self, conversation_id: bytes, marks: ReceiptMarks, state: Conversation | None, horizon: Horizon, report: Report
    ) -> None:
        self._name = conversation_id.hex()
        self._marks = marks
        self._state = state
        self._horizon = horizon
        self._report = report
        self._log_version = 0

    def log_entry(self, cell: LogCell) -> None:
        """Takes in the next newer log entry."""
        self._log_version = cell.version
        if cell.message_id > self._marks.delivered:
            self._find(f"was told of {cell.message_id.hex()}, says {self._marks.delivered.hex()}")

    def end(self) -> None:
        """Compares the marks with one another, with the conversation and with the log. To be called last."""
        marks, state = self._marks, self._state
        if state is None:
            self._find("has receipts and no state")
            return
        if marks.read > marks.delivered:
            self._find(f"was read up to {marks.read.hex()}, delivered up to {marks.delivered.hex()} alone")
        if marks.delivered > state.last_message_id:
            self._find(f"was delivered up to {marks.delivered.hex()}, behind its newest message")
        if marks.told_read > state.read_mark:
            self._find(f"is told to be read up to {marks.told_read.hex()}, and is up to {state.read_mark.hex()}")
        is_lost = self._log_version < marks.shown and marks.shown > self._horizon.log
        if marks.shown > marks.version or self._log_version > marks.shown or is_lost:
            self._find(
                f"shows receipts of {marks.shown} at {marks.version}, its log has the last at {self._log_version}"
            )

    def _find(self, text: str) -> None:
        self._report(Code.RECEIPTS, f"conversation {self._name} {text}")
