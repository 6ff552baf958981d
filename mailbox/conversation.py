"""The state of one conversation in one mailbox, and how it changes. Pure: every function gives a new state."""

from typing import Self

import msgspec

from rowbox.mailbox.clock import US_PER_MS
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.ids import ZERO_ID, sent_timestamp, to_text
from rowbox.mailbox.message import Message, encode_json

SNIPPET_CHARACTERS = 100
UNREAD_CAP = 1000
"""`unread_count` is exact to 999; this says "more"."""


class Conversation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the conversation index.

    `version` and `epoch` are of the mutation that made this state. `read_mark` is the messageId up to which the user
    has read; `unread_count` counts others' messages that sort after it. The user's own messages never do: sending
    marks the conversation read. `created_version` is the version with which the conversation came into the mailbox.

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

    @classmethod
    def new(cls, participants: tuple[str, ...], version: int) -> Self:
        """A conversation without a message: what its first message is added to."""
        return cls(version, 0, participants, ZERO_ID, 0, "", ZERO_ID, 0, version)

    def with_sent(self, message: Message, version: int, epoch: int) -> "Conversation":
        """After the user sent `message`: the conversation is read, up to and including its newest message.

        That is the message itself, unless another is dated so far ahead that it still sorts behind (clock.py).
        """
        if message.message_id < self.last_message_id:
            return self.with_read_mark(self.last_message_id, 0, version, epoch)
        return self._with_newest(message, version, epoch, message.message_id, 0)

    def with_delivered(self, message: Message, version: int, epoch: int) -> "Conversation":
        """After someone else's `message` came, which may sort anywhere."""
        is_unread = message.message_id > self.read_mark
        unread = min(UNREAD_CAP, self.unread_count + is_unread)
        if message.message_id > self.last_message_id:
            return self._with_newest(message, version, epoch, self.read_mark, unread)
        return msgspec.structs.replace(self, version=version, epoch=epoch, unread_count=unread)

    def with_read_mark(self, message_id: bytes, unread_count: int, version: int, epoch: int) -> "Conversation":
        """After the user read up to and including `message_id`, behind which `unread_count` messages sort."""
        return msgspec.structs.replace(
            self, version=version, epoch=epoch, read_mark=message_id, unread_count=unread_count
        )

    def _with_newest(
        self, message: Message, version: int, epoch: int, read_mark: bytes, unread_count: int
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
        )

    def snippet_expires_us(self, retention_ms: int) -> int:
        """When retention takes the newest message, and the snippet with it."""
        return self.last_message_version + retention_ms * US_PER_MS

    def to_json(self, conversation_id: bytes, *, with_snippet: bool) -> bytes:
        """The object that fetchConversation answers with."""
        return encode_json(
            {
                "conversationId": to_text(conversation_id),
                "participants": self.participants,
                "snippet": self.snippet if with_snippet else None,
                "lastUpdatedTimestamp": self.version,
                "lastMessageId": to_text(self.last_message_id),
                "lastSentTimestamp": sent_timestamp(self.last_message_id),
                "unreadCount": self.unread_count,
            }
        )


pack = msgspec.msgpack.Encoder().encode
"""A state as bytes: an array of its fields in the order of their declaration, as it is stored."""
_decode = msgspec.msgpack.Decoder(Conversation).decode


def unpack(packed: bytes) -> Conversation:
    """The inverse of `pack`. StoreDamaged."""
    try:
        return _decode(packed)
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"the state of a conversation does not decode: {error}") from error
