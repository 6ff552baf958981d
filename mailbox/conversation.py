"""The state of one conversation in one mailbox, and how it changes. Pure: every function gives a new state.

Two facts in a state are derived from messages, and end with these: the snippet, and the unread count. Time is a
`horizon`, as everywhere in this folder: a message is there while its version is greater than the horizon
(Mailbox.horizon) and it has not come to its own end, where it has one. So a state knows by itself until when it is true
(`ends_after`). A state that has ended stays as it is until it is settled: the mailbox writes one that says so, as a
change like any other (Plan.settle).
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Self

import msgspec

from rowbox.mailbox import representation
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.expiry.ttl import Ttl, earlier, has_expired
from rowbox.mailbox.group import InGroup, Membership, Standing
from rowbox.mailbox.ids import ZERO_ID, is_quiet, sent_timestamp, to_text
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.own_settings import OwnSettings
from rowbox.mailbox.receipts import ReceiptMarks

SNIPPET_CHARACTERS = 100
UNREAD_CAP = 1000
"""`unread_count` is exact to 999; this says "more"."""
UNTOLD = -1
"""The `last_sender` of a state that was written without that field, or of a conversation without a message."""
NEVER = (1 << 63) - 1
"""Greater than every version: what nothing ends after."""


class Unread(NamedTuple):
    """Others' messages behind a read mark: how many (UNREAD_CAP at most), the lowest version of those counted, and the
    earliest end that one of them has of its own (0: none has).
    """

    total: int
    since: int
    expires_us: int = 0


NOTHING_UNREAD = Unread(0, 0)


def unread_of(messages: Sequence[tuple[int, int]]) -> Unread:
    """What is unread where it is these: of each, with which version it came, and when it ends (0: by retention)."""
    since = min((came for came, _ in messages), default=0)
    expires_us = min((ends for _, ends in messages if ends), default=0)
    return Unread(min(UNREAD_CAP, len(messages)), since, expires_us)


def ends_after(*, has_snippet: bool, last_message_version: int, unread_count: int, unread_since: int) -> int:
    """The rule of Conversation.kept_until, for callers that have read only these fields of a state."""
    snippet_ends = last_message_version if has_snippet else NEVER
    return min(snippet_ends, unread_since) if unread_count else snippet_ends


def expires_at(*, has_snippet: bool, snippet_expires: int, unread_count: int, unread_expires: int) -> int:
    """The rule of Conversation.expires_us, for callers that have read only these fields of a state."""
    return earlier(snippet_expires if has_snippet else 0, unread_expires if unread_count else 0)


class Conversation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the conversation index.

    `version` and `epoch` are of the mutation that made this state. `snippet` is "" once retention took the newest
    message, whose id stays, and `last_message_version`, with which it came. `read_mark` is the messageId up to which
    the user has read; `unread_count` counts others' messages that sort after it. The user's own never do: sending
    marks the conversation read.
    `unread_since` is the lowest version among those counted, with which they came: until retention takes that one the
    count is exact. It is 0 where nothing is unread, and in states that were written without it: these are exact as long
    as nothing in the conversation can have expired. `created_version` is the version with which the conversation came
    into the mailbox.
    `last_sender` is whose the newest message is, as a place in `participants`: a number is a byte, a userId up to 128.
    `changed_at` is the version of the newest change of a message that was there before (an edit, an unsend, a
    reaction); 0: none.
    No message whose log entry is newer was changed since. `last_is_unsent`: the newest message was taken back, and the
    snippet is "" for that.
    `group` is there in groups only. A group's state names no participants, and its quiet messages are never unread.
    `last_received_id` is the newest message of another participant that came; b"": none came since that is kept.
    `snippet_expires` is when the newest message ends, `unread_expires` the earliest end among the unread ones counted,
    in microseconds; 0: none of these has an end of its own.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    participants: tuple[str, ...]
    last_message_id: bytes
    last_message_version: int
    snippet: str
    read_mark: bytes
    unread_count: int
    created_version: int
    unread_since: int = 0
    last_sender: int = UNTOLD
    changed_at: int = 0
    last_is_unsent: bool = False
    group: InGroup | None = None
    last_received_id: bytes = b""
    snippet_expires: int = 0
    unread_expires: int = 0

    @classmethod
    def new(cls, participants: tuple[str, ...], version: int) -> Self:
        """A conversation without a message, to which its first message is added."""
        return cls(version, 0, participants, ZERO_ID, 0, "", ZERO_ID, 0, version)

    def with_sent(self, message: Message, version: int, epoch: int) -> "Conversation":
        """The state after the user sent `message`: the conversation is read, up to and including its newest message.

        That is the message itself, unless another is dated so far ahead that it still sorts behind (clock.py).
        """
        if message.message_id < self.last_message_id:
            return self.with_read_mark(self.last_message_id, NOTHING_UNREAD, version, epoch)
        return self._with_newest(message, version, epoch, message.message_id, 0, 0, self.last_received_id, 0)

    def with_delivered(self, message: Message, version: int, epoch: int) -> "Conversation":
        """The state after another user's `message` came, which may sort anywhere among the others.

        A count that has ended is not counted anew here: it is one too many or more, and still says that it has ended.
        """
        unread, since, expires_us = self.unread_count, self.unread_since, self.unread_expires
        if message.message_id > self.read_mark:
            since = since if unread else version
            if message.expires_us:
                expires_us = earlier(expires_us, message.expires_us) if unread else message.expires_us
            unread = min(UNREAD_CAP, unread + 1)
        if message.message_id > self.last_message_id:
            received = message.message_id
            return self._with_newest(message, version, epoch, self.read_mark, unread, since, received, expires_us)
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            unread_count=unread,
            unread_since=since,
            last_received_id=max(self.last_received_id, message.message_id),
            unread_expires=expires_us,
        )

    def with_read_mark(self, message_id: bytes, unread: Unread, version: int, epoch: int) -> "Conversation":
        """The state after the user read up to and including `message_id`, after which `unread` sorts."""
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            read_mark=message_id,
            unread_count=unread.total,
            unread_since=unread.since,
            unread_expires=unread.expires_us,
        )

    def with_version(self, version: int, epoch: int) -> "Conversation":
        """The same state, of a later mutation: something beside it has changed that clients are shown with it."""
        return msgspec.structs.replace(self, version=version, epoch=epoch)

    def with_changed(self, message: Message, version: int, epoch: int) -> "Conversation":
        """The state after a message that it has was changed to `message`. Unread counts and order stay as they are."""
        assert message.change is not None
        if message.message_id != self.last_message_id:
            return msgspec.structs.replace(self, version=version, epoch=epoch, changed_at=version)
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            changed_at=version,
            snippet=message.content[:SNIPPET_CHARACTERS],
            last_is_unsent=message.change.is_unsent,
        )

    def with_reacted(self, version: int, epoch: int) -> "Conversation":
        """The state after somebody reacted to a message that it has: nothing is told of that here."""
        return msgspec.structs.replace(self, version=version, epoch=epoch, changed_at=version)

    def with_deleted(self, version: int, epoch: int) -> "Conversation":
        """The state after the user deleted his copy: nothing is told of what was there. What he has read stays so."""
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            snippet="",
            unread_count=0,
            unread_since=0,
            last_is_unsent=False,
            snippet_expires=0,
            unread_expires=0,
        )

    @classmethod
    def new_group(cls, version: int) -> Self:
        """A group's conversation without a message, to which its first event is added."""
        return msgspec.structs.replace(cls.new((), version), group=InGroup(0, ""))

    def with_event(self, message: Message, version: int, epoch: int, *, is_own: bool) -> "Conversation":
        """The state after an event of the group, which is newer than all that are there. `is_own`: it marks all read.

        Other users' quiet messages leave unread what is unread.
        """
        assert message.group is not None
        read_mark, unread, since, expires_us = self.read_mark, self.unread_count, self.unread_since, self.unread_expires
        if is_own:
            read_mark, unread, since, expires_us = message.message_id, 0, 0, 0
        elif not is_quiet(message.message_id):
            since = since if unread else version
            if message.expires_us:
                expires_us = earlier(expires_us, message.expires_us) if unread else message.expires_us
            unread = min(UNREAD_CAP, unread + 1)
        return msgspec.structs.replace(
            self,
            version=version,
            epoch=epoch,
            last_message_id=message.message_id,
            last_message_version=version,
            snippet=message.content[:SNIPPET_CHARACTERS],
            read_mark=read_mark,
            unread_count=unread,
            unread_since=since,
            last_is_unsent=False,
            group=InGroup(message.group.version, message.sender_id),
            snippet_expires=message.expires_us,
            unread_expires=expires_us,
        )

    def with_chain(self, chain: int, version: int, epoch: int) -> "Conversation":
        """The state after an event of the group that is no message: of which nothing is shown, or one is changed."""
        assert self.group is not None
        return msgspec.structs.replace(self, version=version, epoch=epoch, group=InGroup(chain, self.group.last_sender))

    def _with_newest(
        self,
        message: Message,
        version: int,
        epoch: int,
        read_mark: bytes,
        unread_count: int,
        unread_since: int,
        last_received_id: bytes,
        unread_expires: int,
    ) -> "Conversation":
        return Conversation(  # by position: twice as fast as by name, and two are made of every message
            version,
            epoch,
            self.participants,
            message.message_id,
            version,
            message.content[:SNIPPET_CHARACTERS],
            read_mark,
            unread_count,
            self.created_version,
            unread_since,
            self.participants.index(message.sender_id),
            self.changed_at,
            False,
            None,
            last_received_id,
            message.expires_us,
            unread_expires,
        )

    @property
    def last_sender_id(self) -> str | None:
        """The userId of the newest message's sender; None where the state does not tell."""
        if self.group is not None:
            return self.group.last_sender or None
        return self.participants[self.last_sender] if 0 <= self.last_sender < len(self.participants) else None

    @property
    def received_up_to(self) -> bytes:
        """Up to which message of others the mailbox has them; b"": none came, or the state does not tell.

        In a group nothing is missing before the newest message, whoever wrote that.
        """
        return self.last_received_id if self.group is None else self.last_message_id

    @property
    def read_of_others(self) -> bytes:
        """Up to which message of others the user has read; b"": none, or the state does not tell.

        It is never above the newest that came: a read mark may be at the user's own message, and one of another that
        is dated before that may still be on its way.
        """
        return min(self.read_mark, self.received_up_to) if self.read_mark != ZERO_ID else b""

    def other_of(self, user_id: str) -> str | None:
        """The other participant of a conversation of two; None where there is not exactly one."""
        others = [one for one in self.participants if one != user_id]
        return others[0] if len(others) == 1 else None

    # ------------------------------------------------------------------ what ends

    @property
    def can_end(self) -> bool:
        """Whether the state has a snippet or an unread count, which end with their messages."""
        return self.snippet != "" or self.unread_count > 0

    @property
    def kept_until(self) -> int:
        """The horizon at which retention takes a message that this state tells of; NEVER where it tells of none.

        From one state of a conversation to the next it never falls, but for a message that comes after NEVER.
        """
        return ends_after(
            has_snippet=self.snippet != "",
            last_message_version=self.last_message_version,
            unread_count=self.unread_count,
            unread_since=self._count_ends_after,
        )

    @property
    def expires_us(self) -> int:
        """When a message of which this state tells comes to an end of its own, in microseconds; 0: none has one."""
        return expires_at(
            has_snippet=self.snippet != "",
            snippet_expires=self.snippet_expires,
            unread_count=self.unread_count,
            unread_expires=self.unread_expires,
        )

    def ends_after(self, retention_us: int) -> int:
        """The horizon at which this state is true no longer; NEVER where it stays true.

        An end falls into the horizon's place by `retention_us`: so long before the end the horizon was there.
        """
        kept, expires_us = self.kept_until, self.expires_us
        return min(kept, expires_us - retention_us) if expires_us else kept

    def has_ended(self, horizon: int, now_us: int) -> bool:
        """Whether a message which this state still tells of is gone. `horizon` is that of `now_us`, here and below."""
        return self.kept_until <= horizon or has_expired(self.expires_us, now_us)

    def needs_recount(self, horizon: int, now_us: int) -> bool:
        """Whether only the messages can say how many are unread: some of those counted are gone, and maybe not all."""
        if not self.unread_count or self.version <= horizon:
            return False
        return self._count_ends_after <= horizon or has_expired(self.unread_expires, now_us)

    @property
    def _count_ends_after(self) -> int:
        return self.unread_since or self.created_version

    def at(self, horizon: int, now_us: int) -> "Conversation":
        """What of this state is true then. Where it `needs_recount`, the unread count may be too high."""
        is_there = self.last_message_version > horizon and not has_expired(self.snippet_expires, now_us)
        unread = Unread(self.unread_count, self.unread_since, self.unread_expires)
        if self.version <= horizon:
            unread = NOTHING_UNREAD
        return msgspec.structs.replace(
            self,
            snippet=self.snippet if is_there else "",
            unread_count=unread.total,
            unread_since=unread.since,
            unread_expires=unread.expires_us,
        )

    def settled(self, horizon: int, now_us: int, unread: Unread | None, version: int, epoch: int) -> "Conversation":
        """The state that tells of what is left then. `unread`: the count, where this one `needs_recount`."""
        left = self.at(horizon, now_us)
        unread = unread if unread is not None else Unread(left.unread_count, left.unread_since, left.unread_expires)
        return left.with_read_mark(self.read_mark, unread, version, epoch)

    def to_json(
        self,
        conversation_id: bytes,
        membership: Membership | None = None,
        marks: ReceiptMarks | None = None,
        own: OwnSettings | None = None,
        ttl: Ttl | None = None,
    ) -> bytes:
        """The conversation as clients get it (representation.py).

        `membership`: of a group, what its member knows. `marks`: what is known of the other one's. `own`: how the
        mailbox's user has set it. `ttl`: for how long its messages last.
        """
        shown = representation.Conversation(
            to_text(conversation_id),
            self.participants,
            self.snippet or None,
            max(self.version, marks.shown) if marks is not None else self.version,
            to_text(self.last_message_id),
            self.last_sender_id,
            sent_timestamp(self.last_message_id),
            self.unread_count,
            True if self.last_is_unsent else msgspec.UNSET,
            _receipts(marks) if marks is not None and marks.shown else msgspec.UNSET,
        )
        if self.snippet and self.snippet_expires:
            shown = msgspec.structs.replace(shown, snippet_expires_timestamp=self.snippet_expires)
        if ttl is not None and ttl.ttl_ms:
            shown = msgspec.structs.replace(shown, ttl_ms=ttl.ttl_ms)
        if membership is not None:
            shown = _as_group(shown, membership)
        return representation.encode(shown if own is None else _as_set(shown, own))


