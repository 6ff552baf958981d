"""A mutation of several commands: each sees those before it, a refused one leaves nothing, all shows at apply."""

from typing import Any

import pytest

from rowbox.mailbox.aggregate.index_draft import index_of, stored
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import MOST_RECOUNTS, CopyNeed, DedupeNeed, Fact, MarkNeed, RecountNeed
from rowbox.mailbox.aggregate.plan import Marked, NewSend, Plan, Sent, Settled
from rowbox.mailbox.cells import CONVERSATION, ChangeKind, DedupeCell, LogCell, MessageCell, OutboxCell
from rowbox.mailbox.conversation import UNREAD_CAP, Unread
from rowbox.mailbox.errors import ClientMessageIdReused, HandoverInProgress, UnknownConversation, UnknownMessage
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import ZERO_ID, client_id_hash, direct_conversation_id, message_id, payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.two_states import IndexCell

NOW = 1_800_000_000_000_000
LIMITS = Limits(365 * 86_400_000, 7 * 86_400_000, 7 * 86_400_000, 64, 1 << 20)
BOB = direct_conversation_id("ann", "bob")
FENCE = (FenceEntry(7, 0, 0),)


def mailbox(**options: Any) -> Mailbox:
    return Mailbox("ann", options.pop("limits", LIMITS), epoch=7, **options)


def new_send(content: str = "hi", client_id: str = "c", to: str = "bob") -> NewSend:
    conversation = direct_conversation_id("ann", to)
    participants = tuple(sorted({"ann", to}))
    hashed = client_id_hash(client_id)
    payload = payload_hash(conversation, content)
    return NewSend("ann", conversation, participants, content, client_id, hashed, payload, hash(client_id))


def message(sent_us: int, content: str = "yo", sender: str = "bob") -> Message:
    conversation = direct_conversation_id("ann", sender)
    return Message(message_id(sent_us, sent_us), conversation, sender, tuple(sorted(("ann", sender))), content)


def sent(plan: Plan, **options: str) -> Sent:
    answer = plan.send(new_send(**options))
    assert isinstance(answer, Sent)
    return answer


def delivered(box: Mailbox, *messages: Message) -> None:
    plan = box.plan(NOW)
    for one in messages:
        plan.deliver_new(one)
    box.apply(plan)


def snapshot(plan: Plan) -> tuple[object, ...]:
    return (plan.head, plan.cells(), list(plan.log), dict(plan.states), list(plan.copies), dict(plan.records))


def test_a_mailbox_is_born_with_its_first_conversation_whichever_of_a_plan_changed_last() -> None:
    box = mailbox()
    delivered(box, message(NOW, sender="bob"), message(NOW + 1, sender="cat"), message(NOW + 2, sender="bob"))
    first = box.log[0].version
    assert box.born == first
    delivered(box, message(NOW + 3, sender="dan"))
    assert box.born == first


def test_a_send_is_a_message_a_log_entry_a_dedupe_record_and_a_state() -> None:
    plan = mailbox().plan(NOW)
    answer = sent(plan)
    kinds = [type(cell) for cell in plan.cells()]
    assert sorted(kind.__name__ for kind in kinds) == ["DedupeCell", "IndexCell", "LogCell", "MessageCell"]
    assert answer.record.version == NOW == plan.head
    assert answer.message is not None
    assert answer.message.sent_us == NOW


def test_where_writes_can_be_late_it_has_an_outbox_cell_unless_it_is_a_note_to_self() -> None:
    plan = mailbox(fence=FENCE).plan(NOW)
    to_bob = sent(plan, client_id="1")
    sent(plan, client_id="2", to="ann")
    assert [cell.message for cell in plan.outbox] == [to_bob.message]
    assert plan.outbox[0].recipients == ("bob",)
    assert len([cell for cell in plan.cells() if isinstance(cell, OutboxCell)]) == 1


def test_nothing_shows_before_apply() -> None:
    box = mailbox()
    plan = box.plan(NOW)
    sent(plan)
    assert (box.head, len(box.index), box.client_ids.count, len(box.log)) == (0, 0, 0, 0)
    box.apply(plan)
    assert [(change.version, change.kind, change.conversation_id) for change in plan.log] == [
        (NOW, ChangeKind.MESSAGE, BOB)
    ]
    assert (box.head, len(box.index), box.client_ids.count, len(box.log), box.born) == (NOW, 1, 1, 1, NOW)


def test_versions_rise_through_a_plan_and_over_plans_whatever_the_clock_says() -> None:
    box = mailbox()
    versions = []
    for now in (NOW, NOW - 1000, NOW + 5):
        plan = box.plan(now)
        versions += [sent(plan, client_id=f"{now}-{n}").record.version for n in range(3)]
        box.apply(plan)
    assert versions == sorted(set(versions))


