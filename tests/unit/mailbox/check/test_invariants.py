"""Each invariant of a mailbox: a row that the core wrote has no finding, one broken in one place has just that one.

What takes more than one row, or bytes instead of cells, is in tests/owner/test_checker.py.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rowbox.mailbox.account.deeds import (
    BlockUser,
    CreateProfile,
    DeleteConversation,
    SetContact,
    SetConversation,
    UnblockUser,
    UpdateProfile,
)
from rowbox.mailbox.cells import (
    BLOCK,
    CONVERSATION,
    OWN,
    PROFILE,
    RECEIPTS,
    TTL,
    ChangeKind,
    DedupeCell,
    FenceCell,
    LogCell,
)
from rowbox.mailbox.check.findings import MOST_PER_ROW, Code, Finding, Report
from rowbox.mailbox.devices import MOST_DEVICES, SignedOutDevice
from rowbox.mailbox.expiry.ttl import MIN_TTL_MS
from rowbox.mailbox.fence import FenceEntry, Stamp
from rowbox.mailbox.ids import ID_BYTES, direct_conversation_id, message_id
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.people.own_settings import MOST_REQUESTS
from rowbox.mailbox.people.profile import CONTACTS, Erasure, ErasureStep
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.two_states import UnknownIndexCell
from tests.unit.mailbox.mailbox_row import DAY_US, EPOCH, OLD_EPOCH, SECOND_US, WITH_BOB, WITH_CAROL, AliceRow

Break = Callable[[AliceRow], None]
BREAKS: list[tuple[Code, bool, Break]] = []
BOTH = (False, True)
LAST_ID = b"\xff" * ID_BYTES
UP = "\U0001f44d"
FENCED = (True,)
EMBEDDED = (False,)


def breaks(code: Code, kinds: tuple[bool, ...] = BOTH) -> Callable[[Break], Break]:
    """Says what the checker has to find after this change, and nothing else; `kinds`: rows with a fence or without."""

    def note(change: Break) -> Break:
        BREAKS.extend((code, fenced, change) for fenced in kinds)
        return change

    return note


def just_before(row: AliceRow, message: bytes) -> int:
    """A version that nothing has."""
    return row.message(message).version - 1


def read_mark_entry(version: int, conversation_id: bytes, up_to: bytes) -> LogCell:
    return LogCell(version, EPOCH, ChangeKind.READ_MARK, conversation_id, up_to)


# The row, and which of its cells count


@breaks(Code.UNKNOWN_KIND)
def an_index_cell_of_a_newer_rowbox(row: AliceRow) -> None:
    last = row.log[-1].version
    row.unknown.append(UnknownIndexCell(b"z", EPOCH, Stamp(EPOCH, last + 2), Stamp(EPOCH, last + 1)))


@breaks(Code.UNKNOWN_KIND)
def a_change_that_a_newer_rowbox_made(row: AliceRow) -> None:
    last = row.log[-1].version
    row.unknown.append(UnknownIndexCell(b"p", EPOCH, Stamp(EPOCH, last + 1), None))
    row.log.append(LogCell(last + 1, EPOCH, 77, b"", b""))


@breaks(Code.INDEX_CELL)
def a_revocation_that_is_also_the_one_before_it(row: AliceRow) -> None:
    row.revoke()
    (cell,) = row.other_states()
    row.replace_others(replace(cell, previous=cell.current))


@breaks(Code.INDEX_CELL)
def a_revocation_of_tokens_that_are_issued_much_later(row: AliceRow) -> None:
    row.revoke()
    (cell,) = row.other_states()
    row.replace_others(replace(cell, current=replace(cell.current, before_s=cell.current.before_s + 60)))


@breaks(Code.INDEX_CELL)
def a_device_that_is_signed_in_and_signed_out(row: AliceRow) -> None:
    row.register_device("phone")
    (cell,) = row.other_states()
    out = (SignedOutDevice("phone", 1),)
    row.replace_others(replace(cell, current=replace(cell.current, signed_out=out)))


@breaks(Code.INDEX_CELL)
def more_devices_than_there_may_be(row: AliceRow) -> None:
    row.register_device("phone")
    (cell,) = row.other_states()
    (device,) = cell.current.devices
    many = tuple(replace(device, device_id=f"d{number}") for number in range(MOST_DEVICES + 1))
    row.replace_others(replace(cell, current=replace(cell.current, devices=many)))


@breaks(Code.FENCE_MISSING, FENCED)
def no_fence(row: AliceRow) -> None:
    row.fences.clear()


@breaks(Code.FENCE_CLAIMED_TWICE, FENCED)
def two_incarnations_of_one_epoch(row: AliceRow) -> None:
    (epoch, starts_after, claimed_at_ms, *_) = row.fences[0].fence[-1]
    claimed = FenceEntry(epoch, starts_after, claimed_at_ms, incarnation="one")
    row.fences[0] = FenceCell(epoch, (claimed,))
    row.fences.append(
        FenceCell(epoch + 1, (claimed._replace(incarnation="another"), FenceEntry(epoch + 1, 1 << 60, 0)))
    )


@breaks(Code.FENCE_UNEXPECTED, EMBEDDED)
def a_fence_where_none_is_needed(row: AliceRow) -> None:
    row.fences.append(FenceCell(EPOCH, (FenceEntry(EPOCH, 0, 0),)))


@breaks(Code.FENCE_UNEXPECTED, EMBEDDED)
def an_outbox_where_none_is_needed(row: AliceRow) -> None:
    row.outbox += AliceRow(fenced=True).outbox[:1]


@breaks(Code.FENCE_ORDER, FENCED)
def epochs_that_descend(row: AliceRow) -> None:
    row.fences[:] = [FenceCell(EPOCH, (FenceEntry(EPOCH + 1, 0, 0), FenceEntry(EPOCH, 0, 0)))]


@breaks(Code.FENCE_ORDER, FENCED)
def starts_that_descend(row: AliceRow) -> None:
    row.fences[:] = [FenceCell(EPOCH, (FenceEntry(OLD_EPOCH, 1, 0), FenceEntry(EPOCH, 0, 0)))]


@breaks(Code.FENCE_ORDER, FENCED)
def a_list_in_another_epochs_cell(row: AliceRow) -> None:
    row.fences.append(FenceCell(OLD_EPOCH, (FenceEntry(OLD_EPOCH + 1, 0, 0),)))


@breaks(Code.FENCE_ORDER, FENCED)
def a_folded_entry_in_the_middle(row: AliceRow) -> None:
    row.fences[:] = [FenceCell(EPOCH, (FenceEntry(OLD_EPOCH, 0, 0), FenceEntry(EPOCH, 0, 0, folded=True)))]


@breaks(Code.EPOCH_ABOVE_FENCE, FENCED)
def a_cell_of_an_epoch_that_never_claimed(row: AliceRow) -> None:
    row.log.append(replace(row.log[-1], epoch=EPOCH + 1))


@breaks(Code.EPOCH_MIXED, EMBEDDED)
def a_cell_of_another_epoch(row: AliceRow) -> None:
    row.log.append(replace(row.log[-1], epoch=EPOCH + 1))


@breaks(Code.ABOVE_HEAD)
def a_version_that_the_index_does_not_know(row: AliceRow) -> None:
    row.log.append(read_mark_entry(row.log[-1].version + 1, WITH_BOB, row.ids.from_bob))


@breaks(Code.VERSION_REUSED)
def two_log_entries_of_one_version(row: AliceRow) -> None:
    row.log.append(row.log[-1])


@breaks(Code.VERSION_REUSED)
def a_read_mark_with_the_version_of_a_message(row: AliceRow) -> None:
    row.change_log(row.ids.from_bob, kind=ChangeKind.READ_MARK)


@breaks(Code.VERSION_REUSED)
def two_messages_of_one_version(row: AliceRow) -> None:
    row.drop_log(lambda cell: cell.version == row.message(row.ids.from_bob).version)
    row.change_message(row.ids.from_bob, version=row.message(row.ids.again_from_bob).version)


# A conversation's state


@breaks(Code.INDEX_CELL, FENCED)
def a_state_before_that_is_as_new(row: AliceRow) -> None:
    row.states = [replace(cell, previous=cell.current) for cell in row.states[:1]] + row.states[1:]


@breaks(Code.STATE_MISSING)
def a_change_of_an_unknown_conversation(row: AliceRow) -> None:
    row.log.append(read_mark_entry(just_before(row, row.ids.from_bob), b"?" * 16, LAST_ID))


@breaks(Code.PARTICIPANTS)
def the_user_takes_no_part(row: AliceRow) -> None:
    row.change_state(WITH_CAROL, participants=("carol", "bob"))


@breaks(Code.PARTICIPANTS)
def a_participant_twice(row: AliceRow) -> None:
    row.change_state(WITH_CAROL, participants=("carol", "alice", "carol"))


@breaks(Code.PARTICIPANTS)
def a_sender_who_takes_no_part(row: AliceRow) -> None:
    row.change_message(row.ids.from_bob, sender_id="mallory")


@breaks(Code.LAST_MESSAGE)
def a_newest_message_that_is_not_there(row: AliceRow) -> None:
    row.change_state(WITH_BOB, last_message_id=LAST_ID)


@breaks(Code.LAST_MESSAGE)
def a_newer_message_than_the_state_says(row: AliceRow) -> None:
    row.change_state(WITH_BOB, last_message_id=row.ids.from_bob)


@breaks(Code.LAST_VERSION)
def another_version_of_the_newest_message(row: AliceRow) -> None:
    row.change_state(WITH_BOB, last_message_version=row.state(WITH_BOB).last_message_version - 1)


@breaks(Code.LAST_SENDER)
def a_newest_message_of_somebody_else(row: AliceRow) -> None:
    row.change_state(WITH_BOB, last_sender=1 - row.state(WITH_BOB).last_sender)


@breaks(Code.LAST_SENDER)
def a_newest_message_of_nobody(row: AliceRow) -> None:
    row.change_state(WITH_BOB, last_sender=7)


@breaks(Code.SNIPPET)
def a_snippet_that_is_too_long(row: AliceRow) -> None:
    row.change_state(WITH_BOB, snippet="x" * 101)


@breaks(Code.SNIPPET)
def a_snippet_that_ended_before_its_message(row: AliceRow) -> None:
    row.change_state(WITH_BOB, snippet="")


@breaks(Code.READ_MARK)
def a_mark_behind_the_newest_message(row: AliceRow) -> None:
    row.change_state(WITH_BOB, read_mark=LAST_ID, unread_count=0)


@breaks(Code.READ_MARK)
def a_mark_at_no_message(row: AliceRow) -> None:
    row.change_state(WITH_BOB, read_mark=row.ids.from_bob[:-1] + b"\xff")


@breaks(Code.READ_MARK)
def a_mark_that_moved_back(row: AliceRow) -> None:
    since = row.message(row.ids.from_bob).version
    row.change_state(WITH_BOB, read_mark=row.ids.to_bob, unread_count=2, unread_since=since)


@breaks(Code.UNREAD_COUNT)
def one_unread_too_many(row: AliceRow) -> None:
    row.change_state(WITH_BOB, unread_count=2)


@breaks(Code.UNREAD_COUNT)
def one_unread_too_few(row: AliceRow) -> None:
    row.change_state(WITH_BOB, unread_count=0)


@breaks(Code.UNREAD_COUNT)
def a_count_that_outlives_what_it_counts(row: AliceRow) -> None:
    row.change_state(WITH_BOB, unread_since=row.state(WITH_BOB).unread_since + 1)


@breaks(Code.OWN_BEHIND_MARK)
def an_own_message_that_is_unread(row: AliceRow) -> None:
    row.change_state(WITH_CAROL, read_mark=row.ids.to_carol)


@breaks(Code.CREATED_VERSION)
def a_message_older_than_its_conversation(row: AliceRow) -> None:
    row.change_state(WITH_CAROL, created_version=row.message(row.ids.to_carol).version)


@breaks(Code.STATE_BEHIND)
def a_state_older_than_its_newest_message(row: AliceRow) -> None:
    row.now_us += 9 * DAY_US  # the log, which would know better, has expired
    row.log.clear()
    row.states = [replace(cell, previous=None) for cell in row.states]
    row.change_state(WITH_CAROL, version=row.message(row.ids.to_carol).version)


@breaks(Code.STATE_VERSION)
def a_state_that_the_log_does_not_know(row: AliceRow) -> None:
    row.change_state(WITH_CAROL, version=row.state(WITH_CAROL).version + 1)


# Messages and the log


@breaks(Code.MESSAGE_DOUBLED)
def a_message_delivered_twice(row: AliceRow) -> None:
    version = just_before(row, row.ids.again_from_bob)
    row.messages.append(replace(row.message(row.ids.from_bob), version=version))
    row.log.append(LogCell(version, EPOCH, ChangeKind.MESSAGE, WITH_BOB, row.ids.from_bob))


@breaks(Code.SENT_TIMESTAMP)
def a_message_that_came_before_it_was_sent(row: AliceRow) -> None:
    sent_us = row.message(row.ids.again_from_bob).version
    row.rename(row.ids.again_from_bob, message_id(sent_us, 7))


@breaks(Code.SENT_TIMESTAMP)
def an_own_message_of_another_time(row: AliceRow) -> None:
    sent_us = just_before(row, row.ids.again_to_carol)
    row.rename(row.ids.again_to_carol, message_id(sent_us, 7))


@breaks(Code.LOG_MISSING)
def a_message_that_is_not_in_the_log(row: AliceRow) -> None:
    row.drop_log(lambda cell: cell.version == row.message(row.ids.from_bob).version)


@breaks(Code.LOG_WITHOUT_MESSAGE)
def a_log_entry_of_no_message(row: AliceRow) -> None:
    row.log.append(LogCell(just_before(row, row.ids.from_bob), EPOCH, ChangeKind.MESSAGE, WITH_BOB, LAST_ID))


@breaks(Code.LOG_WITHOUT_MESSAGE)
def a_log_entry_that_names_another_message(row: AliceRow) -> None:
    row.change_log(row.ids.from_bob, message_id=row.ids.again_from_bob)


# Sends


@breaks(Code.CLIENT_MESSAGE_ID)
def an_own_message_without_a_client_message_id(row: AliceRow) -> None:
    row.change_message(row.ids.to_bob, client_message_id=None)
    row.drop_record(row.ids.to_bob)


@breaks(Code.CLIENT_MESSAGE_ID)
def anothers_message_with_a_client_message_id(row: AliceRow) -> None:
    row.change_message(row.ids.from_bob, client_message_id="theirs")


@breaks(Code.CLIENT_MESSAGE_ID_REUSED)
def two_messages_with_one_client_message_id(row: AliceRow) -> None:
    row.change_message(row.ids.to_carol, client_message_id="c2")
    row.drop_record(row.ids.to_carol)


@breaks(Code.DEDUPE_MISSING)
def an_own_message_without_a_record(row: AliceRow) -> None:
    row.drop_record(row.ids.to_bob)


@breaks(Code.DEDUPE_DOUBLED)
def two_records_of_one_client_message_id(row: AliceRow) -> None:
    record = row.dedupe[0]
    row.dedupe.append(replace(record, version=record.version - 1))


@breaks(Code.DEDUPE_DIFFERS)
def a_record_of_another_payload(row: AliceRow) -> None:
    row.change_record(row.ids.to_bob, payload_hash=b"?" * 16)


@breaks(Code.DEDUPE_DIFFERS)
def a_record_of_another_conversation(row: AliceRow) -> None:
    row.change_record(row.ids.to_bob, conversation_id=WITH_CAROL)


@breaks(Code.DEDUPE_DIFFERS)
def a_record_of_another_version(row: AliceRow) -> None:
    row.change_record(row.ids.to_bob, version=just_before(row, row.ids.to_bob))


@breaks(Code.DEDUPE_WITHOUT_MESSAGE)
def a_record_of_no_message(row: AliceRow) -> None:
    version = just_before(row, row.ids.to_bob)
    row.dedupe.append(DedupeCell(b"?" * 16, EPOCH, version, LAST_ID, WITH_BOB, b"?" * 16))


@breaks(Code.OUTBOX, FENCED)
def an_outbox_with_another_text(row: AliceRow) -> None:
    parcel = row.outbox[0]
    row.outbox[0] = replace(parcel, message=replace(parcel.message, content="another"))


@breaks(Code.OUTBOX, FENCED)
def an_outbox_with_anothers_message(row: AliceRow) -> None:
    parcel = row.outbox[0]
    row.outbox[0] = replace(parcel, message=replace(parcel.message, sender_id="bob"))


@breaks(Code.OUTBOX, FENCED)
def an_outbox_with_no_message(row: AliceRow) -> None:
    version = just_before(row, row.ids.to_bob)
    sent = Message(message_id(version, 7), WITH_BOB, "alice", ("alice", "bob"), "lost")
    row.outbox.append(replace(row.outbox[0], message_id=sent.message_id, version=version, message=sent))


@pytest.mark.parametrize("fenced", BOTH)
def test_a_row_that_the_core_wrote_has_no_finding(fenced: bool) -> None:
    assert AliceRow(fenced=fenced).check() == []


# Messages that were changed


@breaks(Code.CHANGED_MESSAGE)
def a_message_that_was_taken_back_and_has_a_text(row: AliceRow) -> None:
    row.change(row.ids.to_bob, None)
    row.messages = [replace(cell, content="a text") if cell.change else cell for cell in row.messages]


@breaks(Code.CHANGED_MESSAGE)
def an_edit_behind_an_unsend(row: AliceRow) -> None:
    row.change(row.ids.to_bob, "edited")
    row.change(row.ids.to_bob, "edited again")
    first = next(cell for cell in row.messages if cell.content == "edited")
    row.messages = [
        replace(cell, content="", change=Change(cell.version, is_unsent=True)) if cell is first else cell
        for cell in row.messages
    ]
    row.log = [replace(one, kind=ChangeKind.UNSEND) if one.version == first.version else one for one in row.log]


@breaks(Code.CHANGED_MESSAGE)
def a_change_of_which_the_conversation_does_not_tell(row: AliceRow) -> None:
    row.take_change(row.ids.from_bob, "no")
    row.change_state(WITH_BOB, changed_at=row.state(WITH_BOB).changed_at - 1)


@breaks(Code.CHANGED_MESSAGE)
def a_change_that_changed_the_sender(row: AliceRow) -> None:
    row.take_change(row.ids.from_bob, "no")
    row.messages = [
        replace(cell, client_message_id=None, sender_id="alice")
        if not cell.change and cell.message_id == row.ids.from_bob
        else cell
        for cell in row.messages
    ]


@breaks(Code.CHANGED_MESSAGE)
def an_own_change_of_another_version(row: AliceRow) -> None:
    row.change(row.ids.to_bob, "edited")
    row.messages = [
        replace(cell, change=Change(cell.version - 1)) if cell.change is not None else cell for cell in row.messages
    ]
    row.outbox = [parcel for parcel in row.outbox if parcel.message.change is None]


@breaks(Code.SNIPPET)
def a_snippet_of_what_was_taken_back(row: AliceRow) -> None:
    row.change(row.ids.again_to_carol, None)
    row.change_state(WITH_CAROL, last_is_unsent=False, snippet="how are you?")


@breaks(Code.LOG_WITHOUT_MESSAGE)
def a_change_that_is_lost(row: AliceRow) -> None:
    row.take_change(row.ids.from_bob, "no")
    row.messages = [cell for cell in row.messages if cell.change is None]


@breaks(Code.LOG_WITHOUT_MESSAGE)
def a_change_whose_log_entry_is_of_a_message_that_came_at_another_time(row: AliceRow) -> None:
    """A delta looks for the cell of just that, and does not find it."""
    row.take_change(row.ids.from_bob, "no")
    row.log = [replace(one, first_version=0) if one.kind is ChangeKind.EDIT else one for one in row.log]


@breaks(Code.LOG_MISSING)
def a_change_that_the_log_does_not_tell(row: AliceRow) -> None:
    row.take_change(row.ids.from_bob, "no")
    row.mark_read(WITH_BOB, row.ids.again_from_bob)
    row.drop_log(lambda cell: cell.kind is ChangeKind.EDIT)


@breaks(Code.OUTBOX, FENCED)
def a_change_on_its_way_that_was_not_made(row: AliceRow) -> None:
    row.change(row.ids.to_bob, "edited")
    other = replace(row.outbox[-1].message, message_id=row.ids.again_to_carol)
    row.outbox[-1] = replace(row.outbox[-1], message=other)


@breaks(Code.OUTBOX, FENCED)
def a_change_on_its_way_of_no_message(row: AliceRow) -> None:
    row.change(row.ids.to_bob, "edited")
    other = message_id(row.now_us, 5)
    row.outbox[-1] = replace(row.outbox[-1], message=replace(row.outbox[-1].message, message_id=other))


# Reactions


def with_reactions(row: AliceRow, message: bytes, *reactions: Reaction) -> None:
    """Puts others in the place of a message's reactions, wherever it has some."""
    row.messages = [
        replace(cell, reactions=reactions) if cell.message_id == message and cell.reactions else cell
        for cell in row.messages
    ]


