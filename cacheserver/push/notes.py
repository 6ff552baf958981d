"""What a device is told of a conversation, as the mailbox stands at that moment. Pure."""

from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import MEMBERSHIP
from rowbox.mailbox.conversation import SNIPPET_CHARACTERS, Conversation
from rowbox.mailbox.expiry.ttl import has_expired
from rowbox.mailbox.ids import is_quiet, sent_timestamp, to_text
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.push.note import MessageNote

Content: TypeAlias = Literal["none", "sender", "preview"]
"""What a push says of a message (push.content)."""
LOOKED_AT: Final = 64
"""Copies of a conversation that are looked at for the newest one that counts."""


class NewMessage(NamedTuple):
    """A message of which a user may be told. `sender_id` None, `text` None: memory does not say. `expires_us`: when it
    disappears; 0: it does not.
    """

    message_id: bytes
    version: int
    sender_id: str | None
    text: str | None
    expires_us: int


class _Shown(msgspec.Struct, rename="camel"):
    """What is read here of a message as it is shown to clients (mailbox/representation.py)."""

    sender_id: str
    message_content: str
    unsent: bool = False


_decode = msgspec.json.Decoder(_Shown).decode


def counts(state: Conversation, message_id: bytes) -> bool:
    """Whether a message is one of those that the state counts as unread, by its place alone: as Conversation has it.

    The user's own never are: to send marks everything up to it read.
    """
    is_behind = state.unread_count > 0 and message_id > state.read_mark
    return is_behind and not (state.group is not None and is_quiet(message_id))


def newest_unread(mailbox: Mailbox, conversation_id: bytes, now_us: int) -> NewMessage | None:
    """The newest message of a conversation that somebody else wrote and the user has not read; None: there is none.

    What was taken back is none, nor what has ended by `now_us`. Where memory has no messages of the conversation, its
    state tells of its newest one.
    """
    horizon = mailbox.horizon(now_us)
    state = mailbox.index.get(conversation_id)
    if state is None or not state.unread_count:
        return None
    window = mailbox.windows.get(conversation_id)
    if window is not None and window.copies:
        for copy in window.newest(None, LOOKED_AT):
            if copy.message_id <= state.read_mark:
                return None
            is_there = copy.came > horizon and not has_expired(copy.expires_us, now_us)
            if is_there and counts(state, copy.message_id):
                shown = _decode(copy.json)
                if not shown.unsent and shown.sender_id != mailbox.user_id:
                    return _of(copy, shown)
        return None
    state = state.at(horizon, now_us)
    if not counts(state, state.last_message_id) or not state.snippet:
        return None
    told = state.last_sender_id, state.snippet, state.snippet_expires
    return NewMessage(state.last_message_id, state.last_message_version, *told)


def note_of(mailbox: Mailbox, conversation_id: bytes, message: NewMessage, badge: int, content: Content) -> MessageNote:
    """What a device is told of a message."""
    sender = title = snippet = ""
    if content != "none":
        membership = mailbox.state(MEMBERSHIP, conversation_id)
        sender, title = message.sender_id or "", membership.name if membership is not None else ""
    if content == "preview":
        snippet = (message.text or "")[:SNIPPET_CHARACTERS]
    ids = to_text(conversation_id), to_text(message.message_id), sent_timestamp(message.message_id)
    return MessageNote(*ids, badge, sender, title, snippet, message.expires_us)


def _of(copy: MessageCopy, shown: _Shown) -> NewMessage:
    return NewMessage(copy.message_id, copy.came, shown.sender_id, shown.message_content, copy.expires_us)
