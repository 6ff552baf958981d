"""A mailbox that is handed over and claimed is the one that was given away, but for what the claim changes.

That a client sees no difference is in tests/owner/rows/test_warm_claims.py and tests/property/test_mailbox.py.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate import hand_over
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.hand_over import HandedOver, packed_mailbox
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.number_set import NumberSet
from rowbox.mailbox.aggregate.plan import NewSend, Plan
from rowbox.mailbox.cells import CONVERSATION, KINDS, REVOCATION, OutboxCell
from rowbox.mailbox.conversation import NEVER
from rowbox.mailbox.fence import FenceEntry, claim
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, message_id, payload_hash
from rowbox.mailbox.message import Message
from tests.any_kind import NOTE, ONE, Note, notes_are_known

DAY_MS = 86_400_000
LIMITS = Limits(30 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS, window_messages=8, window_bytes=4_000)
BIRTH_US = 1_800_000_000_000_000
BEFORE, MINE, NEXT = 1 << 24, 2 << 24, 3 << 24
FENCE = (FenceEntry(BEFORE, 0, 0, incarnation="first"), FenceEntry(MINE, 0, 0, incarnation="second"))
OTHERS = ["bob", "cem", "dai"]

steps = st.lists(
    st.tuples(st.sampled_from(["send", "deliver", "read", "revoke", "note", "window"]), st.sampled_from(OTHERS)),
    max_size=40,
)


class Alice:
    """Alice's mailbox, with what her row's outbox holds."""

    def __init__(self, limits: Limits = LIMITS, epoch: int = MINE) -> None:
        self.now_us = BIRTH_US
        self.mailbox = Mailbox("alice", limits, epoch=epoch, fence=FENCE, client_ids=ClientIds(loaded_at=5))
        self.mailbox.client_ids.add_read([client_id_hash("from the store")], b"\xf0" * 24)
        self.outbox: list[OutboxCell] = []

    def do(self, what: str, other: str) -> None:
        self.now_us += 3_600_000_000
        conversation_id = direct_conversation_id("alice", other)
        names, content = tuple(sorted(("alice", other))), f"{what} {self.now_us}"
        plan = self.mailbox.plan(self.now_us)
        state = self.mailbox.index.get(conversation_id)
        if what == "send":
            hashes = client_id_hash(content), payload_hash(conversation_id, content)
            plan.send(NewSend("alice", conversation_id, names, content, content, *hashes, 7))
        elif what == "deliver":
            plan.deliver(Message(message_id(self.now_us - 5, 9), conversation_id, other, names, content))
        elif what == "read" and state is not None:
            plan.mark_read(conversation_id, state.last_message_id)
        elif what == "revoke":
            AccessRow(plan).revoke(self.now_us // 1_000_000, 0)
        elif what == "note":
            epoch, version = plan.stamp()
            plan.put(NOTE, Note(version, epoch, (other,)), ONE)
        elif what == "window":
            self.mailbox.window(conversation_id, self.now_us)
        self._commit(plan)

    def _commit(self, plan: Plan) -> None:
        self.outbox += [cell for cell in plan.cells() if isinstance(cell, OutboxCell)]
        self.mailbox.apply(plan)
        self.mailbox.take_stale(plan)


def alice_after(done: Sequence[tuple[str, str]], limits: Limits = LIMITS) -> Alice:
    alice = Alice(limits)
    for what, other in done:
        alice.do(what, other)
    return alice


BUSY = [("send", "bob"), ("deliver", "bob"), ("deliver", "cem"), ("read", "bob"), ("revoke", "bob")]


@pytest.fixture(autouse=True)
def _kind() -> Iterator[None]:
    with notes_are_known():
        yield


def handed(alice: Alice) -> HandedOver:
    found = HandedOver.unpacked(packed_mailbox(alice.mailbox, alice.outbox))
    assert found is not None
    return found


def claimed(alice: Alice, limits: Limits = LIMITS) -> Mailbox:
    found = handed(alice)
    fence = found.claim(NEXT, "third", alice.now_us // 1000)
    assert fence is not None
    return found.mailbox("alice", limits, fence)


def contents(mailbox: Mailbox) -> dict[str, Any]:
    """All of a mailbox that a claim does not change."""
    index = mailbox.index
    return {
        "head": mailbox.head,
        "born": mailbox.born,
        "states": index.packed(),
        "list": index.newest(0, len(index)),
        "changes": list(index._changes.items()),
        "endings": set(index.ended(NEVER - 1, 1_000)),
        "others": mailbox.others,
        "client ids": mailbox.client_ids.packed(),
        "windows": [(one, window.floor, window.copies, window.size_bytes) for one, window in mailbox.windows.items()],
        "window bytes": mailbox._windows_bytes,
        "log": (mailbox.log_floor, list(mailbox.log)),
    }


@given(steps)
def test_what_is_claimed_is_what_was_handed_over(done: list[tuple[str, str]]) -> None:
    alice = alice_after(done)
    mailbox = claimed(alice)
    assert contents(mailbox) == contents(alice.mailbox)
    for window in mailbox.windows.values():
        assert window.first_version == min((copy.version for copy in window.copies), default=NEVER)
    assert handed(alice).outbox == alice.outbox
    if done:
        alice.do(*done[0])
        assert contents(claimed(alice)) == contents(alice.mailbox), "it was only looked at"


def test_the_claim_ends_the_epoch_that_handed_it_over() -> None:
    alice = alice_after(BUSY)
    mailbox = claimed(alice)
    assert mailbox.epoch == NEXT
    assert mailbox.fence == claim(FENCE, NEXT, alice.mailbox.head, alice.now_us // 1000, "third")
    assert mailbox.fence[-1].starts_after == alice.mailbox.head


def test_every_cell_that_carries_a_state_is_of_a_lower_epoch_now() -> None:
    """So that it goes as soon as the new owner has written its own (two_states.py)."""
    alice = Alice()
    bob, cem = (direct_conversation_id("alice", other) for other in ("bob", "cem"))
    for other in ("bob", "cem"):
        alice.do("deliver", other)
    alice.do("revoke", "bob")
    alice.mailbox.stale_epochs = {CONVERSATION.letter: {cem: BEFORE}}
    assert claimed(alice).stale_epochs == {
        CONVERSATION.letter: {bob: MINE, cem: BEFORE},
        REVOCATION.letter: {b"": MINE},
    }


@pytest.mark.parametrize("epoch", [BEFORE, MINE])
def test_it_is_not_claimed_for_an_epoch_that_is_not_above_its_own(epoch: int) -> None:
    assert handed(alice_after(BUSY)).claim(epoch, "third", 0) is None
    assert handed(alice_after(BUSY)).claim(epoch, "second", 0) is None


def test_it_keeps_to_the_bounds_of_the_one_who_takes_it() -> None:
    alice = alice_after(20 * [("deliver", "bob"), ("deliver", "cem")], Limits(*LIMITS[:3], 64, 1 << 20))
    mailbox = claimed(alice)
    assert [len(window.copies) for window in mailbox.windows.values()] == [8]
    (window,) = mailbox.windows.values()
    assert window.floor == alice.mailbox.windows[direct_conversation_id("alice", "cem")].copies[-9].message_id
    assert mailbox.size_bytes < alice.mailbox.size_bytes


def test_a_log_that_is_kept_shorter_begins_later(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = alice_after(5 * [("deliver", "bob")])
    monkeypatch.setattr("rowbox.mailbox.aggregate.mailbox.LOG_ENTRIES", 3)
    mailbox = claimed(alice)
    assert list(mailbox.log) == list(alice.mailbox.log)[-3:]
    assert mailbox.log_floor == list(alice.mailbox.log)[1].version


# ---------------------------------------------------------------------- another Rowbox


def raw(alice: Alice) -> list[Any]:
    found: list[Any] = msgspec.msgpack.decode(packed_mailbox(alice.mailbox, alice.outbox), strict=False)
    return found


def reads(fields: list[Any]) -> HandedOver | None:
    return HandedOver.unpacked(msgspec.msgpack.encode(fields))


def test_fields_that_came_later_are_passed_over() -> None:
    alice = alice_after(BUSY)
    fields = raw(alice)
    fields[2] = [[*entry, "later"] for entry in fields[2]]
    fields[7].append("later")
    fields[10].append("later")
    found = reads([*fields, "later"])
    assert found is not None
    fence = found.claim(NEXT, "third", 0)
    assert fence is not None
    assert contents(found.mailbox("alice", LIMITS, fence)) == contents(alice.mailbox)


def test_another_format_is_left_to_a_load() -> None:
    fields = raw(alice_after(BUSY))
    assert reads(fields) is not None
    assert reads([hand_over.FORMAT + 1, *fields[1:]]) is None
    assert reads([hand_over.FORMAT + 1, "all", "else", "is", "different"]) is None


def test_a_kind_that_only_a_newer_one_knows_is_left_to_a_load() -> None:
    alice = alice_after([*BUSY, ("note", "bob")])
    packed = packed_mailbox(alice.mailbox, ())
    assert HandedOver.unpacked(packed) is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(KINDS, NOTE.letter)
        assert HandedOver.unpacked(packed) is None


@given(st.data())
def test_what_is_cut_off_is_no_mailbox(data: st.DataObject) -> None:
    packed = packed_mailbox(alice_after(BUSY).mailbox, ())
    assert HandedOver.unpacked(packed[: data.draw(st.integers(0, len(packed) - 1))]) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (2, []),
        (4, {b"\x00" * 16: b"\x01"}),
        (5, {REVOCATION.letter: {b"": ["no", "state"]}}),
        (7, [{1: b"not of 8 bytes"}, None, 0, None]),
        (7, [{1: bytes(16)}, None, 0, None]),
        (9, [["no", "window"]]),
    ],
)
def test_what_does_not_decode_is_no_mailbox(place: int, value: Any) -> None:
    fields = raw(alice_after(BUSY))
    fields[place] = value
    assert reads(fields) is None


# ---------------------------------------------------------------------- its parts


@given(st.sets(st.integers(0, (1 << 64) - 1) | st.integers(0, 5_000), max_size=300))
def test_a_set_of_numbers_is_packed_and_unpacked(numbers: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowbox.mailbox.aggregate.number_set.MOST_IN_RUN", 6)
        made = NumberSet()
        for number in numbers:
            made.add(number)
        packed = made.packed()
        assert packed == b"".join(number.to_bytes(8, "little") for number in sorted(numbers))
        found = NumberSet.unpacked(packed)
        assert (found.count, found.size_bytes, found.packed()) == (made.count, made.size_bytes, packed)
        for number in (*numbers, 3, 1 << 63):
            assert (number in found) == (number in numbers)
        found.add(77)
        assert 77 in found
        assert found.packed() == b"".join(number.to_bytes(8, "little") for number in sorted({*numbers, 77}))


def test_numbers_are_packed_alike_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowbox.mailbox.aggregate.number_set._IS_SWAPPED", True)
    made = NumberSet()
    made.add(1)
    assert made.packed() == (1).to_bytes(8, "big"), "here the other order; there, what is packed here"
    assert 1 in NumberSet.unpacked(made.packed())
    assert 1 in made
