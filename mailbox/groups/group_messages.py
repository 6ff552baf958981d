"""What members do to the messages of a group, as the plan of one mutation of its row: they edit them, take them back,
and react to them. Each of these is an event, as a message is (group_row.py). Who may, message_row.py says.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from rowbox.mailbox.aggregate.needs import Fact, MessageNeed
from rowbox.mailbox.aggregate.plan import kind_of
from rowbox.mailbox.cells import ChangeKind, MessageCell, OutboxCell
from rowbox.mailbox.errors import GroupDeleted, NotAMember, RowboxError, UnknownMessage
from rowbox.mailbox.group import Group, GroupPart, Member
from rowbox.mailbox.groups.done_already import done_before
from rowbox.mailbox.groups.group_standing import Admit, GroupStanding, names_of, without_limit
from rowbox.mailbox.groups.message_row import Reacted, Windows, is_change_due, is_member_reaction_due
from rowbox.mailbox.groups.requests import GroupChanged, MessageChange, MessageReaction
from rowbox.mailbox.ids import is_message_id, message_id
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction, with_reaction


class GroupMessages(GroupStanding):
    """The messages of one group. What takes `admit` calls it as GroupRow does."""

    def change_message(
        self,
        new: MessageChange,
        windows: Windows,
        fact: Fact | None = None,
        admit: Admit = without_limit,
    ) -> GroupChanged | MessageNeed:
        """Changes a message, or takes it back, unless it is so already.

        UnknownConversation, GroupDeleted, NotAMember, UnknownMessage, and what is_change_due raises.
        """
        held = self._held(new.message_id, fact)
        if isinstance(held, MessageNeed):
            return held
        asking = self._asking(new, held)
        if isinstance(asking, GroupChanged):
            return asking
        group, member = asking
        if not is_change_due(new, held, group, member, windows, self._plan.now_us):
            return GroupChanged(held.version, changed=False)
        admit(len(group.members), len((new.content or "").encode()))
        version = self._plan.tick(0)
        is_unsent = new.content is None
        change = Change(version, is_unsent, new.by.user_id if is_unsent else "")
        ids = new.message_id, self._conversation_id, held.sender_id
        part = GroupPart(version, self._chain, names_of(group))
        message = Message(*ids, (), new.content or "", change, None, part, held.expires_us)
        return self._changed(held, message, () if change.is_unsent else held.reactions, new.entropy)

    def react(
        self,
        asked: Sequence[MessageReaction],
        windows: Windows,
        fact: Fact | None = None,
        admit: Admit = without_limit,
    ) -> Reacted | MessageNeed:
        """Has members react to one message: one event, however many they are. Each is answered or refused by himself.

        Refusals: UnknownConversation, GroupDeleted, NotAMember, UnknownMessage, and what is_member_reaction_due raises.
        """
        first = asked[0]
        try:
            held = self._held(first.message_id, fact)
        except UnknownMessage as error:
            return Reacted([error] * len(asked))
        if isinstance(held, MessageNeed):
            return held
        after, answers = held, list[GroupChanged | RowboxError]()
        for new in asked:
            try:
                asking = self._asking(new, after)
                if isinstance(asking, GroupChanged):
                    answers.append(asking)
                    continue
                standing, member = asking
                is_due = is_member_reaction_due(new, after, member, windows, self._plan.now_us)
                if is_due and after is held:
                    admit(len(standing.members), len(held.content.encode()))  # each row writes the message anew
            except RowboxError as error:
                answers.append(error)
                continue
            answers.append(GroupChanged(held.version, changed=is_due))
            if is_due:
                reaction = Reaction(member.user_id, new.emoji, self._plan.tick(0))
                after = replace(after, reactions=with_reaction(after.reactions, reaction))
        if after is held:
            return Reacted(answers)
        group = self._group
        assert group is not None  # somebody in it has reacted
        shown = tuple(one for one in after.reactions if one.emoji)
        part = GroupPart(self._plan.head, self._chain, names_of(group), reactions=shown)
        event = Message(held.message_id, self._conversation_id, held.sender_id, (), "", group=part)
        done = self._changed(held, event, after.reactions, first.entropy)
        return Reacted([done if isinstance(one, GroupChanged) and one.changed else one for one in answers])

    def _held(self, message_id: bytes, fact: Fact | None) -> MessageCell | MessageNeed:
        """What counts of a message of the group, or what to read. UnknownMessage."""
        held = self._plan.held(self._conversation_id, message_id, fact) if is_message_id(message_id) else None
        if held is None:
            raise UnknownMessage("no such message in this conversation")
        return held

    def _changed(
        self, held: MessageCell, event: Message, reactions: tuple[Reaction, ...], entropy: int
    ) -> GroupChanged:
        """Appends the event of a change of a message, and has the message as it is after it."""
        plan, part, state = self._plan, event.group, self._state
        assert part is not None
        assert state is not None
        version, epoch = part.version, plan.epoch
        if part.reactions is None:
            assert event.change is not None
            message, kind = event, kind_of(event.change)
            after = state.with_changed(event, version, epoch)
        else:
            message, kind = replace(event, content=held.content, change=held.change), ChangeKind.REACTION
            after = state.with_reacted(version, epoch)
        plan.replace(held, message, version, reactions)
        identifier = message_id(version, entropy)
        plan.post(OutboxCell(identifier, epoch, version, event))
        after = after.with_chain(version, version, epoch)
        plan.put_conversation(self._conversation_id, after, kind, held.message_id, held.came, held.expires_us)
        return GroupChanged(version, changed=True, event_id=identifier)

    def _asking(self, new: MessageChange | MessageReaction, held: MessageCell) -> tuple[Group, Member] | GroupChanged:
        """Who wants to change a message, and the group; or the answer to who is out, where it was done while he was in.

        UnknownConversation, GroupDeleted, NotAMember.
        """
        user_id = new.by.user_id
        try:
            group = self._standing_group(user_id)
            return group, self._member(group, user_id, new.by.joined)
        except (NotAMember, GroupDeleted):
            version = done_before(self._left(user_id), new, held)
            if version is None:
                raise
            return GroupChanged(version, changed=False)
