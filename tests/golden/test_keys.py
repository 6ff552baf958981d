"""Every key, hash and id that stands in a store or is shared by two mailboxes."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from rowbox.hbase_schema import keys
from rowbox.mailbox import ids
from rowbox.mailbox.fence import make_epoch
from rowbox.mailbox.revocation import token_hash
from tests.golden.lines import Line, lines

LINES = lines("keys")
unhex = bytes.fromhex

MADE: Mapping[str, Callable[..., bytes | int]] = {
    "row_key": keys.row_key,
    "shard_of": ids.shard_of,
    "schema_row": lambda: keys.SCHEMA_ROW,
    "cluster_row": lambda: keys.CLUSTER_ROW,
    "map_row": lambda: keys.MAP_ROW,
    "conversation_qualifier": lambda conversation, epoch: keys.state_qualifier(b"c", unhex(conversation), epoch),
    "fence_qualifier": keys.fence_qualifier,
    "message_qualifier": lambda conversation, message, *stamp: keys.message_qualifier(
        unhex(conversation), unhex(message), *stamp
    ),
    "log_qualifier": keys.log_qualifier,
    "dedupe_qualifier": lambda hashed, epoch: keys.dedupe_qualifier(unhex(hashed), epoch),
    "outbox_qualifier": lambda message, epoch: keys.outbox_qualifier(unhex(message), epoch),
    "revocation_qualifier": lambda epoch: keys.state_qualifier(b"t", b"", epoch),
    "state_qualifier": lambda kind, key, epoch: keys.state_qualifier(kind.encode(), unhex(key), epoch),
    "make_epoch": make_epoch,
    "direct_conversation_id": ids.direct_conversation_id,
    "message_id": ids.message_id,
    "sent_timestamp": lambda message: ids.sent_timestamp(unhex(message)),
    "client_id_hash": ids.client_id_hash,
    "token_hash": token_hash,
    "payload_hash": lambda conversation, content: ids.payload_hash(unhex(conversation), content),
}
"""What makes each of them, of arguments as JSON holds them."""


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["case"])
def test_a_key_is_made_of_the_same_parts_for_ever(line: Line) -> None:
    made: Any = MADE[line["of"]](*line["args"])
    assert (made.hex() if isinstance(made, bytes) else made) == line["is"]


def test_everything_that_makes_keys_has_a_line() -> None:
    assert {line["of"] for line in LINES} == set(MADE)
    qualifiers = {name for name in dir(keys) if name.endswith("_qualifier") and not name.startswith(("split", "_"))}
    assert qualifiers <= set(MADE), "a new qualifier needs a line in keys.jsonl (docs/formats.md)"
