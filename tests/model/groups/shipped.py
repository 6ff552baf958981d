"""The model's events and rows as the product's, and back: here the search calls what ships.

A model's version is one less than the product's, whose first event makes the group: the model begins behind that. The
watched member is Bob; Ann, who made the group, sends what is not his.

Everything here is a function of values, and remembered: many states of a search ask for the same.
"""

from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.index_draft import index_of, stored
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, HeldMessages, MessageNeed, NewestNeed
from rowbox.mailbox.cells import FORMER, GROUP, MEMBERSHIP, DedupeCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import (
    EventGap,
    GroupMoved,
    JoinDeclined,
    MessageUnsent,
    NotAMember,
    RowboxError,
    UnknownConversation,
)
from rowbox.mailbox.group import (
    Former,
    Group,
    GroupPart,
    GroupSettings,
    History,
    Info,
    Join,
    Member,
    Membership,
    Standing,
    Told,
    group_conversation_id,
    group_name,
    group_send_hash,
    person_key,
)
from rowbox.mailbox.groups.done_already import has_text, shows_reaction
from rowbox.mailbox.groups.group_row import OLD_AFTER_US, GroupRow
from rowbox.mailbox.groups.member_row import MOST_GROUPS, standpoint, take_event
from rowbox.mailbox.groups.message_row import Reacted
from rowbox.mailbox.groups.requests import (
    Add,
    GroupChange,
    GroupChanged,
    GroupSend,
    Leave,
    MessageChange,
    MessageReaction,
    NewGroup,
    Remove,
    Standpoint,
    Update,
)
from rowbox.mailbox.ids import message_id, payload_hash
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction, tallies_of
from rowbox.mailbox.two_states import ByKind, State
from tests.model.groups.copies import ALWAYS, Copy, cell_of, copy_in, fact_of, id_of, messages_in

WATCHED, CREATOR, OTHER = "bob", "ann", "cid"
CONVERSATION = group_conversation_id(CREATOR, "g")
NAME = group_name(CONVERSATION)
A_YEAR_MS = 365 * 24 * 3600 * 1000
LONG_AFTER_US = 10 * A_YEAR_MS * 1000
"""By then any message has expired."""
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=64, window_bytes=1 << 20)
MADE = 1
"""The product's version of the event that makes the group."""

Kind: TypeAlias = Literal["join", "leave", "message", "edit", "unsend", "reaction", "open", "close", "resumption"]
"""`open`: from then on who joins is given what was written since; `close`: he is given nothing any more."""
Membership_: TypeAlias = Literal["out", "in", "declined"]
Answer: TypeAlias = Literal["taken", "known", "gap", "declined"]


class Event(NamedTuple):
    """One change of a group. `epoch`: of the owner of G that planned it; two events of one version differ in it."""

    version: int
    kind: Kind
    prev: int
    after: int = 0
    """For a join: the version at which this user left last; 0: he never was in."""
    by_member: bool = False
    """A message that the watched member sent himself."""
    hidden: bool = False
    """The watched member's row shows nothing of it: it has expired when it comes."""
    declines: int = 0
    """A leaving that the member's row asked for: the version of the join that it declined."""
    epoch: int = 1
    to_member: bool = True
    """Whether the watched member is among the recipients."""
    of: int = 0
    """Of what is done to a message: that one's version."""
    as_of: "Log" = ()
    """Of what is said to a row that was put back: the log of the group's row then. `version`: what it stands for. Of a
    join as it is delivered, where the member is given messages of before it: the log of which they are."""
    given_since: int = 0
    """For a join: none of those messages is below this version; 0: he is given none."""

    @property
    def is_of_members(self) -> bool:
        """Whether it changes who is in."""
        return self.kind in ("join", "leave")

    def __str__(self) -> str:
        return f"{self.kind} {self.version}" + (f" of {self.of}" if self.of else "")


Log: TypeAlias = tuple[Event, ...]