def test_a_joined_retry_finds_the_send_before_it() -> None:
    plan = mailbox().plan(NOW)
    first = sent(plan)
    cells = plan.cells()
    second = sent(plan)
    assert second.is_duplicate
    assert second.record == first.record
    assert plan.cells() == cells


def test_a_refused_send_leaves_the_plan_as_it_was() -> None:
    plan = mailbox().plan(NOW)
    sent(plan)
    before = snapshot(plan)
    with pytest.raises(ClientMessageIdReused):
        plan.send(new_send("another payload"))
    with pytest.raises(UnknownConversation):
        plan.mark_read(bytes(16), bytes(16))
    with pytest.raises(UnknownMessage):
        plan.mark_read(BOB, b"\xff" * 16)
    assert snapshot(plan) == before


def test_a_known_client_id_needs_the_store_and_the_need_leaves_the_plan_as_it_was() -> None:
    box = mailbox()
    box.client_ids.add(client_id_hash("c"), NOW)
    plan = box.plan(NOW)
    before = snapshot(plan)
    need = plan.send(new_send())
    assert need == DedupeNeed(client_id_hash("c"))
    assert snapshot(plan) == before
    record = DedupeCell(client_id_hash("c"), 7, NOW, bytes(16), BOB, new_send().payload_hash)
    assert plan.send(new_send(), Fact(need, box.head, record)) == Sent(record, None)
    with pytest.raises(ClientMessageIdReused):
        plan.send(new_send("other"), Fact(need, box.head, record))
    assert plan.changes_nothing
    anew = plan.send(new_send(), Fact(need, box.head, None))
    assert isinstance(anew, Sent)
    assert not anew.is_duplicate


def test_a_fact_is_void_once_the_plan_has_changed_something_or_the_mailbox_went_on() -> None:
    box = mailbox()
    box.client_ids.add(client_id_hash("c"), NOW)
    fact = Fact(DedupeNeed(client_id_hash("c")), box.head, None)
    plan = box.plan(NOW)
    sent(plan, client_id="before")
    assert isinstance(plan.send(new_send(), fact), DedupeNeed)
    box.apply(plan)
    assert isinstance(box.plan(NOW).send(new_send(), fact), DedupeNeed)
    other = Fact(DedupeNeed(client_id_hash("another")), box.head, None)
    assert isinstance(box.plan(NOW).send(new_send(), other), DedupeNeed)


def test_a_delivery_is_known_by_its_id() -> None:
    box = mailbox()
    plan = box.plan(NOW)
    assert plan.deliver(message(NOW - 5)) == NOW
    assert plan.deliver(message(NOW - 5)) == 0, "it came twice in one mutation"
    box.apply(plan)
    plan = box.plan(NOW)
    assert plan.deliver(message(NOW - 9)) == NOW + 1, "it is new and sorts before"
    assert plan.deliver(message(NOW - 9)) == 0
    box.apply(plan)
    again = box.plan(NOW)
    assert [again.deliver(message(NOW - age)) for age in (5, 9)] == [0, 0]
    assert again.changes_nothing


def test_an_effect_sorts_after_its_cause_though_its_sender_s_clock_is_ahead() -> None:
    box = mailbox()
    ahead = message(NOW + 9_000_000)
    plan = box.plan(NOW)
    assert plan.deliver(ahead) == NOW + 9_000_001
    reply = sent(plan)
    assert reply.message is not None
    assert reply.message.message_id > ahead.message_id
    state = plan.states[BOB]
    assert (state.unread_count, state.read_mark) == (0, reply.message.message_id)


def test_a_delivery_that_memory_cannot_judge_needs_the_store() -> None:
    box = mailbox(limits=LIMITS._replace(window_messages=1))
    delivered(box, message(NOW - 10), message(NOW - 5))
    old = message(NOW - 10)
    need = box.plan(NOW).deliver(old)
    assert need == CopyNeed(old.conversation_id, old.message_id)
    assert box.plan(NOW).deliver(old, Fact(need, box.head, value=True)) == 0
    assert box.plan(NOW).deliver(old, Fact(need, box.head, value=False)) != 0
    assert isinstance(box.plan(NOW).deliver(old, Fact(need, box.head - 1, value=False)), CopyNeed)


def test_a_delivery_older_than_retention_is_acknowledged_and_not_stored() -> None:
    plan = mailbox().plan(NOW)
    assert plan.deliver(message(NOW - LIMITS.retention_ms * 1000)) == 0
    assert plan.changes_nothing
    assert plan.deliver(message(NOW - LIMITS.retention_ms * 1000 + 1)) == NOW


