"""The invariants of a mailbox, checked on the cells of its row. Each is named in findings.Code.

A row may be larger than the memory, so it is not given as a whole. What the owner holds too (the index, the dedupe
records, the outbox) comes first, as a RowFrame; then the messages and the log entries, one by one in the store's order,
of each of which 120 bytes are kept (of an own message 220): its version and a hash or two. The texts are not. A message
that was changed may have several cells: they are given together.

What can have expired is not missed (Horizon). Beyond the log's life, versions and clientMessageIds are all that can be
compared: the store itself has nothing left to say.

Across rows nothing is checked here: see copy_balance.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rowbox.mailbox.cells import (
    BLOCK,
    CONVERSATION,
    DEVICES,
    MEMBER_MARKS,
    OWN,
    PROFILE,
    RECEIPTS,
    REVOCATION,
    TTL,
    ChangeKind,
    DedupeCell,
    FenceCell,
    LogCell,
    MessageCell,
    OutboxCell,
    brings_message,
)
from rowbox.mailbox.check.change_check import check_changes, kind_of, kinds_of_cells
from rowbox.mailbox.check.conversation_check import ConversationCheck
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Code, Finding, Report
from rowbox.mailbox.check.hidden_check import HiddenCheck
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.receipt_check import ReceiptCheck
from rowbox.mailbox.check.send_check import SendCheck
from rowbox.mailbox.check.states.account_check import ErasureCheck, check_account
from rowbox.mailbox.check.states.devices_check import check_devices
from rowbox.mailbox.check.states.member_marks_check import check_member_marks
from rowbox.mailbox.check.states.revocation_check import check_revocation
from rowbox.mailbox.check.states.ttl_check import check_end, check_ttl
from rowbox.mailbox.clocks.clock import is_others_date, is_own_date
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.receipts import ReceiptMarks
from rowbox.mailbox.two_states import IndexCell, UnknownIndexCell


class RowFrame(NamedTuple):
    """What of a row is held in memory as a whole."""

    fences: Sequence[FenceCell]
    states: Sequence[IndexCell[Any]]
    """Of every kind that is known."""
    dedupe: Sequence[DedupeCell]
    outbox: Sequence[OutboxCell]
    unknown: Sequence[UnknownIndexCell] = ()


class Counted(NamedTuple):
    """Of a message the cell that counts, and the state of its conversation.

    `is_hidden`: it is kept under the hidden id. Then the cell is as it would be in the conversation, and the state says
    who takes part and nothing else.
    """

    cell: MessageCell
    state: Conversation
    is_hidden: bool = False


class RowCheck:
    """Checks one row: make it, then all `message`s, then all `log_entry`s, then `end`.

    Messages come in the order of their qualifiers (by conversation, newest first), log entries in that of theirs
    (upwards). `fenced` says that writes can be late in this store.
    """

    def __init__(self, user_id: str, frame: RowFrame, horizon: Horizon, *, fenced: bool) -> None:
        self._user_id = user_id
        self._is_group = is_group_name(user_id)
        self._horizon = horizon
        self._report = Report(user_id)
        self._fence = FenceCheck(frame.fences, self._report, fenced=fenced)
        states = self._fence.states(frame.states)
        self._head = self._fence.head(states, frame.unknown)
        for revocation in states[REVOCATION.letter].values():
            check_revocation(revocation, self._report)
        for devices in states[DEVICES.letter].values():
            check_devices(devices, self._report)
        for conversation_id, ttl in states[TTL.letter].items():
            check_ttl(conversation_id, ttl, self._report)
        self._unknown = Counter(f"index cells of kind {cell.kind!r}" for cell in frame.unknown)
        self._floors: dict[bytes, int] = {one: own.floor for one, own in states[OWN.letter].items() if own.floor}
        self._conversations = {
            conversation_id: ConversationCheck(
                *(conversation_id, state, horizon, self._report, self._floors.get(conversation_id, 0)),
                has_ends=conversation_id in states[TTL.letter],
            )
            for conversation_id, state in states[CONVERSATION.letter].items()
        }
        self.receipts: Mapping[bytes, ReceiptMarks] = states[RECEIPTS.letter]
        """By conversation, the marks that count."""
        self._receipts = {
            one: ReceiptCheck(one, marks, states[CONVERSATION.letter].get(one), horizon, self._report)
            for one, marks in self.receipts.items()
        }
        self._member_marks = states[MEMBER_MARKS.letter]
        self._hidden = HiddenCheck(user_id, states[BLOCK.letter], self._report)
        self._states = states
        profile = states[PROFILE.letter].get(b"")
        self._erasure: ErasureCheck | None = None
        if profile is not None and profile.erasure is not None:
            self._erasure = ErasureCheck(profile.erasure, self._report)
            self._erasure.states(states)
            parcels = sum(not cell.is_reminder for cell in frame.outbox)
            self._erasure.left(len(frame.dedupe) + parcels + len(frame.unknown), "records, parcels and unknown states")
            self._conversations = {}
        self._account_version = 0
        """Of the newest log entry of the account."""
        self.outbox = [cell for cell in frame.outbox if self._counts(cell.epoch, cell.version)]
        dedupe = [cell for cell in frame.dedupe if self._counts(cell.epoch, cell.version)]
        self._sends = SendCheck(
            [one for one in dedupe if not self._is_gone(one.conversation_id, one.version)],
            [one for one in self.outbox if not self._is_gone(one.message.conversation_id, one.version)],
            states[TTL.letter].keys(),
            horizon,
            self._report,
        )
        if not (fenced or self._is_group) and not all(cell.is_reminder for cell in self.outbox):
            self._report(Code.FENCE_UNEXPECTED, "the row has an outbox in a store in which no write can be late")
        self._unlogged: dict[int, int] = {}
        """By version, a hash of what the log has to say about each message."""
        self._changed: dict[int, int] = {}
        """By a hash of a message that was changed: the version of its newest change."""
        self._log_version = 0

    @property
    def conversation_count(self) -> int:
        """How many conversations count."""
        return len(self._conversations)

    def other_of(self, conversation_id: bytes) -> str | None:
        """The other participant of a conversation of two that counts; None: there is none."""
        conversation = self._conversations.get(conversation_id)
        return conversation.state.other_of(self._user_id) if conversation is not None else None

    def message(self, *cells: MessageCell) -> Counted | None:
        """Takes in a message, all its cells at once; what counts of it, or None where it does not count, or its user
        has deleted it with its conversation: then its cell may be empty.
        """
        if self._erasure is not None:
            self._erasure.left(len(cells), "cells of a message")
            return None
        counted = [cell for cell in cells if self._counts(cell.epoch, cell.version)]
        if not counted:
            return None
        cell = max(counted, key=lambda one: one.version)
        if cell.conversation_id not in self._conversations and self._hidden.is_hidden(cell.conversation_id):
            if cell.sender_id != self._user_id:  # else it is kept for what somebody did to it
                self._check_stamps(cell, in_group=False)
            check_end(cell, self._report)
            if cell.expires_us and cell.conversation_id not in self._states[TTL.letter]:
                self._report(Code.ENDS, f"the hidden message {cell.message_id.hex()} has an end, and its id no ttl")
            cell, participants = self._hidden.message(counted)
            return Counted(cell, Conversation.new(participants, 0), is_hidden=True)
        conversation = self._conversation(cell.conversation_id, f"message {cell.message_id.hex()}")
        if conversation is None or self._is_gone(cell.conversation_id, cell.came):
            return None
        conversation.message(cell)
        in_group = conversation.state.group is not None
        self._check_stamps(cell, in_group=in_group)
        check_end(cell, self._report)
        for one in counted:
            self._await_log(one, in_group=in_group)
        if cell.first_version or len(counted) > 1:
            check_changes(counted, self._report, in_group=in_group)
            self._changed[hash((cell.conversation_id, cell.message_id))] = cell.version
        return Counted(cell, conversation.state)

    def log_entry(self, cell: LogCell) -> None:
        """Takes in a log entry."""
        if self._erasure is not None:
            self._erasure.left(1, "entry of the log")
            return
        if not self._counts(cell.epoch, cell.version):
            return
        if cell.kind is ChangeKind.RECEIPT:
            self._receipt(cell)
        elif cell.kind is ChangeKind.ACCOUNT:
            self._account_version = cell.version
        elif isinstance(cell.kind, ChangeKind):
            conversation = self._conversation(cell.conversation_id, f"the log entry of {cell.version}")
            if conversation is not None:
                conversation.log_entry(cell)
        elif not isinstance(cell.kind, ChangeKind):
            self._unknown[f"log entries of kind {cell.kind}"] += 1
        if cell.version == self._log_version:
            self._report(Code.VERSION_REUSED, f"the log has version {cell.version} twice")
        self._log_version = cell.version
        self._match(cell)

    def end(self) -> list[Finding]:
        """The findings."""
        if self._erasure is not None:
            return self._report.findings
        for conversation in self._conversations.values():
            conversation.end()
        for receipts in self._receipts.values():
            receipts.end()
        newest = max((state.last_message_id for state in self._group_states()), default=None)
        for key, marks in self._member_marks.items():
            check_member_marks(key, marks, newest, self._report)
        check_account(self._states, self._account_version, self._report)
        self._hidden.end()
        self._sends.end()
        for what, count in self._unknown.items():
            self._report(
                Code.UNKNOWN_KIND, f"the row has {count} {what}: only a newer Rowbox can tell if they are right"
            )
        for version in self._unlogged:
            if version > self._horizon.log:
                self._report(Code.LOG_MISSING, f"the log has no entry for the message of version {version}")
        return self._report.findings

    def _is_gone(self, conversation_id: bytes, came: int) -> bool:
        """Whether the user has deleted what came to a conversation with this version."""
        return came <= self._floors.get(conversation_id, 0)

    def _counts(self, epoch: int, version: int) -> bool:
        if not self._fence.counts(epoch, version):
            return False
        if version > self._head:
            self._report(Code.ABOVE_HEAD, f"a cell has version {version}, the index ends at {self._head}")
            return False
        return True

    def _conversation(self, conversation_id: bytes, what: str) -> ConversationCheck | None:
        conversation = self._conversations.get(conversation_id)
        if conversation is None:
            self._report(Code.STATE_MISSING, f"{what} is of conversation {conversation_id.hex()}, which has no state")
        return conversation

    def _group_states(self) -> Iterator[Conversation]:
        """The state of the group of which this is the row."""
        return (one.state for one in self._conversations.values() if self._is_group)

    def _receipt(self, cell: LogCell) -> None:
        receipts = self._receipts.get(cell.conversation_id)
        if receipts is None:
            text = f"the log entry of {cell.version} is of receipts of conversation {cell.conversation_id.hex()}"
            self._report(Code.RECEIPTS, f"{text}, which has none")
        else:
            receipts.log_entry(cell)

    def _check_stamps(self, cell: MessageCell, *, in_group: bool) -> None:
        """Of a group's message the date is the group's row's, which has all of them as its own."""
        sent_us = sent_timestamp(cell.message_id)
        is_own = self._is_group or (cell.sender_id == self._user_id and not in_group)
        if not (is_own_date if is_own else is_others_date)(sent_us, cell.came):
            text = f"message {cell.message_id.hex()} was sent at {sent_us} and came with version {cell.came}"
            self._report(Code.SENT_TIMESTAMP, text)
        self._sends.reactions(cell)
        if is_own and (cell.told is None or not self._is_group):
            self._sends.message(cell)
        elif is_own:
            self._sends.told(cell)
        elif in_group and cell.sender_id == self._user_id:
            if cell.client_message_id is not None:  # else another message had taken the id meanwhile
                self._sends.message(cell)
        elif cell.client_message_id is not None:
            self._report(Code.CLIENT_MESSAGE_ID, f"another's message {cell.message_id.hex()} has a clientMessageId")

    def _await_log(self, cell: MessageCell, *, in_group: bool) -> None:
        if cell.version in self._unlogged:
            self._report(Code.VERSION_REUSED, f"two messages have version {cell.version}")
            return
        kind = kind_of(cell, in_group=in_group)
        told = cell.conversation_id, cell.message_id, cell.epoch, cell.first_version, cell.expires_us
        self._unlogged[cell.version] = hash((*told, kind))

    def _match(self, cell: LogCell) -> None:
        expected = self._unlogged.pop(cell.version, None)
        if self._is_gone(cell.conversation_id, cell.first_version or cell.version):
            return
        if not brings_message(cell.kind):
            if expected is not None:
                self._report(Code.VERSION_REUSED, f"a message and another change have version {cell.version}")
        elif expected is None:
            superseded_at = self._changed.get(hash((cell.conversation_id, cell.message_id)), 0)
            may_be_gone = self._horizon.may_be_gone(cell.first_version or cell.version, cell.expires_us)
            if not may_be_gone and superseded_at <= cell.version:
                text = f"the log names message {cell.message_id.hex()}, which is not there"
                self._report(Code.LOG_WITHOUT_MESSAGE, text)
        elif expected not in _told_by(cell):
            self._report(Code.LOG_WITHOUT_MESSAGE, f"the log names another cell for version {cell.version}")


def _told_by(cell: LogCell) -> set[int]:
    """The hashes of what a log entry may go with."""
    told = cell.conversation_id, cell.message_id, cell.epoch, cell.first_version, cell.expires_us
    return {hash((*told, kind)) for kind in kinds_of_cells(cell.kind)}
