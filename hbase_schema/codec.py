"""Cells to columns and back.

Values are msgpack arrays, in which fields stand in the order of their declaration: a field is only ever added, at the
end, with a default. docs/formats.md has the rule, tests/golden the bytes.
"""

from collections.abc import Callable

import msgspec

from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import Cell, ChangeKind, DedupeCell, FenceCell, IndexCell, LogCell, MessageCell, OutboxCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.message import Message

EncodedCell = tuple[Family, bytes, bytes]
"""Family, qualifier, value."""

_pack = msgspec.msgpack.Encoder().encode
_States = tuple[Conversation, Conversation | None]
_unpack_states = msgspec.msgpack.Decoder(_States).decode
_unpack_fence = msgspec.msgpack.Decoder(tuple[FenceEntry, ...]).decode
_unpack_message = msgspec.msgpack.Decoder(tuple[str, str, str | None]).decode
_unpack_log = msgspec.msgpack.Decoder(tuple[int, bytes, bytes]).decode
_unpack_dedupe = msgspec.msgpack.Decoder(tuple[int, bytes, bytes, bytes]).decode
_unpack_outbox = msgspec.msgpack.Decoder(tuple[int, Message]).decode


def _index(cell: IndexCell) -> EncodedCell:
    qualifier = keys.conversation_qualifier(cell.conversation_id, cell.epoch)
    return Family.INDEX, qualifier, _pack((cell.current, cell.previous))


def _fence(cell: FenceCell) -> EncodedCell:
    return Family.INDEX, keys.fence_qualifier(cell.epoch), _pack(cell.fence)


def _message(cell: MessageCell) -> EncodedCell:
    qualifier = keys.message_qualifier(cell.conversation_id, cell.message_id, cell.epoch, cell.version)
    return Family.MESSAGES, qualifier, _pack((cell.sender_id, cell.content, cell.client_message_id))


def _log(cell: LogCell) -> EncodedCell:
    qualifier = keys.log_qualifier(cell.version, cell.epoch)
    return Family.LOG, qualifier, _pack((cell.kind.value, cell.conversation_id, cell.message_id))


def _dedupe(cell: DedupeCell) -> EncodedCell:
    qualifier = keys.dedupe_qualifier(cell.client_id_hash, cell.epoch)
    return Family.DEDUPE, qualifier, _pack((cell.version, cell.message_id, cell.conversation_id, cell.payload_hash))


def _outbox(cell: OutboxCell) -> EncodedCell:
    return Family.OUTBOX, keys.outbox_qualifier(cell.message_id, cell.epoch), _pack((cell.version, cell.message))


_ENCODERS: dict[type, Callable[..., EncodedCell]] = {
    IndexCell: _index,
    FenceCell: _fence,
    MessageCell: _message,
    LogCell: _log,
    DedupeCell: _dedupe,
    OutboxCell: _outbox,
}


def encode(cell: Cell) -> EncodedCell:
    """The column that holds `cell`."""
    return _ENCODERS[type(cell)](cell)


def decode(family: Family, qualifier: bytes, value: bytes) -> Cell:
    """The inverse of `encode`; StoreDamaged naming the column where the bytes are no such cell."""
    try:
        return _DECODERS[family](qualifier, value)
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise StoreDamaged(f"column {family}:{qualifier.hex()} does not decode: {error}") from error


def decode_index(qualifier: bytes, value: bytes) -> IndexCell | FenceCell:
    """A column of `i`."""
    if qualifier[:1] == keys.FENCE_PREFIX:
        _check_length(qualifier, keys.FENCE_BYTES)
        return FenceCell(int.from_bytes(qualifier[1:], "big"), _unpack_fence(value))
    if qualifier[:1] != keys.CONVERSATION_PREFIX:
        raise ValueError("no such kind of index cell")
    _check_length(qualifier, keys.CONVERSATION_BYTES)
    conversation_id, epoch = keys.split_conversation_qualifier(qualifier)
    return IndexCell(conversation_id, epoch, *_unpack_states(value))


def decode_message(qualifier: bytes, value: bytes) -> MessageCell:
    """A column of `m`."""
    _check_length(qualifier, keys.MESSAGE_BYTES)
    return MessageCell(*keys.split_message_qualifier(qualifier), *_unpack_message(value))


def decode_log(qualifier: bytes, value: bytes) -> LogCell:
    """A column of `l`."""
    _check_length(qualifier, keys.LOG_BYTES)
    version, epoch = keys.split_log_qualifier(qualifier)
    kind, conversation_id, message_id = _unpack_log(value)
    return LogCell(version, epoch, ChangeKind(kind), conversation_id, message_id)


def decode_dedupe(qualifier: bytes, value: bytes) -> DedupeCell:
    """A column of `d`."""
    _check_length(qualifier, keys.DEDUPE_BYTES)
    client_id_hash, epoch = keys.split_dedupe_qualifier(qualifier)
    return DedupeCell(client_id_hash, epoch, *_unpack_dedupe(value))


def decode_outbox(qualifier: bytes, value: bytes) -> OutboxCell:
    """A column of `o`."""
    _check_length(qualifier, keys.OUTBOX_BYTES)
    return OutboxCell(*keys.split_outbox_qualifier(qualifier), *_unpack_outbox(value))


def _check_length(qualifier: bytes, size_bytes: int) -> None:
    if len(qualifier) != size_bytes:
        raise ValueError(f"a qualifier of {len(qualifier)} bytes, not {size_bytes}")


_DECODERS: dict[Family, Callable[[bytes, bytes], Cell]] = {
    Family.INDEX: decode_index,
    Family.MESSAGES: decode_message,
    Family.LOG: decode_log,
    Family.DEDUPE: decode_dedupe,
    Family.OUTBOX: decode_outbox,
}
