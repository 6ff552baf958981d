"""Whether every message has all its copies, found out in one walk over all rows and without holding any.

Each sent message adds a number for every other participant, each received copy takes its number off; a number is a
hash of who holds what. So do a user's own reactions, and those of others. What was sent and what was received is the
same if and (but for one chance in 2**64) only if the sum is zero. Sums are kept per group of conversations, so that one
that is not zero says where to look again.

Rejected: looking up each copy in the other row. That is a random read per message, where this is none; a store larger
than the memory takes days that way. The second look does it, for one group in 4096.

Messages that may have expired in one row and not yet in the other take no part, and neither do those that may still be
on their way. A change that is on its way puts its group out of balance: the second look knows better.
"""

from collections.abc import Sequence

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.expiry.ttl import has_expired
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.reactions import Reaction

GROUPS = 4096


class CopyBalance:
    """The sums of one walk. `since_us`: messages sent after it cannot have expired before the walk ends.

    `before_us`: those sent before it have been delivered, as a rule. Where users go on sending, younger ones would put
    every group out of balance: they are in the row that is read last and were not yet in the one that was read first.
    """

    def __init__(self, since_us: int, before_us: int | None = None, ends_us: int = 0) -> None:
        """`ends_us`: messages that have an end by then may be gone."""
        self._since_us = since_us
        self._ends_us = ends_us
        self._before_us = before_us
        self._sums = [0] * GROUPS

    def add(self, user_id: str, cell: MessageCell, participants: Sequence[str]) -> None:
        """Takes in a message that counts in the row of `user_id`."""
        if not participants:  # of a group, whose own row says who has what
            return
        sent_us = sent_timestamp(cell.message_id)
        if sent_us <= self._since_us or (self._before_us is not None and sent_us >= self._before_us):
            return
        if has_expired(cell.expires_us, self._ends_us):
            return
        if cell.sender_id == user_id:
            change = sum(_number(user, cell) for user in participants if user != user_id)
        else:
            change = -_number(user_id, cell)
        for reaction in cell.reactions:
            if reaction.user_id == user_id:
                change += sum(_number_of(user, cell, reaction) for user in participants if user != user_id)
            else:
                change -= _number_of(user_id, cell, reaction)
        self._sums[_group(cell.conversation_id)] += change

    @property
    def is_even(self) -> bool:
        """Whether no message that was taken in lacks a copy, or has one too many."""
        return not any(self._sums)

    def is_off(self, conversation_id: bytes) -> bool:
        """Whether a copy may be missing, or be too many, in this conversation."""
        return self._sums[_group(conversation_id)] != 0


def _number(holder_id: str, cell: MessageCell) -> int:
    # Python's own hash: keyed with a secret of the process (SipHash), and a str remembers its own.
    changed_at = cell.change.version if cell.change is not None else 0
    told = cell.sender_id, cell.content, changed_at, cell.expires_us
    return hash((holder_id, cell.message_id, cell.conversation_id, *told))


def _number_of(holder_id: str, cell: MessageCell, reaction: Reaction) -> int:
    told = reaction.user_id, reaction.emoji, reaction.version
    return hash((holder_id, cell.message_id, cell.conversation_id, *told))


def _group(conversation_id: bytes) -> int:
    return int.from_bytes(conversation_id[:2], "big") % GROUPS