class MemberRow(NamedTuple):
    """What the member's row holds of the group. `messages`: those that it shows.

    `shown_chain` is in the conversation's state, `chain_apart` in what the row knows beside it.
    """

    shown_chain: int = 0
    chain_apart: int = 0
    membership: Membership_ = "out"
    joined: int = 0
    messages: tuple[Copy, ...] = ()

    @property
    def chain(self) -> int:
        return max(self.shown_chain, self.chain_apart)


class Plan(NamedTuple):
    """What an owner of G plans next: a message of the member or of somebody else, his join, his leaving, or his removal
    because his row has declined the join of version `declines`.
    """

    kind: Kind
    by_member: bool = False
    hidden: bool = False
    declines: int = 0
    of: int = 0
    """What is done to a message, by its author or by Ann: that one's version."""


@lru_cache(maxsize=1 << 16)
def planned(log: Log, plan: Plan, epoch: int, now: int = 0) -> Event | None:
    """The event that the group's row makes of `plan` after `log`; None where it refuses, or has nothing to do.

    `now`: its version is not lower.
    """
    mailbox, held = _group_after(tuple(event._replace(epoch=1) for event in log))
    message = _message(mailbox, held, plan, now, own_joined=_joined_of(mailbox))
    if message is None:
        return None
    part = message.group
    assert part is not None
    join = part.joins.get(WATCHED)
    after = max(0, join.after - MADE) if join is not None else 0
    version, prev = part.version - MADE, part.prev - MADE
    to_member = WATCHED in part.recipients
    since = max(1, join.given_since - MADE) if join is not None and join.given_since else 0
    said = version, plan.kind, prev, after, plan.by_member, plan.hidden, plan.declines, epoch, to_member, plan.of
    return Event(*said, given_since=since)


@lru_cache(maxsize=1 << 16)
def take(row: MemberRow, event: Event, declines: bool = False) -> tuple[MemberRow, Answer]:
    """The row after an event, and what it answers; the row is as it was unless the answer is `taken` or `declined`."""
    mailbox = _mailbox_of(row)
    plan = mailbox.plan(0, LONG_AFTER_US if event.hidden else 0)
    message = _given(event) if event.given_since else _message_of(event)
    known = [copy for copy in row.messages if copy.version == event.of]
    held = cell_of(known[0], CONVERSATION, _sender_of(event), CREATOR, MADE) if known else None
    try:
        outcome = take_event(
            plan,
            message,
            fact_of(CONVERSATION, message.message_id, plan.head, held),
            most_groups=0 if declines else MOST_GROUPS,
        )
    except EventGap:
        return row, "gap"
    assert not isinstance(outcome, DedupeNeed | MessageNeed)
    if plan.changes_nothing:
        return row, "declined" if isinstance(outcome, JoinDeclined) else "known"
    changed = event.of or event.version
    cells = [cell for cell in messages_in(plan.cells()) if cell.told is None]
    shown = [copy_in(cell, (changed, *(one.version for one in event.as_of)), MADE) for cell in cells]
    mailbox.apply(plan)
    others = [copy for copy in row.messages if not shown or copy.version != changed]
    assert not {copy.version for copy in others} & {copy.version for copy in shown}
    after = _row_of(mailbox, tuple(sorted((*others, *shown))))
    return after, "declined" if isinstance(outcome, JoinDeclined) else "taken"


@lru_cache(maxsize=1 << 16)
def resume(row: MemberRow, prev: int, log: Log) -> tuple[MemberRow, Answer]:
    """The row after what the group's row says to one that was put back to before the event of version `prev`, when its
    log is `log`.
    """
    mailbox = _mailbox_of(row)
    plan = mailbox.plan(0, 0)
    message = _resumption(prev, tuple(event._replace(epoch=1) for event in log))
    outcome = take_event(plan, message)
    assert isinstance(outcome, int)
    if plan.changes_nothing:
        return row, "known"
    cells = [cell for cell in messages_in(plan.cells()) if cell.told is None]
    shown = [copy_in(cell, [event.version for event in log], MADE) for cell in cells]
    mailbox.apply(plan)
    assert not {copy.version for copy in row.messages} & {copy.version for copy in shown}
    return _row_of(mailbox, tuple(sorted((*row.messages, *shown)))), "taken"


