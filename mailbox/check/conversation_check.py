"""The invariants of one conversation of a mailbox: its state against its messages and its part of the log.

The check is a fold: it is given messages newest first, then log entries upwards, and keeps none.
"""

from rowbox.mailbox.cells import ChangeKind, LogCell, MessageCell
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.conversation import NEVER, SNIPPET_CHARACTERS, UNREAD_CAP, UNTOLD, Conversation
from rowbox.mailbox.expiry.ttl import earlier
from rowbox.mailbox.ids import ZERO_ID, is_quiet, sent_timestamp


class ConversationCheck:
    """Checks one conversation. Only cells that count are given to it: `message`s, then `log_entry`s, then `end`."""

    __slots__ = (
        "_expires_us",
        "_has_ends",
        "_horizon",
        "_last_id",
        "_log_version",
        "_mark_is_there",
        "_name",
        "_newest",
        "_report",
        "_unread",
        "_unread_since",
        "state",
    )

    def __init__(
        self,
        conversation_id: bytes,
        state: Conversation,
        horizon: Horizon,
        report: Report,
        floor: int = 0,
        *,
        has_ends: bool = False,
    ) -> None:
        """`floor`: what came up to this version its user has deleted. It is as if it had expired.
        `has_ends`: it has a ttl, or had one, so that messages may have come to an end of their own.
        """
        self.state = state
        self._has_ends = has_ends
        self._expires_us = 0
        self._name = conversation_id.hex()
        self._horizon = horizon._replace(messages=max(horizon.messages, floor))
        self._report = report
        self._newest: MessageCell | None = None
        self._last_id = b""
        self._unread = 0
        self._unread_since = NEVER
        self._mark_is_there = state.read_mark == ZERO_ID
        self._log_version = 0
        if state.group is not None:
            if state.participants:
                self._find(Code.PARTICIPANTS, f"is a group and has the participants {list(state.participants)}")
        elif report.user_id not in state.participants or len(set(state.participants)) != len(state.participants):
            self._find(Code.PARTICIPANTS, f"has the participants {list(state.participants)}")

    def message(self, cell: MessageCell) -> None:
        """Takes in the next older message."""
        if cell.message_id == self._last_id:
            self._find(Code.MESSAGE_DOUBLED, f"holds message {cell.message_id.hex()} twice")
            return
        self._last_id = cell.message_id
        if self._newest is None:
            self._newest = cell
        self._mark_is_there |= cell.message_id == self.state.read_mark
        group = self.state.group
        if cell.message_id > self.state.read_mark and not (group is not None and is_quiet(cell.message_id)):
            self._count_unread(cell)
        # A copy that came with a join may be as a later event has made it: of changes there is no more to say here.
        if group is not None and sent_timestamp(cell.message_id) > group.chain:
            self._find(Code.GROUP_CHAIN, f"has taken events up to {group.chain} and shows {cell.message_id.hex()}")
        if cell.version > cell.came and cell.version > self.state.changed_at:
            text = f"says that its last change was at {self.state.changed_at}, message {cell.message_id.hex()} has one"
            self._find(Code.CHANGED_MESSAGE, f"{text} at {cell.version}")
        if cell.expires_us and not self._has_ends:
            self._find(Code.ENDS, f"has no ttl and had none, and message {cell.message_id.hex()} has an end")
        if cell.version > self.state.version:
            self._find(Code.STATE_BEHIND, f"is at {self.state.version}, its message {cell.message_id.hex()} is newer")
        if group is None and cell.sender_id not in self.state.participants:
            self._find(Code.PARTICIPANTS, f"holds a message of {cell.sender_id}, who does not take part")
        for one in cell.reactions:
            if group is None and one.user_id not in self.state.participants:
                self._find(Code.PARTICIPANTS, f"holds a reaction of {one.user_id}, who does not take part")
        self._check_created(cell.came)

    def log_entry(self, cell: LogCell) -> None:
        """Takes in the next newer log entry."""
        self._log_version = cell.version
        if cell.kind is ChangeKind.READ_MARK and cell.message_id > self.state.read_mark:
            self._find(Code.READ_MARK, f"was read up to {cell.message_id.hex()}, its mark stands before that")
        self._check_created(cell.version)

    def end(self) -> None:
        """Compares the state with the messages and log entries that were taken in. To be called last."""
        self._check_newest()
        self._check_read_mark()
        self._check_unread()
        self._check_log()

    def _count_unread(self, cell: MessageCell) -> None:
        if cell.sender_id == self._report.user_id:
            self._find(Code.OWN_BEHIND_MARK, f"has the user's own message {cell.message_id.hex()} as unread")
        elif not self._horizon.may_be_gone(cell.came, cell.expires_us):  # else its cell may be there still
            self._unread += 1
            self._unread_since = min(self._unread_since, cell.came)
            self._expires_us = earlier(self._expires_us, cell.expires_us)

    def _check_created(self, version: int) -> None:
        if version < self.state.created_version:
            self._find(Code.CREATED_VERSION, f"came at {self.state.created_version}, {version} in it is older")

    def _check_newest(self) -> None:
        state, newest = self.state, self._newest
        may_be_gone = self._horizon.may_be_gone(state.last_message_version, state.snippet_expires)
        found = newest.message_id if newest is not None else ZERO_ID
        if found != state.last_message_id:
            # A newer one than the state says is wrong; an older one only where the newest cannot have expired.
            if found > state.last_message_id or not may_be_gone:
                self._find(Code.LAST_MESSAGE, f"ends with {found.hex()}, says {state.last_message_id.hex()}")
        elif newest is not None and newest.came != state.last_message_version:
            self._find(Code.LAST_VERSION, f"got its newest message at {newest.came}, says {state.last_message_version}")
        elif newest is not None and newest.expires_us != state.snippet_expires:
            self._find(Code.ENDS, f"ends with a message until {newest.expires_us}, says {state.snippet_expires}")
        elif newest is not None and state.last_is_unsent != (newest.change is not None and newest.change.is_unsent):
            self._find(Code.SNIPPET, "is mistaken in whether its newest message was taken back")
        elif newest is not None and state.snippet and newest.content[:SNIPPET_CHARACTERS] != state.snippet:
            self._find(Code.SNIPPET, "has another snippet than its newest message")
        is_told = found == state.last_message_id and (state.last_sender != UNTOLD or state.group is not None)
        sender = newest.sender_id if newest is not None and is_told else None
        takes_part = sender in state.participants or (sender is not None and state.group is not None)
        if takes_part and sender != state.last_sender_id:  # another's is a matter of PARTICIPANTS
            self._find(Code.LAST_SENDER, f"ends with a message of {sender}, says {state.last_sender_id}")
        has_no_text = state.last_is_unsent or (state.group is not None and is_quiet(state.last_message_id))
        has_no_text |= newest is not None and newest.told is not None  # a report of what was taken back
        if not (state.snippet or has_no_text or may_be_gone):
            self._find(Code.SNIPPET, "has no snippet, and its newest message cannot have expired")

    def _check_read_mark(self) -> None:
        mark = self.state.read_mark
        if mark > self.state.last_message_id:
            self._find(Code.READ_MARK, f"is read up to {mark.hex()}, behind its newest message")
        elif not (self._mark_is_there or self._has_ends) and self.state.created_version > self._horizon.messages:
            # Its date says nothing: one that was dated ahead expires by when it came, which nothing keeps.
            self._find(Code.READ_MARK, f"is read up to {mark.hex()}, which it does not hold")

    def _check_unread(self) -> None:
        """The count is of others' messages behind the mark that were there when it was made.

        Until the first of those expires it is exact (Conversation); after that, until it is settled, it is too high.
        """
        state, found = self.state, min(UNREAD_CAP, self._unread)
        is_exact = not (state.unread_count and self._horizon.may_be_gone(state.unread_since, state.unread_expires))
        if state.unread_count < found or (is_exact and state.unread_count > found):
            self._find(Code.UNREAD_COUNT, f"says {state.unread_count} unread, holds {found}")
        elif is_exact and 0 < found < UNREAD_CAP and state.unread_since != self._unread_since:
            text = f"counts what is unread from {state.unread_since}, the first of it came at {self._unread_since}"
            self._find(Code.UNREAD_COUNT, text)
        elif is_exact and 0 < found < UNREAD_CAP and state.unread_expires != self._expires_us:
            text = f"says that the first unread message ends at {state.unread_expires}, it does at {self._expires_us}"
            self._find(Code.ENDS, text)

    def _check_log(self) -> None:
        version = self.state.version
        if self._log_version > version or (self._log_version < version and version > self._horizon.log):
            self._find(Code.STATE_VERSION, f"is at {version}, its log ends at {self._log_version}")
        if version < self.state.created_version:
            self._find(Code.CREATED_VERSION, f"is at {version}, came at {self.state.created_version}")

    def _find(self, code: Code, text: str) -> None:
        self._report(code, f"conversation {self._name} {text}")