@breaks(Code.CHANGED_MESSAGE)
def a_message_that_was_taken_back_and_has_a_reaction(row: AliceRow) -> None:
    row.change(row.ids.to_bob, None)
    row.messages = [
        replace(cell, reactions=(Reaction("bob", UP, 1),)) if cell.is_unsent else cell for cell in row.messages
    ]
    row.log = [replace(one, kind=ChangeKind.EDIT) if one.kind is ChangeKind.UNSEND else one for one in row.log]


@breaks(Code.CHANGED_MESSAGE)
def two_reactions_of_one_user(row: AliceRow) -> None:
    row.take_reaction(row.ids.to_bob, "bob", UP)
    with_reactions(row, row.ids.to_bob, Reaction("bob", UP, 1), Reaction("bob", UP, 2))


@breaks(Code.CHANGED_MESSAGE)
def a_reaction_that_went_back(row: AliceRow) -> None:
    row.take_reaction(row.ids.to_bob, "bob", UP)
    row.take_reaction(row.ids.to_bob, "bob", "")
    newest = row.message(row.ids.to_bob)
    row.messages = [replace(cell, reactions=()) if cell == newest else cell for cell in row.messages]
    row.messages = [
        replace(cell, reactions=(Reaction("alice", UP, 1),)) if cell.version == newest.version else cell
        for cell in row.messages
    ]