def _resumption(prev: int, log: Log) -> Message:
    mailbox, held = _group_after(log)
    row = GroupRow(mailbox.plan(0))
    need = row.resumption(WATCHED, prev + MADE, None)
    assert isinstance(need, NewestNeed)
    message = row.resumption(WATCHED, prev + MADE, _newest(need, mailbox.head, held))
    assert isinstance(message, Message)
    return message


@lru_cache(maxsize=1 << 16)
def _given(event: Event) -> Message:
    """A join as it is delivered, with what the member is given."""
    mailbox, held = _group_after(tuple(one._replace(epoch=1) for one in event.as_of))
    row, join = GroupRow(mailbox.plan(0)), _message_of(event)
    need = row.with_earlier(join, None)
    assert isinstance(need, NewestNeed)
    message = row.with_earlier(join, _newest(need, mailbox.head, held))
    assert isinstance(message, Message)
    return message


def _newest(need: NewestNeed, head: int, held: "Held") -> Fact:
    newest = sorted(held.values(), key=lambda cell: cell.message_id, reverse=True)
    return Fact(need, head, HeldMessages(tuple(cell for cell in newest if cell.message_id < need.below)))


def joined(log: Log) -> int:
    """The version of the join by which the watched member is in, after `log`; 0: he is not."""
    changes = [event for event in log if event.is_of_members]
    return changes[-1].version if changes and changes[-1].kind == "join" else 0


# ---- the group's row -------------------------------------------------------------------------------------------------


Held: TypeAlias = dict[bytes, MessageCell]
"""What counts of each message of the group's row."""


def _group_after(log: Log) -> tuple[Mailbox, Held]:
    """The group's row, as the events of `log` made it: each is planned anew and applied."""
    mailbox, held = Mailbox(NAME, LIMITS, epoch=1, client_ids=ClientIds()), Held()
    plan = mailbox.plan(0)
    GroupRow(plan).create(NewGroup(CONVERSATION, CREATOR, "", (), GroupSettings(), b"", 9, 0))
    mailbox.apply(plan)
    for event in log:
        what = Plan(event.kind, event.by_member, event.hidden, event.declines, event.of)
        _message(mailbox, held, what, event.version, own_joined=_joined_of(mailbox), apply=True)
    return mailbox, held


def _message(
    mailbox: Mailbox, held: Held, what: Plan, now: int, *, own_joined: int, apply: bool = False
) -> Message | None:
    plan = mailbox.plan(now + MADE if now else 0)
    head = mailbox.head
    creator, member = Standpoint(CREATOR, MADE, head, 0), Standpoint(WATCHED, own_joined, head, 0)
    try:
        _do(GroupRow(plan), held, what, creator, member, plan.head, max(head + 1, plan.now_us))
    except (NotAMember, UnknownConversation, MessageUnsent):
        return None
    if apply:
        held |= {cell.message_id: cell for cell in messages_in(plan.cells())}
        mailbox.apply(plan)
    return plan.outbox[0].message if plan.outbox else None


