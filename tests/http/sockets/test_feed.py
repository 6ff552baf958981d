"""One feed over three ways, and what a client has at their end: over the real owner, with both kinds of store."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.settings.config import Settings, SocketSettings
from tests.http.api import SETTINGS, Api
from tests.http.api import token as access_token
from tests.http.sockets.talk import DEADLINE_S, connected, opened
from tests.http.sockets.test_streams import streamed

LAST = "the last one"
WAYS = ("long poll", "stream", "socket")


@pytest.fixture
def settings() -> Settings:
    return msgspec.structs.replace(SETTINGS, sockets=SocketSettings(handshakes_per_second=100_000))


class Copy:
    """What a client keeps: the rule of the guide, and nothing else."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.messages: dict[str, Any] = {}
        self.conversations: dict[str, Any] = {}
        self.bodies: list[Any] = []

    def takes(self, body: Any) -> None:
        self.bodies.append(body)
        if not body["isDeltaUpdate"]:
            self.messages, self.conversations = {}, {}
        for key, items, held in (
            ("messageId", body["messages"], self.messages),
            ("conversationId", body["conversations"], self.conversations),
        ):
            for item in items:
                had = held.get(item[key])
                if had is None or had["lastUpdatedTimestamp"] <= item["lastUpdatedTimestamp"]:
                    held[item[key]] = item
        self.token = body["lastUpdatedTimestamp"]


async def by_long_poll(api: Api, copy: Copy, is_over: Callable[[], bool], chance: random.Random) -> None:
    while not is_over():
        since = "" if copy.token is None else f"&lastUpdatedTimestamp={copy.token}"
        copy.takes((await api.get(f"/v1/fetchChanges?pageSize={chance.randint(1, 50)}&wait=1{since}", "bob")).json())


async def by_stream(api: Api, copy: Copy, is_over: Callable[[], bool], chance: random.Random) -> None:
    while not is_over():
        headers = {} if copy.token is None else {"Last_Event_ID": copy.token}
        async with streamed(api, user="bob", **headers) as stream:
            for _ in range(chance.randint(1, 20)):
                copy.takes((await stream.hears()).data)
                if is_over():
                    break


async def by_socket(api: Api, copy: Copy, is_over: Callable[[], bool], chance: random.Random) -> None:
    """It is cut at random moments, and follows again from any token that it has had."""
    had: list[str | None] = [copy.token]
    while not is_over():
        async with opened(api, "bob") as talk:
            await talk.say(t="follow", token=copy.token)
            for _ in range(chance.randint(1, 20)):
                if is_over():
                    break
                delta = await talk.hears("delta")
                if delta["prev"] != copy.token:
                    await talk.say(t="follow", token=copy.token)
                    continue
                copy.takes({name: value for name, value in delta.items() if name not in {"t", "prev", "token"}})
                assert delta["token"] == copy.token
                had.append(copy.token)
                await talk.say(t="ack", token=copy.token)
                if chance.random() < 0.1:
                    copy.token = chance.choice(had[-5:])
                    await talk.say(t="follow", token=copy.token)


CARRIED: dict[str, Callable[[Api, Copy, Callable[[], bool], random.Random], Coroutine[Any, Any, None]]] = {
    "long poll": by_long_poll,
    "stream": by_stream,
    "socket": by_socket,
}