@breaks(Code.CHANGED_MESSAGE)
def an_own_reaction_that_is_newer_than_its_message(row: AliceRow) -> None:
    row.react(row.ids.from_bob, UP)
    with_reactions(row, row.ids.from_bob, Reaction("alice", UP, row.now_us + 1))


@breaks(Code.CHANGED_MESSAGE)
def a_reaction_of_which_the_conversation_does_not_tell(row: AliceRow) -> None:
    row.take_reaction(row.ids.from_bob, "bob", UP)
    row.change_state(WITH_BOB, changed_at=row.state(WITH_BOB).changed_at - 1)


@breaks(Code.PARTICIPANTS)
def a_reaction_of_somebody_else(row: AliceRow) -> None:
    row.take_reaction(row.ids.from_bob, "bob", UP)
    with_reactions(row, row.ids.from_bob, Reaction("mallory", UP, 1))


@breaks(Code.LOG_WITHOUT_MESSAGE)
def a_reaction_that_the_log_calls_an_edit(row: AliceRow) -> None:
    row.take_reaction(row.ids.from_bob, "bob", UP)
    row.log = [replace(one, kind=ChangeKind.EDIT) if one.kind is ChangeKind.REACTION else one for one in row.log]


@breaks(Code.LOG_MISSING)
def a_reaction_that_the_log_does_not_tell(row: AliceRow) -> None:
    row.take_reaction(row.ids.from_bob, "bob", UP)
    row.mark_read(WITH_BOB, row.ids.again_from_bob)
    row.drop_log(lambda cell: cell.kind is ChangeKind.REACTION)


