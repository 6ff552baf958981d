"""What a command asks of the store where memory cannot decide it, and what a read says: see plan.py."""

from typing import NamedTuple

from rowbox.mailbox.cells import DedupeCell
from rowbox.mailbox.conversation import Unread

ConversationMark = tuple[bytes, bytes]
"""A conversation and its read mark: (conversationId, messageId up to which the user has read)."""
MOST_RECOUNTS = 8
"""Conversations counted anew for one command: each is a read of up to UNREAD_CAP keys, while the row is locked."""


class DedupeNeed(NamedTuple):
    """What did this clientMessageId do? The Fact's value: its DedupeCell, or None."""

    client_id_hash: bytes


class CopyNeed(NamedTuple):
    """Does the conversation hold this message already? The Fact's value: bool."""

    conversation_id: bytes
    message_id: bytes


class MarkNeed(NamedTuple):
    """Is this message there, and what sorts after the mark? The Fact's value: Behind."""

    conversation_id: bytes
    message_id: bytes
    mark: bytes
    """Not before `message_id`: a mark never moves back."""


class RecountNeed(NamedTuple):
    """How many unread messages sort after each of these read marks? The Fact's value: Unread, by ConversationMark."""

    marks: tuple[ConversationMark, ...]


Need = DedupeNeed | CopyNeed | MarkNeed | RecountNeed
NEEDS = (DedupeNeed, CopyNeed, MarkNeed, RecountNeed)
"""The same, to ask by: `isinstance` of a union takes five times as long."""


class Behind(NamedTuple):
    """What a read says to a MarkNeed."""

    unread: Unread
    is_held: bool


class Fact(NamedTuple):
    """What a read of the store says to a Need, as of a head of the mailbox; void once the mailbox went on."""

    need: Need
    as_of: int
    value: DedupeCell | bool | Behind | dict[ConversationMark, Unread] | None