_MEMBERSHIPS: Final[dict[Standing, Literal["in", "left", "removed", "deleted"]]] = {
    Standing.IN: "in",
    Standing.LEFT: "left",
    Standing.REMOVED: "removed",
    Standing.DELETED: "deleted",
    Standing.DECLINED: "left",
}


def _as_group(shown: representation.Conversation, membership: Membership) -> representation.Conversation:
    return msgspec.structs.replace(
        shown,
        participants=membership.first_members,
        kind="group",
        name=membership.name,
        member_count=membership.member_count,
        role=membership.role,
        membership=_MEMBERSHIPS[membership.standing],
        group_version=membership.group_version,
    )


def _as_set(shown: representation.Conversation, own: OwnSettings) -> representation.Conversation:
    return msgspec.structs.replace(
        shown,
        muted_until=own.muted_until or msgspec.UNSET,
        archived=own.is_archived or msgspec.UNSET,
        pinned=own.is_pinned or msgspec.UNSET,
        marked_unread=own.is_marked_unread or msgspec.UNSET,
        request=own.is_request or msgspec.UNSET,
        deleted_up_to=own.floor or msgspec.UNSET,
        deleted=own.is_deleted or msgspec.UNSET,
        receipts=msgspec.UNSET if own.is_deleted else shown.receipts,
    )


