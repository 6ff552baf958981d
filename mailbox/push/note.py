"""What a device is told by a push: one JSON object, the same for all kinds of targets.

A note is a hint: the message is in the mailbox, and a client fetches it there. What of the message it says is a setting
(push.content).
"""

from typing import TypeAlias

import msgspec


class MessageNote(msgspec.Struct, frozen=True, tag_field="type", tag="message", rename="camel", omit_defaults=True):
    """There is a new message. `badge`: how many conversations are unread. `title`: the group's name.
    `expires_timestamp`: when the message disappears, in microseconds; 0: it does not.
    """

    conversation_id: str
    message_id: str
    sent_timestamp: int
    badge: int
    sender: str = ""
    title: str = ""
    snippet: str = ""
    expires_timestamp: int = 0


class ReadNote(msgspec.Struct, frozen=True, tag_field="type", tag="read", rename="camel", omit_defaults=True):
    """What was told of a conversation was read elsewhere, or was taken back: it need not be shown any more."""

    conversation_id: str
    badge: int


class CodeNote(msgspec.Struct, frozen=True, tag_field="type", tag="confirm", rename="camel", omit_defaults=True):
    """A webhook's first call: whoever gives the code back has shown that the address is his."""

    code: str


Note: TypeAlias = MessageNote | ReadNote | CodeNote

encode = msgspec.json.Encoder().encode
