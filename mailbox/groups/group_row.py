"""A group's row, as the plan of one mutation: it decides who is in, and in which order everything happens.

Each event is a message in the row's own log, and one parcel in its outbox for all who were in when it was committed.
Who is in and what is appended are decided in one plan of one row, so that removals and sends are in one order.

The order of the questions is a rule of its own (docs/adr/0053-groups-searched.md): is the send known already, has the
group changed behind the one who asks, is he in by the join that his row knew, may he.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, HeldMessages, MessageNeed, NewestNeed
from rowbox.mailbox.aggregate.plan import Plan, kind_of
from rowbox.mailbox.cells import FORMER, GROUP, MEMBER_MARKS, ChangeKind, DedupeCell, MessageCell, OutboxCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import (
    ClientGroupIdReused,
    ClientMessageIdReused,
    GroupDeleted,
    GroupFull,
    GroupMoved,
    NotAMember,
    RowboxError,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.group import (
    FIRST_MEMBERS,
    Former,
    Group,
    GroupPart,
    Info,
    Member,
    Told,
    conversation_of,
    group_send_hash,
    person_key,
)
from rowbox.mailbox.groups.deeds import MOST_TOLD, Outcome, declined, joined_at, joins_of, may_send, outcome_of
from rowbox.mailbox.groups.done_already import done_before
from rowbox.mailbox.groups.message_row import Reacted, Windows, is_change_due, is_member_reaction_due
from rowbox.mailbox.groups.requests import (
    GroupChange,
    GroupChanged,
    GroupReceipts,
    GroupSend,
    GroupSent,
    GroupView,
    MessageChange,
    MessageReaction,
    NewGroup,
    ViewReceipts,
)
from rowbox.mailbox.groups.resuming import newest_need, resumption
from rowbox.mailbox.ids import counted, is_message_id, message_id, quiet, sent_timestamp
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction, with_reaction
from rowbox.mailbox.receipts import MemberMarks, MemberReceipt, Receipt

OLD_AFTER_US: Final = 600 * US_PER_S
"""A request that was accepted so long ago is refused: the row may have forgotten the send."""
LONG_AGO_US: Final = -OLD_AFTER_US
"""Of a request that only asks whether the row knows a send."""


Admit: TypeAlias = Callable[[int, int], None]
"""Raises where a group may not have so many members' rows written, each with a text of so many bytes."""


def _without_limit(_members: int, _text_bytes: int) -> None:
    """Lets everything in."""