def _receipts(marks: ReceiptMarks) -> representation.Receipts:
    return representation.Receipts(to_text(marks.delivered), to_text(marks.read) if marks.read else None)


pack = msgspec.msgpack.Encoder().encode
"""A state as bytes: an array of its fields in the order of their declaration, as it is stored."""
_decode = msgspec.msgpack.Decoder(Conversation).decode


def unpack(packed: bytes) -> Conversation:
    """The inverse of `pack`. StoreDamaged."""
    try:
        return _decode(packed)
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"the state of a conversation does not decode: {error}") from error


class _Count(msgspec.Struct, array_like=True, gc=False):
    """A Conversation of which only the unread count is decoded."""

    version: msgspec.Raw
    epoch: msgspec.Raw
    participants: msgspec.Raw
    last_message_id: msgspec.Raw
    last_message_version: msgspec.Raw
    snippet: msgspec.Raw
    read_mark: msgspec.Raw
    unread_count: int


assert Conversation.__struct_fields__[: len(_Count.__struct_fields__)] == _Count.__struct_fields__
_count_of = msgspec.msgpack.Decoder(_Count).decode


def is_unread(state: Conversation | bytes) -> bool:
    """Whether a state, packed or not, counts messages as unread."""
    return (_count_of(state) if isinstance(state, bytes) else state).unread_count > 0
