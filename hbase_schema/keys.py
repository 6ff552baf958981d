"""Every key of the store, each with its inverse. Their binary parts have fixed lengths and are big-endian, so that
bytes sort as the numbers do.

A qualifier ends in the epoch (and, for messages, the version) that wrote it: no owner overwrites another's cell.
messageIds are inverted in `m`, because a row store reads columns upwards only and people read messages newest first.
Versions are not inverted in `l`: deltas are read upwards.
"""

from struct import Struct
from typing import NamedTuple

from rowbox.hbase_schema.families import Family
from rowbox.mailbox.ids import ID_BYTES, is_row_name, shard_of

FENCE_PREFIX = b"f"
MAX_SHARDS = 1 << 16
_STAMP_BYTES = 8
FENCE_BYTES = 1 + _STAMP_BYTES
"""A qualifier of `i` has no fewer: the kind, and the epoch."""
MESSAGE_BYTES = 2 * ID_BYTES + 2 * _STAMP_BYTES
CHANGED_MESSAGE_BYTES = MESSAGE_BYTES + _STAMP_BYTES
"""Of a message that was changed: the version with which it came stands behind the others."""
EXPIRING_MESSAGE_BYTES = CHANGED_MESSAGE_BYTES + _STAMP_BYTES
"""Of a message with an end: that stands last, behind the version with which it came, or 0 where it was not changed."""
LOG_BYTES = 2 * _STAMP_BYTES
DEDUPE_BYTES = OUTBOX_BYTES = ID_BYTES + _STAMP_BYTES
OUTBOX_END = b"\xff" * (OUTBOX_BYTES + 1)
"""A qualifier that sorts behind every qualifier of `o`."""
_INVERT = (1 << 8 * ID_BYTES) - 1

SCHEMA_ROW = b"meta/schema"
"""The row that says what the table was made with. `meta/` sorts behind every shard, so that one split point gives the
rows below it a region of their own."""
CLUSTER_ROW = b"meta/cluster"
"""The row that says who owns the mailboxes (cacheserver/shardmap/cluster_state.py). One read shows all of it as of one
moment."""
MAP_ROW = b"meta/map"
"""The row of the maps: a column for each that was written (cacheserver/shardmap/map_store.py)."""
CLOCK_ROW = b"meta/clock"
"""The row in which the store remembers the time (cacheserver/stores/clock_memory.py)."""
REVOKED_ROW = b"meta/revoked"
"""The row of the single tokens that are revoked (cacheserver/access/revoked_ids.py)."""
META_START = b"meta/"


def row_key(name: str, shards: int) -> bytes:
    """The row of a user, or of a group: `<shard:4 hex>/<name>`."""
    return b"%04x/%s" % (shard_of(name, shards), name.encode())


def name_of(row: bytes, shards: int) -> str | None:
    """Whose row this is: a userId, or the name of a group's row (mailbox/group.py). The inverse of `row_key`.

    None for a foreign row, whose key nobody can ever have. Every walk over rows has to ask this, because another
    program may have written into the table, and one such key must not end the work for all other rows.
    """
    name = row[5:].decode("ascii", "replace")
    return name if is_row_name(name) and row_key(name, shards) == row else None


def shard_of_row(row: bytes) -> int:
    """The shard that a row key names."""
    return int(row[:4], 16)


def shard_range(shards: range) -> tuple[bytes, bytes]:
    """The rows of adjacent shards, as the first key and the key behind the last ('0' follows '/')."""
    return b"%04x/" % shards[0], b"%04x0" % shards[-1]


_FENCE = Struct(">cQ").pack
_MESSAGE = Struct(">16s16sQQ").pack
_LOG = Struct(">QQ").pack
_ID = Struct(">16sQ").pack
_NOTHING = bytes(_STAMP_BYTES)


def invert(message_id: bytes) -> bytes:
    """A messageId whose bytes sort the other way round; its own inverse."""
    return (_INVERT - int.from_bytes(message_id, "big")).to_bytes(ID_BYTES, "big")


def state_qualifier(kind: bytes, key: bytes, epoch: int) -> bytes:
    """The qualifier of an index cell, in `i`, whatever its kind (mailbox/cells.py)."""
    return kind + key + epoch.to_bytes(_STAMP_BYTES, "big")


def split_state_qualifier(qualifier: bytes) -> tuple[bytes, int]:
    """(key, epoch): the inverse of `state_qualifier`; the kind is the first byte."""
    return qualifier[STATE_KEY], int.from_bytes(qualifier[-_STAMP_BYTES:], "big")


STATE_KEY = slice(1, -_STAMP_BYTES)
"""The place of the key in the qualifier of an index cell."""


def state_bytes(key_bytes: int) -> int:
    """The length of an index cell's qualifier."""
    return 1 + key_bytes + _STAMP_BYTES


def fence_qualifier(epoch: int) -> bytes:
    """The qualifier of a fence, in `i`."""
    return _FENCE(FENCE_PREFIX, epoch)


def index_epoch(qualifier: bytes) -> int:
    """The epoch in a qualifier of `i`, also of a kind that this Rowbox does not know: always the last 8 bytes."""
    return int.from_bytes(qualifier[-_STAMP_BYTES:], "big")


class MessageKey(NamedTuple):
    """The parts of a message's qualifier, in `m`."""

    conversation_id: bytes
    message_id: bytes
    epoch: int
    version: int
    first_version: int
    """0 where the message is as it was sent."""
    expires_us: int
    """0 where it has no end of its own."""


