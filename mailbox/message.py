"""A message and its copies."""

import msgspec

from rowbox.mailbox import representation
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.expiry.ttl import has_expired
from rowbox.mailbox.group import GroupPart, Told
from rowbox.mailbox.ids import sent_timestamp, to_text
from rowbox.mailbox.reactions import Reaction, Tally, tallies_of


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was made of a message after its sending, by its author or, of a group, by an admin.

    `version` is that of the change in the author's mailbox, or in the group's row, the same in every copy. Of two
    changes of a message the one with the greater version counts, whichever comes first, and an unsent message is
    changed no more. The order of the fields is the format on disk, as Message's.
    """

    version: int
    is_unsent: bool = False
    """Whether the message was taken back: then it has no content. Else its content is what it was edited to."""
    by: str = ""
    """Of a message of a group that was taken back: who did it, its author or an admin. "" elsewhere, and where a
    version that did not keep this has taken it back."""

    def supersedes(self, other: "Change | None") -> bool:
        """Whether a copy to which `other` was done last (None: nothing was) is to take this change."""
        return other is None or (not other.is_unsent and self.version > other.version)


class Message(msgspec.Struct, frozen=True, array_like=True):
    """What was said: the same in every participant's mailbox.

    A message that was changed since it was sent travels as a whole, as the change left it. A reaction to it travels
    alone: then this has the ids and the participants of the message, `sender_id` is who reacts, and there is no text.
    So do the reactions to a message of a group (GroupPart.reactions), of which the author stays the sender.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    message_id: bytes
    conversation_id: bytes
    sender_id: str
    participants: tuple[str, ...]
    content: str
    change: Change | None = None
    """What was done to it last; None where it is as it was sent."""
    reaction: Reaction | None = None
    """None: it is a message."""
    group: GroupPart | None = None
    """Of an event of a group: what its members' rows make of it. Then `participants` is empty."""
    expires_us: int = 0
    """When it ends, in all copies; 0: when retention takes it."""
    ttl_ms: int | None = None
    """Not None: it is no message. Its sender has set the conversation's ttl to this, under the id that it has."""
    told: Told | None = None
    """Of a report: what it is of. What an event of a group tells stands in `group`."""

    @property
    def sent_us(self) -> int:
        """sentTimestamp: taken once, in the sender's mailbox."""
        return sent_timestamp(self.message_id)

    def is_expired(self, now_us: int, retention_ms: int) -> bool:
        """Whether it has ended: by retention, counted from its sending, or by an end of its own."""
        return is_expired(self.sent_us, now_us, retention_ms) or has_expired(self.expires_us, now_us)


def is_expired(sent_us: int, now_us: int, retention_ms: int) -> bool:
    """Whether retention has taken a message that was sent at `sent_us`."""
    return sent_us + retention_ms * US_PER_MS <= now_us


class MessageCopy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message as one mailbox holds it: ready to be sent to its user.

    `json` is the message as clients get it (representation.py), encoded once. `version` is the mailbox's own
    (lastUpdatedTimestamp), `epoch` the owner's that wrote it. `came` is the version with which the message came into
    the mailbox: by that retention takes it. It is `version` unless the message was changed. `expires_us`: Message.

    Kept by the hundred thousand and never part of a cycle: the cyclic collector does not look at it. Owners hand it to
    one another as an array (hand_over.py).
    """

    message_id: bytes
    version: int
    epoch: int
    json: bytes
    came: int
    expires_us: int = 0


def copy_of(
    message: Message,
    sent_us: int,
    version: int,
    epoch: int,
    client_message_id: str | None,
    came: int,
    reactions: tuple[Reaction, ...] = (),
    user_id: str = "",
    told: Told | None = None,
    tallies: tuple[Tally, ...] = (),
) -> MessageCopy:
    """The copy of `message` in the mailbox where it came with version `came` and got `version` by its last change.

    `client_message_id`: None but in its sender's own. `sent_us` is the time in the message's id; the caller has decoded
    it already. `user_id` is whose mailbox it is; only `reactions` are shown to each user in another way. `told`: what a
    system message says. `tallies`: what the user is shown of a group's reactions, in place of `reactions`.
    """
    change = message.change
    made = representation.Message(  # by position: a struct that is made by name takes longer
        to_text(message.message_id),
        to_text(message.conversation_id),
        message.sender_id,
        message.participants,
        message.content,
        sent_us,
        version,
        msgspec.UNSET if client_message_id is None else client_message_id,
        msgspec.UNSET if change is None or change.is_unsent else change.version,
        msgspec.UNSET if change is None or not change.is_unsent else True,
        _shown(tallies_of(reactions, user_id) if reactions else tallies) if reactions or tallies else msgspec.UNSET,
    )
    if change is not None and change.by:
        made = msgspec.structs.replace(made, unsent_by=change.by)
    if told is not None:
        name, role, owner = told.name or msgspec.UNSET, told.role or msgspec.UNSET, told.owner or msgspec.UNSET
        event = representation.Event(told.type, message.sender_id, told.users, name, role, owner, _report(told))
        made = msgspec.structs.replace(made, kind="system", event=event)
    if message.expires_us:
        made = msgspec.structs.replace(made, expires_timestamp=message.expires_us)
    return MessageCopy(message.message_id, version, epoch, representation.encode(made), came, message.expires_us)


def _report(told: Told) -> representation.Report | msgspec.UnsetType:
    report = told.report
    if report is None:
        return msgspec.UNSET
    return representation.Report(
        to_text(report.conversation_id),
        to_text(report.message_id),
        sent_timestamp(report.message_id),
        report.reason,
        report.comment or msgspec.UNSET,
        report.changed_us if report.changed_us and not report.is_unsent else msgspec.UNSET,
        True if report.is_unsent else msgspec.UNSET,
    )


def _shown(tallies: tuple[Tally, ...]) -> tuple[representation.Reaction, ...] | msgspec.UnsetType:
    """Reactions as clients get them; UNSET where nobody reacts any more."""
    if not tallies:
        return msgspec.UNSET
    return tuple(representation.Reaction(one.emoji, one.count, one.users, one.is_mine) for one in tallies)
