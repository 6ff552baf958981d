"""Messages of a group as its row has them, on their way to a member's row that has not got them as events.

So it is with what stood in the time that a row has lost (resuming.py), and with what was written before somebody joined
(joining.py). They come as they are now, whatever was done to them, and as part of a mutation that makes more of them.
"""

from collections.abc import Iterable
from typing import Final

from rowbox.mailbox.aggregate.needs import DedupeNeed
from rowbox.mailbox.aggregate.plan import Plan, kind_of
from rowbox.mailbox.cells import ChangeKind, DedupeCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import Copied, GroupPart
from rowbox.mailbox.ids import client_id_hash, is_quiet, payload_hash
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import tallies_of

MOST_COPIES: Final = 100
MOST_COPIES_BYTES: Final = 256 * 1024


def copies_between(newest: Iterable[MessageCell | None], since: int, until: int) -> tuple[Copied, ...]:
    """Those of the newest messages of a group that came from the version `since` to `until`, the oldest first."""
    return tuple(reversed([_copied(cell) for cell in newest if cell is not None and since <= cell.came <= until]))


def _copied(cell: MessageCell) -> Copied:
    changed, by = (cell.change.version, cell.change.by) if cell.change is not None else (0, "")
    shown = tuple(one for one in cell.reactions if one.emoji)
    of_sender = cell.client_message_id or ""
    return Copied(
        cell.message_id,
        cell.came,
        cell.sender_id,
        cell.content,
        of_sender,
        changed,
        cell.is_unsent,
        cell.told,
        shown,
        by,
        cell.expires_us,
    )


def add_copied(
    plan: Plan, conversation_id: bytes, copy: Copied, state: Conversation | None, *, is_read: bool = False
) -> Conversation | None:
    """Adds one message; the state after it. `is_read`: it marks all read, and nobody is told of that; it calls nobody.

    What is not newer than all that is there is left out: the row has it, or it would come into the middle. (The row's
    chain does not tell: it may stand for a time when the user was out.)
    """
    if state is not None and copy.message_id <= state.last_message_id:
        return state
    change = Change(copy.changed, copy.is_unsent, copy.unsent_by) if copy.changed else None
    ids = copy.message_id, conversation_id, copy.sender_id
    part = GroupPart(copy.version, 0, (), told=copy.told)
    message = Message(*ids, (), copy.content, change, None, part, copy.expires_us)
    if message.is_expired(plan.seen_us, plan.retention_ms):
        return state
    version, epoch = plan.tick(max(message.sent_us, copy.changed)), plan.epoch
    state = state or Conversation.new_group(version)
    is_own = copy.sender_id == plan.user_id
    client_message_id = _own_id(plan, copy, version, conversation_id) if is_own and copy.told is None else None
    if is_own and not is_read and state.unread_count:
        plan.note_read(conversation_id)
    tallies = tallies_of(copy.reactions, plan.user_id)
    newest = state.last_message_id
    plan.add_copy(message, message.sent_us, version, client_message_id, newest, copy.told, tallies)
    state = state.with_event(message, version, epoch, is_own=is_own or is_read)
    if change is not None:
        state = state.with_changed(message, version, epoch)
    elif tallies:
        state = state.with_reacted(version, epoch)
    kind = kind_of(change) if change is not None else ChangeKind.REACTION if tallies else ChangeKind.MESSAGE
    first_version = 0 if kind is ChangeKind.MESSAGE else version
    plan.put_conversation(conversation_id, state, kind, copy.message_id, first_version, copy.expires_us)
    is_quiet_one = is_read or is_quiet(copy.message_id)
    plan.note_message(conversation_id, copy.message_id, version, is_own=is_own and not is_read, is_quiet=is_quiet_one)
    return state


def _own_id(plan: Plan, copy: Copied, version: int, conversation_id: bytes) -> str | None:
    """The user's own id of a message, under which he may try it again; None where the row may know another one by it.

    Of one that was edited the record is of the text as it is: what it was at first nobody knows.
    """
    hashed = client_id_hash(copy.client_message_id)
    if isinstance(plan.earlier_send(hashed, None), DedupeCell | DedupeNeed):
        return None
    payload = payload_hash(conversation_id, copy.content)
    plan.add_record(DedupeCell(hashed, plan.epoch, version, copy.message_id, conversation_id, payload))
    return copy.client_message_id
