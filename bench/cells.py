"""The cells of one send, for ceilings that commit the same bytes without knowing what they mean."""

import time
from collections.abc import Iterable

from rowbox.cacheserver.stores.rocksdb.database import SEPARATOR, WRITE_TIME_BYTES
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import NewSend, Plan, Sent
from rowbox.mailbox.fence import Fence, FenceEntry
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, payload_hash
from rowbox.mailbox.settings.config import StoreSettings


def cells_of_a_send(sender: str, recipient: str, content: str, client_message_id: str) -> list[tuple[str, str, str]]:
    """The cells of both copies of a first message in an embedded store: (family, key in hex, value in hex)."""
    plans = _plans_of_a_send(sender, recipient, content, client_message_id, fence=())
    return [column for user, plan in plans.items() for column in _columns(user, plan)]


def rows_of_a_send(sender: str, recipient: str, content: str, client_message_id: str) -> list[list[tuple[str, str]]]:
    """The cells of each copy of a message in a cluster's store: for each copy a list of (family:qualifier in hex, value
    in hex).
    """
    plans = _plans_of_a_send(sender, recipient, content, client_message_id, fence=(FenceEntry(1, 0, 0),))
    return [
        [((family.encode() + b":" + qualifier).hex(), value.hex()) for family, qualifier, value in _encoded(plan)]
        for plan in plans.values()
    ]


def _plans_of_a_send(
    sender: str, recipient: str, content: str, client_message_id: str, *, fence: Fence
) -> dict[str, Plan]:
    now_us = time.time_ns() // 1000
    plans = {
        user: Plan(Mailbox(user, Limits(0, 0, 0, 0, 0), epoch=1, fence=fence), now_us, now_us)
        for user in (sender, recipient)
    }
    sent = plans[sender].send(new_send(sender, recipient, content, client_message_id, 0))
    assert isinstance(sent, Sent)
    assert sent.message is not None
    plans[recipient].deliver_new(sent.message)
    return plans


def new_send(sender: str, recipient: str, content: str, client_message_id: str, entropy: int) -> NewSend:
    """The NewSend that an owner makes of such a request."""
    conversation_id = direct_conversation_id(sender, recipient)
    return NewSend(
        sender,
        conversation_id,
        tuple(sorted((sender, recipient))),
        content,
        client_message_id,
        client_id_hash(client_message_id),
        payload_hash(conversation_id, content),
        entropy,
    )


def _columns(user: str, plan: Plan) -> list[tuple[str, str, str]]:
    row = row_key(user, StoreSettings().shards)
    return [
        (str(family), (row + SEPARATOR + qualifier).hex(), (bytes(WRITE_TIME_BYTES) + value).hex())
        for family, qualifier, value in _encoded(plan)
    ]


def _encoded(plan: Plan) -> Iterable[tuple[Family, bytes, bytes]]:
    return map(codec.encode, plan.cells())
