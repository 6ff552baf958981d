"""A group's row, as the plan of one mutation: it decides who is in, and in which order everything happens.

Each event is a message in the row's own log, and one parcel in its outbox for all who were in when it was committed.
Who is in and what is appended are decided in one plan of one row, so that removals and sends are in one order.

The order of the questions is a rule of its own (docs/adr/0053-groups-searched.md): is the send known already, has the
group changed behind the one who asks, is he in by the join that his row knew, may he.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, HeldMessages, NewestNeed
from rowbox.mailbox.cells import FORMER, GROUP, MEMBER_MARKS, ChangeKind, DedupeCell, OutboxCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import ClientGroupIdReused, ClientMessageIdReused, GroupFull, GroupMoved
from rowbox.mailbox.expiry.ttl import end_of
from rowbox.mailbox.group import (
    FIRST_MEMBERS,
    Former,
    Group,
    GroupPart,
    Info,
    Member,
    Told,
    group_send_hash,
    person_key,
)
from rowbox.mailbox.groups.deeds import MOST_TOLD, Outcome, declined, joined_at, joins_of, may_send, outcome_of, without
from rowbox.mailbox.groups.group_messages import GroupMessages
from rowbox.mailbox.groups.group_standing import Admit, GroupStanding, names_of, without_limit
from rowbox.mailbox.groups.joining import earlier_need, history_since, with_earlier
from rowbox.mailbox.groups.requests import GroupChange, GroupChanged, GroupSend, GroupSent, NewGroup
from rowbox.mailbox.groups.resuming import newest_need, resumption
from rowbox.mailbox.ids import counted, message_id, quiet
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import MemberMarks, Receipt

OLD_AFTER_US: Final = 600 * US_PER_S
"""A request that was accepted so long ago is refused: the row may have forgotten the send."""
LONG_AGO_US: Final = -OLD_AFTER_US
"""Of a request that only asks whether the row knows a send."""


class GroupRow(GroupStanding):
    """The row of one group in the plan of one mutation.

    What takes `admit` calls it once and right before something new is planned: not for what is refused, what is known
    or what is so already. What it raises they raise, and nothing is planned.
    """

    @property
    def messages(self) -> GroupMessages:
        """What is done to the messages that are there."""
        return GroupMessages(self._plan)

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

    def send(self, new: GroupSend, fact: Fact | None = None, admit: Admit = without_limit) -> GroupSent | DedupeNeed:
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
        part = GroupPart(version, self._chain, names_of(group), new.client_message_id, new.payload_hash)
        identifier = message_id(version, counted(new.entropy))
        expires_us = end_of(version, group.settings.ttl_ms)
        told = sender_id, (), new.content
        self._append(Message(identifier, self._conversation_id, *told, group=part, expires_us=expires_us))
        self._plan.add_record(
            DedupeCell(hashed, self._plan.epoch, version, identifier, self._conversation_id, new.payload_hash)
        )
        return GroupSent(identifier, version, 0, duplicate=False)

    def change(self, new: GroupChange, admit: Admit = without_limit) -> GroupChanged:
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

    def remove_declined(self, user_id: str, joined: int, entropy: int) -> GroupChanged:
        """Removes whom his row did not take by the join of version `joined`, if he is in by that join."""
        group = self._group
        member = group.member(user_id) if group is not None else None
        if group is None or member is None or member.joined != joined:
            return GroupChanged(group.version if group is not None else 0, changed=False)
        return self._change(group, declined(group, member), user_id, entropy)

    def remove_gone(self, user_id: str, entropy: int) -> GroupChanged:
        """Removes whom nobody will ever be again, by whichever join he is in. His row takes part in nothing more."""
        group = self._group
        member = group.member(user_id) if group is not None else None
        if group is None or member is None:
            return GroupChanged(group.version if group is not None else 0, changed=False)
        return self._change(group, without(group, member), user_id, entropy)

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

    def with_earlier(self, event: Message, fact: Fact | None) -> Message | NewestNeed:
        """An event by which users join who are given messages of before it, with these."""
        need = earlier_need(event)
        if fact is None or fact.need != need or fact.as_of != self._plan.head:
            return need
        assert isinstance(fact.value, HeldMessages)
        return with_earlier(event, fact.value.cells)

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

    def _change(self, before: Group, outcome: Outcome, actor_id: str, entropy: int) -> GroupChanged:
        """Appends the event of a change of the group, and keeps what is so after it."""
        plan, prev = self._plan, self._chain
        joins = joins_of(outcome, self._left, prev)
        version = plan.tick(0)
        since = history_since(before, outcome.group.settings, version)
        changed = replace(outcome.group, version=version, epoch=plan.epoch, history_since=since)
        group = joined_at(changed, joins, version)
        plan.put(GROUP, group)
        for user_id, standing in outcome.leaves.items():
            gone = before.member(user_id)
            assert gone is not None
            former = Former(version, plan.epoch, user_id, version, gone.joined, standing, gone.given_since)
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
        told = ChangeKind.MESSAGE, message.message_id
        plan.put_conversation(self._conversation_id, after, *told, expires_us=message.expires_us)


def info_of(group: Group) -> Info:
    """What members' lists show of a group."""
    first = tuple(member.user_id for member in group.members[:FIRST_MEMBERS])
    return Info(group.name, len(group.members), first, group.settings.ttl_ms)
