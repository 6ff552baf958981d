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

from rowbox.mailbox.aggregate.needs import NewestNeed
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import MEMBERSHIP, TTL, ChangeKind, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.group import Former, Group, GroupPart, Info, Member, Membership, Resumed, Standing
from rowbox.mailbox.groups.copies import MOST_COPIES, MOST_COPIES_BYTES, add_copied, copies_between
from rowbox.mailbox.ids import ZERO_ID, message_id
from rowbox.mailbox.message import Message


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
    standing, since, until, joined = former.standing if former is not None else Standing.REMOVED, 0, 0, 0
    if member is not None and member.joined <= prev:
        standing, since, until, joined = Standing.IN, member.given_since or member.joined, prev, member.joined
    elif former is not None and former.joined <= prev:
        since, until = former.given_since or former.joined, min(prev, former.left)
        if prev < former.left:
            standing, joined = Standing.IN, former.joined
    role = member.role if member is not None else "member"
    copies = copies_between(held, since, until) if since else ()
    resumed = Resumed(standing, joined, role, group.version, copies)
    part = GroupPart(prev, 0, (), info=info, resumed=resumed)
    return Message(message_id(prev, 0), conversation_id, "", (), "", group=part)


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
        state = add_copied(plan, conversation_id, copy, state, is_read=copy.version < resumed.joined)
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
    note_ttl(plan, conversation_id, part.info, version)
    if is_in or state is not None:
        state = (state or Conversation.new_group(version)).with_chain(part.version, version, epoch)
        plan.put_conversation(conversation_id, state, ChangeKind.GROUP, ZERO_ID)
    return version


def note_ttl(plan: Plan, conversation_id: bytes, info: Info, version: int) -> None:
    """Keeps what an event says of how long the group's messages last, where that is news. The state is the caller's."""
    known = plan.state(TTL, conversation_id)
    if info.ttl_ms != (known.ttl_ms if known is not None else 0):
        plan.put(TTL, Ttl(version, plan.epoch, info.ttl_ms), conversation_id)
