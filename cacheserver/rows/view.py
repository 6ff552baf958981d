"""A view of one row, as of one head and one time, for a page or a decision; it counts what is read.

The store may also return what is not committed yet (in flight), what never counts (late writes of replaced owners), and
for a while what has ended. A view says what of it is part of the mailbox as it was when the view was made.
"""

from collections.abc import Iterable, Sequence

from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import keys
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import StoreDamaged

TOKEN_BYTES = 64 * 1024
TOKEN_COLUMNS = 500
"""What a token of the user's bucket pays for beside the fetch itself: bytes of values, columns looked at."""


class View:
    """The view of a loaded mailbox's row for one answer or one decision. Whatever reads the row for that takes it."""

    __slots__ = ("_states", "as_of", "columns", "floors", "horizon", "mailbox", "now_us", "row", "value_bytes")

    def __init__(self, row: bytes, mailbox: Mailbox, now_us: int) -> None:
        """`row` is the key. By `now_us` it is judged what has ended: the store holds that somewhat longer."""
        self.row = row
        self.mailbox = mailbox
        self.as_of = mailbox.head
        self.now_us = now_us
        self.horizon = mailbox.horizon(now_us)
        self.floors = mailbox.index.floors
        """By conversation, up to where the user has deleted his copy. It is of now, not of `as_of`: that is gone."""
        self.columns = 0
        self.value_bytes = 0
        self._states: dict[bytes, Conversation] = {}

    def state_of(self, conversation_id: bytes) -> Conversation:
        """The state of a conversation, decoded once from the index. StoreDamaged where that has no such one."""
        known = self._states.get(conversation_id)
        if known is None:
            known = self.mailbox.index.get(conversation_id)
            if known is None:
                raise StoreDamaged(f"messages of conversation {conversation_id.hex()}, which the index does not hold")
            self._states[conversation_id] = known
        return known

    def counts(self, epoch: int, version: int) -> bool:
        """Whether a cell is part of the mailbox as it was (Mailbox.counts). HandoverInProgress."""
        return self.mailbox.counts(epoch, version, self.as_of)

    def is_there(self, came: int, expires_us: int) -> bool:
        """Whether a message has not ended, that came with this version and has this end (0: by retention alone)."""
        return came > self.horizon and not 0 < expires_us <= self.now_us

    def holds(self, epoch: int, version: int, came: int, expires_us: int) -> bool:
        """Whether a message's cell is one that counts, of a message that had come by then and has not ended.

        It may be of a later change of the message: the cell before may be gone by now. HandoverInProgress.
        """
        counts = self.mailbox.counts(epoch, version, self.mailbox.head)
        return counts and came <= self.as_of and self.is_there(came, expires_us)

    def shows(self, qualifier: bytes) -> bool:
        """Whether a message's cell, by its qualifier, is held, and its user has not deleted it with its conversation.

        HandoverInProgress.
        """
        epoch, version, came, expires_us = keys.message_stamp(qualifier)
        return self.holds(epoch, version, came, expires_us) and (
            not self.floors or came > self.floors.get(keys.conversation_of(qualifier), 0)
        )

    def floor_id(self, conversation_id: bytes) -> bytes | None:
        """Up to which messageId a conversation has nothing that its user is shown; None: nobody knows."""
        own = self.mailbox.index.own.get(conversation_id) if self.floors else None
        return own.floor_id if own is not None and own.floor else None

    def note(self, columns: Sequence[Column]) -> None:
        """Counts columns that the store has returned."""
        self.columns += len(columns)
        self.value_bytes += sum([len(value) for _, value in columns])

    @property
    def cost(self) -> int:
        """How many tokens of the bucket all that was read so far costs; 0 for what a page takes as a rule."""
        return self.value_bytes // TOKEN_BYTES + self.columns // TOKEN_COLUMNS


def shown_messages(view: View, columns: Sequence[Column]) -> dict[bytes, tuple[int, int]]:
    """The messages of which a cell in `columns` is shown, in their order: by `keys.message_of`, with which version each
    came, and when it ends (0: by retention alone).

    A message that was changed may have several such cells, and is here once.
    """
    return {
        keys.message_of(qualifier): keys.message_stamp(qualifier)[2:]
        for qualifier, _ in columns
        if view.shows(qualifier)
    }


def current(view: View, cells: Iterable[MessageCell]) -> MessageCell | None:
    """Of all cells of one message the one that counts: the newest that is held; None where none is.

    It may be of a message that the user has deleted with its conversation: whoever needs to know compares `came` with
    the conversation's floor.
    """
    held = [cell for cell in cells if view.holds(cell.epoch, cell.version, cell.came, cell.expires_us)]
    return max(held, key=lambda cell: cell.version, default=None)
