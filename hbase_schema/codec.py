"""Turns cells into columns of the store, and columns into cells.

Values are msgpack arrays, in which fields stand in the order of their declaration. A field is only ever added, at the
end and with a default. docs/formats.md has the rule, tests/golden the bytes.

A newer Rowbox may have written cells that this one does not know, before this one took over from it. So that such cells
are passed over and their versions still counted, these things hold for every cell that there will ever be:

- In `i` qualifier and value are as mailbox/two_states.py says, for all kinds but the fence's.
- In `l` the qualifier is version and epoch, and the value an array that begins with the number of the kind.
- In every array, values behind the last field that is known are ignored.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.index_draft import Outline, StoredState, stored
from rowbox.mailbox.cells import (
    CONVERSATION,
    KINDS,
    Cell,
    ChangeKind,
    DedupeCell,
    FenceCell,
    LogCell,
    MessageCell,
    OutboxCell,
)
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.fence import Fence, FenceEntry, Stamp
from rowbox.mailbox.group import Told
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.reactions import Reaction, Tally
from rowbox.mailbox.two_states import IndexCell, UnknownIndexCell

EncodedCell = tuple[Family, bytes, bytes]
"""A column: family, qualifier, value."""

_KINDS = {kind.value: kind for kind in ChangeKind}


_StateT = TypeVar("_StateT")


class _StatesValue(Struct, Generic[_StateT], array_like=True, gc=False):
    current: _StateT
    previous: _StateT | None


class _OutlineValue(Struct, array_like=True, gc=False):
    current: Outline
    previous: msgspec.Raw


_CONVERSATION_BYTES = keys.state_bytes(CONVERSATION.key_bytes)
_KEYLESS_BYTES = keys.state_bytes(0)
_KEY, _EPOCH, _number = keys.STATE_KEY, slice(-8, None), int.from_bytes
_STATES_HEADER = 0x92
"""The first byte of an index value: an array of two. A newer Rowbox may write a longer array."""


class _StampValue(Struct, array_like=True, gc=False):
    """What any state in `i` is, whatever its kind."""

    version: int
    epoch: int


class _MessageValue(Struct, array_like=True, gc=False):
    sender_id: str
    content: str
    client_message_id: str | None
    change: Change | None = None
    reactions: tuple[Reaction, ...] = ()
    told: Told | None = None
    tallies: tuple[Tally, ...] = ()


class _LogValue(Struct, array_like=True, gc=False):
    kind: int
    conversation_id: bytes
    message_id: bytes
    first_version: int = 0
    expires_us: int = 0


class _LogKindValue(Struct, array_like=True, gc=False):
    """A log value of any kind: the number of the kind."""

    kind: int


class _DedupeValue(Struct, array_like=True, gc=False):
    version: int
    message_id: bytes
    conversation_id: bytes
    payload_hash: bytes


class _OutboxValue(Struct, array_like=True, gc=False):
    version: int
    message: Message


_pack = msgspec.msgpack.Encoder().encode
_unpack_outline = msgspec.msgpack.Decoder(_OutlineValue).decode
_unpack_entries = msgspec.msgpack.Decoder(list[list[object]]).decode
_unpack_message = msgspec.msgpack.Decoder(_MessageValue).decode
_unpack_log = msgspec.msgpack.Decoder(_LogValue).decode
_unpack_log_kind = msgspec.msgpack.Decoder(_LogKindValue).decode
_unpack_dedupe = msgspec.msgpack.Decoder(_DedupeValue).decode
_unpack_outbox = msgspec.msgpack.Decoder(_OutboxValue).decode


@cache
def _unpack_states(state: type) -> Callable[[bytes], _StatesValue[Any]]:
    """What decodes the values of a kind of index cells, given the type of its states."""
    return msgspec.msgpack.Decoder[_StatesValue[Any]](_StatesValue[state]).decode  # type: ignore[valid-type]


def _index(cell: IndexCell[Any]) -> EncodedCell:
    return Family.INDEX, keys.state_qualifier(cell.kind, cell.key, cell.epoch), _pack((cell.current, cell.previous))


def _fence(cell: FenceCell) -> EncodedCell:
    return Family.INDEX, keys.fence_qualifier(cell.epoch), _pack(cell.fence)


def _message(cell: MessageCell) -> EncodedCell:
    qualifier = keys.message_qualifier(
        cell.conversation_id, cell.message_id, cell.epoch, cell.version, cell.first_version, cell.expires_us
    )
    told = cell.sender_id, cell.content, cell.client_message_id, cell.change, cell.reactions, cell.told, cell.tallies
    return Family.MESSAGES, qualifier, _pack(told)


def _log(cell: LogCell) -> EncodedCell:
    qualifier = keys.log_qualifier(cell.version, cell.epoch)
    kind, conversation_id, message_id = int(cell.kind), cell.conversation_id, cell.message_id
    return Family.LOG, qualifier, _pack((kind, conversation_id, message_id, cell.first_version, cell.expires_us))


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


def decode(family: Family, qualifier: bytes, value: bytes) -> Cell | UnknownIndexCell:
    """The inverse of `encode`; StoreDamaged naming the column where the bytes are no such cell."""
    try:
        return _DECODERS[family](qualifier, value)
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise StoreDamaged(f"column {family}:{qualifier.hex()} does not decode: {error}") from error


def decode_index(qualifier: bytes, value: bytes) -> IndexCell[Any] | FenceCell | UnknownIndexCell:
    """The cell in a column of family `i`. ValueError or msgspec's errors where the bytes are no such cell."""
    letter = qualifier[:1]
    kind = KINDS.get(letter)
    if kind is not None:
        # Calls of keys.py are written out here: a load comes here with each cell of a row's index.
        _, state, key_bytes, _ = kind
        if len(qualifier) != key_bytes + _KEYLESS_BYTES:
            _check_length(qualifier, keys.state_bytes(key_bytes))
        states = _unpack_states(state)(value)  # type: ignore[arg-type]
        return IndexCell(letter, qualifier[_KEY], _number(qualifier[_EPOCH], "big"), states.current, states.previous)
    if letter == keys.FENCE_PREFIX:
        _check_length(qualifier, keys.FENCE_BYTES)
        return FenceCell(keys.index_epoch(qualifier), _decode_fence(value))
    if len(qualifier) < keys.FENCE_BYTES:
        raise ValueError(f"a qualifier of {len(qualifier)} bytes, {keys.FENCE_BYTES} at least")
    stamps = _unpack_states(_StampValue)(value)
    previous = None if stamps.previous is None else _stamp(stamps.previous)
    return UnknownIndexCell(letter, keys.index_epoch(qualifier), _stamp(stamps.current), previous)