async def fresh(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the mailbox of bob holds now, by the historic calls."""
    conversations = (await api.get("/v1/fetchConversation?pageSize=100", "bob")).json()["conversations"]
    messages: dict[str, Any] = {}
    for conversation in conversations:
        of_it = conversation["conversationId"]
        page = (await api.get(f"/v1/fetchMessages?conversationId={of_it}&pageSize=200", "bob")).json()
        assert not page["hasMore"]
        messages |= {message["messageId"]: message for message in page["messages"]}
    return messages, {one["conversationId"]: one for one in conversations}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_cut_the_copy_is_the_mailbox(api: Api, way: str, seed: int) -> None:
    """Sends, read marks and cuts, in any order: the copy at the end is a fresh fetch (P4)."""
    chance, copy = random.Random(seed), Copy()
    copy.takes((await api.get("/v1/fetchChanges", "bob")).json())

    async def others() -> None:
        for number in range(60):
            sender = chance.choice(("alice", "carol", "bob"))
            sent = (await api.send(f"m{number}", "x" * chance.randint(1, 3_000), sender=sender)).json()
            if chance.random() < 0.3:
                await api.post(
                    "/v1/markRead", {"conversationId": sent["conversationId"], "messageId": sent["messageId"]}, "bob"
                )
        await api.send("last", LAST, sender="carol")

    def is_over() -> bool:
        return any(message["messageContent"] == LAST for message in copy.messages.values())

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(others())
        group.create_task(CARRIED[way](api, copy, is_over, chance))
    messages, conversations = await fresh(api)
    assert copy.messages == messages
    assert copy.conversations == conversations


async def test_a_commits_own_bytes_are_what_a_pull_gives(api: Api) -> None:
    """The short cut and the truth: each delta of a socket is what fetchChanges answers between the same two tokens."""
    async with opened(api, "bob") as talk:
        await talk.say(t="follow")
        reset = await talk.hears("delta")
        assert (reset["prev"], reset["isDeltaUpdate"]) == (None, False)
        token = reset["token"]
        for number in range(30):
            await api.send(f"m{number}", sender="alice" if number % 3 else "bob")
            delta = await talk.hears("delta")
            pulled = (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={delta['prev']}", "bob")).json()
            assert delta["prev"] == token
            token = delta["token"]
            await talk.say(t="ack", token=token)
            assert {name: value for name, value in delta.items() if name not in {"t", "prev", "token"}} == pulled
    lines = (await api.admin("/metrics")).body.decode().splitlines()
    pushed = [line for line in lines if line.startswith('rowbox_socket_deltas_total{way="commit"}')]
    assert float(pushed[0].split()[1]) >= 25  # it is the way of nearly all


async def test_a_sender_hears_of_its_own_message(api: Api) -> None:
    async with opened(api, "alice") as talk:
        await talk.say(t="follow")
        await talk.hears("delta")
        await talk.say(
            t="call",
            id=1,
            do="sendMessage",
            args={"recipientId": "bob", "messageContent": "hello", "clientMessageId": "c1"},
        )
        frames = {frame["t"]: frame for frame in [await talk.hears(), await talk.hears()]}
        assert frames["reply"]["status"] == 201
        (message,) = frames["delta"]["messages"]
        assert message["messageId"] == frames["reply"]["body"]["messageId"]


async def test_sends_of_one_connection_stand_in_the_order_of_its_frames(api: Api) -> None:
    """P3, over thirty sends that are written without waiting for a reply."""
    async with opened(api, "alice") as talk:
        for number in range(30):
            args = {"recipientId": "bob", "messageContent": str(number), "clientMessageId": f"c{number}"}
            await talk.say(t="call", id=number, do="sendMessage", args=args)
        for _ in range(30):
            assert (await talk.hears("reply"))["status"] == 201
    messages, _ = await fresh(api)
    ordered = sorted(messages.values(), key=lambda message: (message["sentTimestamp"], message["messageId"]))
    assert [message["messageContent"] for message in ordered] == [str(number) for number in range(30)]


async def test_a_read_mark_of_another_device_comes_as_a_delta(api: Api) -> None:
    sent = (await api.send("m1")).json()
    async with opened(api, "bob") as talk:
        await talk.say(t="follow")
        await talk.hears("delta")
        await api.post("/v1/markRead", {name: sent[name] for name in ("conversationId", "messageId")}, "bob")
        delta = await talk.hears("delta")
        assert delta["messages"] == []
        assert delta["conversations"][0]["unreadCount"] == 0


async def test_a_revocation_ends_sockets_and_streams_within_a_second(api: Api, owner: Owner) -> None:
    async with AsyncExitStack() as stack:
        talk = await stack.enter_async_context(opened(api, "bob"))
        stream = await stack.enter_async_context(streamed(api, user="bob"))
        await stream.hears()
        other = await stack.enter_async_context(opened(api, "alice"))
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await owner.revoke_user("bob")
        assert (await talk.ends())[0] == 4401
        assert await stream.block() == []
        assert loop.time() - began_s < 5  # a second is promised
        await other.say(t="ping")
        await other.hears("pong")


async def test_tokens_of_another_list_and_of_nobody(api: Api) -> None:
    await api.send("m1")
    foreign = (await api.get("/v1/fetchMessages", "bob")).json()["lastUpdatedTimestamp"]
    async with opened(api, "bob") as talk:
        await talk.say(t="follow", token=foreign)
        delta = await talk.hears("delta")
        assert (delta["prev"], delta["resetReason"]) == (foreign, "foreign")
        await talk.say(t="follow", token="nonsense")
        assert (await talk.ends())[0] == 4400


async def test_a_hello_is_answered_with_the_head(api: Api) -> None:
    await api.send("m1")
    head = (await api.get("/v1/fetchChanges", "bob")).json()["lastUpdatedTimestamp"]
    async with connected(api) as talk:
        await talk.say(t="hello", token=access_token("bob"))
        assert (await talk.hears("welcome"))["head"] == head
        await talk.say(t="ping", active=True)
        assert await talk.hears("pong") == {"t": "pong", "head": head}


async def test_an_ack_says_to_the_author_that_it_is_delivered(api: Api) -> None:
    async with opened(api, "bob") as talk:
        await talk.say(t="follow", token=(await api.get("/v1/fetchChanges", "bob")).json()["lastUpdatedTimestamp"])
        await talk.hears("delta")
        sent = (await api.send("m1")).json()
        delta = await talk.hears("delta")
        token = (await api.get("/v1/fetchConversation")).json()["lastUpdatedTimestamp"]
        await talk.say(t="ack", token=delta["token"])
        news = None
        for _ in range(DEADLINE_S):  # a link in these tests has to carry something each second
            news = (
                news
                or (await api.get(f"/v1/fetchConversation?lastUpdatedTimestamp={token}&wait=1")).json()["conversations"]
            )
        assert news
        assert news[0]["receipts"] == {"deliveredUpTo": sent["messageId"], "readUpTo": None}
