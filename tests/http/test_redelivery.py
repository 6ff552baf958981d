"""The operator's call behind `rowbox mailbox repair`: what it takes and what it refuses."""

import time
from collections.abc import Sequence

import msgspec
import pytest

from rowbox.api.auth.operator import operator_token
from rowbox.api.operator.deliveries import DELIVER, delivery_call, redelivery
from rowbox.mailbox.message import Message
from tests.http.api import SECRET, serving
from tests.http.scripted_port import ScriptedPort

MESSAGE = Message(b"\x01" * 16, b"\x02" * 16, "alice", ("alice", "bob"), "hello")


def proof() -> str:
    return operator_token(SECRET, time.time())


class Delivered:
    def __init__(self) -> None:
        self.came: list[tuple[str, Sequence[Message]]] = []

    async def deliver(self, user_id: str, messages: Sequence[Message]) -> int:
        self.came.append((user_id, messages))
        return len(messages)


async def test_a_message_is_delivered_as_its_sender_has_it(scripted: ScriptedPort) -> None:
    port = Delivered()
    async with serving(scripted, calls=[delivery_call(port)]) as api:
        answer = await api.admin(f"/operator/{DELIVER}", "POST", proof=proof(), body=redelivery("bob", MESSAGE))
        assert (answer.status, answer.json()) == (200, {"delivered": 1})
        assert (await api.admin(f"/operator/{DELIVER}", "POST", body=redelivery("bob", MESSAGE))).status == 401
    assert port.came == [("bob", [MESSAGE])]


@pytest.mark.parametrize(
    "changed",
    [
        {"userId": "carol"},
        {"userId": "alice"},
        {"senderId": "carol"},
        {"messageId": "01"},
        {"conversationId": "X" * 32},
        {"participants": ["alice", "no user", "bob"]},
        {"content": ""},
        {"content": "x" * 65_536},
        {"more": 1},
    ],
)
async def test_what_is_no_message_of_its_sender_is_refused(scripted: ScriptedPort, changed: dict[str, object]) -> None:
    port = Delivered()
    body = msgspec.json.encode(msgspec.json.decode(redelivery("bob", MESSAGE)) | changed)
    async with serving(scripted, calls=[delivery_call(port)]) as api:
        assert (await api.admin(f"/operator/{DELIVER}", "POST", proof=proof(), body=body)).status in (400, 413)
    assert port.came == []
