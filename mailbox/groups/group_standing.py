"""What a group's row says of who is in, in the plan of one mutation: questions, which plan nothing.

Whoever never was in is told that there is no such conversation, as of a group that never was.
"""

from collections.abc import Callable
from typing import TypeAlias

from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import FORMER, GROUP, MEMBER_MARKS
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import GroupDeleted, NotAMember, UnknownConversation
from rowbox.mailbox.group import Group, Member, conversation_of, person_key
from rowbox.mailbox.groups.requests import GroupReceipts, GroupView, ViewReceipts
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.receipts import MemberReceipt

Admit: TypeAlias = Callable[[int, int], None]
"""Raises where a group may not have so many members' rows written, each with a text of so many bytes."""


def without_limit(_members: int, _text_bytes: int) -> None:
    """Lets everything in."""


class GroupStanding:
    """What is asked first, whatever is asked of a group's row; and what is only asked."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._conversation_id = conversation_of(plan.user_id)

    def view(self, user_id: str) -> GroupView:
        """The group, as `user_id` may see it. NotAMember, UnknownConversation, GroupDeleted."""
        group = self._standing_group(user_id)
        self._member(group, user_id, None)
        return GroupView(group.version, group.name, group.settings, group.members)

    def receipts(self, asked: ViewReceipts) -> GroupReceipts:
        """Who has got and read messages. NotAMember, UnknownConversation, GroupDeleted."""
        group = self._standing_group(asked.user_id)
        self._member(group, asked.user_id, None)
        others = [member for member in group.members if member.user_id != asked.user_id]
        marks = [self._plan.state(MEMBER_MARKS, person_key(member.user_id)) for member in others]
        return GroupReceipts(
            tuple(
                tuple(
                    known.of(message_id) if known is not None else MemberReceipt(member.user_id, False, False)
                    for member, known in zip(others, marks, strict=True)
                    if member.joined < sent_timestamp(message_id)
                )
                for message_id in asked.message_ids
            ),
            max((group.version, *(known.version for known in marks if known is not None))),  # who is named changes, too
        )

    @property
    def _group(self) -> Group | None:
        return self._plan.state(GROUP)

    @property
    def _state(self) -> Conversation | None:
        return self._plan.conversation(self._conversation_id)

    @property
    def _chain(self) -> int:
        """The version of the newest event."""
        state = self._state
        return state.group.chain if state is not None and state.group is not None else 0

    def _standing_group(self, user_id: str) -> Group:
        group = self._group
        if group is None:
            raise UnknownConversation("no such conversation")
        if group.is_deleted:
            if not self._left(user_id):
                raise UnknownConversation("no such conversation")
            raise GroupDeleted("this group was deleted")
        return group

    def _member(self, group: Group, user_id: str, joined: int | None) -> Member:
        """Who is in, by the join of version `joined` where that is not None."""
        member = group.member(user_id)
        if member is not None and joined in (None, member.joined):
            return member
        if member is None and not self._left(user_id):
            raise UnknownConversation("no such conversation")
        raise NotAMember("you are not in this group any more")

    def _left(self, user_id: str) -> int:
        """The version at which a user left last; 0: he never did."""
        former = self._plan.state(FORMER, person_key(user_id))
        return former.left if former is not None else 0


def names_of(group: Group) -> tuple[str, ...]:
    """The members, in their order."""
    return tuple(one.user_id for one in group.members)
