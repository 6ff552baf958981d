"""Holds a member's part of a group against the group's own log: from his join to his leaving, without a gap.

The group's row says by which join somebody is in, what of before he was given with it, and at which version he left
last; the member's row says how far it has come (its chain). In between the two have the same messages, in one order,
because a message's id has its version. Of what he was given he may lack anything, because there is a limit to it; what
is of before that he must not have, unless he was in then. What is in the group's outbox may be on its way.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rowbox.cacheserver.check.row_cells import RowCells
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, FORMER, GROUP, MEMBER_MARKS, MEMBERSHIP, OWN, PROFILE, MessageCell
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Code, Finding, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.invariants import RowFrame
from rowbox.mailbox.conversation import NEVER
from rowbox.mailbox.group import Former, Group, Membership, conversation_of, group_name, person_key
from rowbox.mailbox.groups.member_row import place_of
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.people.own_settings import NOTHING_SET
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.reactions import tallies_of


class _GroupLog(NamedTuple):
    """A group's row: its state, who left when, its messages by id, and who has not got which of them yet.

    `read`: up to where it says that its members have read, by person_key.
    """

    group: Group | None
    former: Mapping[bytes, Former]
    messages: Mapping[bytes, MessageCell]
    pending: Mapping[bytes, tuple[str, ...]]
    read: Mapping[bytes, bytes]


class _Part(NamedTuple):
    """A member's part of a group. `shown_chain`: the newest event of which the row shows something."""

    membership: Membership | None
    chain: int
    shown_chain: int
    messages: Mapping[bytes, MessageCell]
    read_mark: bytes
    floor_id: bytes
    """Up to which messageId he has deleted it; b"": he has not."""


class GroupCheck:
    """Checks members of groups in one store. `before_us`: what is younger may be on its way; None: nobody writes."""

    def __init__(self, store: StoreReader, cells: RowCells, before_us: int | None) -> None:
        self._store = store
        self._cells = cells
        self._before_us = before_us
        self.lookups = 0

    async def of_group(self, name: str, horizon: Horizon) -> list[Finding]:
        """What is wrong with the parts of all who are in a group, and of all who ever were."""
        conversation_id = conversation_of(name)
        log = await self._log(conversation_id)
        members = [member.user_id for member in log.group.members] if log.group is not None else []
        names = dict.fromkeys((*members, *(former.user_id for former in log.former.values())))
        found: list[Finding] = []
        for user_id in names:
            found += await self._of(user_id, conversation_id, log, horizon)
        return found

    async def of_user(self, user_id: str, frame: RowFrame, horizon: Horizon) -> list[Finding]:
        """What is wrong with a user's parts of all groups that his row knows of."""
        fence = FenceCheck(frame.fences, Report(user_id), fenced=self._store.late_writes)
        found: list[Finding] = []
        for conversation_id in fence.states(frame.states)[MEMBERSHIP.letter]:
            log = await self._log(conversation_id)
            found += await self._of(user_id, conversation_id, log, horizon)
        return found

    async def _of(self, user_id: str, conversation_id: bytes, log: _GroupLog, horizon: Horizon) -> list[Finding]:
        self.lookups += 1
        part = await self._part(user_id, conversation_id)
        if part is None:
            return []
        report = Report(user_id)
        for code, text in _differences(user_id, log, part, self._before_us, horizon):
            report(code, f"of group {conversation_id.hex()}: {text}")
        return report.findings

    async def _log(self, conversation_id: bytes) -> _GroupLog:
        name = group_name(conversation_id)
        row = row_key(name, self._store.shards)
        frame = await self._cells.frame(row)
        fence = FenceCheck(frame.fences, Report(name), fenced=self._store.late_writes)
        states = fence.states(frame.states)
        pending = {cell.message_id: cell.recipients for cell in frame.outbox if fence.counts(cell.epoch, cell.version)}
        messages = await self._messages(row, conversation_id, fence)
        read = {key: marks.read for key, marks in states[MEMBER_MARKS.letter].items()}
        return _GroupLog(states[GROUP.letter].get(b""), states[FORMER.letter], messages, pending, read)

    async def _part(self, user_id: str, conversation_id: bytes) -> _Part | None:
        """None: the user is deleted, and his row takes part in nothing."""
        row = row_key(user_id, self._store.shards)
        frame = await self._cells.frame(row)
        fence = FenceCheck(frame.fences, Report(user_id), fenced=self._store.late_writes)
        states = fence.states(frame.states)
        profile: Profile | None = states[PROFILE.letter].get(b"")
        if profile is not None and profile.erasure is not None:
            return None
        membership = states[MEMBERSHIP.letter].get(conversation_id)
        state = states[CONVERSATION.letter].get(conversation_id)
        chains = place_of(state, membership).chain, place_of(state, None).chain
        read_mark = state.read_mark if state is not None else b""
        own = states[OWN.letter].get(conversation_id, NOTHING_SET)
        messages = await self._messages(row, conversation_id, fence)
        shown = {message_id: cell for message_id, cell in messages.items() if cell.came > own.floor}
        return _Part(membership, *chains, shown, read_mark, own.floor_id)

    async def _messages(self, row: bytes, conversation_id: bytes, fence: FenceCheck) -> dict[bytes, MessageCell]:
        """What counts of each message of the conversation: of its cells the newest."""
        found: dict[bytes, MessageCell] = {}
        async for cell in self._cells.conversation(row, conversation_id):
            known = found.get(cell.message_id)
            if fence.counts(cell.epoch, cell.version) and (known is None or known.version < cell.version):
                found[cell.message_id] = cell
        return found