class GroupRow:
    """The row of one group in the plan of one mutation.

    What takes `admit` calls it once and right before something new is planned: not for what is refused, what is known
    or what is so already. What it raises they raise, and nothing is planned.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._conversation_id = conversation_of(plan.user_id)

    def create(self, new: NewGroup) -> GroupChanged:
        """Makes the group, once. ClientGroupIdReused where it was made of another request; GroupFull."""
        group = self._group
        if group is not None:
            if group.creation != new.creation:
                raise ClientGroupIdReused("this clientGroupId was used for another group")
            return GroupChanged(group.version, changed=False)
        others = tuple(dict.fromkeys(user_id for user_id in new.members if user_id != new.creator_id))
        if 1 + len(others) > new.most_members:
            raise GroupFull(f"a group has {new.most_members} members at most")
        members = (Member(new.creator_id, "owner", 0), *(Member(user_id, "member", 0) for user_id in others))
        made = Group(0, self._plan.epoch, new.name, new.settings, members, new.creation)
        told = Told("created", others[:MOST_TOLD], new.name or None)
        return self._change(
            made, Outcome(made, told, tuple(member.user_id for member in members)), new.creator_id, new.entropy
        )

    def send(self, new: GroupSend, fact: Fact | None = None, admit: Admit = _without_limit) -> GroupSent | DedupeNeed:
        """Appends a member's message, once.

        ClientMessageIdReused, GroupMoved, NotAMember, NotAllowed, UnknownConversation, GroupDeleted.
        """
        sender_id = new.by.user_id
        hashed = group_send_hash(sender_id, new.client_message_id)
        record = self._plan.earlier_send(hashed, fact)
        if isinstance(record, DedupeNeed):
            return record
        if record is not None:
            if record.payload_hash != new.payload_hash:
                raise ClientMessageIdReused("this clientMessageId was used for another message")
            return GroupSent(record.message_id, record.version, 0, duplicate=True)
        if self._plan.now_us - new.by.accepted_us >= OLD_AFTER_US:
            raise GroupMoved("this message was accepted too long ago")
        group = self._standing_group(new.by.user_id)
        member = self._member(group, new.by.user_id, new.by.joined)
        may_send(group, member)
        admit(len(group.members), len(new.content.encode()))
        version = self._plan.tick(0)
        part = GroupPart(version, self._chain, _names(group), new.client_message_id, new.payload_hash)
        identifier = message_id(version, counted(new.entropy))
        self._append(Message(identifier, self._conversation_id, sender_id, (), new.content, group=part))
        self._plan.add_record(
            DedupeCell(hashed, self._plan.epoch, version, identifier, self._conversation_id, new.payload_hash)
        )
        return GroupSent(identifier, version, 0, duplicate=False)

    def change(self, new: GroupChange, admit: Admit = _without_limit) -> GroupChanged:
        """Does what a member asks for, unless it is so already.

        GroupMoved, NotAMember, NotAllowed, UnknownMember, GroupFull, UnknownConversation, GroupDeleted.
        """
        group = self._standing_group(new.by.user_id)
        if group.version > new.by.chain:
            raise GroupMoved("the group has changed meanwhile", retry_after_ms=100)
        member = self._member(group, new.by.user_id, new.by.joined)
        outcome = outcome_of(group, member, new.deed)
        if outcome is None:
            return GroupChanged(group.version, changed=False)
        admit(len(group.members), 0)
        return self._change(group, outcome, new.by.user_id, new.entropy)

    def change_message(
        self,
        new: MessageChange,
        windows: Windows,
        fact: Fact | None = None,
        admit: Admit = _without_limit,
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
        part = GroupPart(version, self._chain, _names(group))
        message = Message(*ids, (), new.content or "", change, None, part)
        return self._changed(held, message, () if change.is_unsent else held.reactions, new.entropy)

    def react(
        self,
        asked: Sequence[MessageReaction],
        windows: Windows,
        fact: Fact | None = None,
        admit: Admit = _without_limit,
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
        part = GroupPart(self._plan.head, self._chain, _names(group), reactions=shown)
        event = Message(held.message_id, self._conversation_id, held.sender_id, (), "", group=part)
        done = self._changed(held, event, after.reactions, first.entropy)
        return Reacted([done if isinstance(one, GroupChanged) and one.changed else one for one in answers])

    def remove_declined(self, user_id: str, joined: int, entropy: int) -> GroupChanged:
        """Removes whom his row did not take by the join of version `joined`, if he is in by that join."""
        group = self._group
        member = group.member(user_id) if group is not None else None
        if group is None or member is None or member.joined != joined:
            return GroupChanged(group.version if group is not None else 0, changed=False)
        return self._change(group, declined(group, member), user_id, entropy)

    def resumption(self, user_id: str, prev: int, fact: Fact | None) -> Message | NewestNeed | None:
        """What is said to the row of a user that was put back to before the event of version `prev`, which he had.

        None: he never was in.
        """
        group = self._group
        stays = group.member(user_id) if group is not None else None, self._plan.state(FORMER, person_key(user_id))
        if group is None or stays == (None, None):
            return None
        need = newest_need(self._conversation_id, prev)
        if fact is None or fact.need != need or fact.as_of != self._plan.head:
            return need
        assert isinstance(fact.value, HeldMessages)
        return resumption(self._conversation_id, group, prev, stays, info_of(group), fact.value.cells)

    def view(self, user_id: str) -> GroupView:
        """The group, as `user_id` may see it. NotAMember, UnknownConversation, GroupDeleted."""
        group = self._standing_group(user_id)
        self._member(group, user_id, None)
        return GroupView(group.version, group.name, group.settings, group.members)

    def take_receipts(self, receipts: Iterable[Receipt]) -> int:
        """Adds what members have and have read, in whichever order that comes: of how many receipts it is news.

        Of whoever is not in nothing is kept: he may have been removed meanwhile.
        """
        group, plan = self._group, self._plan
        members = {member.user_id for member in group.members} if group is not None else ()
        news = 0
        for receipt in receipts:
            if receipt.reader_id not in members:
                continue
            key = person_key(receipt.reader_id)
            known = plan.state(MEMBER_MARKS, key) or MemberMarks(0, 0, receipt.reader_id)
            marks = known.with_receipt(receipt)
            if marks is not known:
                epoch, version = plan.stamp()
                plan.put(MEMBER_MARKS, replace(marks, version=version, epoch=epoch), key)
                news += 1
        return news

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
        plan.put_conversation(self._conversation_id, after, kind, held.message_id, held.came)
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

    def _change(self, before: Group, outcome: Outcome, actor_id: str, entropy: int) -> GroupChanged:
        """Appends the event of a change of the group, and keeps what is so after it."""
        plan, prev = self._plan, self._chain
        joins = joins_of(outcome, self._left)
        version = plan.tick(0)
        group = joined_at(replace(outcome.group, version=version, epoch=plan.epoch), outcome.joins, version)
        plan.put(GROUP, group)
        for user_id, standing in outcome.leaves.items():
            gone = before.member(user_id)
            assert gone is not None
            former = Former(version, plan.epoch, user_id, version, gone.joined, standing)
            plan.put(FORMER, former, person_key(user_id))
        part = GroupPart(
            version,
            prev,
            tuple(dict.fromkeys((*(one.user_id for one in before.members), *outcome.joins))),
            told=outcome.told,
            info=info_of(group),
            joins=joins,
            leaves=dict(outcome.leaves),
            roles=dict(outcome.roles),
        )
        identifier = message_id(version, quiet(entropy))
        self._append(Message(identifier, self._conversation_id, actor_id, (), "", group=part))
        return GroupChanged(version, changed=True, event_id=identifier)

    def _append(self, message: Message) -> None:
        part, plan = message.group, self._plan
        assert part is not None
        state = self._state or Conversation.new_group(part.version)
        client_message_id = part.client_message_id or None
        plan.add_copy(message, message.sent_us, part.version, client_message_id, state.last_message_id, part.told)
        plan.post(OutboxCell(message.message_id, plan.epoch, part.version, message))
        after = state.with_event(message, part.version, plan.epoch, is_own=True)
        plan.put_conversation(self._conversation_id, after, ChangeKind.MESSAGE, message.message_id)


def _names(group: Group) -> tuple[str, ...]:
    return tuple(one.user_id for one in group.members)


def info_of(group: Group) -> Info:
    """What members' lists show of a group."""
    first = tuple(member.user_id for member in group.members[:FIRST_MEMBERS])
    return Info(group.name, len(group.members), first)
