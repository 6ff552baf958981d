"""A view of one row, as of one head and one time, for a page or a decision; it counts what is read.

The store may also return what is not committed yet (in flight), what never counts (late writes of replaced owners), and
for a while what retention has taken. A view says what of it is part of the mailbox as it was when the view was made.
"""

from collections.abc import Sequence

from rowbox.cacheserver.stores.port import Column
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import StoreDamaged

TOKEN_BYTES = 64 * 1024
TOKEN_COLUMNS = 500
"""What a token of the user's bucket pays for beside the fetch itself: bytes of values, columns looked at."""


class View:
    """The view of a loaded mailbox's row for one answer or one decision. Whatever reads the row for that takes it."""

    __slots__ = ("_participants", "as_of", "columns", "horizon", "mailbox", "now_us", "row", "value_bytes")

    def __init__(self, row: bytes, mailbox: Mailbox, now_us: int) -> None:
        """`row` is the key. By `now_us` it is judged what retention has taken: the store holds that somewhat longer."""
        self.row = row
        self.mailbox = mailbox
        self.as_of = mailbox.head
        self.now_us = now_us
        self.horizon = mailbox.horizon(now_us)
        self.columns = 0
        self.value_bytes = 0
        self._participants: dict[bytes, tuple[str, ...]] = {}

    def participants_of(self, conversation_id: bytes) -> tuple[str, ...]:
        """The participants of a conversation, decoded once from the index. StoreDamaged where that has no such one."""
        known = self._participants.get(conversation_id)
        if known is None:
            state = self.mailbox.index.get(conversation_id)
            if state is None:
                raise StoreDamaged(f"messages of conversation {conversation_id.hex()}, which the index does not hold")
            known = self._participants[conversation_id] = state.participants
        return known

    def counts(self, epoch: int, version: int) -> bool:
        """Whether a cell is part of the mailbox as it was (Mailbox.counts). HandoverInProgress."""
        return self.mailbox.counts(epoch, version, self.as_of)

    def holds(self, epoch: int, version: int) -> bool:
        """Whether a message's cell is: one that counts, and that retention has left. HandoverInProgress."""
        return self.mailbox.counts(epoch, version, self.as_of) and version > self.horizon

    def note(self, columns: Sequence[Column]) -> None:
        """Counts columns that the store has returned."""
        self.columns += len(columns)
        self.value_bytes += sum([len(value) for _, value in columns])

    @property
    def cost(self) -> int:
        """How many tokens of the bucket all that was read so far costs; 0 for what a page takes as a rule."""
        return self.value_bytes // TOKEN_BYTES + self.columns // TOKEN_COLUMNS
