"""What a group's row makes of a message that its members change: its author's edits, what is taken back, reactions.

    who           edits      takes back      reacts
    its author    yes        yes             yes
    owner, admin  no         any message     yes
    member        no         no              yes

An edit is writing: a member who may not write into the group edits nothing. What its author may do ends some time after
the sending, as in a conversation of two; what owner and admins may take back does not. Who does something to a message
has it in his own mailbox, which his own owner looks at. System messages stay as they are.

Each change is one event, which goes along the chain to all who are in then (chain.py). Reactions that come together are
one event: it says how everybody reacts, so it stands for all before it.

A change that was asked for before another one of its kind was done is refused and asked for again: it may be a try that
is long over, and would undo what came later. docs/adr/0064-changes-in-groups.md says why, and
tests/model/groups searches for a violation without each rule.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from rowbox.mailbox.aggregate.changes import NewChange, NewReaction, is_due, is_reaction_due
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import GroupMoved, NotAllowed, RowboxError, TooLateToChange, TooManyReactions
from rowbox.mailbox.group import Group, Member
from rowbox.mailbox.groups.deeds import may_send
from rowbox.mailbox.groups.requests import GroupChanged, MessageChange, MessageReaction, Standpoint
from rowbox.mailbox.reactions import Reaction, has_room, reaction_of

RETRY_MS = 100


class Windows(NamedTuple):
    """For how long after its sending a message is changed, in microseconds; 0: nobody does."""

    edit_us: int
    unsend_us: int
    reaction_us: int


class Reacted(NamedTuple):
    """What became of reactions that were decided together: of each, in their order, its answer or its refusal."""

    answers: Sequence[GroupChanged | RowboxError]


Asked: TypeAlias = MessageChange | MessageReaction


def is_change_due(new: MessageChange, held: MessageCell, group: Group, member: Member, w: Windows, now_us: int) -> bool:
    """Whether `new`, asked for by `member`, makes another message of `held`; False: it is so already.

    NotAllowed, NotTheAuthor, MessageUnsent, TooLateToChange, GroupMoved.
    """
    _check_is_text(held)
    if new.content is not None:
        may_send(group, member)
    if new.content is None and member.role != "member":
        if not w.unsend_us:
            raise TooLateToChange("nobody takes back messages here")
        due = not held.is_unsent
    else:
        window_us = w.unsend_us if new.content is None else w.edit_us
        asked = NewChange(new.conversation_id, new.message_id, new.content, window_us, new.entropy)
        due = is_due(asked, held, member.user_id, now_us)
    if due:
        _check_moved(held.change.version if held.change is not None else 0, new.by)
    return due


def is_member_reaction_due(new: MessageReaction, held: MessageCell, member: Member, w: Windows, now_us: int) -> bool:
    """Whether `new`, asked for by `member`, shows `held` in another way; False: it is so already.

    NotAllowed, MessageUnsent, TooLateToChange, TooManyReactions, GroupMoved.
    """
    _check_is_text(held)
    asked = NewReaction(new.conversation_id, new.message_id, new.emoji, w.reaction_us, new.entropy)
    if not is_reaction_due(asked, held, member.user_id, now_us):
        return False
    known = reaction_of(held.reactions, member.user_id)
    _check_moved(known.version if known is not None else 0, new.by)
    if not has_room(held.reactions, Reaction(member.user_id, new.emoji, 0)):
        raise TooManyReactions("the members of this group react to this message in too many ways")
    return True


def _check_is_text(held: MessageCell) -> None:
    if held.told is not None:
        raise NotAllowed("this message says what happened in the group: nobody changes it")


def _check_moved(changed_at: int, by: Standpoint) -> None:
    if changed_at > by.chain:
        raise GroupMoved("the message has changed meanwhile", retry_after_ms=RETRY_MS)
