"""What a member's row makes of a group's events, and says of its user's standing; as a part of a plan.

An event, its chain and all that it brings are one mutation (mailbox/groups/chain.py).
"""

from typing import Final

from msgspec.structs import replace

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, MessageNeed
from rowbox.mailbox.aggregate.plan import Plan, kind_of
from rowbox.mailbox.cells import MEMBERSHIP, ChangeKind, DedupeCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import EventGap, GroupDeleted, JoinDeclined, NotAllowed, NotAMember, UnknownConversation
from rowbox.mailbox.group import GroupPart, Info, Membership, Standing
from rowbox.mailbox.groups.chain import Place, Verdict, verdict
from rowbox.mailbox.groups.joining import take_earlier
from rowbox.mailbox.groups.requests import Deed, Delete, GroupChanged, Leave, Remove, Standpoint
from rowbox.mailbox.groups.resuming import note_ttl, take_resumption
from rowbox.mailbox.ids import ZERO_ID, client_id_hash, is_quiet
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import Tally, tallies_of

MOST_GROUPS: Final = 5_000
"""Of one user: whoever is in so many declines to come into another one."""


def take_event(
    plan: Plan, message: Message, fact: Fact | None = None, *, is_wanted: bool = True, most_groups: int = MOST_GROUPS
) -> int | DedupeNeed | MessageNeed | JoinDeclined:
    """Takes an event of a group into a member's row, once. `is_wanted`: its user would be brought in by its sender.

    Returns its version in this row, or 0 where it was taken before; or JoinDeclined, to be told once the plan is
    confirmed, where the row does not take its user's join: that is said whenever the join comes again. Raises EventGap
    where something that stands before the event was not taken. What stands for many events (Resumed) is taken as one.
    """
    part = message.group
    assert part is not None
    state = plan.conversation(message.conversation_id)
    known = plan.state(MEMBERSHIP, message.conversation_id)
    place = place_of(state, known)
    if part.resumed is not None:
        return take_resumption(plan, message.conversation_id, part, place.chain, state, known)
    judged = verdict(place, part, plan.user_id)
    if judged is Verdict.KNOWN:
        return 0
    if judged is Verdict.DECLINED:
        return _declined(part)
    if judged is Verdict.GAP:
        raise EventGap(f"an event that stands behind {part.prev} came to a row that has taken {place.chain}")
    is_in = part.joins.get(plan.user_id) is not None or (known is not None and known.standing is Standing.IN)
    if plan.user_id in part.joins and not (is_wanted and _groups_of(plan) < most_groups):
        _take_unseen(plan, message.conversation_id, part, known, Standing.DECLINED)
        return _declined(part)
    if not is_in:
        assert known is not None  # whoever is not in by this event has a chain
        standing = part.leaves.get(plan.user_id, known.standing)
        return _take_unseen(plan, message.conversation_id, part, known, standing)
    if message.change is not None or part.reactions is not None:
        return _take_change(plan, message, part, known, fact)
    if plan.user_id in part.joins:
        state = take_earlier(plan, message.conversation_id, part, state)
    return _take(plan, message, part, state, known, fact)


def place_of(state: Conversation | None, known: Membership | None) -> Place:
    """What a row has of a group."""
    in_state = state.group.chain if state is not None and state.group is not None else 0
    apart = known.chain if known is not None else 0
    return Place(max(in_state, apart), known is not None and known.standing is Standing.DECLINED)


def standpoint(mailbox: Mailbox, conversation_id: bytes, now_us: int) -> Standpoint:
    """What a request of the mailbox's user to a group says of him. UnknownConversation, NotAMember, GroupDeleted."""
    known = mailbox.state(MEMBERSHIP, conversation_id)
    if known is None or known.standing is Standing.DECLINED:
        raise UnknownConversation("no such conversation")
    if known.standing is Standing.DELETED:
        raise GroupDeleted("this group was deleted")
    if known.standing is not Standing.IN:
        raise NotAMember("you are not in this group any more")
    place = place_of(mailbox.index.get(conversation_id), known)
    return Standpoint(mailbox.user_id, known.joined, place.chain, now_us)


def may_create(mailbox: Mailbox, conversation_id: bytes) -> None:
    """NotAllowed where the mailbox's user is in as many groups as he may be, and this group would be one more."""
    if mailbox.state(MEMBERSHIP, conversation_id) is None and _groups_of(mailbox) >= MOST_GROUPS:
        raise NotAllowed(f"you are in {MOST_GROUPS} groups, and nobody may be in more")


def so_already(mailbox: Mailbox, conversation_id: bytes, deed: Deed) -> GroupChanged | None:
    """What a change is answered with by which the mailbox's user is out already; None: he is not out by such a one.

    It may be the second try of one whose first one nobody has answered, of which its client knows nothing.
    """
    known = mailbox.state(MEMBERSHIP, conversation_id)
    is_leaving = isinstance(deed, Leave) or (isinstance(deed, Remove) and deed.user_id == mailbox.user_id)
    by_it = Standing.LEFT if is_leaving else Standing.DELETED if isinstance(deed, Delete) else None
    if known is None or known.standing is not by_it:
        return None
    return GroupChanged(known.group_version, changed=False)


