"""What an owner may remove of a row that it has claimed: nothing of epochs above its own (rule 2)."""

from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import fence_qualifier, state_qualifier
from rowbox.mailbox.cells import CONVERSATION, REVOCATION, FenceCell, OutboxCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Revocation
from rowbox.mailbox.two_states import IndexCell

OWN = 5
FENCE = (FenceEntry(2, 0, 0), FenceEntry(OWN, 70, 0))
USERS = ("ann", "bob")
WITH_BOB = bytes(16)


def index_cell(epoch: int, version: int) -> IndexCell[Conversation]:
    text = Message(message_id(version, 0), WITH_BOB, "bob", USERS, "hi")
    state = Conversation.new(USERS, version).with_delivered(text, version, epoch)
    return IndexCell(CONVERSATION.letter, WITH_BOB, epoch, state, None)


def outbox_cell(epoch: int, version: int) -> OutboxCell:
    text = Message(message_id(version, epoch), WITH_BOB, "ann", USERS, "hi")
    return OutboxCell(text.message_id, epoch, version, text)


def revocation_cell(epoch: int, version: int) -> IndexCell[Revocation]:
    return IndexCell(REVOCATION.letter, b"", epoch, Revocation(version, epoch, before_s=1), None)


def column(cell: OutboxCell) -> Column:
    _, qualifier, value = codec.encode(cell)
    return qualifier, value


def test_of_lower_epochs_goes_what_carries_nothing() -> None:
    row = ClaimedRow(FENCE)
    row.add([index_cell(1, 50), index_cell(2, 60), FenceCell(2, FENCE[:1]), FenceCell(OWN, FENCE)])
    row.add([revocation_cell(2, 61), revocation_cell(OWN, 71)])
    late = outbox_cell(2, 71)
    row.add_outbox([column(outbox_cell(2, 60)), column(late)])
    assert sorted(row.removable) == sorted(
        [
            (Family.INDEX, state_qualifier(CONVERSATION.letter, WITH_BOB, 1)),
            (Family.INDEX, fence_qualifier(2)),
            (Family.INDEX, state_qualifier(REVOCATION.letter, b"", 2)),
            (Family.OUTBOX, column(late)[0]),
        ]
    )
    assert row.latest_us == 71


def test_of_higher_epochs_nothing_goes_because_another_owner_may_have_confirmed_it() -> None:
    above = OWN + 1
    row = ClaimedRow(FENCE)
    row.add([index_cell(2, 60), index_cell(above, 90), FenceCell(OWN, FENCE), FenceCell(above, FENCE)])
    row.add_outbox([column(outbox_cell(above, 90))])
    assert row.removable == []
    assert row.outbox == []
    assert row.head == 70


def test_of_its_own_epoch_nothing_goes() -> None:
    row = ClaimedRow(FENCE)
    row.add([index_cell(2, 60), index_cell(OWN, 90), FenceCell(OWN, FENCE)])
    row.add([revocation_cell(OWN, 64), revocation_cell(2, 65)])  # where its own says less, it is written again
    assert row.removable == [(Family.INDEX, state_qualifier(CONVERSATION.letter, WITH_BOB, 2))]
    assert row.head == 90
