"""What one send puts into the store, for ceilings that commit the same bytes without knowing what they mean."""

import time

from rowbox.cacheserver.stores.rocksdb_database import SEPARATOR, STAMP_BYTES
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.config import StoreSettings
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, payload_hash
from rowbox.mailbox.mailbox import Limits, Mailbox
from rowbox.mailbox.plan import NewSend, Plan, Sent


def cells_of_a_send(sender: str, recipient: str, content: str, client_message_id: str) -> list[tuple[str, str, str]]:
    """(family, key, value), the latter two in hex: the cells of both copies of a first message."""
    now_us = time.time_ns() // 1000
    conversation_id = direct_conversation_id(sender, recipient)
    plans = {user: Plan(Mailbox(user, Limits(0, 0, 0, 0, 0), epoch=1), now_us) for user in (sender, recipient)}
    sent = plans[sender].send(
        NewSend(
            sender,
            conversation_id,
            (sender, recipient),
            content,
            client_message_id,
            client_id_hash(client_message_id),
            payload_hash(conversation_id, content),
            0,
        )
    )
    assert isinstance(sent, Sent)
    assert sent.message is not None
    plans[recipient].deliver_new(sent.message)
    return [column for user, plan in plans.items() for column in _columns(user, plan)]


def _columns(user: str, plan: Plan) -> list[tuple[str, str, str]]:
    row = row_key(user, StoreSettings().shards)
    encoded = map(codec.encode, plan.cells())
    return [
        (str(family), (row + SEPARATOR + qualifier).hex(), (bytes(STAMP_BYTES) + value).hex())
        for family, qualifier, value in encoded
    ]
