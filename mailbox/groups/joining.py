"""What those who join a group are given of what was written in it before: a setting of the group (History).

They get the newest messages from before their join, as they are now, at most 100 and 256 KiB of text, in the same
mutation as the join itself: in front of it, and read. None is of a time when the setting was another one, so that what
was written for those who were in stays theirs; and who was in before has what was written until he left, so he is given
what came later. The group's row says with the join from which version on (Join.given_since), and reads the messages
when the join is delivered: its outbox does not hold them.

What is done to a message after the join comes along the chain, to who has just joined as well. It may be in his copy
already: a change that a copy has is not taken again (member_row.py).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from rowbox.mailbox.aggregate.needs import NewestNeed
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import Group, GroupPart, GroupSettings, History
from rowbox.mailbox.groups.copies import MOST_COPIES, MOST_COPIES_BYTES, add_copied, copies_between
from rowbox.mailbox.message import Message


def history_since(before: Group, settings: GroupSettings, version: int) -> int:
    """Group.history_since after a change of version `version`, which leaves these settings."""
    return (before.history_since or version) if settings.history is History.RECENT else 0


def given_since(group: Group, after: int, prev: int) -> int:
    """Join.given_since of a user who left last with the version `after`, where the event before his join is `prev`."""
    since = max(group.history_since, after + 1)
    return since if group.history_since and since <= prev else 0


def gives_earlier(event: Message) -> bool:
    """Whether somebody joins by an event who is given messages of before it."""
    part = event.group
    return part is not None and any(join.given_since for join in part.joins.values())


def is_given_earlier(event: Message, user_id: str) -> bool:
    """Whether this user does."""
    join = event.group.joins.get(user_id) if event.group is not None else None
    return join is not None and join.given_since > 0


def earlier_need(event: Message) -> NewestNeed:
    """What the group's row has to know to give those who join by an event what they are given."""
    return NewestNeed(event.conversation_id, event.message_id, MOST_COPIES, MOST_COPIES_BYTES)


def with_earlier(event: Message, newest: Sequence[MessageCell | None]) -> Message:
    """The event with the messages of before it that any of those who join by it is given."""
    part = event.group
    assert part is not None
    since = min([join.given_since for join in part.joins.values() if join.given_since])
    return replace(event, group=replace(part, earlier=copies_between(newest, since, part.prev)))


def take_earlier(
    plan: Plan, conversation_id: bytes, part: GroupPart, state: Conversation | None
) -> Conversation | None:
    """Adds what the plan's user is given, who joins by this event, to his row; the state after it."""
    since = part.joins[plan.user_id].given_since
    for copy in part.earlier if since else ():
        if copy.version >= since:
            state = add_copied(plan, conversation_id, copy, state, is_read=True)
    return state
