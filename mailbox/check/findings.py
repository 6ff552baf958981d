"""What the invariant checker can find: one code for each invariant that a mailbox has, and the report of one row.

A finding names users, ids and numbers, never what somebody wrote.
"""

from enum import StrEnum
from typing import NamedTuple

MOST_PER_ROW = 100
"""Findings kept of one row; of a mailbox that is damaged throughout the rest is only counted."""


class Code(StrEnum):
    """An invariant, named for how it looks broken. The words are the operator's: never change one."""

    # The row, and which of its cells count.
    UNREADABLE_CELL = "unreadable_cell"  # every cell decodes, and encodes to its own qualifier
    UNKNOWN_KIND = "unknown_kind"  # every index cell and log entry is of a kind that this Rowbox knows
    WRONG_ROW = "wrong_row"  # a row's key is that of a user or a group, in its shard
    NO_INDEX = "no_index"  # a row with any cell has one in the index: it never expires
    FENCE_MISSING = "fence_missing"  # where writes can be late, a row with cells was claimed
    FENCE_UNEXPECTED = "fence_unexpected"  # where none can be, there are no fences, and no outboxes but of groups
    FENCE_ORDER = "fence_order"  # a list ascends by epoch, never descends by version, ends in its cell's epoch
    FENCE_CLAIMED_TWICE = "fence_claimed_twice"  # an epoch is one incarnation's: no two claim a row with the same one
    EPOCH_ABOVE_FENCE = "epoch_above_fence"  # no cell is of an epoch that has not claimed the row
    EPOCH_MIXED = "epoch_mixed"  # where no write can be late, all cells are of one epoch
    ABOVE_HEAD = "above_head"  # no cell counts whose version is above the head, which the index alone tells
    VERSION_REUSED = "version_reused"  # a version is one change

    # The states in the index, of whatever kind: each is of its cell's epoch; the one before it has a lower version, and
    # no higher epoch. Of revocations: no token is revoked that is issued after it.
    INDEX_CELL = "index_cell"

    # A conversation's state.
    STATE_MISSING = "state_missing"  # what counts in m and l is of a conversation that has a state
    PARTICIPANTS = "participants"  # the user and every sender take part, nobody twice; a group's state names nobody
    GROUP_CHAIN = "group_chain"  # a group's state has taken every event that the row shows
    LAST_MESSAGE = "last_message"  # last_message_id is the newest message
    LAST_VERSION = "last_version"  # last_message_version is its version
    LAST_SENDER = "last_sender"  # last_sender is whose it is, where that was kept
    SNIPPET = "snippet"  # the snippet is how it begins
    READ_MARK = "read_mark"  # the mark is at a message, not behind the newest, and never moved back
    UNREAD_COUNT = "unread_count"  # others' messages behind the mark, exact to 999
    OWN_BEHIND_MARK = "own_behind_mark"  # sending marks as read
    CREATED_VERSION = "created_version"  # nothing in the conversation is older than it
    STATE_BEHIND = "state_behind"  # a state is as new as its newest message
    STATE_VERSION = "state_version"  # and exactly as new as its newest log entry

    RECEIPTS = (
        "receipts"  # what is read is delivered, what is told is read, and the marks are as new as their log entry
    )

    ACCOUNT = "account"  # a profile has a name and came before its last change; the log tells of no later change

    # How the user has set conversations for himself: each is there; few are pinned; one that is deleted tells nothing.
    OWN_SETTINGS = "own_settings"
    ERASED = "erased"  # the row of a user whose erasure is done has his tombstone, and nothing else of him
    HIDDEN = "hidden"  # what is hidden is of somebody who was blocked, whose block counts it

    # Messages and the log.
    MESSAGE_DOUBLED = "message_doubled"  # a messageId counts once in a conversation (P1)
    CHANGED_MESSAGE = "changed_message"  # changes follow one another, keep all but text and reactions, end at an unsend
    SENT_TIMESTAMP = "sent_timestamp"  # one's own is the version, another's lower; else they are far apart (clock.py)
    LOG_MISSING = "log_missing"  # every message is in the log
    LOG_WITHOUT_MESSAGE = "log_without_message"  # and what the log names is there

    # Messages that disappear: their end is as far from their sending as some ttl, and the same in all copies; the state
    # says which end is first; and the row says that the conversation has, or had, a ttl.
    ENDS = "ends"

    # Sends.
    CLIENT_MESSAGE_ID = "client_message_id"  # own messages have one, others' do not
    CLIENT_MESSAGE_ID_REUSED = "client_message_id_reused"  # one of them is one message (P2)
    DEDUPE_MISSING = "dedupe_missing"  # an own message has its record
    DEDUPE_DOUBLED = "dedupe_doubled"  # a clientMessageId has one record that counts
    DEDUPE_DIFFERS = "dedupe_differs"  # the record tells what the message is
    DEDUPE_WITHOUT_MESSAGE = "dedupe_without_message"  # a record's message is there
    OUTBOX = "outbox"  # what is in the outbox is an own message, word for word

    # Across rows.
    COPY_MISSING = "copy_missing"  # a sent message is with every participant (P1)
    COPY_DIFFERS = "copy_differs"  # and says the same there
    COPY_UNSENT = "copy_unsent"  # a received message is in its sender's row, of a group in the group's
    NOT_A_MEMBER = "not_a_member"  # who has left a group has nothing that was sent there after it
    RECEIPT_AHEAD = "receipt_ahead"  # what a row knows of another one's read mark is not above that one's own

    MORE = "more"  # no invariant: how many findings of the row are not listed


class Finding(NamedTuple):
    """A broken invariant of a user's mailbox. `user_id` is the row's key where that names no user."""

    code: Code
    user_id: str
    text: str


class Report:
    """Gathers the findings of one row."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self._findings: list[Finding] = []
        self._left_out = 0

    def __call__(self, code: Code, text: str) -> None:
        """Notes one finding; beyond MOST_PER_ROW it is only counted."""
        if len(self._findings) < MOST_PER_ROW:
            self._findings.append(Finding(code, self.user_id, text))
        else:
            self._left_out += 1

    @property
    def findings(self) -> list[Finding]:
        """The findings, in the order in which they were noted."""
        if not self._left_out:
            return self._findings
        return [*self._findings, Finding(Code.MORE, self.user_id, f"and {self._left_out} findings more in this row")]