def _do(
    row: GroupRow, held: Held, what: Plan, creator: Standpoint, member: Standpoint, head: int, version: int
) -> None:
    """Asks the group's row for what is planned. What is written is said to be of the version that it will have."""
    text, of = str(version - MADE), id_of(what.of + MADE)
    fact = fact_of(CONVERSATION, of, head, held.get(of))
    by = member if what.by_member else creator
    if what.kind == "message":
        row.send(GroupSend(CONVERSATION, by, text, text, b"", 0))
    elif what.kind in ("edit", "unsend"):
        content = text if what.kind == "edit" else None
        row.messages.change_message(MessageChange(CONVERSATION, by, of, content, 0), ALWAYS, fact)
    elif what.kind == "reaction":
        decided = row.messages.react((MessageReaction(CONVERSATION, creator, of, text, 0),), ALWAYS, fact)
        assert isinstance(decided, Reacted)
    elif what.kind in ("open", "close"):
        settings = GroupSettings(history=History.RECENT if what.kind == "open" else History.NONE)
        row.change(GroupChange(CONVERSATION, creator, Update(None, settings), 0))
    elif what.declines:
        row.remove_declined(WATCHED, what.declines + MADE, 0)
    elif what.kind == "join":
        row.change(GroupChange(CONVERSATION, creator, Add((WATCHED,), 9), 0))
    else:
        row.change(GroupChange(CONVERSATION, member, Leave(), 0))


def _joined_of(mailbox: Mailbox) -> int:
    """The join by which the member is in, or was in last."""
    group = mailbox.state(GROUP)
    member = group.member(WATCHED) if group is not None else None
    return member.joined if member is not None else 0


# ---- the member's row ------------------------------------------------------------------------------------------------


def _mailbox_of(row: MemberRow) -> Mailbox:
    others: ByKind[State] = {}
    head = row.chain + MADE
    if row.membership != "out" or row.chain:
        standing = {"out": Standing.LEFT, "in": Standing.IN, "declined": Standing.DECLINED}[row.membership]
        apart = row.chain_apart + MADE if row.chain_apart else 0
        known = Membership(head, 1, standing, row.joined, "member", 0, "", 0, (), apart)
        others = {MEMBERSHIP.letter: {CONVERSATION: known}}
    states = []
    if row.shown_chain:
        state = Conversation.new_group(head).with_chain(row.shown_chain + MADE, head, 1)
        if row.messages:
            state = replace(state, last_message_id=id_of(row.messages[-1].version + MADE))
        states = [stored(CONVERSATION, state)]
    return Mailbox(WATCHED, LIMITS, epoch=1, head=head, index=index_of(states), client_ids=ClientIds(), others=others)


def _row_of(mailbox: Mailbox, messages: tuple[Copy, ...]) -> MemberRow:
    known, state = mailbox.state(MEMBERSHIP, CONVERSATION), mailbox.index.get(CONVERSATION)
    assert known is not None
    membership: Membership_ = "out"
    if known.standing is Standing.IN:
        membership = "in"
    elif known.standing is Standing.DECLINED:
        membership = "declined"
    shown = state.group.chain if state is not None and state.group is not None else 0
    return MemberRow(max(0, shown - MADE), max(0, known.chain - MADE), membership, known.joined, messages)


def _message_of(event: Event) -> Message:
    """An event as it travels to the watched member."""
    version = event.version + MADE
    recipients = (CREATOR, WATCHED)
    text, sender = str(event.version), _sender_of(event)
    if event.kind == "message":
        part = GroupPart(version, event.prev + MADE, recipients, text)
        return Message(id_of(version), CONVERSATION, sender, (), text, group=part)
    if event.kind == "reaction":
        reactions = (Reaction(CREATOR, text, version),)
        part = GroupPart(version, event.prev + MADE, recipients, reactions=reactions)
        return Message(id_of(event.of + MADE), CONVERSATION, sender, (), "", group=part)
    if event.of:
        change = Change(version, is_unsent=event.kind == "unsend")
        part = GroupPart(version, event.prev + MADE, recipients)
        content = "" if change.is_unsent else text
        return Message(id_of(event.of + MADE), CONVERSATION, sender, (), content, change, None, part)
    if not event.is_of_members:
        part = GroupPart(version, event.prev + MADE, recipients, "", b"", Told("settings"), Info("", 2, recipients))
        return Message(message_id(version, 1), CONVERSATION, CREATOR, (), "", group=part)
    told = Told("added" if event.kind == "join" else "left", (WATCHED,))
    join = Join(
        "member",
        event.after + MADE if event.after else 0,
        event.given_since + MADE if event.given_since else 0,
    )
    joins = {WATCHED: join} if event.kind == "join" else {}
    leaves = {WATCHED: Standing.LEFT} if event.kind == "leave" else {}
    info = Info("", 2, recipients)
    part = GroupPart(version, event.prev + MADE, recipients, "", b"", told, info, joins, leaves)
    return Message(message_id(version, 1), CONVERSATION, CREATOR, (), "", group=part)