def test_a_mark_counts_what_sorts_after_it_and_never_goes_back() -> None:
    box = mailbox()
    ones = [message(NOW - age) for age in (5, 4, 3)]
    delivered(box, *ones)
    plan = box.plan(NOW)
    marked = plan.mark_read(BOB, ones[1].message_id)
    assert marked == Marked(1, plan.head)
    box.apply(plan)
    for place in (0, 1):
        back = box.plan(NOW)
        assert back.mark_read(BOB, ones[place].message_id) == Marked(1, box.head)
        assert back.changes_nothing
    last = box.plan(NOW)
    assert last.mark_read(BOB, ones[2].message_id) == Marked(0, last.head)


def test_a_mark_after_a_joined_delivery_needs_a_read_that_knows_of_it() -> None:
    box = mailbox()
    ones = [message(NOW - age) for age in (5, 4)]
    delivered(box, *ones)
    plan = box.plan(NOW)
    plan.deliver(message(NOW - 1))
    assert plan.mark_read(BOB, ones[0].message_id) == MarkNeed(BOB, ones[0].message_id, ones[0].message_id)
    newest = message(NOW - 1).message_id
    assert plan.mark_read(BOB, newest) == Marked(0, plan.head)


def test_a_mark_s_count_from_memory_stops_at_the_cap() -> None:
    box = mailbox(limits=LIMITS._replace(window_messages=5000, window_bytes=1 << 30))
    ones = [message(NOW - 3000 + n) for n in range(UNREAD_CAP + 200)]
    delivered(box, *ones)
    plan = box.plan(NOW)
    assert plan.mark_read(BOB, ones[0].message_id) == Marked(UNREAD_CAP, plan.head)


def test_the_id_of_zeros_is_no_message() -> None:
    box = mailbox()
    delivered(box, message(NOW - 5))
    plan = box.plan(NOW)
    with pytest.raises(UnknownMessage):
        plan.mark_read(BOB, ZERO_ID)


def test_the_second_state_is_the_one_before_the_whole_mutation() -> None:
    box = mailbox(fence=FENCE)
    first = box.plan(NOW)
    sent(first, client_id="1")
    (cell,) = [cell for cell in first.cells() if isinstance(cell, IndexCell)]
    assert cell.previous is None
    box.apply(first)
    before = box.index.get(BOB)
    joined = box.plan(NOW)
    for n in range(3):
        sent(joined, client_id=f"joined {n}")
    (cell,) = [cell for cell in joined.cells() if isinstance(cell, IndexCell)]
    assert cell.previous == before
    assert cell.current.version == joined.head


def test_without_late_writes_there_is_one_state() -> None:
    box = mailbox()
    for n in range(2):
        plan = box.plan(NOW)
        sent(plan, client_id=str(n))
        assert [cell.previous for cell in plan.cells() if isinstance(cell, IndexCell)] == [None]
        box.apply(plan)


def test_every_cell_tells_the_epoch_and_a_version_of_this_mutation() -> None:
    box = mailbox(fence=FENCE, head=50)
    plan = box.plan(NOW)
    sent(plan, client_id="1")
    plan.deliver(message(NOW - 3, sender="cem"))
    for cell in plan.cells():
        assert cell.epoch == 7
        if isinstance(cell, MessageCell | LogCell | DedupeCell | OutboxCell):
            assert 50 < cell.version <= plan.head


def test_stale_index_cells_are_named_once_and_only_after_the_conversation_was_written() -> None:
    delivered_before = mailbox()
    delivered(delivered_before, message(NOW - 9))
    state = delivered_before.index.get(BOB)
    assert state is not None
    fence = (FenceEntry(5, 0, 0), *FENCE)
    box = mailbox(
        fence=fence,
        head=state.version,
        index=index_of([stored(BOB, state)]),
        stale_epochs={CONVERSATION.letter: {BOB: 5}},
    )
    elsewhere = box.plan(NOW)
    sent(elsewhere, client_id="1", to="cem")
    box.apply(elsewhere)
    assert box.take_stale(elsewhere) == []
    here = box.plan(NOW)
    sent(here, client_id="2")
    box.apply(here)
    assert box.take_stale(here) == [(CONVERSATION.letter, BOB, 5)]
    assert box.take_stale(here) == []


def test_a_cell_of_a_higher_epoch_says_that_this_owner_was_replaced() -> None:
    box = mailbox(fence=(FenceEntry(5, 0, 0), FenceEntry(7, 40, 0)), head=50)
    assert box.counts(5, 40, 50)
    assert not box.counts(5, 41, 50)
    assert box.counts(7, 45, 50)
    assert not box.counts(7, 51, 50), "not committed yet"
    assert not box.counts(6, 45, 50)
    with pytest.raises(HandoverInProgress):
        box.counts(8, 60, 50)


# ------------------------------------------------------------------ retention

RETENTION_US = LIMITS.retention_ms * 1000


