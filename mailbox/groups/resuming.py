"""How a member's row goes on that was put back to an older state, as by a restore of a part of the store.

It lacks events that it had acknowledged, so the group's row keeps them no more: the first event that is still to be
delivered to it is a gap, whatever comes. Then the group's row says how things stood before that event (Resumed):
whether the user was in, and the newest messages of the time that he was in. The member's row takes that in one
mutation, in place of all that it lacks, and goes on along the chain: what is still to be delivered comes as it always
does. Messages before these stay missing, and what was done to messages that it has; as in a conversation of two, and
`rowbox check` names both.

A row that has come to that event takes nothing of it: so it does no harm late, twice, or to a row that lacks nothing.
"""

from collections.abc import Sequence
from typing import Final

from rowbox.mailbox.aggregate.needs import DedupeNeed, NewestNeed
from rowbox.mailbox.aggregate.plan import Plan, kind_of
from rowbox.mailbox.cells import MEMBERSHIP, ChangeKind, DedupeCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import Copied, Former, Group, GroupPart, Info, Member, Membership, Resumed, Standing
from rowbox.mailbox.ids import ZERO_ID, client_id_hash, is_quiet, message_id, payload_hash
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import tallies_of

MOST_COPIES: Final = 100
MOST_COPIES_BYTES: Final = 256 * 1024


def newest_need(conversation_id: bytes, prev: int) -> NewestNeed:
    """What the group's row has to know to say how things stood after the event of version `prev`."""
    return NewestNeed(conversation_id, message_id(prev + 1, 0), MOST_COPIES, MOST_COPIES_BYTES)


def resumption(
    conversation_id: bytes,
    group: Group,
    prev: int,
    stays: tuple[Member | None, Former | None],
    info: Info,
    held: Sequence[MessageCell | None],
) -> Message:
    """What the group's row says of a user: how things stood after the event of version `prev`.

    `stays`: how he is in now, and when he was in before, as far as that is kept. Name, role and member count are those
    of now: what has changed them since is still to be delivered. `held`: the newest messages up to there.
    """
    member, former = stays
    standing, since, until = former.standing if former is not None else Standing.REMOVED, 0, 0
    if member is not None and member.joined <= prev:
        standing, since, until = Standing.IN, member.joined, prev
    elif former is not None and former.joined <= prev:
        since, until = former.joined, min(prev, former.left)
        if prev < former.left:
            standing = Standing.IN
    role = member.role if member is not None else "member"
    copies = [_copied(cell) for cell in reversed(held) if cell is not None and since and since <= cell.came <= until]
    joined = since if standing is Standing.IN else 0
    resumed = Resumed(standing, joined, role, group.version, tuple(copies))
    part = GroupPart(prev, 0, (), info=info, resumed=resumed)
    return Message(message_id(prev, 0), conversation_id, "", (), "", group=part)


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
    )


def take_resumption(
    plan: Plan,
    conversation_id: bytes,
    part: GroupPart,
    chain: int,
    state: Conversation | None,
    known: Membership | None,
) -> int:
    """Takes it into the row, which has come to `chain`. Returns its version here; 0: the row is as far already."""
    resumed = part.resumed
    assert resumed is not None
    assert part.info is not None
    if part.version <= chain:
        return 0
    is_in = resumed.standing is Standing.IN
    for copy in resumed.copies:
        if copy.version > chain:
            state = _add(plan, conversation_id, copy, state)
    epoch, version = plan.stamp()
    standing = resumed.standing
    if not is_in and known is not None and known.standing is not Standing.IN:
        standing = known.standing
    joined = resumed.joined or (known.joined if known is not None else 0)
    of_info = part.info.name, part.info.member_count, part.info.first_members
    membership = Membership(
        version, epoch, standing, joined, resumed.role, resumed.group_version, *of_info, part.version
    )
    plan.put(MEMBERSHIP, membership, conversation_id)
    if is_in or state is not None:
        state = (state or Conversation.new_group(version)).with_chain(part.version, version, epoch)
        plan.put_conversation(conversation_id, state, ChangeKind.GROUP, ZERO_ID)
    return version


def _add(plan: Plan, conversation_id: bytes, copy: Copied, state: Conversation | None) -> Conversation | None:
    """Adds one message; the state after it."""
    change = Change(copy.changed, copy.is_unsent, copy.unsent_by) if copy.changed else None
    ids = copy.message_id, conversation_id, copy.sender_id
    message = Message(*ids, (), copy.content, change, None, GroupPart(copy.version, 0, (), told=copy.told))
    if message.is_expired(plan.seen_us, plan.retention_ms):
        return state
    version, epoch = plan.tick(max(message.sent_us, copy.changed)), plan.epoch
    state = state or Conversation.new_group(version)
    is_own = copy.sender_id == plan.user_id
    client_message_id = _own_id(plan, copy, version, conversation_id) if is_own and copy.told is None else None
    if is_own and state.unread_count:
        plan.note_read(conversation_id)
    tallies = tallies_of(copy.reactions, plan.user_id)
    newest = state.last_message_id
    plan.add_copy(message, message.sent_us, version, client_message_id, newest, copy.told, tallies)
    state = state.with_event(message, version, epoch, is_own=is_own)
    if change is not None:
        state = state.with_changed(message, version, epoch)
    elif tallies:
        state = state.with_reacted(version, epoch)
    kind = kind_of(change) if change is not None else ChangeKind.REACTION if tallies else ChangeKind.MESSAGE
    first_version = 0 if kind is ChangeKind.MESSAGE else version
    plan.put_conversation(conversation_id, state, kind, copy.message_id, first_version)
    plan.note_message(conversation_id, version, is_own=is_own, is_quiet=is_quiet(copy.message_id))
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