def _sender_of(event: Event) -> str:
    return WATCHED if event.by_member else CREATOR


# ---- the front door --------------------------------------------------------------------------------------------------

Verdict: TypeAlias = Literal["known", "refused", "done", "it is so", "comes too late"]


class Asked(NamedTuple):
    """A request as it comes to the group's row. Versions are the model's."""

    number: int
    do: str
    """As front_door.Do."""
    chain: int
    joined: int
    is_old: bool


class Touched(NamedTuple):
    """The actor's message, and what his requests did to it last, by their numbers; 0: nothing."""

    text: int = 0
    changed: int = 0
    """The version of the newest event of it; of which that of its text, and of the actor's reaction."""
    is_unsent: bool = False
    reaction: int = 0
    """0: the actor shows none."""
    text_at: int = 0
    reacted_at: int = 0
    taken_back: int = 0
    """The request by which the actor took back his reaction, where he shows none."""

    def after(self, do: str, number: int, version: int) -> "Touched":
        """The message after a request."""
        if do == "edit":
            return self._replace(text=number, changed=version, text_at=version)
        if do == "unsend":
            return Touched(number, version, is_unsent=True)
        touched = self._replace(changed=version, reacted_at=version)
        if do == "react":
            return touched._replace(reaction=number, taken_back=0)
        return touched._replace(reaction=0, taken_back=number)

    def shows(self, number: int) -> bool:
        """Whether it is as it is because of a request."""
        return number in (self.text, self.reaction, self.taken_back)


class Before(NamedTuple):
    """The group's row when a request comes: who is in, by which join, who has left, and which sends it knows."""

    head: int
    changed: int
    joined: int | None
    """The join by which the actor is in; None: he is out."""
    left: int
    """The version at which he left last; 0: never."""
    other_in: bool
    known: frozenset[int]
    message: Touched = Touched()


@lru_cache(maxsize=1 << 16)
def answer(before: Before, asked: Asked) -> Verdict:
    """What the group's row says to a request of the actor, Bob."""
    mailbox = _group_before(before)
    plan = mailbox.plan(0)
    row = GroupRow(plan)
    by = Standpoint(WATCHED, asked.joined + MADE, asked.chain + MADE, -OLD_AFTER_US if asked.is_old else 0)
    try:
        if asked.do == "send":
            new = GroupSend(CONVERSATION, by, "", str(asked.number), payload_hash(CONVERSATION, ""), 0)
            hashed = group_send_hash(WATCHED, str(asked.number))
            record = DedupeCell(hashed, 1, MADE, message_id(1, 0), CONVERSATION, payload_hash(CONVERSATION, ""))
            fact = Fact(DedupeNeed(hashed), plan.head, record if asked.number in before.known else None)
            sent = row.send(new, fact)
            assert not isinstance(sent, DedupeNeed)
            return "known" if sent.duplicate else "done"
        if asked.do in ("edit", "unsend", "react", "take back"):
            return "done" if _touch(row, plan.head, before.message, asked, by) else "it is so"
        deed = Add((OTHER,), 9) if asked.do == "add" else Remove(OTHER)
        return "done" if row.change(GroupChange(CONVERSATION, by, deed, 0)).changed else "it is so"
    except GroupMoved:
        return "comes too late"
    except RowboxError:
        return "refused"


