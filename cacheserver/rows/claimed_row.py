"""A row that this owner has claimed, while its cells are taken in: all in one piece, or in parts.

Everything is judged by the list that was claimed with (docs/consistency.md, rules 2 and 7); parts of an index, by the
one that will be, if it turns out that they are all there is (loader.py).
"""

from collections.abc import Sequence

from rowbox.cacheserver.rows.row_states import IndexColumn, better, choose, stamps_of
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.index_draft import IndexDraft
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.cells import FenceCell, OutboxCell, RevocationCell
from rowbox.mailbox.fence import Fence, head_of, is_sweepable, is_valid, latest_us
from rowbox.mailbox.revocation import Revocation


class ClaimedRow:
    """One row, taken in."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        """The list to judge by, and the mailbox's. Where the claim folds it, what counts stays the same."""
        self.head = head_of(fence, ())
        self.draft = IndexDraft()
        self.outbox: list[OutboxCell] = []
        self.removable: list[tuple[Family, bytes]] = []
        """Cells of lower epochs that carry nothing which counts: to be removed, once the claim is confirmed."""
        self._stale_epochs: dict[bytes, int] = {}
        self._revoked: tuple[Revocation, RevocationCell] | None = None
        self.latest_us = latest_us(fence)
        """No cell that was added is of a later version."""

    def add(self, cells: Sequence[IndexColumn]) -> None:
        """Takes in cells of the index, all those of each of their conversations."""
        chosen = choose(self.fence, cells)
        self.draft.add(chosen.states)
        self._stale_epochs.update(chosen.stale_epochs)
        stamps = list(stamps_of(cells))
        self.head = max(self.head, head_of(self.fence, stamps))
        self.latest_us = max(self.latest_us, *(stamp.version for stamp in stamps), 0)
        old = [cell.epoch for cell in cells if isinstance(cell, FenceCell) and cell.epoch < self.fence[-1].epoch]
        self.removable += [(Family.INDEX, keys.fence_qualifier(epoch)) for epoch in old]
        self.removable += [
            (Family.INDEX, keys.conversation_qualifier(cell.conversation_id, cell.epoch)) for cell in chosen.superseded
        ]

        for cell in cells:
            if isinstance(cell, RevocationCell):
                self._add_revocation(cell)

    def add_outbox(self, columns: Sequence[Column]) -> None:
        """Takes in columns of the outbox. StoreDamaged."""
        for column in columns:
            cell = codec.decode(Family.OUTBOX, *column)
            assert isinstance(cell, OutboxCell)
            self.latest_us = max(self.latest_us, cell.version)
            if is_valid(self.fence, cell.epoch, cell.version):
                self.outbox.append(cell)
            if is_sweepable(self.fence, self.fence[-1].epoch, cell.epoch, cell.version):
                self.removable.append((Family.OUTBOX, column[0]))

    def _add_revocation(self, cell: RevocationCell) -> None:
        """Of all epochs' cells one carries what counts."""
        before, self._revoked = self._revoked, better(self.fence, self._revoked, cell)
        superseded = before[1] if before is not None and before is not self._revoked else None
        if self._revoked is None or self._revoked[1] is not cell:
            superseded = cell
        if superseded is not None and superseded.epoch < self.fence[-1].epoch:
            self.removable.append((Family.INDEX, keys.revocation_qualifier(superseded.epoch)))

    def mailbox(self, user_id: str, limits: Limits, index: ConversationIndex) -> Mailbox:
        """The mailbox of all that was added, of whose clientMessageIds none has been read."""
        return Mailbox(
            user_id,
            limits,
            epoch=self.fence[-1].epoch,
            fence=self.fence,
            head=self.head,
            index=index,
            client_ids=ClientIds(loaded_at=self.head),
            stale_epochs=self._stale_epochs,
            revocation=self._revoked[0] if self._revoked is not None and self._revoked[0].before_s else None,
        )
