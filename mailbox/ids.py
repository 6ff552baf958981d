"""Ids: users, shards, conversations, messages, client message ids. Bytes inside, text (lowercase hex) outside.

messageId       16 bytes, a UUIDv7 (RFC 9562) whose 48-bit milliseconds and rand_a hold sentTimestamp exactly in
                microseconds: one id sorts a conversation, finds the message and tells its time.
conversationId  16 bytes; of a 1:1 it is blake2b-128 over the length-prefixed, sorted user ids, so both sides agree
                on it without asking anybody.
shard           blake2b-64(userId) mod SHARDS.

Randomness is an argument.
"""

import re
from hashlib import blake2b

from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import BadRequest

ID_BYTES = 16
ZERO_ID = bytes(ID_BYTES)
MAX_USER_ID = 128
USER_ID_IS = "1 to 128 characters of A-Z a-z 0-9 . _ @ + : -"
USER_ID_PATTERN = r"^[A-Za-z0-9._@+:\-]{1,128}$"
CLIENT_MESSAGE_ID_PATTERN = r"^[A-Za-z0-9._:\-]{1,64}$"
ID_PATTERN = r"^[0-9a-f]{32}$"

_USER_ID = re.compile(USER_ID_PATTERN[1:-1])
_ID = re.compile(ID_PATTERN[1:-1])
_RAND_B_MASK = (1 << 62) - 1
_ROW_NAME = re.compile(USER_ID_PATTERN[1:-1] + r"|!g[0-9a-f]{32}")
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_VERSION_AND_VARIANT_MASK = 0xF << 76 | 0b11 << 62


def is_user_id(text: str) -> bool:
    """Whether `text` is a userId: 1 to 128 characters of A-Z a-z 0-9 . _ @ + : -"""
    return _USER_ID.fullmatch(text) is not None


def is_row_name(text: str) -> bool:
    """Whether `text` names a row: a userId, or what a group's row has in its place (mailbox/group.py)."""
    return _ROW_NAME.fullmatch(text) is not None


def shard_of(user_id: str, shards: int) -> int:
    """The shard of a user, 0 <= shard < `shards`. Never changes for a store: `shards` is fixed when it is made."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest(), "big") % shards


def direct_conversation_id(one: str, other: str) -> bytes:
    """The id of the 1:1 conversation of two users, in either order; of a user's notes to self if they are one."""
    first = length_prefixed(min(one, other))
    both = first if one == other else first + length_prefixed(max(one, other))
    return blake2b(both, digest_size=ID_BYTES).digest()


def hidden_conversation_id(conversation_id: bytes) -> bytes:
    """Under which id a row keeps what is hidden of a conversation. Nobody is in a conversation of that id."""
    return blake2b(conversation_id, digest_size=ID_BYTES, person=b"rowbox-hidden").digest()


def length_prefixed(user_id: str) -> bytes:
    """A text of up to 65,535 bytes in a form that no other texts, one behind the other, can have."""
    encoded = user_id.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def message_id(sent_us: int, entropy: int) -> bytes:
    """The id of a message sent at `sent_us`; `entropy` gives the 62 random bits that set equal times apart."""
    milliseconds, microseconds = divmod(sent_us, US_PER_MS)
    number = milliseconds << 80 | microseconds << 64 | _VERSION_AND_VARIANT | entropy & _RAND_B_MASK
    return number.to_bytes(ID_BYTES, "big")


def entropy_of(message: bytes) -> int:
    """The random bits that `message_id` was given."""
    return int.from_bytes(message[8:], "big") & _RAND_B_MASK


def is_message_id(identifier: bytes) -> bool:
    """Whether `message_id` could have made it."""
    number = int.from_bytes(identifier, "big")
    return number & _VERSION_AND_VARIANT_MASK == _VERSION_AND_VARIANT and (number >> 64 & 0xFFF) < US_PER_MS


def sent_timestamp(message: bytes) -> int:
    """The sentTimestamp (microseconds) that a messageId holds: the inverse of `message_id`."""
    time_and_version = int.from_bytes(message[:8], "big")
    return (time_and_version >> 16) * US_PER_MS + (time_and_version & 0xFFF)


def quiet(entropy: int) -> int:
    """Random bits for the id of a message in a group that does not count as unread, because nobody wrote it.

    The lowest bit of such an id says so, so that unread messages are counted by keys alone. Only groups go by it.
    """
    return entropy | 1


def counted(entropy: int) -> int:
    """Random bits for the id of a message in a group that counts as unread."""
    return entropy & ~1


def is_quiet(message: bytes) -> bool:
    """Whether a message of a group does not count as unread, by its id."""
    return bool(message[-1] & 1)


def client_id_hash(client_message_id: str) -> bytes:
    """The key of a clientMessageId in its sender's row."""
    return blake2b(client_message_id.encode(), digest_size=ID_BYTES).digest()


def payload_hash(conversation_id: bytes, content: str) -> bytes:
    """What two sends under one clientMessageId must agree on: where to, and what."""
    return blake2b(conversation_id + content.encode(), digest_size=ID_BYTES).digest()


def to_text(identifier: bytes) -> str:
    """An id as clients see it."""
    return identifier.hex()


def from_text(text: str, name: str) -> bytes:
    """The inverse of `to_text`; BadRequest naming `name` where `text` is no id."""
    if _ID.fullmatch(text) is None:
        raise BadRequest(f"{name} is 32 lowercase hexadecimal digits")
    return bytes.fromhex(text)