@lru_cache(maxsize=1 << 16)
def is_in(joined_by: int | None, left: int, chain: int) -> int | None:
    """The join that the actor's own row says he is in by, when it has taken events up to `chain`; None: he is out."""
    standing = Standing.IN if joined_by is not None else Standing.REMOVED
    known = Membership(chain + MADE, 1, standing, (joined_by or 0) + MADE, "admin", 0, "", 0, ())
    state = Conversation.new_group(1).with_chain(chain + MADE, chain + MADE, 1)
    mailbox = Mailbox(
        WATCHED,
        LIMITS,
        epoch=1,
        head=chain + MADE,
        index=index_of([stored(CONVERSATION, state)]),
        others={MEMBERSHIP.letter: {CONVERSATION: known}},
    )
    try:
        return standpoint(mailbox, CONVERSATION, 0).joined - MADE
    except NotAMember:
        return None


@lru_cache(maxsize=1 << 16)
def own_copy_is_so(own: Touched, do: str, number: int) -> bool:
    """Whether the actor's copy of his message, which nothing reaches any more, is as a request wants it."""
    if do in ("edit", "unsend"):
        return has_text(str(number) if do == "edit" else None, _cell(own, in_group_row=False), WATCHED)
    return shows_reaction(str(number) if do == "react" else "", _cell(own, in_group_row=False))


def _cell(known: Touched, *, in_group_row: bool) -> MessageCell:
    """The actor's message in the group's row, or in his own."""
    change = Change(known.text_at + MADE) if known.text_at else None
    if known.is_unsent:
        change = Change(known.changed + MADE, is_unsent=True)
    emoji = str(known.reaction) if known.reaction else ""
    of_actor = (Reaction(WATCHED, emoji, known.reacted_at + MADE),) if known.reacted_at else ()
    reactions, tallies = (of_actor, ()) if in_group_row else ((), tallies_of(of_actor, WATCHED))
    text, stamp = "" if known.is_unsent else str(known.text), (1, known.changed + MADE)
    return MessageCell(CONVERSATION, id_of(MADE), *stamp, WATCHED, text, None, change, MADE, reactions, None, tallies)


def _touch(row: GroupRow, head: int, known: Touched, asked: Asked, by: Standpoint) -> bool:
    """Whether the group's row does to the message what is asked; False: it is so."""
    fact = fact_of(CONVERSATION, id_of(MADE), head, _cell(known, in_group_row=True))
    if asked.do in ("edit", "unsend"):
        content = str(asked.number) if asked.do == "edit" else None
        changed = row.messages.change_message(MessageChange(CONVERSATION, by, id_of(MADE), content, 0), ALWAYS, fact)
        assert isinstance(changed, GroupChanged)
        return changed.changed
    wanted = str(asked.number) if asked.do == "react" else ""
    decided = row.messages.react((MessageReaction(CONVERSATION, by, id_of(MADE), wanted, 0),), ALWAYS, fact)
    assert isinstance(decided, Reacted)
    (said,) = decided.answers
    if isinstance(said, RowboxError):
        raise said
    return said.changed


def _group_before(before: Before) -> Mailbox:
    members = [Member(CREATOR, "owner", MADE)]
    if before.joined is not None:
        members.append(Member(WATCHED, "admin", before.joined + MADE))
    if before.other_in:
        members.append(Member(OTHER, "member", MADE))
    head = before.head + MADE
    others: ByKind[State] = {
        GROUP.letter: {b"": Group(before.changed + MADE, 1, "", GroupSettings(), tuple(members), b"")}
    }
    if before.left:
        former = Former(before.left + MADE, 1, WATCHED, before.left + MADE)
        others[FORMER.letter] = {person_key(WATCHED): former}
    state = replace(Conversation.new_group(1).with_chain(head, head, 1), last_message_id=id_of(MADE))
    client_ids = ClientIds()
    for number in before.known:
        client_ids.add(group_send_hash(WATCHED, str(number)), MADE)
    return Mailbox(
        NAME,
        LIMITS,
        epoch=1,
        head=head,
        index=index_of([stored(CONVERSATION, state)]),
        client_ids=client_ids,
        others=others,
    )