@breaks(Code.DEDUPE_DIFFERS)
def a_message_with_a_reaction_and_another_text(row: AliceRow) -> None:
    row.take_reaction(row.ids.to_bob, "bob", UP)
    row.change_message(row.ids.to_bob, content="another text")
    row.outbox = []


@breaks(Code.OUTBOX, FENCED)
def a_reaction_on_its_way_that_was_not_done(row: AliceRow) -> None:
    row.react(row.ids.from_bob, UP)
    other = replace(row.outbox[-1].message, message_id=row.ids.again_from_bob)
    row.outbox[-1] = replace(row.outbox[-1], message=other)


@breaks(Code.OUTBOX, FENCED)
def a_reaction_on_its_way_to_no_message(row: AliceRow) -> None:
    row.react(row.ids.from_bob, UP)
    other = message_id(row.now_us, 5)
    row.outbox[-1] = replace(row.outbox[-1], message=replace(row.outbox[-1].message, message_id=other))


@breaks(Code.OUTBOX, FENCED)
def a_reaction_of_another_on_its_way(row: AliceRow) -> None:
    row.react(row.ids.from_bob, UP)
    message = row.outbox[-1].message
    others = replace(message, reaction=Reaction("bob", UP, message.reaction.version if message.reaction else 0))
    row.outbox[-1] = replace(row.outbox[-1], message=others)


