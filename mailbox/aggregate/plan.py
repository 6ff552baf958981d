"""One mutation of one mailbox, made of one or several commands: the cells to write, and the result of each command.

Commands that were waiting together join one plan. A command sees what those before it decided. Nobody else sees that
before `Mailbox.apply`. A command that cannot be decided from memory returns a Need and leaves the plan as it was: the
caller reads what it names, under the user's lock, and asks again with the Fact. A command that is refused raises and
leaves the plan as it was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from rowbox.mailbox.aggregate.changes import Changed, New, NewChange, NewReaction, is_due, is_reaction_due
from rowbox.mailbox.aggregate.needs import (
    MOST_RECOUNTS,
    Behind,
    ConversationMark,
    CopyNeed,
    DedupeNeed,
    Fact,
    HeldMessages,
    MarkNeed,
    MessageNeed,
    Need,
    RecountNeed,
)
from rowbox.mailbox.cells import (
    CONVERSATION,
    DEVICES,
    OWN,
    PROFILE,
    RECEIPTS,
    REVOCATION,
    TTL,
    Cell,
    ChangeKind,
    DedupeCell,
    LogCell,
    MessageCell,
    OutboxCell,
)
from rowbox.mailbox.clocks.clock import date_of_send, first_of_mutation, is_far_ahead, tick
from rowbox.mailbox.conversation import NOTHING_UNREAD, Conversation, Unread
from rowbox.mailbox.devices import Devices, check_token
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    NotInGroups,
    UnknownConversation,
    UnknownMessage,
    UserDeleted,
)
from rowbox.mailbox.expiry.ttl import Ttl, end_of, has_expired
from rowbox.mailbox.fence import Stamp
from rowbox.mailbox.group import Told
from rowbox.mailbox.ids import ID_BYTES, ZERO_ID, is_message_id, message_id, sent_timestamp
from rowbox.mailbox.message import Change, Message, MessageCopy, copy_of, is_expired
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.reactions import Reaction, Tally, with_reaction
from rowbox.mailbox.receipts import NO_MARKS, Receipt, ReceiptMarks, seen_in
from rowbox.mailbox.revocation import Bearer, Revocation
from rowbox.mailbox.two_states import ByKind, Kind, State, StateT, cells_of, nothing_before

if TYPE_CHECKING:
    from rowbox.mailbox.aggregate.mailbox import Mailbox
    from rowbox.mailbox.aggregate.window import Window


class NewSend(NamedTuple):
    """A send to decide, parsed and with its ids computed. `entropy`: 62 random bits for the messageId."""

    sender_id: str
    conversation_id: bytes
    participants: tuple[str, ...]
    content: str
    client_message_id: str
    client_id_hash: bytes
    payload_hash: bytes
    entropy: int
    told: Told | None = None
    """Of a report: what it is of. A report has no end, whatever ttl its conversation has."""


class Sent(NamedTuple):
    """The result of a send: its dedupe record, and the message; None where an earlier plan has made that."""

    record: DedupeCell
    message: Message | None

    @property
    def is_duplicate(self) -> bool:
        """Whether an earlier request had applied the send."""
        return self.message is None


class Marked(NamedTuple):
    """The result of a read mark: unread count and version of the conversation after it."""

    unread_count: int
    version: int


class Settled(NamedTuple):
    """The result of a settlement: how many of its conversations still tell of messages that are gone."""

    left: int


class Plan:
    """A mutation that is being decided. `Mailbox.plan` makes one."""

    __slots__ = (
        "_cells",
        "_mailbox",
        "base_head",
        "changed",
        "copies",
        "deleted",
        "head",
        "log",
        "now_us",
        "others",
        "outbox",
        "read",
        "records",
        "refuses_more",
        "seen_us",
        "states",
        "superseded",
    )

    def __init__(self, mailbox: "Mailbox", now_us: int, seen_us: int) -> None:
        self._mailbox = mailbox
        self._cells: list[Cell] = []
        self.now_us = now_us
        self.seen_us = seen_us
        self.base_head = mailbox.head
        self.head = mailbox.head
        self.states: dict[bytes, Conversation] = {}
        self.copies: list[tuple[bytes, MessageCopy, bytes]] = []
        """(conversationId, copy, the conversation's newest messageId before it)"""
        self.changed: list[tuple[bytes, MessageCopy]] = []
        """(conversationId, copy) of messages that were there before and are changed."""
        self.superseded: list[MessageCell] = []
        """The cells that count no more once this plan was confirmed, because their messages are changed."""
        self.others: ByKind[State] = {}
        """The new states of all other kinds of index cells, by kind and key."""
        self.log: list[LogCell] = []
        """The log entries, which tell clients of changes. A change need not have one."""
        self.read: set[bytes] | tuple[()] = ()
        """The conversations of which the user has read more, by a mark or by sending."""
        self.deleted: tuple[bytes, ...] = ()
        """The conversations of which the user has deleted his copy."""
        self.refuses_more = False
        """Whether tokens are refused after it that were not before."""
        self.records: dict[bytes, DedupeCell] = {}
        self.outbox: list[OutboxCell] = []
        """The messages of this plan that go to others' rows by a delivery of their own."""

    @property
    def user_id(self) -> str:
        """Whose row this is."""
        return self._mailbox.user_id

    @property
    def epoch(self) -> int:
        """The epoch under which the plan is written."""
        return self._mailbox.epoch

    @property
    def is_fenced(self) -> bool:
        """As of the Mailbox."""
        return self._mailbox.is_fenced

    @property
    def retention_ms(self) -> int:
        """For how long after its sending a message is kept."""
        return self._mailbox.limits.retention_ms

    @property
    def changes_nothing(self) -> bool:
        """Whether every command was answered without a write: then there is nothing to commit.

        Every change has a state in the index (two_states): the head that it makes would be forgotten otherwise.
        """
        return not self.states and not self.others

    def changes(self) -> Iterator[tuple[bytes, Mapping[bytes, State]]]:
        """What the plan writes into the index: for each kind, its letter and the new states by key."""
        yield CONVERSATION.letter, self.states
        yield from self.others.items()

    def states_of(self, kind: Kind[StateT]) -> Mapping[bytes, StateT]:
        """The states of a kind by key, as they were before this plan. Not for conversations."""
        return self._mailbox.states_of(kind)

    def state(self, kind: Kind[StateT], key: bytes = b"") -> StateT | None:
        """The state of a key after the commands so far; None: it has none. Not for conversations: `states` has them."""
        planned = self.others.get(kind.letter, {}).get(key)
        return cast("StateT", planned) if planned is not None else self._mailbox.state(kind, key)

    def has_any(self, kind: Kind[StateT]) -> bool:
        """Whether there is a state of this kind, under whatever key. Not for conversations."""
        return kind.letter in self.others or self._mailbox.has_any(kind)

    def keys_of(self, kind: Kind[StateT]) -> AbstractSet[bytes]:
        """The keys that have a state of this kind after the commands so far. Not for conversations."""
        return self._mailbox.states_of(kind).keys() | self.others.get(kind.letter, {}).keys()

    def requests(self) -> list[bytes]:
        """The conversations that wait to be accepted after the commands so far. It costs what these are, however many
        others the user has set.
        """
        index = self._mailbox.index
        listed = (position[ID_BYTES:] for position in index.requests(None, len(index)))
        some = dict.fromkeys((*listed, *self.others.get(OWN.letter, {})))
        return [one for one in some if (own := self.state(OWN, one)) is not None and own.is_open_request]

    def stamp(self) -> Stamp:
        """A new version for one change, and the mailbox's epoch: the first two fields of the new state."""
        return Stamp(self._mailbox.epoch, self.tick(0))

    def put(self, kind: Kind[StateT], state: StateT, key: bytes = b"") -> None:
        """Adds the new state of a key, made with a `stamp` of this plan. Clients hear of it only by `log`."""
        self.others.setdefault(kind.letter, {})[key] = state

    @property
    def revocation(self) -> Revocation | None:
        """The new state of the mailbox's revocation; None where the plan does not change it."""
        planned = self.others.get(REVOCATION.letter) if self.others else None
        return cast("Revocation", planned[b""]) if planned else None

    @property
    def horizon(self) -> int:
        """What came with a version up to this is gone (Mailbox.horizon)."""
        return self._mailbox.horizon(self.seen_us)

    @property
    def _now(self) -> tuple[int, int]:
        """By what it is judged what has ended: the horizon, and the time that it is of."""
        return self._mailbox.horizon(self.seen_us), self.seen_us

    def _may_have_ended(self, conversation_id: bytes) -> bool:
        """Whether messages of a conversation may have come to an end of their own: it has or had such ones."""
        return self.state(TTL, conversation_id) is not None

    @property
    def is_erased(self) -> bool:
        """Whether the user is deleted, after the commands so far."""
        planned = self.others.get(PROFILE.letter) if self.others else None
        return self._mailbox.is_erased if planned is None else cast("Profile", planned[b""]).erasure is not None

    def admit(self, bearer: Bearer | None, *, also_erased: bool = False) -> None:
        """TokenRevoked where the command comes with a token of this user that is revoked, even by this plan.

        UserDeleted where the user is deleted, unless `also_erased`.
        """
        if bearer is not None and bearer.user_id == self._mailbox.user_id:
            check_token(bearer, self.known_revocation, self.devices, self.seen_us)
        if self.is_erased and not also_erased:
            raise UserDeleted("this user was deleted")

    @property
    def known_revocation(self) -> Revocation | None:
        """The mailbox's revocation after the commands so far; None where there never was one."""
        return self.revocation or self._mailbox.revocation

    @property
    def devices(self) -> Devices | None:
        """The user's devices after the commands so far; None where there never was one."""
        planned = self.others.get(DEVICES.letter) if self.others else None
        return cast("Devices", planned[b""]) if planned else self._mailbox.devices

    def note_device_uses(self) -> None:
        """Adds what memory knows of how the user's devices were used, if that is worth to be written. Not shown.

        Where the plan changes something else, it goes with that change and has its version.
        """
        known = self.devices
        after = known.used(self._mailbox.device_uses) if known is not None else None
        if after is not known and after is not None:
            version = self.head if not self.changes_nothing else self.tick(0)
            self.put(DEVICES, msgspec.structs.replace(after, version=version, epoch=self._mailbox.epoch))

    def send(
        self,
        new: NewSend,
        fact: Fact | None = None,
        may_begin: Callable[[], None] | None = None,
        may_send: Callable[[], None] | None = None,
    ) -> Sent | Need:
        """Adds a send of the mailbox's own user. ClientMessageIdReused where its id names another payload.

        `may_send` is asked where the message is new, `may_begin` where it is its conversation's first as well; what
        they raise is raised.
        """
        record = self.earlier_send(new.client_id_hash, fact)
        if isinstance(record, DedupeNeed):
            return record
        if record is not None:
            if record.payload_hash != new.payload_hash:
                raise ClientMessageIdReused("this clientMessageId was used for another message")
            return Sent(record, None)
        if may_send is not None:
            may_send()
        if may_begin is not None and self.conversation(new.conversation_id) is None:
            may_begin()
        return self._new_send(new)

    def deliver(self, message: Message, fact: Fact | None = None) -> int | Need:
        """Adds another user's message, what it was changed to, or another user's reaction to a message, once.

        Returns its version in this mailbox, or 0 where it was delivered before or has ended by now. A reaction to a
        message that is not here is dropped: the message came before it, and is gone.
        """
        if message.change is not None or message.reaction is not None:
            return self._deliver_change(message, fact)
        sent_us, now_us = message.sent_us, self.seen_us
        if is_expired(sent_us, now_us, self._mailbox.limits.retention_ms) or has_expired(message.expires_us, now_us):
            return 0
        known = self.holds(message, fact)
        if isinstance(known, CopyNeed):
            return known
        return 0 if known else self._deliver_new(message, sent_us)

    def deliver_new(self, message: Message) -> int:
        """Adds another user's message, which the caller knows to be new to the mailbox. Returns its version here."""
        return self._deliver_new(message, message.sent_us)

    def change(
        self, new: NewChange, fact: Fact | None = None, may_change: Callable[[], None] | None = None
    ) -> Changed | MessageNeed:
        """Changes a message of the mailbox's own user. The same change again changes nothing.

        UnknownConversation, UnknownMessage, NotTheAuthor, MessageUnsent, TooLateToChange. `may_change` is asked where
        it is not so already; what it raises is raised.
        """
        stands = self._stands(new, fact)
        if isinstance(stands, MessageNeed):
            return stands
        state, held, *of_holders = stands
        if not is_due(new, held, self._mailbox.user_id, self.now_us):
            return Changed(held.version, None)
        if may_change is not None:
            may_change()
        version = self.tick(0)
        change = Change(version, is_unsent=new.content is None)
        told = new.message_id, new.conversation_id, held.sender_id, state.participants, new.content or ""
        message = Message(*told, change, expires_us=held.expires_us)
        self._change(held, message, state, version)
        self._tell(message, new, version)
        return Changed(version, message, *of_holders)

    def react(
        self, new: NewReaction, fact: Fact | None = None, may_change: Callable[[], None] | None = None
    ) -> Changed | MessageNeed:
        """Changes how the mailbox's user reacts to a message. The same reaction again changes nothing.

        UnknownConversation, UnknownMessage, MessageUnsent, TooLateToChange; `may_change` as `change`.
        """
        stands = self._stands(new, fact)
        if isinstance(stands, MessageNeed):
            return stands
        state, held, *of_holders = stands
        user_id = self._mailbox.user_id
        if not is_reaction_due(new, held, user_id, self.now_us):
            return Changed(held.version, None)
        if may_change is not None:
            may_change()
        version = self.tick(0)
        reaction = Reaction(user_id, new.emoji, version)
        reactions = with_reaction(held.reactions, reaction)
        assert reactions is not None  # a version of this mailbox is greater than all before it
        self._react(held, reactions, state, version)
        message = Message(new.message_id, new.conversation_id, user_id, state.participants, "", None, reaction)
        self._tell(message, new, version)
        return Changed(version, message, *of_holders)

    def take_change(self, message: Message, held: MessageCell | None) -> int:
        """Adds what another user's message was changed to, or another user's reaction to a message.

        `held` is what counts of the message in this mailbox now. Returns the version here, or 0 where that change or a
        later one is here already, or the message is gone.
        """
        if held is not None and held.came <= self.floor(message.conversation_id):
            return 0
        if message.reaction is not None:
            return self._take_reaction(message.conversation_id, message.reaction, held)
        change = message.change
        assert change is not None
        if held is None:
            if message.is_expired(self.seen_us, self._mailbox.limits.retention_ms):
                return 0
            return self._deliver_new(message, message.sent_us)
        if not change.supersedes(held.change):
            return 0
        state = self.conversation(message.conversation_id)
        assert state is not None
        version = self.tick(change.version)
        self._change(held, message, state, version)
        return version

    def mark_read(self, conversation_id: bytes, up_to: bytes, fact: Fact | None = None) -> Marked | Need:
        """Moves a read mark forward to `up_to`, never back. UnknownConversation, UnknownMessage.

        `up_to` may name a message that may be gone by now. The unread count of the result is that of now: where
        the mark stays and the state of the conversation has ended, the conversation is settled.
        """
        state = self.conversation(conversation_id)
        if state is None or self.is_deleted(conversation_id):
            raise UnknownConversation("no such conversation")
        if not is_message_id(up_to) or up_to > state.last_message_id:
            raise UnknownMessage("no such message in this conversation")
        behind = self._behind(conversation_id, up_to, state, fact)
        if isinstance(behind, MarkNeed):
            return behind
        if not behind.is_held and sent_timestamp(up_to) > self.horizon and not self._may_have_ended(conversation_id):
            raise UnknownMessage("no such message in this conversation")
        if up_to > state.read_mark:
            left = state.at(*self._now) if state.has_ended(*self._now) else state
            state = left.with_read_mark(up_to, behind.unread, self.tick(0), self._mailbox.epoch)
            self.put_conversation(conversation_id, state, ChangeKind.READ_MARK, up_to)
            self.note_read(conversation_id)
        elif state.has_ended(*self._now):
            state = self._put_settled(conversation_id, state, behind.unread)
        own = self.state(OWN, conversation_id)
        if own is not None and own.is_marked_unread:
            self.put_own(conversation_id, msgspec.structs.replace(own, is_marked_unread=False))
            state = self.states[conversation_id]
        return Marked(state.unread_count, state.version)

    def put_own(self, conversation_id: bytes, own: OwnSettings) -> int:
        """Adds how the user sets a conversation that he has. `own` gets the stamp of the change. Returns its version.

        The conversation's state gets that version too: what clients are shown of it has changed.
        """
        state = self.conversation(conversation_id)
        assert state is not None
        epoch, version = self.stamp()
        self.put(OWN, msgspec.structs.replace(own, version=version, epoch=epoch), conversation_id)
        shown = msgspec.structs.replace(state, version=version, epoch=epoch)
        self.put_conversation(conversation_id, shown, ChangeKind.SETTINGS, ZERO_ID)
        return version

    def floor(self, conversation_id: bytes) -> int:
        """What came to a conversation up to this version is gone: the user has deleted his copy. 0: he never did."""
        own = self._own(conversation_id)
        return own.floor if own is not None else 0

    def is_deleted(self, conversation_id: bytes) -> bool:
        """Whether the user has deleted his copy of a conversation, and no message has come since."""
        own = self._own(conversation_id)
        return own is not None and own.is_deleted

    def _own(self, conversation_id: bytes) -> OwnSettings | None:
        return self.state(OWN, conversation_id) if self.has_any(OWN) else None

    def sweep(
        self, conversation_id: bytes, floor: int, cells: Sequence[tuple[bytes, int, int, int, int]], following: bytes
    ) -> int | None:
        """Empties cells of messages that the user has deleted with their conversation, up to `floor`. Nobody is told.

        Of each cell its messageId, epoch, version, first version, and end: its key stays. `following`: from which
        messageId on others are to follow; b"": that is all. Returns how many. None where it was deleted once more
        meanwhile.
        """
        own = self._own(conversation_id)
        if own is None or own.floor != floor:
            return None
        epoch, version = self.stamp()
        swept = msgspec.structs.replace(own, version=version, epoch=epoch, sweep_from=following)
        self.put(OWN, swept, conversation_id)
        for of_message, of_epoch, of_version, first_version, expires_us in cells:
            key = conversation_id, of_message, of_epoch, of_version
            self._cells.append(MessageCell(*key, "", "", None, first_version=first_version, expires_us=expires_us))
        return len(cells)

    def note_message(
        self, conversation_id: bytes, message_id: bytes, version: int, *, is_own: bool = False, is_quiet: bool = False
    ) -> None:
        """Has the user's settings of a conversation follow a message that got `version` here."""
        own = self._own(conversation_id)
        if own is None:
            return
        after = own.after_message(self.seen_us, is_own=is_own, is_quiet=is_quiet).back_with(message_id)
        if own.is_request and not after.is_request:
            self.note_read(conversation_id)  # of which its sender was not told
        if after is not own:
            self.put(OWN, msgspec.structs.replace(after, version=version, epoch=self.epoch), conversation_id)

    def take_receipt(self, receipt: Receipt) -> int:
        """Adds what the other participant's owner tells of what he has and has read: marks that only rise.

        Returns the version, or 0 where the mailbox knows as much, or has no such conversation with him.
        """
        state = self.conversation(receipt.conversation_id)
        if state is None or state.other_of(self._mailbox.user_id) != receipt.reader_id:
            return 0
        if self.is_deleted(receipt.conversation_id):
            return 0
        known = self.state(RECEIPTS, receipt.conversation_id) or NO_MARKS
        seen = seen_in(known).joined(seen_in(receipt))
        if seen == seen_in(known):
            return 0
        epoch, version = self.stamp()
        marks = ReceiptMarks(version, epoch, seen.delivered, seen.read, seen.read_us, version, known.told_read)
        self.put(RECEIPTS, marks, receipt.conversation_id)
        mark = seen.read if seen.read > seen_in(known).read else seen.delivered
        self.log.append(LogCell(version, epoch, ChangeKind.RECEIPT, receipt.conversation_id, mark))
        return version

    def note_told(self, told: Mapping[bytes, bytes]) -> int:
        """Notes up to where the others' rows have confirmed that this user has read, by conversation. Not shown.

        Returns of how many conversations that is news.
        """
        news = 0
        for conversation_id, read in told.items():
            known = self.state(RECEIPTS, conversation_id) or NO_MARKS
            if read > known.told_read:
                epoch, version = self.stamp()
                marks = msgspec.structs.replace(known, version=version, epoch=epoch, told_read=read)
                self.put(RECEIPTS, marks, conversation_id)
                news += 1
        return news

    def settle(self, conversation_ids: Iterable[bytes], fact: Fact | None = None) -> Settled | RecountNeed:
        """Settles those of the conversations whose states tell of messages that are gone.

        Conversations whose unread messages have to be counted anew are settled as far as memory and one Fact tell the
        count. `Settled.left` counts the others.
        """
        now = self._now
        counted = self._counted(fact)
        unknown: list[ConversationMark] = []
        known: list[tuple[bytes, Conversation, Unread | None]] = []
        for conversation_id in conversation_ids:
            state = self.conversation(conversation_id)
            if state is None or not state.has_ended(*now):
                continue
            unread = self._recount(conversation_id, state, counted) if state.needs_recount(*now) else None
            if unread is None and state.needs_recount(*now):
                unknown.append((conversation_id, state.read_mark))
            else:
                known.append((conversation_id, state, unread))
        if unknown and not counted:
            return RecountNeed(tuple(unknown[:MOST_RECOUNTS]))
        left = len(unknown)
        for conversation_id, state, unread in known:
            left += self._put_settled(conversation_id, state, unread).has_ended(*now)
        return Settled(left)

    def cells(self) -> list[Cell]:
        """The cells to write into the row, all in one atomic mutation."""
        mailbox = self._mailbox
        self._end_revocation()
        if mailbox.device_uses and self._may_note_device_uses():
            self.note_device_uses()
        before = mailbox.index.get if mailbox.is_fenced else nothing_before
        cells: list[Cell] = [*cells_of(CONVERSATION.letter, mailbox.epoch, self.states, before)]
        for kind, states in self.others.items():
            stood = mailbox.others.get(kind, {}).get if mailbox.is_fenced else nothing_before
            cells += cells_of(kind, mailbox.epoch, states, stood)
        return [*cells, *self._cells, *self.log]

    def states_by_version(self) -> Iterable[tuple[bytes, Conversation]]:
        """The changed conversations and their new states, ascending by version."""
        if len(self.states) == 1:
            return self.states.items()
        return sorted(self.states.items(), key=lambda item: item[1].version)

    def _end_revocation(self) -> None:
        """A revocation that has ended goes with the next change, whatever that is: it ends by a value that says so,
        because its version counts for the head.
        """
        known = self._mailbox.revocation
        if known is not None and self.revocation is None and known.has_ended(self.seen_us):
            self.put(REVOCATION, Revocation(self.head, self._mailbox.epoch))

    def _may_note_device_uses(self) -> bool:
        """Whether what is known of devices goes with this change, whatever that is: not with each one, because a state
        of devices takes more than a send's cells do.
        """
        known = self._mailbox.devices
        return known is not None and DEVICES.letter not in self.others and known.is_to_be_noted(self.now_us)

    def earlier_send(self, client_id_hash: bytes, fact: Fact | None) -> DedupeCell | DedupeNeed | None:
        """The record of a send that was applied before, or planned here; None: there is none. Else what to read."""
        record = self.records.get(client_id_hash)
        if record is not None or not self._mailbox.client_ids.may_hold(client_id_hash):
            return record
        need = DedupeNeed(client_id_hash)
        if not self.answers(fact, need):
            return need
        return fact.value if fact is not None and isinstance(fact.value, DedupeCell) else None

    def add_record(self, record: DedupeCell) -> None:
        """Adds the record of a send."""
        self.records[record.client_id_hash] = record
        self._cells.append(record)

    def hide(self, cell: MessageCell) -> None:
        """Adds a message under the hidden id of its conversation. Whose it is has a state of its own to put."""
        self._cells.append(cell)
        self._note_end(cell)

    def post(self, parcel: OutboxCell) -> None:
        """Has a message delivered to others' rows, once this plan is confirmed."""
        self._cells.append(parcel)
        self.outbox.append(parcel)

    def _new_send(self, new: NewSend) -> Sent:
        state = self.conversation(new.conversation_id)
        newest_us = sent_timestamp(state.last_message_id) if state is not None else 0
        if state is not None and state.unread_count:
            self.note_read(new.conversation_id)
        version = self.tick(newest_us)
        old = state or Conversation.new(new.participants, version)
        # One number is both here, as a rule; they are two in every other mailbox (docs/consistency.md).
        sent_us = version
        if is_far_ahead(self.now_us, version):
            sent_us = date_of_send(self.now_us, version, newest_us, sent_timestamp(old.read_mark))
        message = Message(
            message_id(sent_us, new.entropy),
            new.conversation_id,
            new.sender_id,
            new.participants,
            new.content,
            told=new.told,
        )
        if new.told is None and (TTL.letter in self._mailbox.others or TTL.letter in self.others):
            message = self._with_end(message, sent_us)
        epoch = self._mailbox.epoch
        self.add_copy(message, sent_us, version, new.client_message_id, old.last_message_id, new.told)
        record = DedupeCell(
            new.client_id_hash, epoch, version, message.message_id, new.conversation_id, new.payload_hash
        )
        self.add_record(record)
        if self._mailbox.is_fenced and len(new.participants) > 1:
            self.post(OutboxCell(message.message_id, epoch, version, message))
        after, kind = old.with_sent(message, version, epoch), ChangeKind.MESSAGE
        self.put_conversation(new.conversation_id, after, kind, message.message_id, 0, message.expires_us)
        self.note_message(new.conversation_id, message.message_id, version, is_own=True)
        return Sent(record, message)

    def _with_end(self, message: Message, sent_us: int) -> Message:
        """The message, which the user sends now, with its end where its conversation has a ttl."""
        ttl = self.state(TTL, message.conversation_id)
        if ttl is None or not ttl.ttl_ms:
            return message
        return msgspec.structs.replace(message, expires_us=end_of(sent_us, ttl.ttl_ms))

    def _deliver_new(self, message: Message, sent_us: int) -> int:
        version = self.tick(sent_us)
        conversation_id = message.conversation_id
        old = self.conversation(conversation_id) or Conversation.new(message.participants, version)
        self.add_copy(message, sent_us, version, None, old.last_message_id, message.told)
        state = old.with_delivered(message, version, self._mailbox.epoch)
        if message.change is None:
            kind = ChangeKind.MESSAGE
            self.put_conversation(conversation_id, state, kind, message.message_id, 0, message.expires_us)
        else:
            state = state.with_changed(message, version, self._mailbox.epoch)
            self.put_conversation(
                conversation_id, state, kind_of(message.change), message.message_id, version, message.expires_us
            )
        self.note_message(conversation_id, message.message_id, version)
        return version

    def _deliver_change(self, message: Message, fact: Fact | None) -> int | Need:
        held = self.held(message.conversation_id, message.message_id, fact)
        return held if isinstance(held, MessageNeed) else self.take_change(message, held)

    def held(self, conversation_id: bytes, message_id: bytes, fact: Fact | None) -> MessageCell | MessageNeed | None:
        """What counts of a message in this mailbox; None: it is not here. Else what to read."""
        state = self.conversation(conversation_id)
        if state is None or message_id > state.last_message_id:
            return None
        need = MessageNeed(conversation_id, message_id)
        if fact is None or not isinstance(fact.value, HeldMessages) or not self.answers(fact, need):
            return need
        return fact.value.cells[0]

    def _stands(
        self, new: New, fact: Fact | None
    ) -> tuple[Conversation, MessageCell, tuple[MessageCell | None, ...], tuple[MessageCell | None, ...]] | MessageNeed:
        """What stands of the message that `new` is about: its conversation's state, its cell here, and at holders what
        is shown and what is hidden of it.

        UnknownConversation, UnknownMessage, NotInGroups.
        """
        state = self.conversation(new.conversation_id)
        if state is None:
            raise UnknownConversation("no such conversation")
        if state.group is not None:
            raise NotInGroups("the conversation is a group")
        if not is_message_id(new.message_id) or new.message_id > state.last_message_id:
            raise UnknownMessage("no such message in this conversation")
        need = MessageNeed(new.conversation_id, new.message_id, new.holders, new.with_hidden)
        if fact is None or not isinstance(fact.value, HeldMessages) or not self.answers(fact, need):
            return need
        held, *of_holders = fact.value.cells
        is_joint = self._mailbox.is_fenced or len(new.holders) == len(state.participants) - 1
        if held is not None and held.came <= self.floor(new.conversation_id):
            held = None
        if held is None or not is_joint:  # the conversation has come into being since it was looked up
            raise UnknownMessage("no such message in this conversation")
        return state, held, tuple(of_holders), fact.value.hidden[1:]

    def _tell(self, message: Message, new: New, version: int) -> None:
        """Puts what others are to be told of a change into the outbox, where they are not told by the same commit."""
        if self._mailbox.is_fenced and len(message.participants) > 1:
            self.post(OutboxCell(message_id(version, new.entropy), self._mailbox.epoch, version, message))

    def _take_reaction(self, conversation_id: bytes, reaction: Reaction, held: MessageCell | None) -> int:
        if held is None or held.is_unsent:
            return 0
        reactions = with_reaction(held.reactions, reaction)
        if reactions is None:
            return 0
        state = self.conversation(conversation_id)
        assert state is not None
        version = self.tick(reaction.version)
        self._react(held, reactions, state, version)
        return version

    def _change(self, held: MessageCell, message: Message, state: Conversation, version: int) -> None:
        """Puts `message` in the place of `held`, of which the age stays, the sender's own id of it, and reactions."""
        assert message.change is not None
        reactions = () if message.change.is_unsent else held.reactions
        self.replace(held, message, version, reactions)
        after = state.with_changed(message, version, self._mailbox.epoch)
        told = kind_of(message.change), message.message_id, held.came, held.expires_us
        self.put_conversation(message.conversation_id, after, *told)

    def _react(self, held: MessageCell, reactions: tuple[Reaction, ...], state: Conversation, version: int) -> None:
        """Puts the message with `reactions` in the place of `held`."""
        told = held.sender_id, state.participants, held.content, held.change
        message = Message(held.message_id, held.conversation_id, *told)
        self.replace(held, message, version, reactions)
        after = state.with_reacted(version, self._mailbox.epoch)
        of_log = ChangeKind.REACTION, held.message_id, held.came, held.expires_us
        self.put_conversation(held.conversation_id, after, *of_log)

    def replace(
        self,
        held: MessageCell,
        message: Message,
        version: int,
        reactions: tuple[Reaction, ...] = (),
        tallies: tuple[Tally, ...] = (),
    ) -> None:
        """Puts `message` with these reactions in the place of `held`, of which age, end and the sender's own id stay.

        The conversation's state is the caller's to put.
        """
        if message.expires_us != held.expires_us:
            message = msgspec.structs.replace(message, expires_us=held.expires_us)
        epoch, client_message_id, came = self._mailbox.epoch, held.client_message_id, held.came
        of_copy = version, epoch, client_message_id, came, reactions, self._mailbox.user_id, None, tallies
        self.changed.append((message.conversation_id, copy_of(message, message.sent_us, *of_copy)))
        self.superseded.append(held)
        key = message.conversation_id, message.message_id, epoch, version
        told = message.sender_id, message.content, client_message_id
        self._cells.append(MessageCell(*key, *told, message.change, came, reactions, None, tallies, held.expires_us))

    def holds(self, message: Message, fact: Fact | None, *, may_be_hidden: bool = False) -> bool | CopyNeed:
        """Whether the mailbox has `message`: greater than the newest is new, else the window or a read decides.

        `may_be_hidden`: it may be kept under the hidden id as well, where only a read finds it.
        """
        state = self.conversation(message.conversation_id)
        may_be_shown = state is not None and message.message_id <= state.last_message_id
        if may_be_shown:
            if any(copy.message_id == message.message_id for _, copy, _ in self.copies):
                return True
            window = self._mailbox.windows.get(message.conversation_id)
            if window is not None and window.covers(message.message_id):
                if window.get(message.message_id) is not None:
                    return True
                may_be_shown = bool(self.floor(message.conversation_id))  # below it the row knows, the window does not
        if not may_be_shown and not may_be_hidden:
            return False
        need = CopyNeed(message.conversation_id, message.message_id, may_be_hidden)
        if not self.answers(fact, need):
            return need
        return bool(fact is not None and fact.value)

    def _behind(
        self, conversation_id: bytes, up_to: bytes, state: Conversation, fact: Fact | None
    ) -> Behind | MarkNeed:
        """What a mark at `up_to` leaves unread; all of it is others' (Conversation)."""
        if up_to == state.last_message_id:
            return Behind(NOTHING_UNREAD, is_held=True)
        if up_to == state.read_mark and not state.needs_recount(*self._now):
            return Behind(Unread(state.unread_count, state.unread_since, state.unread_expires), is_held=True)
        mark = max(up_to, state.read_mark)
        window = self._window_over(conversation_id, up_to)
        if window is not None and window.covers(up_to):
            unread = window.unread_above(mark, *self._now, is_group=state.group is not None)
            return Behind(unread, window.get(up_to) is not None)
        need = MarkNeed(conversation_id, up_to, mark)
        if fact is not None and isinstance(fact.value, Behind) and self.answers(fact, need):
            return fact.value
        return need

    def _recount(
        self, conversation_id: bytes, state: Conversation, counted: Mapping[ConversationMark, Unread]
    ) -> Unread | None:
        """What is unread, from memory or as it was counted; None where neither says."""
        window = self._window_over(conversation_id, state.read_mark)
        if window is not None:
            return window.unread_above(state.read_mark, *self._now, is_group=state.group is not None)
        return counted.get((conversation_id, state.read_mark))

    def _counted(self, fact: Fact | None) -> Mapping[ConversationMark, Unread]:
        """What a Fact says to a RecountNeed, by ConversationMark."""
        return fact.value if fact is not None and fact.as_of == self.head and isinstance(fact.value, dict) else {}

    def _window_over(self, conversation_id: bytes, message_id: bytes) -> "Window | None":
        """The window of a conversation where it holds all behind `message_id`, and no joined command added to it."""
        window = None if conversation_id in self.states else self._mailbox.windows.get(conversation_id)
        return window if window is not None and window.floor <= message_id else None

    def answers(self, fact: Fact | None, need: Need) -> bool:
        """Whether `fact` is about `need` and still true: nothing was planned or applied since it was read."""
        return fact is not None and fact.need == need and fact.as_of == self.head

    def conversation(self, conversation_id: bytes) -> Conversation | None:
        """The state of a conversation after the commands so far; None: there is none."""
        return self.states.get(conversation_id) or self._mailbox.index.get(conversation_id)

    def tick(self, remote_us: int) -> int:
        """The version of one more change, which becomes the head; above `remote_us`, as far as the clock follows it."""
        last_us = self.head if self.head != self.base_head else first_of_mutation(self.now_us, self.head)
        self.head = tick(self.now_us, last_us, remote_us)
        return self.head

    def add_copy(
        self,
        message: Message,
        sent_us: int,
        version: int,
        client_message_id: str | None,
        newest_before: bytes,
        told: Told | None = None,
        tallies: tuple[Tally, ...] = (),
    ) -> None:
        """Adds a message that is new to its conversation, whose newest message was `newest_before`."""
        epoch = self._mailbox.epoch
        copy = copy_of(message, sent_us, version, epoch, client_message_id, version, told=told, tallies=tallies)
        self.copies.append((message.conversation_id, copy, newest_before))
        cell = MessageCell(
            message.conversation_id,
            message.message_id,
            epoch,
            version,
            message.sender_id,
            message.content,
            client_message_id,
            message.change,
            version if message.change is not None or tallies else 0,
            (),
            told,
            tallies,
            message.expires_us,
        )
        self._cells.append(cell)
        self._note_end(cell)

    def _note_end(self, cell: MessageCell) -> None:
        """Has the row say that under this id it has a message with an end, so that the cell is looked for behind it."""
        if cell.expires_us and self.state(TTL, cell.conversation_id) is None:
            self.put(TTL, Ttl(cell.version, cell.epoch, 0), cell.conversation_id)

    def note_read(self, conversation_id: bytes) -> None:
        """The user has read more of a conversation by this plan: whom it concerns is told once that is confirmed."""
        self.read = {*self.read, conversation_id}

    def _put_settled(self, conversation_id: bytes, state: Conversation, unread: Unread | None) -> Conversation:
        """Settles one conversation; `unread` counts where it needs a recount."""
        recounted = unread if state.needs_recount(*self._now) else None
        settled = state.settled(*self._now, recounted, self.tick(0), self._mailbox.epoch)
        self.put_conversation(conversation_id, settled, ChangeKind.EXPIRY, ZERO_ID)
        return settled

    def put_conversation(
        self,
        conversation_id: bytes,
        state: Conversation,
        kind: ChangeKind,
        message: bytes,
        first_version: int = 0,
        expires_us: int = 0,
    ) -> None:
        """Adds the new state of a conversation, and the log entry that tells of the change."""
        self.states[conversation_id] = state
        epoch = self._mailbox.epoch
        self.log.append(LogCell(state.version, epoch, kind, conversation_id, message, first_version, expires_us))


def kind_of(change: Change) -> ChangeKind:
    """The kind of the log entry of a change."""
    return ChangeKind.UNSEND if change.is_unsent else ChangeKind.EDIT
