import contextlib
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import (
    BLOCK,
    CONTACT,
    CONVERSATION,
    DEVICES,
    FORMER,
    GROUP,
    KINDS,
    MEMBER_MARKS,
    MEMBERSHIP,
    OWN,
    PROFILE,
    RECEIPTS,
    REVOCATION,
    TTL,
    Cell,
    ChangeKind,
    DedupeCell,
    FenceCell,
    LogCell,
    MessageCell,
    OutboxCell,
)
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.devices import Device, Devices, SignedOutDevice
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.group import Former, Group, GroupSettings, Member, Membership, Standing
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.block import Block
from rowbox.mailbox.people.contact import Contact
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import MemberMarks, Move, ReceiptMarks
from rowbox.mailbox.revocation import Revocation
from rowbox.mailbox.two_states import IndexCell, State

identifiers = st.binary(min_size=16, max_size=16)
stamps = st.integers(0, (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
participants = st.lists(texts, max_size=3).map(tuple)
conversations = st.builds(
    Conversation, stamps, stamps, participants, identifiers, stamps, texts, identifiers, st.integers(0, 1000), stamps
)
messages = st.builds(Message, identifiers, identifiers, texts, participants, texts)
entries = st.builds(FenceEntry, stamps, stamps, stamps, st.booleans())
revocations = st.builds(Revocation, stamps, stamps, stamps, stamps)
moves = st.lists(st.builds(Move, identifiers, stamps), max_size=4).map(tuple)
member_marks = st.builds(MemberMarks, stamps, stamps, texts, identifiers, moves)
marks = st.builds(ReceiptMarks, stamps, stamps, identifiers, identifiers, stamps, stamps, identifiers)
names = st.lists(texts, max_size=3).map(tuple)
memberships = st.builds(
    Membership,
    stamps,
    stamps,
    st.sampled_from(Standing),
    stamps,
    st.just("admin"),
    stamps,
    texts,
    stamps,
    names,
    stamps,
)
members = st.builds(Member, texts, st.just("owner"), stamps)
groups = st.builds(
    Group, stamps, stamps, texts, st.builds(GroupSettings), st.lists(members, max_size=3).map(tuple), identifiers
)
blocks = st.builds(Block, stamps, stamps, texts, stamps, stamps, stamps, stamps, *[identifiers] * 3)
contacts = st.builds(Contact, stamps, stamps, texts, stamps, stamps, stamps, texts, st.booleans())
profiles = st.builds(Profile, stamps, stamps, texts, texts, st.dictionaries(texts, texts, max_size=3), stamps)
flags = st.booleans()
own_settings = st.builds(
    OwnSettings, stamps, stamps, stamps, flags, flags, flags, flags, stamps, identifiers, identifiers
)
formers = st.builds(Former, stamps, stamps, texts, stamps)
devices = st.builds(
    Devices,
    stamps,
    stamps,
    st.lists(st.builds(Device, texts, texts, texts, stamps, stamps, stamps, stamps), max_size=2).map(tuple),
    st.lists(st.builds(SignedOutDevice, texts, stamps), max_size=2).map(tuple),
    stamps,
    stamps,
)
states: dict[bytes, st.SearchStrategy[State]] = {
    CONVERSATION.letter: conversations,
    REVOCATION.letter: revocations,
    MEMBERSHIP.letter: memberships,
    GROUP.letter: groups,
    FORMER.letter: formers,
    RECEIPTS.letter: marks,
    MEMBER_MARKS.letter: member_marks,
    DEVICES.letter: devices,
    PROFILE.letter: profiles,
    BLOCK.letter: blocks,
    CONTACT.letter: contacts,
    OWN.letter: own_settings,
    TTL.letter: st.builds(Ttl, stamps, stamps, stamps, identifiers),
}
index_cells = st.one_of(
    *(
        st.builds(
            IndexCell,
            st.just(kind.letter),
            st.binary(min_size=kind.key_bytes, max_size=kind.key_bytes),
            stamps,
            states[kind.letter],
            st.none() | states[kind.letter],
        )
        for kind in KINDS.values()
    )
)
kinds: dict[type, st.SearchStrategy[Cell]] = {
    IndexCell: index_cells,
    FenceCell: st.builds(FenceCell, stamps, st.lists(entries, max_size=4).map(tuple)),
    MessageCell: st.builds(
        MessageCell,
        *(identifiers, identifiers, stamps, stamps, texts, texts, st.none() | texts),
        expires_us=st.just(0) | stamps,
    ),
    LogCell: st.builds(
        LogCell, stamps, stamps, st.sampled_from(ChangeKind), identifiers, identifiers, st.just(0) | stamps, stamps
    ),
    DedupeCell: st.builds(DedupeCell, identifiers, stamps, stamps, identifiers, identifiers, identifiers),
    OutboxCell: st.builds(OutboxCell, identifiers, stamps, stamps, messages),
}
cells = st.one_of(*kinds.values())


def test_every_kind_of_cell_is_tried() -> None:
    assert {get_origin(kind) or kind for kind in get_args(Cell)} == set(kinds)
    assert set(states) == set(KINDS)


@given(cells)
def test_a_cell_reads_back(cell: Cell) -> None:
    family, qualifier, value = codec.encode(cell)
    assert value, "Thrift1 cannot tell an empty cell from an absent one"
    assert codec.decode(family, qualifier, value) == cell


@given(cells, st.data())
def test_a_cut_value_is_damage_that_names_its_column(cell: Cell, data: st.DataObject) -> None:
    family, qualifier, value = codec.encode(cell)
    cut = value[: data.draw(st.integers(0, len(value) - 1))]
    with pytest.raises(StoreDamaged, match=qualifier.hex()):
        codec.decode(family, qualifier, cut)


@given(st.sampled_from(Family), st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_a_cell_or_damage(family: Family, qualifier: bytes, value: bytes) -> None:
    with contextlib.suppress(StoreDamaged):
        codec.decode(family, qualifier, value)


@pytest.mark.parametrize(
    ("family", "qualifier"),
    [
        (Family.INDEX, b"c" + bytes(23)),
        (Family.INDEX, b"c" + bytes(25)),
        (Family.INDEX, b"t" + bytes(7)),
        (Family.INDEX, b"t" + bytes(9)),
        (Family.INDEX, b"f" + bytes(7)),
        (Family.INDEX, b"f"),
        (Family.MESSAGES, bytes(47)),
        (Family.MESSAGES, bytes(49)),
        (Family.MESSAGES, bytes(63)),
        (Family.MESSAGES, bytes(65)),
        (Family.LOG, bytes(15)),
        (Family.LOG, bytes(17)),
        (Family.DEDUPE, bytes(23)),
        (Family.DEDUPE, bytes(25)),
        (Family.OUTBOX, bytes(23)),
        (Family.OUTBOX, bytes(25)),
    ],
    ids=lambda part: part if isinstance(part, Family) else f"{part[:1].hex()}-{len(part)}",
)
def test_a_qualifier_of_another_length_is_damage(family: Family, qualifier: bytes) -> None:
    conversation = Conversation.new(("a",), 1)
    message = Message(bytes(16), bytes(16), "a", ("a",), "x")
    values: dict[Family, list[Cell]] = {
        Family.INDEX: [IndexCell(CONVERSATION.letter, bytes(16), 1, conversation, None), FenceCell(1, ())],
        Family.MESSAGES: [MessageCell(bytes(16), bytes(16), 1, 1, "a", "x", None)],
        Family.LOG: [LogCell(1, 1, ChangeKind.MESSAGE, bytes(16), bytes(16))],
        Family.DEDUPE: [DedupeCell(bytes(16), 1, 1, bytes(16), bytes(16), bytes(16))],
        Family.OUTBOX: [OutboxCell(bytes(16), 1, 1, message)],
    }
    for cell in values[family]:
        with pytest.raises(StoreDamaged):
            codec.decode(family, qualifier, codec.encode(cell)[2])
