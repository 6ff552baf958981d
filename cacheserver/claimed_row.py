"""A row that this owner has claimed, while its cells are taken in: all in one piece, or in parts.

Everything is judged by the list that was claimed with (docs/consistency.md, rules 2 and 7). What `add` and `add_outbox`
name may be removed at once, if the owner's lease holds: cells of lower epochs that carry nothing which counts.
"""

from collections.abc import Sequence

from rowbox.cacheserver.row_states import IndexColumn, choose, stamps_of
from rowbox.cacheserver.store import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import FenceCell, OutboxCell
from rowbox.mailbox.client_ids import ClientIds
from rowbox.mailbox.fence import Fence, head_of, is_sweepable, is_valid, latest_us
from rowbox.mailbox.index import ConversationIndex
from rowbox.mailbox.index_draft import IndexDraft
from rowbox.mailbox.mailbox import Limits, Mailbox

Removable = list[tuple[Family, bytes]]


class ClaimedRow:
    """See the module's text."""

    def __init__(self, fence: Fence) -> None:
        self.draft = IndexDraft()
        self.outbox: list[OutboxCell] = []
        self._fence = fence
        self._epoch = fence[-1].epoch
        self._head = head_of(fence, ())
        self._stale_epochs: dict[bytes, int] = {}
        self.latest_us = latest_us(fence)
        """No cell that was added is of a later version."""

    def add(self, cells: Sequence[IndexColumn]) -> Removable:
        """Takes in cells of the index, all those of each of their conversations."""
        chosen = choose(self._fence, cells)
        self.draft.add(chosen.states)
        self._stale_epochs.update(chosen.stale_epochs)
        stamps = list(stamps_of(cells))
        self._head = max(self._head, head_of(self._fence, stamps))
        self.latest_us = max(self.latest_us, *(stamp.version for stamp in stamps), 0)
        old = [cell.epoch for cell in cells if isinstance(cell, FenceCell) and cell.epoch < self._epoch]
        return [
            *((Family.INDEX, keys.fence_qualifier(epoch)) for epoch in old),
            *((Family.INDEX, keys.conversation_qualifier(one.conversation_id, one.epoch)) for one in chosen.superseded),
        ]

    def add_outbox(self, columns: Sequence[Column]) -> Removable:
        """Takes in columns of the outbox. StoreDamaged."""
        removable: Removable = []
        for column in columns:
            cell = codec.decode(Family.OUTBOX, *column)
            assert isinstance(cell, OutboxCell)
            self.latest_us = max(self.latest_us, cell.version)
            if is_valid(self._fence, cell.epoch, cell.version):
                self.outbox.append(cell)
            if is_sweepable(self._fence, self._epoch, cell.epoch, cell.version):
                removable.append((Family.OUTBOX, column[0]))
        return removable

    def mailbox(self, user_id: str, limits: Limits, index: ConversationIndex) -> Mailbox:
        """The mailbox of all that was added, of whose clientMessageIds none has been read."""
        return Mailbox(
            user_id,
            limits,
            epoch=self._epoch,
            fence=self._fence,
            head=self._head,
            index=index,
            client_ids=ClientIds(loaded_at=self._head),
            stale_epochs=self._stale_epochs,
        )
