"""What clients were told of one group, and whether its members' mailboxes agree with it. Pure, as support/history.py.

The steward makes the group and never leaves it: his part is the group's log. System messages of the log say who was in
at each moment, and so which part of it everybody else has to have: from each join to the leaving behind it, without a
gap, in the same order. Where the group gives who joins what was written before, each join also has the newest hundred
in front of it, but none of before the last leaving. Every answer that a client had has its place in the log.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from math import inf
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from rowbox.api.v1.groups.types import FetchGroupResponse
from rowbox.mailbox.group import FIRST_MEMBERS, EventType, Role
from rowbox.mailbox.groups.copies import MOST_COPIES
from rowbox.mailbox.representation import Conversation, Event, Message
from tests.integration.conversations.group_changes import (
    GroupMessageChange,
    Leaving,
    OfGroupMessage,
    message_breaches,
)
from tests.integration.conversations.group_log import UNTOLD, Membership, Standing, stays_of
from tests.integration.conversations.insisting import Asked

_MOST_SHOWN: Final = 20
OUT: Final = frozenset({"not_a_member", "unknown_conversation", "group_deleted"})
"""What a request of one is refused with who is not in the group."""


@dataclass
class GroupSend:
    """One message that a user wants to have in the group, under one clientMessageId. Times are ticks of the group."""

    user_id: str
    content: str
    client_message_id: str
    started: int
    settled: int | None = None
    message_id: str = ""
    """"" where it was refused."""
    unknown_outcomes: int = 0


@dataclass
class Deed:
    """One change of the group that a user asks for."""

    actor: str
    type: EventType
    users: tuple[str, ...]
    started: int
    role: Role | None = None
    name: str | None = None
    settled: int | None = None
    version: int | None = None
    """Of the event that it is, as its answer says; None where it changed nothing, or was refused."""
    refused: str = ""
    """The code."""
    unknown_outcomes: int = 0

    @property
    def unanswered(self) -> int:
        """How many events it may be of which no answer tells: tries without one, and a first try within the cluster,
        behind which the next one finds that it is so already, or that its user is out already.
        """
        if self.version is not None:
            return self.unknown_outcomes
        found_so = not self.refused or (self.type, self.refused) in _SO_ALREADY
        return self.unknown_outcomes + found_so


_SO_ALREADY: Final = {("left", "not_a_member"), ("deleted", "group_deleted")}
"""What a second try of the two changes is refused with which end with their user outside."""


@dataclass
class GroupHistory:
    """All that was asked of one group."""

    steward: str
    client_group_id: str
    conversation_id: str = ""
    gives_earlier: bool = False
    """Whether who joins is given what was written before: from the beginning on."""
    sends: list[GroupSend] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    changes: dict[str, OfGroupMessage] = field(default_factory=dict)
    """What was asked to be done to messages, by messageId."""
    wrong_answers: list[str] = field(default_factory=list)
    _ticks: Iterator[int] = field(default_factory=count)

    def begin_send(self, user_id: str, content: str) -> GroupSend:
        """A new message; its id is its number."""
        client_message_id = f"{self.client_group_id}.{len(self.sends):06}"
        send = GroupSend(user_id, content, client_message_id, next(self._ticks))
        self.sends.append(send)
        return send

    def settle_send(self, send: GroupSend, message_id: str) -> None:
        """An answer came, "" for a refusal: the first one settles what every later one has to say."""
        if send.settled is None:
            send.settled, send.message_id = next(self._ticks), message_id
        elif message_id != send.message_id:
            self.wrong_answers.append(f"{send.client_message_id} is {send.message_id!r} and {message_id!r}")

    def begin_deed(
        self,
        actor: str,
        type_: EventType,
        users: tuple[str, ...] = (),
        *,
        role: Role | None = None,
        name: str | None = None,
    ) -> Deed:
        """A new request for a change."""
        deed = Deed(actor, type_, users, next(self._ticks), role, name)
        self.deeds.append(deed)
        return deed

    def settle_deed(self, deed: Deed, version: int | None, refused: str = "") -> None:
        """Its answer came: the version of the event that it is, if it is one, or the code of its refusal."""
        deed.settled, deed.version, deed.refused = next(self._ticks), version, refused

    def begin_change(self, user_id: str, message_id: str, text: str | None) -> GroupMessageChange:
        """A new edit of a confirmed message; None: an unsend."""
        change = GroupMessageChange(text, user_id=user_id, started=next(self._ticks))
        self.changes_of(message_id).by_author.append(change)
        return change

    def begin_reaction(self, user_id: str, message: Message, emoji: str) -> GroupMessageChange:
        """A new reaction. A message that its author was not told to be sent yet is as it was sent."""
        if message.message_id not in self.changes and self._send_of(message.message_id) is None:
            self.changes[message.message_id] = OfGroupMessage(message.sender_id, message.message_content)
        change = GroupMessageChange(emoji, user_id=user_id, started=next(self._ticks))
        self.changes_of(message.message_id).by_reader.setdefault(user_id, []).append(change)
        return change

    def settle_change(self, change: GroupMessageChange, *, is_done: bool) -> None:
        """Its answer came; a refusal is none."""
        change.settled, change.is_done = next(self._ticks), is_done

    def changes_of(self, message_id: str) -> OfGroupMessage:
        """What was asked to be done to a confirmed message."""
        of = self.changes.get(message_id)
        if of is None:
            send = self._send_of(message_id)
            assert send is not None
            of = self.changes[message_id] = OfGroupMessage(send.user_id, send.content)
        return of

    def leaving_at(self, version: int) -> Leaving:
        """What is known of the leaving that is the event of this version: where no answer tells of it, nothing else."""
        deed = next((one for one in self.deeds if one.version == version), None)
        if deed is None or deed.settled is None:
            return Leaving(version, -inf, inf)
        return Leaving(version, deed.started, deed.settled)

    @property
    def may_have_ended(self) -> bool:
        """Whether it was asked to end."""
        return any(deed.type == "deleted" for deed in self.deeds)

    @property
    def message_changes(self) -> list[GroupMessageChange]:
        """All that were asked for."""
        return [change for of in self.changes.values() for change in of.all]

    @property
    def unknown_outcomes(self) -> int:
        asked: Iterator[Asked] = chain(self.sends, self.deeds, self.message_changes)
        return sum(one.unknown_outcomes for one in asked)

    def _send_of(self, message_id: str) -> GroupSend | None:
        return next((send for send in self.sends if send.message_id == message_id), None)


def group_breaches(
    group: GroupHistory,
    parts: Mapping[str, Sequence[Message]],
    listed: Mapping[str, Conversation | None],
    views: Mapping[str, FetchGroupResponse | str],
) -> list[str]:
    """In what the users' mailboxes contradict the group's log, or the log what was answered: the first of it.

    Of each user: all messages that he has of the group, the oldest first, as the API orders them; what his list shows
    of it; and what fetchGroup says to him, or the code with which it is refused. Nobody asks for anything any more.
    """
    stays = stays_of(parts[group.steward], group.leaving_at)
    ended = next((one.sent_timestamp for one in parts[group.steward] if _ends_it(one)), inf)
    changed = message_breaches(group.changes, parts, group.steward, stays, ended, gives_earlier=group.gives_earlier)
    parts = {user_id: [_as_sent(group, message) for message in part] for user_id, part in parts.items()}
    log = parts[group.steward]
    found = [
        *group.wrong_answers,
        *(f"{one.client_message_id} was never answered" for one in group.sends if one.settled is None),
        *(f"{one} was never answered" for one in group.deeds if one.settled is None),
        *(f"{one} was never answered" for one in group.message_changes if one.settled == inf),
        *changed,
        *_sends_in(group, log),
        *_deeds_in(group, log),
        *_misordered(group, log),
    ]
    roles = {one.version: one.role for one in group.deeds if one.version is not None and one.role is not None}
    for user_id in parts:
        part, last = _part_of(user_id, log, roles, gives_earlier=group.gives_earlier)
        found += _unequal_part(user_id, parts[user_id], part)
        found += _unequal_listing(user_id, part, last, listed[user_id])
        found += _unequal_view(user_id, last, views[user_id])
    return found[:_MOST_SHOWN]


def _ends_it(message: Message) -> bool:
    return isinstance(message.event, Event) and message.event.type == "deleted"


def _as_sent(group: GroupHistory, message: Message) -> Message:
    """A message that was to be changed has its own judge; here it has the text with which it was sent."""
    of = group.changes.get(message.message_id)
    return message if of is None else replace(message, message_content=of.text)


def _sends_in(group: GroupHistory, log: Sequence[Message]) -> Iterator[str]:
    """Lost, doubled, invented or changed."""
    texts = Counter(message.message_content for message in log if message.event is UNSET)
    by_text = {send.content: send for send in group.sends}
    held = {message.message_id: message for message in log}
    if len(held) != len(log):
        yield f"doubled: {len(log) - len(held)} messages are more than once in the log"
    for send in group.sends:
        times = texts[send.content]
        if send.message_id and send.message_id not in held:
            yield f"lost: {send.client_message_id} is not in the log"
        elif times > 1:
            yield f"doubled: {send.client_message_id} is {times} times in the log"
        elif times and not send.message_id and not send.unknown_outcomes:
            yield f"{send.client_message_id} was refused, and is in the log"
    for message in log:
        if message.event is not UNSET:
            continue
        found = by_text.get(message.message_content)
        if found is None:
            yield f"nobody sent what the log has as {message.message_id}"
        elif message.sender_id != found.user_id or (found.message_id and message.message_id != found.message_id):
            yield f"changed: {found.client_message_id} is {message} in the log"


def _deeds_in(group: GroupHistory, log: Sequence[Message]) -> Iterator[str]:
    """An answered change is the event of its version; what else the log tells of, a try without an answer has done."""
    events = {message.sent_timestamp: message.event for message in log if isinstance(message.event, Event)}
    for deed in group.deeds:
        if deed.version is not None and not _is_of(deed, events.get(deed.version)):
            yield f"lost: {deed} is {events.get(deed.version)} in the log"
    answered = {deed.version for deed in group.deeds}
    unanswered = [deed for deed in group.deeds for _ in range(deed.unanswered)]
    for version, event in events.items():
        if version in answered:
            continue
        done = next((one for one in unanswered if _is_of(one, event)), None)
        if done is None:
            yield f"nobody asked for {event}, which the log has at {version}"
        else:
            unanswered.remove(done)
    for message in log:
        if isinstance(message.event, Event) and message.event.actor != message.sender_id:
            yield f"{message.message_id} was sent by another one than who did what it tells of: {message}"


def _is_of(deed: Deed, event: Event | None) -> bool:
    """Whether an event may be what a request has done. Who was in already is not added."""
    if event is None or (deed.type, deed.actor) != (event.type, event.actor):
        return False
    if deed.name != (None if event.name is UNSET else event.name):
        return False
    if deed.type == "added":
        return bool(event.users) and set(event.users) <= set(deed.users)
    return deed.users == event.users


def _misordered(group: GroupHistory, log: Sequence[Message]) -> Iterator[str]:
    """What stands behind something that began only after it had been answered."""
    asked: dict[object, GroupSend | Deed] = {send.message_id: send for send in group.sends if send.message_id}
    asked |= {deed.version: deed for deed in group.deeds if deed.version is not None}
    latest: GroupSend | Deed | None = None
    for message in log:
        one = asked.get(message.message_id if message.event is UNSET else message.sent_timestamp)
        if one is None:
            continue
        if latest is not None and one.settled is not None and one.settled < latest.started:
            yield f"misordered: {one} was answered before {latest} began"
        if latest is None or one.started > latest.started:
            latest = one


def _part_of(
    user_id: str, log: Sequence[Message], roles: Mapping[int, Role], *, gives_earlier: bool
) -> tuple[list[Message], Membership]:
    """What a user has to have of the log, and the membership as of the last of that."""
    part: list[Message] = []
    membership = last = Membership()
    not_had = 0  # where in the log he left
    for at, message in enumerate(log):
        before, membership = membership, membership.after(message, roles)
        if user_id in before.members or user_id in membership.members:
            if gives_earlier and user_id not in before.members:
                part += log[max(not_had, at - MOST_COPIES) : at]
            part.append(message)
            last, not_had = membership, at + 1
    return part, last


def _unequal_part(user_id: str, held: Sequence[Message], part: Sequence[Message]) -> Iterator[str]:
    """Missing, not his to see, in another order or changed."""
    has, due = [message.message_id for message in held], [message.message_id for message in part]
    for message_id in [one for one in due if one not in set(has)][:2]:
        yield f"missing: {user_id} was in, and is without {message_id}"
    for message_id in [one for one in has if one not in set(due)][:2]:
        yield f"not a member: {user_id} has {message_id}, and was not in"
    if len(has) != len(set(has)):
        yield f"doubled: {user_id} has {len(has)} messages of {len(set(has))} ids"
    elif set(has) == set(due) and has != due:
        yield f"another order: {user_id} has not the order of the log"
    theirs = {message.message_id: _shared(message) for message in part}
    for message in held:
        if _shared(message) != theirs.get(message.message_id, _shared(message)):
            yield f"changed: {user_id} has {message}, the log {theirs[message.message_id]}"


def _shared(message: Message) -> object:
    """What is the same in every copy."""
    return message.message_id, message.sender_id, message.message_content, message.sent_timestamp, message.event


def _unequal_listing(
    user_id: str, part: Sequence[Message], last: Membership, listed: Conversation | None
) -> Iterator[str]:
    """What a user's list says of the group: as of the last event that he was told of."""
    if not part or listed is None:
        if part or listed is not None:
            yield f"listed: {user_id} has {len(part)} messages of the group, and his list shows {listed}"
        return
    shown = listed.name, listed.member_count, listed.group_version, listed.participants
    due = last.name, len(last.members), last.version, tuple(last.members)[:FIRST_MEMBERS]
    if shown != due:
        yield f"listed: {user_id}'s list has {shown} of the group, and the log {due}"
    own = last.members.get(user_id)
    if (listed.membership == "in") != (own is not None):
        yield f"listed: {user_id} is {listed.membership} by his list, and the log has {own}"
    elif own is not None and own.role not in {UNTOLD, listed.role}:
        yield f"listed: {user_id} is {listed.role} by his list, and {own.role} by the log"


def _unequal_view(user_id: str, last: Membership, view: FetchGroupResponse | str) -> Iterator[str]:
    """What fetchGroup says: all of it to members, and nothing to others."""
    if user_id not in last.members:
        due = "unknown_conversation" if not last.version else "group_deleted" if not last.members else "not_a_member"
        if view != due:
            yield f"fetchGroup: {user_id} is not in, and was answered {view} where {due} is due"
        return
    if isinstance(view, str):
        yield f"fetchGroup: {user_id} is in, and was refused: {view}"
        return
    shown = {member.user_id: Standing(member.role, member.joined_timestamp) for member in view.members}
    for standing in (shown[one] for one, due_of in last.members.items() if due_of.role == UNTOLD and one in shown):
        standing.role = UNTOLD
    if list(shown.items()) != list(last.members.items()) or (view.name, view.version) != (last.name, last.version):
        yield f"fetchGroup: {user_id} was answered {view}, and the log says {last}"