def _take(
    plan: Plan,
    message: Message,
    part: GroupPart,
    state: Conversation | None,
    known: Membership | None,
    fact: Fact | None,
) -> int | DedupeNeed:
    """Takes an event of a group in which the user is, or comes in by it."""
    is_own = message.sender_id == plan.user_id
    client_message_id = part.client_message_id if is_own and part.told is None else None
    if client_message_id is not None:
        record = plan.earlier_send(client_id_hash(client_message_id), fact)
        if isinstance(record, DedupeNeed):
            return record
        if record is not None:  # another message has taken this id meanwhile: this one goes without
            client_message_id = None
    version, conversation_id = plan.tick(message.sent_us), message.conversation_id
    state = state or Conversation.new_group(version)
    membership = _after(known, part, plan, version)
    if membership is not known:
        plan.put(MEMBERSHIP, membership, conversation_id)
    if part.info is not None:
        note_ttl(plan, conversation_id, part.info, version)
    if client_message_id is not None:  # of what has ended, too: the group's row forgets the send
        hashed, place = client_id_hash(client_message_id), (message.message_id, conversation_id)
        plan.add_record(DedupeCell(hashed, plan.epoch, version, *place, part.payload_hash))
    if message.is_expired(plan.seen_us, plan.retention_ms):
        state = state.with_chain(part.version, version, plan.epoch)
        plan.put_conversation(conversation_id, state, ChangeKind.GROUP, ZERO_ID)
        return version
    plan.add_copy(message, message.sent_us, version, client_message_id, state.last_message_id, part.told)
    if is_own and state.unread_count:
        plan.note_read(conversation_id)
    state = state.with_event(message, version, plan.epoch, is_own=is_own)
    told = ChangeKind.MESSAGE, message.message_id
    plan.put_conversation(conversation_id, state, *told, expires_us=message.expires_us)
    is_quiet_one = is_quiet(message.message_id)
    plan.note_message(conversation_id, message.message_id, version, is_own=is_own, is_quiet=is_quiet_one)
    return version


def _take_change(
    plan: Plan, message: Message, part: GroupPart, known: Membership | None, fact: Fact | None
) -> int | MessageNeed:
    """Takes a change of a message, or how members react to it. It reaches who has that message, and nobody else.

    Who came in later, or whose copy has ended, moves his chain alone, and hears nothing of it. So does who has got
    the message as it was after that already (copies.py).
    """
    held = plan.held(message.conversation_id, message.message_id, fact)
    if isinstance(held, MessageNeed):
        return held
    tallies = tallies_of(part.reactions, plan.user_id) if part.reactions is not None else None
    state = plan.conversation(message.conversation_id)
    if held is not None and held.came <= plan.floor(message.conversation_id):
        held = None
    if held is None or state is None or _has_it(held, message, tallies):
        assert known is not None  # whoever takes part has it
        return _take_unseen(plan, message.conversation_id, part, known, known.standing)
    version, epoch = plan.tick(part.version), plan.epoch
    if tallies is None:
        assert message.change is not None
        plan.replace(held, message, version, tallies=() if message.change.is_unsent else held.tallies)
        state, kind = state.with_changed(message, version, epoch), kind_of(message.change)
    else:
        plan.replace(held, replace(message, content=held.content, change=held.change), version, tallies=tallies)
        state, kind = state.with_reacted(version, epoch), ChangeKind.REACTION
    state = state.with_chain(part.version, version, epoch)
    plan.put_conversation(message.conversation_id, state, kind, message.message_id, held.came, held.expires_us)
    return version


def _has_it(held: MessageCell, message: Message, tallies: tuple[Tally, ...] | None) -> bool:
    """Whether a copy is as a change of its message makes it, or as a later one has made it."""
    if tallies is not None:
        return held.is_unsent or tallies == held.tallies
    assert message.change is not None
    return held.change is not None and message.change.version <= held.change.version


def _after(known: Membership | None, part: GroupPart, plan: Plan, version: int) -> Membership:
    """What the row knows of the group after an event: `known` itself where the event says nothing of that."""
    user_id = plan.user_id
    join, standing, role = part.joins.get(user_id), part.leaves.get(user_id), part.roles.get(user_id)
    info = part.info
    if known is not None and info is None and join is None:
        return known
    if join is not None:
        info = info or Info("", 0, ())
        return Membership(version, plan.epoch, Standing.IN, part.version, join.role, part.version, *_fields(info))
    assert known is not None
    assert info is not None
    return replace(
        known,
        version=version,
        epoch=plan.epoch,
        standing=standing or known.standing,
        role=role or known.role,
        group_version=part.version,
        name=info.name,
        member_count=info.member_count,
        first_members=info.first_members,
    )


def _take_unseen(
    plan: Plan, conversation_id: bytes, part: GroupPart, known: Membership | None, standing: Standing
) -> int:
    """Moves the chain and shows nothing: the user is not in, his join is declined by this, or it is not for him."""
    epoch, version = plan.stamp()
    joined = part.version if plan.user_id in part.joins else 0
    if known is None:
        info = part.info or Info("", 0, ())
        known = Membership(version, epoch, standing, joined, "member", part.version, *_fields(info))
    stamped = replace(known, version=version, epoch=epoch, standing=standing, chain=part.version)
    plan.put(MEMBERSHIP, replace(stamped, joined=joined) if joined else stamped, conversation_id)
    return version


def _groups_of(row: Plan | Mailbox) -> int:
    return sum(known.standing is Standing.IN for known in row.states_of(MEMBERSHIP).values())


def _declined(part: GroupPart) -> JoinDeclined:
    return JoinDeclined("this user's mailbox takes no part in this group", version=part.version)


def _fields(info: Info) -> tuple[str, int, tuple[str, ...]]:
    return info.name, info.member_count, info.first_members