def _differences(
    user_id: str, log: _GroupLog, part: _Part, before_us: int | None, horizon: Horizon
) -> Iterator[tuple[Code, str]]:
    def is_judged(message: MessageCell) -> bool:
        sent_us = sent_timestamp(message.message_id)
        may_be_gone = horizon.may_be_gone(sent_us, message.expires_us)
        return not may_be_gone and (before_us is None or sent_us < before_us)

    stay = _stay(user_id, log, part)
    for message_id, copy in part.messages.items():
        message = log.messages.get(message_id)
        if message is None and is_judged(copy):
            yield Code.COPY_UNSENT, f"message {message_id.hex()} is not in the group's row"
        elif message is not None:
            yield from _difference(message, copy, user_id, stay, before_us)
    read = log.read.get(person_key(user_id), b"")
    if log.group is not None and log.group.member(user_id) is not None and read > part.read_mark:
        text = f"{read.hex()} is read, as the group's row says; the own one says {part.read_mark.hex()}"
        yield Code.RECEIPT_AHEAD, text
    for message_id, message in log.messages.items():
        version = sent_timestamp(message_id)
        if message_id <= part.floor_id:
            continue
        has_it = message_id in part.messages
        if has_it and stay.has_ended_before(version) and not stay.was_given(version):
            yield Code.NOT_A_MEMBER, f"has message {message_id.hex()}, sent while the user was out"
        is_missed = not has_it and stay.begun_at <= version <= stay.ended_at and is_judged(message)
        is_on_its_way = version > part.chain and user_id in log.pending.get(message_id, ())
        if is_missed and not (is_on_its_way or _declined(part, version)):
            yield Code.COPY_MISSING, f"lacks message {message_id.hex()}, and has come to {part.chain}"


class _Stay(NamedTuple):
    """From when to when somebody is in a group, or was in last, by versions of the group's row, both included.

    `left_at`: when he left last. `chain`: up to where his row has come. `given_since`: as Join.given_since.
    """

    begun_at: int
    ended_at: int
    left_at: int
    chain: int
    given_since: int

    def has_ended_before(self, version: int) -> bool:
        """Whether he was out then."""
        return self.left_at < version and (self.ended_at < NEVER or version < self.begun_at)

    def was_given(self, version: int) -> bool:
        """Whether it may have come to him with his join, though it was sent before."""
        return 0 < self.given_since <= version < self.begun_at

    def has_taken(self, version: int) -> bool:
        """Whether it went to him while he was in, and his row has come to it."""
        return self.begun_at <= version <= min(self.chain, self.ended_at)


def _stay(user_id: str, log: _GroupLog, part: _Part) -> _Stay:
    member = log.group.member(user_id) if log.group is not None else None
    former = log.former.get(person_key(user_id))
    if member is not None:
        left_at = former.left if former is not None else 0
        return _Stay(member.joined, NEVER, left_at, part.chain, member.given_since)
    left_at, since = (former.left, former.given_since) if former is not None else (NEVER, 0)
    begun_at = part.membership.joined if part.membership is not None else NEVER
    return _Stay(begun_at, left_at, left_at, part.chain, since)


def _difference(
    message: MessageCell, copy: MessageCell, user_id: str, stay: _Stay, before_us: int | None
) -> Iterator[tuple[Code, str]]:
    """Whether a copy has what was last done to its message in the group's row, as far as its row has taken that.

    What was done while its user was out he never hears of, unless something is done later.
    """
    name = f"message {message.message_id.hex()}"
    if (message.sender_id, message.told) != (copy.sender_id, copy.told):
        yield Code.COPY_DIFFERS, f"{name} has another sender than in the group's row, or tells of another event"
    if message.expires_us != copy.expires_us:
        yield Code.ENDS, f"{name} has another end than in the group's row"
    done_at, known_at = _changed_at(message), _changed_at(copy)
    if before_us is not None and max(message.version, known_at) >= before_us:
        return  # one of both rows was read before it was changed
    was_given = stay.was_given(sent_timestamp(message.message_id))
    if known_at and stay.has_ended_before(known_at) and not was_given:
        yield Code.NOT_A_MEMBER, f"has a change of {name}, made while the user was out"
    elif known_at > done_at or (known_at < done_at and stay.has_taken(done_at)):
        yield Code.COPY_DIFFERS, f"{name} was last changed at {done_at}, and here at {known_at}"
    elif known_at == done_at and copy.content != message.content:
        yield Code.COPY_DIFFERS, f"{name} has another text than in the group's row"
    reacted_at = max([one.version for one in message.reactions], default=0)
    is_told = stay.has_taken(reacted_at) and stay.has_taken(message.version)  # which is no less than its event's
    if is_told and copy.tallies != tallies_of(message.reactions, user_id):
        yield Code.COPY_DIFFERS, f"{name} has other reactions than in the group's row"


def _declined(part: _Part, version: int) -> bool:
    """Whether a row has taken an event without showing it, because it did not take its user's join."""
    membership = part.membership
    return membership is not None and part.shown_chain < membership.joined and version <= membership.chain


def _changed_at(cell: MessageCell) -> int:
    """The version, in the group's row, of the last change of a message's text; 0: it is as it was sent."""
    return cell.change.version if cell.change is not None else 0