def message_qualifier(
    conversation_id: bytes, message_id: bytes, epoch: int, version: int, first_version: int = 0, expires_us: int = 0
) -> bytes:
    """The qualifier of a message, in `m`. In ascending order they are a conversation's messages, the newest first.

    `first_version`: of a message that was changed, the version with which it came; else 0. `expires_us`: when it ends,
    in microseconds; 0: it has no end of its own. Cells of one message stand side by side.
    """
    qualifier = _MESSAGE(conversation_id, invert(message_id), epoch, version)
    if expires_us:
        return qualifier + first_version.to_bytes(_STAMP_BYTES, "big") + expires_us.to_bytes(_STAMP_BYTES, "big")
    return qualifier + first_version.to_bytes(_STAMP_BYTES, "big") if first_version else qualifier


def split_message_qualifier(qualifier: bytes) -> MessageKey:
    """The inverse of `message_qualifier`."""
    return MessageKey(
        qualifier[:16],
        invert(qualifier[16:32]),
        int.from_bytes(qualifier[32:40], "big"),
        int.from_bytes(qualifier[40:48], "big"),
        int.from_bytes(qualifier[48:56], "big"),
        int.from_bytes(qualifier[56:], "big"),
    )


def message_stamp(qualifier: bytes) -> tuple[int, int, int, int]:
    """(epoch, version, the version with which the message came, when it ends or 0) of a message's qualifier.

    Its other parts are not decoded, which makes counting many faster.
    """
    version = int.from_bytes(qualifier[40:48], "big")
    if len(qualifier) == MESSAGE_BYTES:
        return int.from_bytes(qualifier[32:40], "big"), version, version, 0
    came, expires_us = int.from_bytes(qualifier[48:56], "big"), int.from_bytes(qualifier[56:], "big")
    return int.from_bytes(qualifier[32:40], "big"), version, came or version, expires_us


def may_be_changed(qualifier: bytes) -> bool:
    """Whether a message's qualifier is of one of which there may be other cells: it was changed since it came."""
    return len(qualifier) != MESSAGE_BYTES and qualifier[48:56] != _NOTHING


def conversation_of(qualifier: bytes) -> bytes:
    """The conversationId in a message's qualifier."""
    return qualifier[:16]


def message_of(qualifier: bytes) -> bytes:
    """The part of a message's qualifier that all cells of the message have in common, and no other cell."""
    return qualifier[:MESSAGE_PREFIX_BYTES]


def is_quiet_message(qualifier: bytes) -> bool:
    """Whether a message's qualifier, in a group, is of one that does not count as unread: its id is inverted."""
    return not qualifier[MESSAGE_PREFIX_BYTES - 1] & 1


MESSAGE_PREFIX_BYTES = 2 * ID_BYTES


def message_range(conversation_id: bytes, above: bytes | None, below: bytes | None) -> tuple[bytes, bytes]:
    """Qualifiers [start, stop) of the messages with `above` < messageId < `below`; None is no bound."""
    start = conversation_id if below is None else after(conversation_id + invert(below) + b"\xff" * 16)
    stop = after(conversation_id + b"\xff" * 32) if above is None else conversation_id + invert(above)
    return start, stop


def copies_range(conversation_id: bytes, message_id: bytes) -> tuple[bytes, bytes]:
    """Qualifiers [start, stop) of all cells of one message, of every epoch."""
    prefix = conversation_id + invert(message_id)
    return prefix, after(prefix + b"\xff" * 16)


def log_qualifier(version: int, epoch: int) -> bytes:
    """The qualifier of a log entry, in `l`."""
    return _LOG(version, epoch)


def split_log_qualifier(qualifier: bytes) -> tuple[int, int]:
    """(version, epoch): the inverse of `log_qualifier`."""
    return int.from_bytes(qualifier[:8], "big"), int.from_bytes(qualifier[8:], "big")


def log_range(after_version: int, through_version: int) -> tuple[bytes, bytes]:
    """Qualifiers [start, stop) of the log entries with `after_version` < version <= `through_version`."""
    return (after_version + 1).to_bytes(_STAMP_BYTES, "big"), (through_version + 1).to_bytes(_STAMP_BYTES, "big")


def dedupe_qualifier(client_id_hash: bytes, epoch: int) -> bytes:
    """The qualifier of a send's outcome, in `d`."""
    return _ID(client_id_hash, epoch)


def split_dedupe_qualifier(qualifier: bytes) -> tuple[bytes, int]:
    """(hash, epoch): the inverse of `dedupe_qualifier`."""
    return qualifier[:16], int.from_bytes(qualifier[16:], "big")


def dedupe_range(client_id_hash: bytes) -> tuple[bytes, bytes]:
    """Qualifiers [start, stop) of all cells of one clientMessageId."""
    return client_id_hash, after(client_id_hash + b"\xff" * 8)


def outbox_qualifier(message_id: bytes, epoch: int) -> bytes:
    """The qualifier of a message, or of a change of one, on its way to its recipients, in `o`."""
    return _ID(message_id, epoch)


def split_outbox_qualifier(qualifier: bytes) -> tuple[bytes, int]:
    """(messageId, epoch): the inverse of `outbox_qualifier`."""
    return qualifier[:16], int.from_bytes(qualifier[16:], "big")


def epoch_of(family: Family, qualifier: bytes) -> int:
    """The epoch that wrote a column of a mailbox."""
    if family is Family.MESSAGES:
        return message_stamp(qualifier)[0]
    return int.from_bytes(qualifier[-_STAMP_BYTES:], "big")


def after(key: bytes) -> bytes:
    """The least key that sorts after `key`."""
    return key + b"\x00"
