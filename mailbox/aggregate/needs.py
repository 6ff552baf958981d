"""Needs and Facts: what a command has to know from the store because memory does not tell, and what a read found."""

from typing import NamedTuple

from rowbox.mailbox.cells import DedupeCell, MessageCell
from rowbox.mailbox.conversation import Unread

ConversationMark = tuple[bytes, bytes]
"""A conversation and its read mark: (conversationId, messageId up to which the user has read)."""
MOST_RECOUNTS = 8
"""Conversations counted anew for one command: each is a read of up to UNREAD_CAP keys, while the row is locked."""


class DedupeNeed(NamedTuple):
    """Which send has used this clientMessageId? The Fact's value: its DedupeCell; None: no send has."""

    client_id_hash: bytes


class CopyNeed(NamedTuple):
    """Does the conversation hold this message already, or what is hidden of it where `or_hidden`? The Fact's value:
    bool.
    """

    conversation_id: bytes
    message_id: bytes
    or_hidden: bool = False


class MessageNeed(NamedTuple):
    """What does the conversation hold of this message now, in this row and in those of `holders`?

    The Fact's value: HeldMessages, of this row first and then of `holders` in their order. `holders` are only named
    where no write can be late, by a change that goes into their rows too: no other command touches a cell of a message
    whose author's row is locked. `with_hidden`: what is kept of it under the hidden id is asked for as well.
    """

    conversation_id: bytes
    message_id: bytes
    holders: tuple[str, ...] = ()
    with_hidden: bool = False


class MarkNeed(NamedTuple):
    """Does the conversation hold this message, and what is unread after `mark`? The Fact's value: Behind."""

    conversation_id: bytes
    message_id: bytes
    mark: bytes
    """Not before `message_id`: a mark never moves back."""


class RecountNeed(NamedTuple):
    """How many unread messages sort after each of these read marks? The Fact's value: Unread, by ConversationMark."""

    marks: tuple[ConversationMark, ...]


class NewestNeed(NamedTuple):
    """Which are the newest messages of the conversation that sort before `below`? The Fact's value: HeldMessages, of
    `most` at most and of `most_bytes` of text, the newest first.
    """

    conversation_id: bytes
    below: bytes
    most: int
    most_bytes: int


Need = DedupeNeed | CopyNeed | MessageNeed | MarkNeed | RecountNeed | NewestNeed
NEEDS = (DedupeNeed, CopyNeed, MessageNeed, MarkNeed, RecountNeed, NewestNeed)
"""The kinds of Need as a tuple, for `isinstance`: with a union it takes five times as long."""


class Behind(NamedTuple):
    """What a read found for a MarkNeed: the unread messages after its mark, and whether its message is there."""

    unread: Unread
    is_held: bool


class HeldMessages(NamedTuple):
    """What a read found for a MessageNeed: of each row the message's cell that counts; None where it is not there.

    `hidden`: in the same order what is kept under the hidden id; () where that was not asked for.
    For a NewestNeed: the cells that count, as many as there are.
    """

    cells: tuple[MessageCell | None, ...]
    hidden: tuple[MessageCell | None, ...] = ()


class Fact(NamedTuple):
    """What a read of the store found for a Need, as of the head `as_of`. Void once the mailbox has another head."""

    need: Need
    as_of: int
    value: DedupeCell | bool | Behind | HeldMessages | dict[ConversationMark, Unread] | None
