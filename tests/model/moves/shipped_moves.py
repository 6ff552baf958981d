"""What a move does with a mailbox, by the functions that ship: packing it, keeping it at the target, claiming with it.

As in shipped.py, everything is a function of values, and remembered.
"""

from functools import lru_cache
from typing import NamedTuple

from rowbox.cacheserver.node import move_rules
from rowbox.cacheserver.rows.stash import HandedRow, Stash
from rowbox.cacheserver.rows.warm_rows import WarmRows
from rowbox.cacheserver.shardmap.shard_map import empty_map
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.hand_over import HandedOver, packed_mailbox
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.fence import Fence
from tests.model.rows.row import Entry, History
from tests.model.rows.shipped import (
    LIMITS,
    USER,
    conversation_id,
    entry_of,
    history_of,
    mailbox_of,
    number_of,
    parcel_column,
)

SHARD = 0
ROOM = 1 << 20


class Warm(NamedTuple):
    """What a claim makes of a mailbox that was handed over."""

    fence: Fence
    head: int
    conversations: tuple[History, ...]
    ids: frozenset[int]
    queue: frozenset[Entry]
    stale: frozenset[tuple[int, int]]


@lru_cache(maxsize=1 << 16)
def packed(
    epoch: int,
    fence: Fence,
    head: int,
    conversations: tuple[History, ...],
    ids: frozenset[int],
    queue: frozenset[Entry],
    stale: frozenset[tuple[int, int]],
) -> bytes:
    """What its owner hands over of a mailbox."""
    mailbox = mailbox_of(epoch, fence, head, conversations, stale)
    for message in ids:
        mailbox.client_ids.add(_id_hash(message), head)
    cells = [codec.decode(Family.OUTBOX, *parcel_column(entry)) for entry in sorted(queue)]
    return packed_mailbox(mailbox, [cell for cell in cells if isinstance(cell, OutboxCell)])


@lru_cache(maxsize=1 << 16)
def claimed(packed: bytes, messages: int, conversations: int, epoch: int, incarnation: str, now_ms: int) -> Warm | None:
    """What `incarnation` makes of it for `epoch`; None where it may not claim with it."""
    handed = HandedOver.unpacked(packed)
    assert handed is not None
    fence = handed.claim(epoch, incarnation, now_ms)
    if fence is None:
        return None
    queue = frozenset(entry_of(cell) for cell in handed.outbox)
    mailbox = handed.mailbox(USER, LIMITS, fence)
    histories = [mailbox.index.get(conversation_id(number)) for number in range(conversations)]
    assert (mailbox.epoch, mailbox.fence) == (epoch, fence)
    return Warm(
        fence,
        mailbox.head,
        tuple(history_of(state) if state is not None else () for state in histories),
        frozenset(message for message in range(messages) if mailbox.client_ids.may_hold(_id_hash(message))),
        queue,
        frozenset(
            (number_of(key), lower) for of_kind in mailbox.stale_epochs.values() for key, lower in of_kind.items()
        ),
    )


@lru_cache(maxsize=1 << 10)
def is_taken_in(hand_over: int, *, owned: bool) -> bool:
    """Whether a process takes in what comes, that owns the row or does not."""
    stash = Stash(1, ROOM, lambda _shard: owned)
    return stash.put(str(hand_over), [HandedRow(USER, False, b"")], 0.0) == 1


@lru_cache(maxsize=1 << 10)
def is_of_the_map(hand_over: int, named: int) -> bool:
    """Whether a process goes on with what came under an id, when the map gives it the row and names that one or not."""
    stash = Stash(1, ROOM, lambda _shard: False)
    stash.put(str(hand_over), [HandedRow(USER, False, b"")], 0.0)
    return bool(stash.take_out({SHARD: str(named) if named else None}))


@lru_cache(maxsize=1 << 10)
def is_decided(sent_over: int, applied: int) -> bool:
    """Whether a swap that was sent over a version of the map is over for a process that has applied another one."""
    return move_rules.is_decided(sent_over, empty_map(1, applied))


@lru_cache(maxsize=1 << 10)
def is_left() -> bool:
    """Whether a process that has begun to claim a row still has what came of it."""
    rows = WarmRows(1)
    rows.add([HandedRow(USER, False, b"")], 0.0)
    assert rows.take(USER) is not None
    return rows.take(USER) is not None


def _id_hash(message: int) -> bytes:
    return message.to_bytes(8, "big") + bytes(8)