def disappearing(row: AliceRow) -> bytes:
    """What Alice and Bob write lasts for an hour: he wrote one such message, which is unread; it is."""
    row.set_ttl(MIN_TTL_MS)
    return row.deliver("bob", "gone soon", row.now_us + SECOND_US // 2 + MIN_TTL_MS * 1000)


@breaks(Code.ENDS)
def a_ttl_of_a_length_that_nobody_can_set(row: AliceRow) -> None:
    row.set_ttl(MIN_TTL_MS)
    row.change_ttl(ttl_ms=MIN_TTL_MS - 1)


@breaks(Code.ENDS)
def a_message_that_ends_sooner_than_any_ttl_says(row: AliceRow) -> None:
    row.set_ttl(MIN_TTL_MS)
    row.deliver("bob", "gone soon", row.now_us + MIN_TTL_MS * 1000 // 2)


@breaks(Code.ENDS)
def a_message_with_an_end_in_a_row_that_does_not_say_that_there_are_such(row: AliceRow) -> None:
    disappearing(row)
    row.states = [cell for cell in row.states if cell.kind != TTL.letter]


@breaks(Code.ENDS)
def a_snippet_that_is_said_to_end_at_another_time(row: AliceRow) -> None:
    disappearing(row)
    row.change_state(WITH_BOB, snippet_expires=row.state(WITH_BOB).snippet_expires + 1)


@breaks(Code.ENDS)
def an_unread_message_that_is_said_to_end_at_another_time(row: AliceRow) -> None:
    disappearing(row)
    row.change_state(WITH_BOB, unread_expires=0)


@pytest.mark.parametrize("fenced", BOTH)
@pytest.mark.parametrize("is_removed", [False, True], ids=["still there", "gone"])
def test_a_message_that_has_ended_may_be_there_and_may_be_gone(fenced: bool, is_removed: bool) -> None:
    row = AliceRow(fenced=fenced)
    ended = disappearing(row)
    row.send("bob", "gone soon, too", "b2")
    assert row.check() == []
    row.now_us += MIN_TTL_MS * 1000
    if is_removed:
        row.messages = [cell for cell in row.messages if not cell.expires_us]
        assert ended not in {cell.message_id for cell in row.messages}
    assert row.check() == []


@pytest.mark.parametrize("fenced", BOTH)
@pytest.mark.parametrize("is_removed", [False, True])
def test_reactions_go_with_edits_and_an_unsend(fenced: bool, is_removed: bool) -> None:
    row = AliceRow(fenced=fenced)
    row.take_reaction(row.ids.to_bob, "bob", UP)
    row.change(row.ids.to_bob, "edited")
    row.react(row.ids.to_bob, UP)
    row.take_reaction(row.ids.to_bob, "bob", "")
    row.take_reaction(row.ids.again_from_bob, "bob", UP)
    row.take_change(row.ids.again_from_bob, "y" * 200)
    row.react(row.ids.again_to_carol, UP)
    row.change(row.ids.again_to_carol, None)
    if is_removed:
        row.messages = [cell for cell in row.messages if cell == row.message(cell.message_id)]
    assert row.check() == []


def test_a_profile_and_its_changes_are_right() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(CreateProfile("Alice"))
        row.do(UpdateProfile("Al"))
        assert row.check() == []


def test_contacts_and_their_changes_are_right() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(SetContact("bob", "Bob", is_favourite=True))
        row.do(SetContact("bob", is_removed=True))
        row.do(SetContact("bob"))
        row.do(SetContact("carol", is_removed=True))
        assert row.check() == []


@breaks(Code.ACCOUNT)
def a_contact_of_somebody_else_than_its_key(row: AliceRow) -> None:
    row.do(SetContact("carol"))
    row.change_contact(user_id="mallory")


@breaks(Code.ACCOUNT)
def a_contact_who_was_removed_before_he_was_made_one(row: AliceRow) -> None:
    row.do(SetContact("carol"))
    row.change_contact(ended=1)


@breaks(Code.ACCOUNT)
def a_contact_who_was_removed_and_has_a_name(row: AliceRow) -> None:
    row.do(SetContact("carol", "Carol"))
    row.do(SetContact("carol", is_removed=True))
    row.change_contact(alias="Carol")


def hides(row: AliceRow) -> bytes:
    """Alice blocks Carol, who writes."""
    row.do(BlockUser("carol"))
    return row.deliver("carol", "unseen")


def test_what_is_hidden_is_right() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        hides(row)
        row.do(UnblockUser("carol"))
        row.deliver("carol", "seen")
        assert row.check() == []


@breaks(Code.HIDDEN)
def a_hidden_message_of_somebody_else(row: AliceRow) -> None:
    row.change_message(hides(row), sender_id="mallory")


@breaks(Code.HIDDEN)
def a_block_that_counts_too_few(row: AliceRow) -> None:
    hides(row)
    hides(row)
    row.change_block(hidden=1)


@breaks(Code.HIDDEN)
def a_block_that_names_no_message_of_those_that_it_counts(row: AliceRow) -> None:
    hides(row)
    row.change_block(hidden_from=b"")


@breaks(Code.HIDDEN)
def a_hidden_message_that_the_block_does_not_know(row: AliceRow) -> None:
    hides(row)
    row.change_block(kept_up_to=row.ids.from_carol)


@breaks(Code.HIDDEN)
def a_block_of_somebody_else_than_its_key(row: AliceRow) -> None:
    row.do(BlockUser("carol"))
    row.change_block(user_id="mallory")


@breaks(Code.HIDDEN)
def a_block_that_ended_before_it_began(row: AliceRow) -> None:
    row.do(BlockUser("carol"))
    row.change_block(ended=1)


@breaks(Code.STATE_MISSING)
def a_hidden_message_without_a_block(row: AliceRow) -> None:
    hides(row)
    row.states = [cell for cell in row.states if cell.kind != BLOCK.letter]
    row.drop_log(lambda one: one.kind is ChangeKind.ACCOUNT)
    row.mark_read(WITH_BOB, row.ids.again_from_bob)


@breaks(Code.ACCOUNT)
def a_profile_that_says_of_strangers_what_nobody_knows(row: AliceRow) -> None:
    row.do(CreateProfile("Alice"))
    row.change_profile(messages_from="friends")


@breaks(Code.OWN_SETTINGS)
def more_conversations_wait_than_may(row: AliceRow) -> None:
    row.do(CreateProfile("Alice", messages_from=CONTACTS))
    for number in range(MOST_REQUESTS):
        row.deliver(f"u{number}", "hello")
    row.do(SetConversation(WITH_BOB, is_archived=True))
    row.change_own(is_request=True)


def test_conversations_that_wait_to_be_accepted_are_right() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(CreateProfile("Alice", messages_from=CONTACTS, group_adds=CONTACTS))
        row.do(SetContact("dave"))
        for sender in ("dave", "eve", "fay"):
            row.deliver(sender, "hello")
        row.do(SetConversation(direct_conversation_id("alice", "eve"), accepts=True))
        row.do(DeleteConversation(direct_conversation_id("alice", "fay")))
        assert row.check() == []


@breaks(Code.ACCOUNT)
def a_profile_without_a_name(row: AliceRow) -> None:
    row.do(CreateProfile("Alice"))
    row.change_profile(name="")


@breaks(Code.ACCOUNT)
def a_profile_that_came_after_its_last_change(row: AliceRow) -> None:
    row.do(CreateProfile("Alice"))
    row.change_profile(created_version=row.now_us + 1)


@breaks(Code.ACCOUNT)
def a_change_of_the_account_that_only_the_log_tells(row: AliceRow) -> None:
    row.do(CreateProfile("Alice"))
    row.states = [cell for cell in row.states if cell.kind != PROFILE.letter]
    row.mark_read(WITH_BOB, row.ids.again_from_bob)


@breaks(Code.ERASED)
def a_deleted_user_of_whom_something_is_left(row: AliceRow) -> None:
    row.do(CreateProfile("Alice"))
    done = Erasure(ErasureStep.DONE, row.now_us, LAST_ID, row.now_us, row.now_us)
    row.change_profile(name="", erasure=done)


def test_of_a_deleted_user_nobody_knows_what_is_left_until_his_erasure_is_done() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(CreateProfile("Alice"))
        row.change_profile(name="", erasure=Erasure(ErasureStep.WIPING, row.now_us, LAST_ID))
        row.messages = row.messages[1:]
        assert row.check() == []


def test_conversations_that_their_user_has_set_are_right() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(SetConversation(WITH_BOB, is_archived=True, is_marked_unread=True))
        row.do(SetConversation(WITH_CAROL, muted_until=row.now_us * 2, is_pinned=True))
        row.mark_read(WITH_BOB, row.ids.again_from_bob)
        assert row.check() == []


@breaks(Code.OWN_SETTINGS)
def settings_of_a_conversation_that_is_not_there(row: AliceRow) -> None:
    row.do(SetConversation(WITH_BOB, is_archived=True))
    own = next(cell for cell in row.states if cell.kind == OWN.letter)
    row.states.append(replace(own, key=bytes(16)))


@breaks(Code.OWN_SETTINGS)
def a_floor_above_the_change_that_made_it(row: AliceRow) -> None:
    row.do(DeleteConversation(WITH_BOB))
    floor = row.now_us + 5 * SECOND_US
    row.states = [
        replace(cell, current=replace(cell.current, floor=floor)) if cell.kind == OWN.letter else cell
        for cell in row.states
    ]


@breaks(Code.OWN_SETTINGS)
def a_conversation_that_is_deleted_and_tells_of_a_message(row: AliceRow) -> None:
    row.do(DeleteConversation(WITH_BOB))
    row.states = [
        replace(cell, current=replace(cell.current, snippet="yes"))
        if (cell.kind, cell.key) == (CONVERSATION.letter, WITH_BOB)
        else cell
        for cell in row.states
    ]


def test_a_conversation_that_was_deleted_may_lack_any_message() -> None:
    for fenced in (False, True):
        row = AliceRow(fenced=fenced)
        row.do(DeleteConversation(WITH_BOB))
        assert row.check() == []
        row.messages = [cell for cell in row.messages if cell.conversation_id != WITH_BOB]
        assert row.check() == []
        row.deliver("bob", "again")
        row.send("bob", "yes?", "b2")
        assert row.check() == []


@breaks(Code.OWN_SETTINGS)
def more_than_may_be_are_pinned(row: AliceRow) -> None:
    for number in range(21):
        row.send(f"u{number}", "hello", f"u{number}")
        row.do(SetConversation(direct_conversation_id("alice", f"u{number}"), is_archived=True))
    row.states = [
        replace(cell, current=replace(cell.current, is_pinned=True)) if cell.kind == OWN.letter else cell
        for cell in row.states
    ]


def receipts(row: AliceRow) -> None:
    row.take_receipt(row.ids.to_bob, is_read=False)
    row.take_receipt(row.ids.to_bob, is_read=True)
    row.note_told(WITH_BOB, row.ids.from_bob)


@breaks(Code.RECEIPTS)
def a_message_that_is_read_and_not_delivered(row: AliceRow) -> None:
    receipts(row)
    row.change_receipts(delivered=b"")
    row.drop_log(lambda cell: cell.kind is ChangeKind.RECEIPT)
    row.change_receipts(shown=0)


@breaks(Code.RECEIPTS)
def a_receipt_of_a_message_that_is_to_come(row: AliceRow) -> None:
    receipts(row)
    row.change_receipts(delivered=b"\xff" * 16)


@breaks(Code.RECEIPTS)
def a_read_mark_that_was_told_and_is_none(row: AliceRow) -> None:
    receipts(row)
    row.change_receipts(told_read=row.ids.again_from_bob)


@breaks(Code.RECEIPTS)
def receipts_that_the_log_does_not_tell(row: AliceRow) -> None:
    receipts(row)
    row.drop_log(lambda cell: cell.kind is ChangeKind.RECEIPT)


@breaks(Code.RECEIPTS)
def receipts_that_only_the_log_tells(row: AliceRow) -> None:
    receipts(row)
    row.states = [cell for cell in row.states if cell.kind != RECEIPTS.letter]
    row.mark_read(WITH_BOB, row.ids.again_from_bob)


@breaks(Code.RECEIPTS)
def receipts_that_went_back(row: AliceRow) -> None:
    row.take_receipt(row.ids.to_bob, is_read=True)
    row.change_receipts(delivered=row.ids.from_carol, read=row.ids.from_carol)


@pytest.mark.parametrize("fenced", BOTH)
@pytest.mark.parametrize("is_removed", [False, True])
def test_the_cell_before_a_change_may_be_there_and_may_be_gone(fenced: bool, is_removed: bool) -> None:
    row = AliceRow(fenced=fenced)
    row.change(row.ids.to_bob, "edited")
    row.change(row.ids.to_bob, "edited again")
    row.change(row.ids.again_to_carol, None)
    row.take_change(row.ids.again_from_bob, "y" * 200)
    if is_removed:
        row.messages = [cell for cell in row.messages if cell == row.message(cell.message_id)]
    assert row.check() == []


@pytest.mark.parametrize(
    ("code", "fenced", "change"),
    [pytest.param(*case, id=f"{case[2].__name__}-{'fenced' if case[1] else 'embedded'}") for case in BREAKS],
)
def test_what_is_broken_is_found_and_nothing_else(code: Code, fenced: bool, change: Break) -> None:
    row = AliceRow(fenced=fenced)
    change(row)
    found = row.check()
    assert {finding.code for finding in found} == {code}, found
    assert {finding.user_id for finding in found} == {"alice"}


def test_every_invariant_of_one_row_is_broken_here() -> None:
    of_bytes = {Code.UNREADABLE_CELL, Code.WRONG_ROW, Code.NO_INDEX}
    across_rows = {Code.COPY_MISSING, Code.COPY_DIFFERS, Code.COPY_UNSENT, Code.RECEIPT_AHEAD}
    of_groups = {Code.NOT_A_MEMBER, Code.GROUP_CHAIN}  # tests/owner/groups/test_group_check.py
    assert {code for code, _, _ in BREAKS} == set(Code) - of_bytes - across_rows - of_groups - {Code.MORE}


# What is no finding


@pytest.mark.parametrize("fenced", BOTH)
@pytest.mark.parametrize("is_purged", [False, True], ids=["still there", "gone"])
@pytest.mark.parametrize("days", [7, 8, 30])
def test_what_may_have_expired_may_be_gone_and_may_be_there(fenced: bool, is_purged: bool, days: int) -> None:
    row = AliceRow(fenced=fenced)
    row.now_us += days * DAY_US
    if is_purged:
        row.dedupe.clear()
        row.log = row.log if days < 8 else []
        row.messages = row.messages if days < 30 else []
        row.outbox = row.outbox if days < 30 else []
    assert row.check() == []


def test_what_cannot_have_expired_may_not_be_gone() -> None:
    row = AliceRow(fenced=False)
    row.now_us += 7 * DAY_US - 120_000_000
    row.dedupe.clear()
    assert {finding.code for finding in row.check()} == {Code.DEDUPE_MISSING}
    assert row.check(slack_us=240_000_000) == []


def test_an_unread_message_that_expires_stays_counted_until_that_is_settled() -> None:
    row = AliceRow(fenced=False)
    row.now_us += 30 * DAY_US
    assert row.check() == []
    row.change_state(WITH_BOB, unread_count=0, unread_since=0, snippet="")
    assert row.check() == [], "the store keeps its cell somewhat longer"
    row.messages = [cell for cell in row.messages if cell.message_id != row.ids.again_from_bob]
    assert row.check() == []
    row.change_state(WITH_BOB, unread_count=1)
    assert row.check() == [], "not settled yet"


def test_a_state_that_was_written_without_the_version_of_what_it_counts_is_no_finding() -> None:
    row = AliceRow(fenced=False)
    row.change_state(WITH_BOB, unread_since=0)
    assert row.check() == []
    row.change_state(WITH_BOB, unread_count=0)
    assert Code.UNREAD_COUNT in {finding.code for finding in row.check()}


def test_late_writes_of_a_replaced_owner_do_not_count() -> None:
    row = AliceRow(fenced=True)
    head = row.log[-1].version
    row.fences.append(FenceCell(EPOCH + 1, (*row.fence, FenceEntry(EPOCH + 1, head, 0))))
    state = replace(row.state(WITH_BOB), version=head + 5, unread_count=77)
    row.states = [
        replace(cell, current=state, previous=cell.current) if cell.key == WITH_BOB else cell for cell in row.states
    ]
    row.messages.append(replace(row.message(row.ids.from_bob), version=head + 5))
    row.log.append(LogCell(head + 5, EPOCH, ChangeKind.MESSAGE, WITH_BOB, row.ids.from_bob))
    assert row.check() == []


def test_a_client_message_id_may_be_used_again_after_its_life() -> None:
    row = AliceRow(fenced=False)
    row.now_us += 8 * DAY_US
    row.dedupe.clear()
    row.log.clear()
    row._mailbox.client_ids.drop_expired(row.now_us)
    row.send("carol", "good morning", "c1")
    assert row.check() == []


# The report of a row


def test_a_row_that_is_broken_throughout_does_not_fill_the_memory() -> None:
    report = Report("alice")
    for number in range(MOST_PER_ROW + 5):
        report(Code.SNIPPET, str(number))
    assert len(report.findings) == MOST_PER_ROW + 1
    assert report.findings[-1] == Finding(Code.MORE, "alice", "and 5 findings more in this row")
