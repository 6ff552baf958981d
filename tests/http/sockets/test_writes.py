"""What goes to a client in one write: a sender has delta and reply together, a newcomer welcome and first delta."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rowbox.api.http.connection import Connection
from rowbox.api.realtime.socket import MOST_HELD_BYTES
from rowbox.cacheserver.port import Send, SendResult
from tests.http.api import Api, serving
from tests.http.api import token as access_token
from tests.http.sockets.feed_port import FeedPort, token
from tests.http.sockets.talk import DEADLINE_S, Talk, connected, opened

SEND = {"recipientId": "bob", "messageContent": "hi", "clientMessageId": "c1"}


class SendingPort(FeedPort):
    """A send is a commit, which followers are told of; its answer comes `turns` of the loop later."""

    def __init__(self) -> None:
        super().__init__()
        self.items = [b'{"text":"hello"}']
        self.turns = 0
        self.may_answer: asyncio.Event | None = None

    async def send(self, send: Send) -> SendResult:
        for item in self.items:
            self.commit(item)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.may_answer is not None:
            await self.may_answer.wait()
        return await super().send(send)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Each write of an upgraded connection."""
    written: list[bytes] = []
    write = Connection.write_frame

    def write_frame(connection: Connection, frame: bytes) -> int:
        written.append(frame)
        return write(connection, frame)

    monkeypatch.setattr(Connection, "write_frame", write_frame)
    return written


async def turns(is_so: Callable[[], bool]) -> None:
    """Lets the loop turn until it is so, and not once more: what waits for a turn has not had it."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110 - an event would wake its waiter a turn later
            await asyncio.sleep(0)


@asynccontextmanager
async def following(port: SendingPort, writes: list[bytes]) -> AsyncIterator[tuple[Api, Talk]]:
    async with serving(port) as api, opened(api, follow=token(10)) as talk:
        await talk.hears("delta")
        writes.clear()
        yield api, talk


async def test_a_sender_has_delta_and_reply_in_one_write(writes: list[bytes]) -> None:
    port = SendingPort()
    port.turns = 1  # as behind a commit: the answer wakes the call's task
    async with following(port, writes) as (_, talk):
        await talk.say(t="call", id=1, do="sendMessage", args=SEND)
        assert [(await talk.hears())["t"] for _ in range(2)] == ["delta", "reply"]
    (write,) = writes[:1]
    assert b'"t":"delta"' in write
    assert b'"t":"reply"' in write


async def test_a_delta_does_not_wait_for_a_reply_that_takes_its_time(writes: list[bytes]) -> None:
    port = SendingPort()
    port.may_answer = asyncio.Event()
    async with following(port, writes) as (_, talk):
        await talk.say(t="call", id=1, do="sendMessage", args=SEND)
        await turns(lambda: bool(port.log))
        assert writes == []
        for _ in range(3):
            await asyncio.sleep(0)
        assert b'"t":"delta"' in writes[0]
        assert (await talk.hears("delta"))["token"] == token(11)
        port.may_answer.set()
        await talk.hears("reply")


async def test_others_have_it_at_once(writes: list[bytes]) -> None:
    """Whoever asked for nothing has no reply to wait for."""
    port = SendingPort()
    async with following(port, writes) as (api, talk), opened(api, "bob", follow=token(10)) as bob:
        await bob.hears("delta")
        writes.clear()
        port.commit()
        assert len(writes) == 2
        await talk.hears("delta")
        await bob.hears("delta")


async def test_what_is_large_is_not_kept_back_and_nothing_overtakes(writes: list[bytes]) -> None:
    port = SendingPort()
    small, large = b'{"text":"small"}', b'{"text":"%b"}' % (b"x" * MOST_HELD_BYTES)
    port.items = [small, small, large, small]
    async with following(port, writes) as (_, talk):
        await talk.say(t="call", id=1, do="sendMessage", args=SEND)
        heard = [await talk.hears() for _ in range(5)]
        assert [frame.get("token") for frame in heard] == [token(11), token(12), token(13), token(14), None]
    assert large in writes[0]
    assert small in writes[0]


async def test_what_is_kept_back_goes_out_before_the_end(writes: list[bytes]) -> None:
    port = SendingPort()
    port.may_answer = asyncio.Event()
    async with following(port, writes) as (_, talk):
        await talk.say(t="call", id=1, do="sendMessage", args=SEND)
        await turns(lambda: bool(port.log))
        assert writes == []
        port.revoke("alice")
        await talk.hears("delta")
        assert (await talk.ends())[0] == 4401


async def test_the_welcome_and_the_answer_to_a_follow_behind_the_hello_are_one_write(writes: list[bytes]) -> None:
    """Ten thousand clients that come back at once do this and nothing else."""
    async with serving(SendingPort()) as api, connected(api) as talk:
        writes.clear()
        hello = json.dumps({"t": "hello", "token": access_token("alice"), "follow": token(10)})
        await talk.socket.send_str(hello)
        assert [(await talk.hears())["t"] for _ in range(2)] == ["welcome", "delta"]
    assert b'"t":"welcome"' in writes[0]
    assert b'"t":"delta"' in writes[0]


async def test_a_welcome_does_not_wait_for_a_follow(writes: list[bytes]) -> None:
    async with serving(SendingPort()) as api, connected(api) as talk:
        await talk.say(t="hello", token=access_token("alice"))
        await talk.hears("welcome")
