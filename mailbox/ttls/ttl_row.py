"""A conversation's ttl in one row, as a part of a plan: set by the row's user, or told by another's.

Of two settings the one of the greater id counts (mailbox/expiry), so what comes late, twice or in another order does no
harm. A setting goes the way of a message, behind those that its user sent before it.

What somebody sets who is blocked changes nothing that the row's user sees, as whatever he does. It waits for the end of
the block and counts then, or the two would not agree any more on how long their messages last.
"""

from typing import NamedTuple

from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import TTL, ChangeKind, OutboxCell
from rowbox.mailbox.errors import NotInGroups, UnknownConversation
from rowbox.mailbox.expiry.ttl import Ttl
from rowbox.mailbox.ids import ZERO_ID, message_id, sent_timestamp
from rowbox.mailbox.message import Message


class NewTtl(NamedTuple):
    """A ttl that a user sets for a conversation of two, in milliseconds; 0: none. `entropy`: 62 random bits for its id.

    `holders`: whose rows take it in the same commit, where no write can be late.
    """

    conversation_id: bytes
    ttl_ms: int
    entropy: int
    holders: tuple[str, ...] = ()


class TtlSet(NamedTuple):
    """The result of a NewTtl: the conversation's version. `message`: what others are told; None: it was so before."""

    version: int
    message: Message | None


def set_ttl(plan: Plan, new: NewTtl) -> TtlSet:
    """Sets for how long messages of a conversation of two last, from now on. The same ttl again changes nothing.

    UnknownConversation, NotInGroups.
    """
    state = plan.conversation(new.conversation_id)
    if state is None:
        raise UnknownConversation("no such conversation")
    if state.group is not None:
        raise NotInGroups("the conversation is a group")
    if plan.is_deleted(new.conversation_id):
        raise UnknownConversation("no such conversation")
    if not plan.is_fenced and len(new.holders) != len(state.participants) - 1:
        raise UnknownConversation("no such conversation")  # it has come into being since it was looked up
    known = plan.state(TTL, new.conversation_id)
    if new.ttl_ms == (known.ttl_ms if known is not None else 0):
        return TtlSet(state.version, None)
    version = plan.tick(0)
    known_us = sent_timestamp(known.set_by) if known is not None and known.set_by else 0
    # Behind the one that he saw, also where that is dated so far ahead that the clock does not follow.
    set_by = message_id(max(version, known_us + 1), new.entropy)
    message = Message(set_by, new.conversation_id, plan.user_id, state.participants, "", ttl_ms=new.ttl_ms)
    _put(plan, new.conversation_id, Ttl(version, plan.epoch, new.ttl_ms, set_by))
    if plan.is_fenced and len(state.participants) > 1:
        plan.post(OutboxCell(set_by, plan.epoch, version, message))
    return TtlSet(version, message)


def take_ttl(plan: Plan, message: Message, *, is_hidden: bool = False) -> int:
    """Adds a ttl that another user has set, unless the row has that one or a later one. `is_hidden`: he is blocked.

    Returns its version in this mailbox, else 0. The mailbox need not have the conversation: all that was sent in it may
    have ended on the way, and the ttl is that of what is sent next.
    """
    assert message.ttl_ms is not None
    known = plan.state(TTL, message.conversation_id) or _NOT_SET
    if message.message_id <= known.set_by or message.message_id <= known.hidden_by:
        return 0
    version, epoch = plan.tick(message.sent_us), plan.epoch
    if is_hidden:
        hidden = message.ttl_ms, message.message_id
        plan.put(TTL, Ttl(version, epoch, known.ttl_ms, known.set_by, *hidden), message.conversation_id)
    else:
        _put(plan, message.conversation_id, Ttl(version, epoch, message.ttl_ms, message.message_id))
    return version


def take_hidden_ttl(plan: Plan, conversation_id: bytes) -> None:
    """Has what the other one has set count from now on: the row's user blocks him no more."""
    known = plan.state(TTL, conversation_id)
    if known is not None and known.hidden_by:
        _put(plan, conversation_id, Ttl(plan.tick(0), plan.epoch, known.hidden_ms, known.hidden_by))


_NOT_SET = Ttl(0, 0, 0)


def _put(plan: Plan, conversation_id: bytes, ttl: Ttl) -> None:
    plan.put(TTL, ttl, conversation_id)
    state = plan.conversation(conversation_id)
    if state is not None:
        shown = state.with_version(ttl.version, ttl.epoch)
        plan.put_conversation(conversation_id, shown, ChangeKind.TTL, ZERO_ID)