def _decode_fence(value: bytes) -> Fence:
    """The fence in `value`. Fields of a newer Rowbox are cut off its entries, because msgspec refuses longer tuples."""
    known = len(FenceEntry._fields)
    return tuple(msgspec.convert(entry[:known], FenceEntry) for entry in _unpack_entries(value))


def _stamp(value: _StampValue) -> Stamp:
    return Stamp(value.epoch, value.version)


def decode_sole_state(qualifier: bytes, value: bytes) -> StoredState:
    """The state after the mutation in a conversation's column of `i`, still packed. Errors as of `decode_index`.

    It takes a third of the time of `decode_index`, which counts where a load reads a hundred thousand conversations.
    """
    if len(qualifier) != _CONVERSATION_BYTES:
        _check_length(qualifier, _CONVERSATION_BYTES)
    conversation_id = qualifier[keys.STATE_KEY]
    if value[0] != _STATES_HEADER:
        return stored(conversation_id, _unpack_states(Conversation)(value).current)
    outline = _unpack_outline(value)
    return outline.current.of(conversation_id, value[1 : -len(bytes(outline.previous))])


def decode_message(qualifier: bytes, value: bytes) -> MessageCell:
    """The cell in a column of family `m`. Errors as of `decode_index`."""
    message = _unpack_message(value)
    change, reactions, tallies = message.change, message.reactions, message.tallies
    is_as_sent = change is None and not reactions and not tallies
    size_bytes = len(qualifier)
    if size_bytes != keys.EXPIRING_MESSAGE_BYTES and not (is_as_sent and size_bytes == keys.CHANGED_MESSAGE_BYTES):
        # In a group all may have taken back their reactions.
        _check_length(qualifier, keys.MESSAGE_BYTES if is_as_sent else keys.CHANGED_MESSAGE_BYTES)
    key = keys.split_message_qualifier(qualifier)
    if not (is_as_sent or key.first_version):
        raise ValueError("a changed message whose key does not tell with which version it came")
    told = message.sender_id, message.content, message.client_message_id
    return MessageCell(
        *key[:4], *told, change, key.first_version, reactions, message.told, tallies, expires_us=key.expires_us
    )


def decode_log(qualifier: bytes, value: bytes) -> LogCell:
    """The cell in a column of family `l`. Errors as of `decode_index`."""
    _check_length(qualifier, keys.LOG_BYTES)
    version, epoch = keys.split_log_qualifier(qualifier)
    try:
        change = _unpack_log(value)
    except msgspec.ValidationError:
        number = _unpack_log_kind(value).kind
        if number in _KINDS:
            raise
        return LogCell(version, epoch, number, b"", b"")
    kind = _KINDS.get(change.kind)
    if kind is None:
        return LogCell(version, epoch, change.kind, b"", b"")
    told = change.conversation_id, change.message_id, change.first_version, change.expires_us
    return LogCell(version, epoch, kind, *told)


def decode_dedupe(qualifier: bytes, value: bytes) -> DedupeCell:
    """The cell in a column of family `d`. Errors as of `decode_index`."""
    _check_length(qualifier, keys.DEDUPE_BYTES)
    client_id_hash, epoch = keys.split_dedupe_qualifier(qualifier)
    send = _unpack_dedupe(value)
    return DedupeCell(client_id_hash, epoch, send.version, send.message_id, send.conversation_id, send.payload_hash)


def decode_outbox(qualifier: bytes, value: bytes) -> OutboxCell:
    """The cell in a column of family `o`. Errors as of `decode_index`."""
    _check_length(qualifier, keys.OUTBOX_BYTES)
    parcel = _unpack_outbox(value)
    return OutboxCell(*keys.split_outbox_qualifier(qualifier), parcel.version, parcel.message)


def _check_length(qualifier: bytes, size_bytes: int) -> None:
    if len(qualifier) != size_bytes:
        raise ValueError(f"a qualifier of {len(qualifier)} bytes, not {size_bytes}")


_DECODERS: dict[Family, Callable[[bytes, bytes], Cell | UnknownIndexCell]] = {
    Family.INDEX: decode_index,
    Family.MESSAGES: decode_message,
    Family.LOG: decode_log,
    Family.DEDUPE: decode_dedupe,
    Family.OUTBOX: decode_outbox,
}