def at_its_end(box: Mailbox, version: int) -> Plan:
    """A plan at a time at which retention has just taken what has that version."""
    assert box.index.get(BOB) is not None
    return box.plan(version + RETENTION_US)


def test_a_settlement_is_a_change_like_any_other() -> None:
    box = mailbox(fence=FENCE)
    delivered(box, message(NOW - 5), message(NOW - 4))
    before = box.index.get(BOB)
    plan = at_its_end(box, box.head)
    assert plan.settle((BOB,)) == Settled(0)
    after = plan.states[BOB]
    assert (after.unread_count, after.unread_since, after.snippet, after.version) == (0, 0, "", plan.head)
    assert [(change.kind, change.version, change.message_id) for change in plan.log] == [
        (ChangeKind.EXPIRY, plan.head, ZERO_ID)
    ]
    index, entry = plan.cells()
    assert isinstance(index, IndexCell)
    assert (index.current, index.previous, entry) == (after, before, plan.log[0])
    box.apply(plan)
    again = at_its_end(box, box.head)
    assert again.settle((BOB,)) == Settled(0)
    assert again.changes_nothing


def test_what_has_not_ended_and_what_is_not_there_is_not_settled() -> None:
    box = mailbox()
    delivered(box, message(NOW - 5))
    plan = box.plan(NOW + RETENTION_US - 1)
    assert plan.settle((BOB, bytes(16))) == Settled(0)
    assert plan.changes_nothing


def test_a_count_of_which_a_part_has_expired_comes_from_the_window() -> None:
    box = mailbox()
    delivered(box, message(NOW - 5), message(NOW - 4), message(NOW - 3))
    plan = at_its_end(box, NOW)
    assert plan.settle((BOB,)) == Settled(0)
    assert (plan.states[BOB].unread_count, plan.states[BOB].unread_since) == (2, NOW + 1)


def test_a_count_that_memory_does_not_reach_needs_the_store_and_leaves_the_plan_as_it_was() -> None:
    box = mailbox(limits=LIMITS._replace(window_messages=1))
    delivered(box, message(NOW - 5), message(NOW - 4), message(NOW - 3))
    plan = at_its_end(box, NOW)
    before = snapshot(plan)
    need = plan.settle((BOB,))
    assert need == RecountNeed(((BOB, ZERO_ID),))
    assert snapshot(plan) == before
    assert isinstance(need, RecountNeed)
    stale = Fact(need, box.head - 1, {(BOB, ZERO_ID): Unread(1, NOW + 2)})
    assert plan.settle((BOB,), stale) == need
    assert plan.settle((BOB,), stale._replace(as_of=box.head)) == Settled(0)
    assert (plan.states[BOB].unread_count, plan.states[BOB].unread_since) == (1, NOW + 2)


def test_a_settlement_reads_so_much_at_once_and_says_what_is_left() -> None:
    box = mailbox(limits=LIMITS._replace(window_messages=1))
    people = [f"u{n}" for n in range(MOST_RECOUNTS + 2)]
    delivered(box, *(message(NOW - 5, sender=one) for one in people))
    at = box.head + RETENTION_US
    delivered(box, *(message(NOW - 4, sender=one) for one in people))
    all_of_them = [direct_conversation_id("ann", one) for one in people]
    need = box.plan(at).settle(all_of_them)
    assert isinstance(need, RecountNeed)
    assert len(need.marks) == MOST_RECOUNTS
    fact = Fact(need, box.head, dict.fromkeys(need.marks, Unread(1, box.head)))
    assert box.plan(at).settle(all_of_them, fact) == Settled(2)


def test_a_settlement_behind_a_joined_delivery_needs_a_read_that_knows_of_it() -> None:
    box = mailbox()
    delivered(box, message(NOW - 5), message(NOW - 4))
    plan = at_its_end(box, NOW)
    plan.deliver_new(message(NOW + RETENTION_US - 1))
    assert plan.settle((BOB,)) == RecountNeed(((BOB, ZERO_ID),))


def test_a_mark_at_what_retention_may_have_taken_is_taken_and_a_young_one_must_be_there() -> None:
    box = mailbox()
    ones = [message(NOW - age) for age in (5, 4)]
    delivered(box, *ones)
    young = message(NOW + RETENTION_US - 2).message_id
    delivered(box, message(NOW + RETENTION_US - 1))
    at = NOW + RETENTION_US + 1
    old = message(NOW - 6).message_id
    assert box.plan(at).mark_read(BOB, old) == Marked(1, at)
    assert box.plan(at).mark_read(BOB, ones[1].message_id) == Marked(1, at)
    with pytest.raises(UnknownMessage):
        box.plan(at).mark_read(BOB, young)
    with pytest.raises(UnknownMessage):
        box.plan(at).mark_read(BOB, old[:6] + bytes(10))
