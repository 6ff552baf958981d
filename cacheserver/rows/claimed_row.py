"""A row that this owner has claimed, while its cells are taken in: all in one piece, or in parts.

Everything is judged by the list that was claimed with (docs/consistency.md, rules 2 and 7); parts of an index, by the
one that will be, if it turns out that they are all there is (loader.py).
"""

from collections.abc import Sequence
from typing import Any

from rowbox.cacheserver.rows.row_states import IndexColumn, stamps_in
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.index_draft import IndexDraft, stored
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.cells import CONVERSATION, RECEIPTS, FenceCell, OutboxCell
from rowbox.mailbox.fence import Fence, head_of, is_sweepable, is_valid, latest_us
from rowbox.mailbox.receipts import shown_versions
from rowbox.mailbox.two_states import ByKind, IndexCell, choose, merge


class ClaimedRow:
    """The cells of one claimed row, judged as they are added, until `mailbox` makes a mailbox of them."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        """The list to judge by, and the mailbox's. Where the claim folds it, what counts stays the same."""
        self.head = head_of(fence, ())
        self.draft = IndexDraft()
        self.outbox: list[OutboxCell] = []
        self.removable: list[tuple[Family, bytes]] = []
        """Cells of lower epochs that carry nothing which counts: to be removed, once the claim is confirmed."""
        self.others: ByKind[Any] = {}
        """States of all kinds but conversations."""
        self._stale_epochs: ByKind[int] = {}
        self.latest_us = latest_us(fence)
        """The highest version of all cells that were added, or more."""

    def add(self, cells: Sequence[IndexColumn]) -> None:
        """Takes in cells of the index. All cells of one key come in the same call."""
        chosen = choose(self.fence, [cell for cell in cells if isinstance(cell, IndexCell)])
        conversations = chosen.states.pop(CONVERSATION.letter, {})
        self.draft.add([stored(conversation_id, state) for conversation_id, state in conversations.items()])
        merge(self.others, chosen.states)
        merge(self._stale_epochs, chosen.stale_epochs)
        stamps = list(stamps_in(cells))
        self.head = max(self.head, head_of(self.fence, stamps))
        self.latest_us = max(self.latest_us, *(stamp.version for stamp in stamps), 0)
        old = [cell.epoch for cell in cells if isinstance(cell, FenceCell) and cell.epoch < self.fence[-1].epoch]
        self.removable += [(Family.INDEX, keys.fence_qualifier(epoch)) for epoch in old]
        self.removable += [
            (Family.INDEX, keys.state_qualifier(cell.kind, cell.key, cell.epoch)) for cell in chosen.superseded
        ]

    def whole_draft(self) -> IndexDraft:
        """The draft of the index, with all that clients are shown. To be called once, when all cells were added."""
        self.draft.add_shown(shown_versions(self.others.get(RECEIPTS.letter, {})))
        return self.draft

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
            others=self.others,
        )
