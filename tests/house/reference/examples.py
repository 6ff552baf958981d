"""The examples of the API: a short chat between alice and bob, played on a real server, and what it answered.

`make docs` writes them to a file of the API, whose document (/openapi.json) and pages show them. Time, chance and the
request ids are fixed, so a server that answers otherwise is a difference.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from rowbox.api.v1 import examples as shown
from rowbox.api.v1.request_types import MAX_CONTENT_BYTES
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.push.port import Answer as PushAnswer
from rowbox.cacheserver.push.port import Outcome
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.search.workers import WorkerThreads
from rowbox.cacheserver.stores import history
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.hbase_schema.schema_row import HISTORY_BYTES
from rowbox.mailbox.ids import direct_conversation_id, to_text
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.push.note import Note
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.settings.config import ModerationSettings
from tests.http import api as served
from tests.http.api import Answer, Api, serving

Json = dict[str, Any]
FILE: Final = Path(shown.__file__).with_name("examples.json")
SETTINGS: Final = replace(
    served.SETTINGS,
    server=replace(served.SETTINGS.server, public_url="https://chat-1.example.com"),
    moderation=ModerationSettings(user="moderation"),
)
SHARDS: Final = 64
BEGIN_US: Final = 1_764_208_500_123_456
ADMIN: Final = "root"
"""Whose token has the scope admin."""
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REQUEST_ID: Final = "5d1f0a3c-2a"


class _Recorder:
    """Plays requests and notes them with their answers."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.examples: list[Json] = []

    async def get(self, status: int, call: str, summary: str, user: str, **query: str | int) -> Json:
        path = f"/v1/{call}" + (f"?{urlencode(query)}" if query else "")
        return await self._note(status, call, summary, {"user": user, "path": path})

    async def post(self, status: int, call: str, summary: str, user: str, **body: Any) -> Json:
        return await self._note(status, call, summary, {"user": user, "path": f"/v1/{call}", "body": body})

    async def until_erased(self, user: str) -> None:
        """Returns when the mailbox of a deleted user is erased: about a second later, by the real time."""
        request = {"user": ADMIN, "path": "/v1/deleteUser", "body": {"userId": user}}
        while (await self._ask(request)).status == HTTPStatus.ACCEPTED:  # noqa: ASYNC110 - as a program asks
            await asyncio.sleep(0.05)

    async def _note(self, status: int, call: str, summary: str, request: Json) -> Json:
        answer = await self._ask(request)
        assert answer.status == status, answer.body
        value: Json = answer.json()
        self.examples.append({"call": call, "status": status, "summary": summary, "request": request, "value": value})
        return value

    async def _ask(self, request: Json) -> Answer:
        headers, user = {"X-Request-Id": REQUEST_ID}, request["user"]
        if "body" not in request:
            return await self._api.get(request["path"], user, admin=user == ADMIN, headers=headers)
        body = msgspec.json.encode(request["body"])
        is_admin = user == ADMIN
        return await self._api.request("POST", request["path"], user, admin=is_admin, headers=headers, body=body)


async def recorded() -> bytes:
    """The examples, as their file holds them."""
    clock, folder = _Clock(), TemporaryDirectory()
    with _without_chance():
        store = MemoryStore(SHARDS, ttl_ms(SETTINGS.store), late_writes=False, now_ms=lambda: clock.now_us() // 1000)
        place = SearchPlace(Path(folder.name), WorkerThreads())
        owner = Owner(store, SETTINGS, now_us=clock.now_us, search=place, push=_Services())
        owner._random.seed(1)
        await owner.start()
    try:
        async with serving(owner, SETTINGS) as api:
            recorder = _Recorder(api)
            await _chat(recorder, clock)
            await _feed(recorder, clock)
            owner.receipts.close()  # in groups they would come by the real time, and take a version each
            await _group(recorder, clock)
            await _devices(recorder, clock)
            await _users(recorder, clock)
            await _presence(recorder, api)
            await _contacts(recorder, clock)
            await _requests(recorder, clock)
            await _blocks(recorder, clock)
            await _refusals(recorder)
            await _deletion(recorder)
    finally:
        await owner.close()
        folder.cleanup()
    return msgspec.json.format(msgspec.json.encode(recorder.examples), indent=1) + b"\n"


class _Services:
    """Push services that take everything."""

    server_key = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM"

    def check(self, target: PushTarget) -> None:
        """All are allowed."""

    async def send(self, target: PushTarget, note: Note, push_id: str) -> PushAnswer:
        return PushAnswer(Outcome.OK)


class _Clock:
    """Time passes where the story says so."""

    def __init__(self) -> None:
        self._now_us = BEGIN_US

    def now_us(self) -> int:
        return self._now_us

    def pass_s(self, seconds: float) -> None:
        self._now_us += int(seconds * 1_000_000)


@contextmanager
def _without_chance() -> Iterator[None]:
    """A store that is made inside has the same history each time: it is a part of tokens and cursors."""
    with patch.object(history, "new_history", lambda: bytes(range(HISTORY_BYTES))):
        yield


async def _chat(recorder: _Recorder, clock: _Clock) -> None:
    get, post = recorder.get, recorder.post
    hello = {
        "recipientId": "bob",
        "messageContent": "Hello, Bob",
        "clientMessageId": "5f0c2c1e-7d0b-4a53-9b1f-0c6a1f7f0b11",
    }
    await post(201, "sendMessage", "Alice sends Bob a message.", "alice", **hello)
    clock.pass_s(3.2)
    await post(
        200, "sendMessage", "The same request again, as after a timeout: nothing is sent twice.", "alice", **hello
    )
    known = {"clientMessageId": hello["clientMessageId"]}
    await get(200, "sendStatus", "Alice asks what became of it.", "alice", **known)
    clock.pass_s(8)
    listed = await get(200, "fetchConversation", "Bob's conversations.", "bob")
    conversation = {"conversationId": listed["conversations"][0]["conversationId"]}
    page = await get(200, "fetchMessages", "The messages of one of them.", "bob", **conversation)
    clock.pass_s(20.5)
    again = {
        "recipientId": "bob",
        "messageContent": "Are you there?",
        "clientMessageId": "9a41d3a0-52a7-4d54-8f0e-6f1d2f3f7c20",
    }
    await recorder._ask({"user": "alice", "path": "/v1/sendMessage", "body": again})
    token = {"lastUpdatedTimestamp": page["lastUpdatedTimestamp"], "wait": 30}
    summary = "What came since: Bob waits up to 30 seconds, and Alice sends another message."
    news = await get(200, "fetchMessages", summary, "bob", **conversation, **token)
    clock.pass_s(4)
    newest = {"messageId": news["messages"][-1]["messageId"]}
    unread = await recorder._ask({"user": "alice", "path": "/v1/fetchConversation"})
    await post(200, "markRead", "Bob has read all of it.", "bob", **conversation, **newest)
    heard = {"lastUpdatedTimestamp": unread.json()["lastUpdatedTimestamp"], "wait": 30}
    await get(200, "fetchConversation", "Alice hears of it: the conversation has new receipts.", "alice", **heard)
    await post(200, "setConversation", "Bob pins the conversation.", "bob", **conversation, pinned=True)
    await post(200, "setConversation", "The same request again changes nothing.", "bob", **conversation, pinned=True)
    both = ",".join(one["messageId"] for one in [*page["messages"], *news["messages"]])
    summary = "Who has her two messages."
    await get(200, "fetchReceipts", summary, "alice", **conversation, messageIds=both)
    await get(200, "search", "Bob looks for a word.", "bob", q="are you")
    token = {"lastUpdatedTimestamp": listed["lastUpdatedTimestamp"]}
    await get(200, "fetchConversation", "What changed since: the conversation, once, as it is now.", "bob", **token)
    clock.pass_s(2)
    mistaken = {"conversationId": conversation["conversationId"], **newest}
    reaction = {**mistaken, "emoji": "\U0001f44d"}
    lasts = {"conversationId": conversation["conversationId"], "ttlMs": 86_400_000}
    await post(200, "setTtl", "What is sent from now on disappears after a day.", "alice", **lasts)
    await post(400, "setTtl", "An hour is the least.", "alice", **{**lasts, "ttlMs": 1_000})
    await post(200, "setTtl", "What is sent from now on stays again.", "bob", **{**lasts, "ttlMs": 0})
    await post(200, "react", "Bob reacts to Alice's second message.", "bob", **reaction)
    await post(400, "react", "A reaction is one emoji.", "bob", **{**reaction, "emoji": "yes"})
    await get(200, "fetchMessages", "The message, with the reaction.", "alice", **conversation, pageSize=1)
    clock.pass_s(3)
    edited = {**mistaken, "messageContent": "Are you there, Bob?"}
    await post(200, "editMessage", "Alice edits her second message.", "alice", **edited)
    clock.pass_s(9)
    await post(200, "unsendMessage", "Alice takes it back.", "alice", **mistaken)
    await post(409, "editMessage", "A message that was taken back stays so.", "alice", **edited)
    await post(403, "unsendMessage", "Bob would take back what Alice wrote.", "bob", **mistaken)
    token = {"lastUpdatedTimestamp": news["lastUpdatedTimestamp"]}
    summary = "The message that was taken back, once, as it is now."
    await get(200, "fetchMessages", summary, "bob", **conversation, **token)
    summary = "A page of one message, of all conversations; there is more."
    page = await get(200, "fetchMessages", summary, "alice", pageSize=1)
    await get(200, "fetchMessages", "The page behind it.", "alice", pageSize=1, cursor=page["nextCursor"])


async def _feed(recorder: _Recorder, clock: _Clock) -> None:
    get = recorder.get
    beginning = await get(200, "fetchChanges", "Where Bob's copy of his mailbox begins.", "bob")
    clock.pass_s(12)
    sent = {
        "recipientId": "bob",
        "messageContent": "See you at nine",
        "clientMessageId": "c4c6c0a8-8f1b-4a8e-9c33-0f6d52a6b3de",
    }
    await recorder._ask({"user": "alice", "path": "/v1/sendMessage", "body": sent})
    token = {"lastUpdatedTimestamp": beginning["lastUpdatedTimestamp"], "wait": 30}
    await get(200, "fetchChanges", "What changed since: a message, and with it its conversation.", "bob", **token)
    await get(400, "fetchChanges", "A parameter that the call has not.", "bob", cursor="x")
    await get(200, "connect", "Where Bob opens his socket.", "bob")
    await get(400, "connect", "A parameter that the call has not.", "bob", zone="a")


async def _group(recorder: _Recorder, clock: _Clock) -> None:
    """Alice makes a group of three, which lives and ends."""
    get, post = recorder.get, recorder.post
    begun = await get(200, "fetchChanges", "Where Carol's mailbox is now.", "carol")
    made: dict[str, str | list[str]] = {
        "clientGroupId": "book-club-2026",
        "members": ["bob", "carol"],
        "name": "Book club",
    }
    answer = await post(201, "createGroup", "Alice makes a group.", "alice", **made)
    group = {"conversationId": answer["conversationId"]}
    await post(200, "createGroup", "The same request again: it is one group.", "alice", **made)
    clock.pass_s(5)
    hello = {**group, "messageContent": "Which book?", "clientMessageId": "d1f4c6a2-6f0b-4c1e-9f57-1b7f0e1c2d3a"}
    sent = await post(201, "sendMessage", "Bob sends a message to the group.", "bob", **hello)
    summary = "Who has it: nobody has come back for it yet."
    await get(200, "fetchReceipts", summary, "bob", **group, messageIds=sent["messageId"])
    token = {"lastUpdatedTimestamp": begun["lastUpdatedTimestamp"]}
    summary = "Carol's mailbox has the group, what happened in it, and the message."
    await get(200, "fetchChanges", summary, "carol", **token)
    await get(200, "fetchGroup", "Who is in.", "carol", **group)
    clock.pass_s(30)
    await post(403, "addMembers", "Bob is no admin.", "bob", **group, userIds=["dave"])
    await post(200, "setRole", "Alice makes him one.", "alice", **group, userId="bob", role="admin")
    await post(200, "addMembers", "Now he adds Dave.", "bob", **group, userIds=["dave"])
    await post(200, "updateGroup", "And gives the group another name.", "bob", **group, name="Books and films")
    clock.pass_s(60)
    await post(200, "removeMember", "Alice removes Dave.", "alice", **group, userId="dave")
    late = {**hello, "clientMessageId": "0a7c2f53-0b1e-4c66-8f2d-5f1f3b9a7d10"}
    await post(403, "sendMessage", "Dave is not in any more.", "dave", **late)
    await get(404, "fetchGroup", "Eve never was: she is told that there is none.", "eve", **group)
    await post(200, "leaveGroup", "Carol leaves.", "carol", **group)
    clock.pass_s(60)
    await post(200, "deleteGroup", "Alice deletes it, for all.", "alice", **group)


async def _devices(recorder: _Recorder, clock: _Clock) -> None:
    get, post = recorder.get, recorder.post
    phone, laptop = {"deviceId": "5e1d-phone"}, {"deviceId": "9b2f-laptop"}
    await post(200, "registerDevice", "Alice's phone.", "alice", **phone, name="Alice's phone", platform="android")
    clock.pass_s(3600)
    await post(200, "registerDevice", "And her laptop.", "alice", **laptop, name="Alice's laptop", platform="web")
    await get(200, "fetchDevices", "Where she is signed in.", "alice")
    hook = {"kind": "webhook", "url": "https://hooks.example.com/rowbox", "secret": _SECRET}
    await post(200, "setPush", "A program is to be told where her laptop is.", "alice", **laptop, push=hook)
    await post(404, "setPush", "A device that she never had.", "alice", deviceId="tablet", push=None)
    await post(200, "signOut", "She signs the phone out.", "alice", **phone)
    await post(404, "signOut", "A device that she never had.", "alice", deviceId="tablet")
    await post(401, "registerDevice", "The phone comes back under its old id.", "alice", **phone)
    clock.pass_s(60)


async def _contacts(recorder: _Recorder, clock: _Clock) -> None:
    """Alice keeps whom she knows."""
    get, post = recorder.get, recorder.post
    clock.pass_s(30)
    await post(200, "setContact", "Bob is a contact of Alice.", "alice", userId="bob", alias="Bob from work")
    await post(200, "setContact", "And one of those whom she likes best.", "alice", userId="bob", favourite=True)
    await post(200, "setContact", "So is Carol.", "alice", userId="carol")
    await get(200, "fetchContacts", "Alice's contacts.", "alice")
    await post(200, "setContact", "Carol is one no more.", "alice", userId="carol", remove=True)


async def _requests(recorder: _Recorder, clock: _Clock) -> None:
    """Alice lets only her contacts write to her at once."""
    get, post = recorder.get, recorder.post
    clock.pass_s(30)
    await post(200, "updateUser", "Alice wants to accept what strangers begin.", "alice", messagesFrom="contacts")
    hello = {"recipientId": "alice", "messageContent": "Hello, I am Eve", "clientMessageId": "a-request"}
    await post(201, "sendMessage", "Eve gets the usual answer.", "eve", **hello)
    await get(200, "fetchRequests", "What waits.", "alice")
    with_eve = to_text(direct_conversation_id("alice", "eve"))
    await post(200, "setConversation", "Alice accepts it.", "alice", conversationId=with_eve, request=False)
    await post(400, "setConversation", "Nothing makes it one again.", "alice", conversationId=with_eve, request=True)
    await post(200, "updateUser", "And lets everybody write again.", "alice", messagesFrom="everyone")


async def _blocks(recorder: _Recorder, clock: _Clock) -> None:
    """Alice wants to hear nothing more of Mallory."""
    get, post = recorder.get, recorder.post
    hello = {"recipientId": "alice", "messageContent": "You fool", "clientMessageId": "an-insult"}
    clock.pass_s(40)
    threat = {"recipientId": "alice", "messageContent": "I know where you live", "clientMessageId": "a-threat"}
    sent = await post(201, "sendMessage", "Mallory threatens Alice.", "mallory", **threat)
    report = {"conversationId": sent["conversationId"], "messageIds": [sent["messageId"]], "reason": "threat"}
    clock.pass_s(40)
    await post(201, "report", "Alice reports that.", "alice", **report)
    await post(200, "report", "The same request again is the same report.", "alice", **report)
    await get(200, "fetchMessages", "What those get who take reports.", "moderation", pageSize=1)
    await post(200, "block", "Alice blocks Mallory.", "alice", userId="mallory")
    await post(201, "sendMessage", "Mallory gets the usual answer.", "mallory", **hello)
    await get(200, "fetchBlocks", "Whom Alice blocks.", "alice")
    await get(200, "fetchHidden", "An administrator looks at what is hidden from Alice.", ADMIN, userId="alice")
    answer = {"recipientId": "mallory", "messageContent": "?", "clientMessageId": "an-answer"}
    await post(403, "sendMessage", "Alice does not write to whom she blocks.", "alice", **answer)
    await post(200, "unblock", "What comes of Mallory from now on is shown again.", "alice", userId="mallory")


async def _users(recorder: _Recorder, clock: _Clock) -> None:
    """A program makes Alice known, and others look."""
    get, post = recorder.get, recorder.post
    alice = {
        "name": "Alice Liddell",
        "avatar": "https://pictures.example/alice.webp",
        "attributes": {"locale": "en-GB"},
    }
    await post(201, "createUser", "A program makes Alice known.", ADMIN, userId="alice", **alice)
    await post(200, "createUser", "The same request again changes nothing.", ADMIN, userId="alice", **alice)
    await post(403, "createUser", "Bob may not make himself known here.", "bob", name="Bob")
    clock.pass_s(40)
    await post(200, "updateUser", "Alice gives herself another name.", "alice", name="Alice")
    await post(409, "createUser", "She is known, and called otherwise.", ADMIN, userId="alice", **alice)
    await get(200, "fetchUser", "All that is kept of her, as she sees it.", "alice")
    await get(200, "fetchUser", "What Bob sees of her.", "bob", userId="alice")
    await get(200, "fetchUsers", "Who is known of three.", "bob", userIds="alice,bob,carol")
    await get(404, "fetchUser", "Nobody has made Carol known.", "bob", userId="carol")
    await post(404, "updateUser", "So she has nothing to change.", "carol", name="Carol")
    await post(202, "deleteUser", "A program deletes Carol.", ADMIN, userId="carol")
    await recorder.until_erased("carol")
    await post(200, "deleteUser", "Asked again, it says that her mailbox is erased.", ADMIN, userId="carol")
    await post(409, "createUser", "Nobody is made known under her userId again.", ADMIN, userId="carol", name="Carol")


async def _presence(recorder: _Recorder, api: Api) -> None:
    """Bob is there; nobody knows it of Carol, with whom Alice is in no conversation of two."""
    await recorder.post(200, "heartbeat", "A program that runs for Bob says that he is there.", "bob")
    async with asyncio.timeout(30):
        while (await api.get("/v1/fetchPresence?userIds=bob")).json()["users"]["bob"] is None:
            api.presence.beats.loop.wake()
            await asyncio.sleep(0)
    await recorder.get(
        200, "fetchPresence", "Bob is online, and of Carol nothing is shown.", "alice", userIds="bob,carol"
    )


async def _deletion(recorder: _Recorder) -> None:
    """Last of all: what is deleted is emptied by the real time, which takes versions."""
    listed = await recorder._ask({"user": "bob", "path": "/v1/fetchConversation"})
    (conversation, *_) = [one for one in listed.json()["conversations"] if "kind" not in one]
    place = {"conversationId": conversation["conversationId"]}
    await recorder.post(404, "deleteConversation", "A conversation of others.", "bob", conversationId="00" * 16)
    await recorder.post(200, "deleteConversation", "Bob deletes his copy.", "bob", **place)


async def _refusals(recorder: _Recorder) -> None:
    get, post = recorder.get, recorder.post
    one = {"recipientId": "bob", "clientMessageId": "5f0c2c1e-7d0b-4a53-9b1f-0c6a1f7f0b11"}
    await post(400, "sendMessage", "A message without its content.", "alice", **one)
    summary = "Another content under an id that was used."
    await post(422, "sendMessage", summary, "alice", **one, messageContent="Hello, Ben")
    await get(404, "sendStatus", "An id under which nothing was sent.", "alice", clientMessageId="never-sent")
    await get(404, "fetchMessages", "A conversation of others.", "bob", conversationId="00" * 16)
    await get(400, "fetchMessages", "A parameter that the call has not.", "bob", page=1)
    nothing = {"conversationId": "00" * 16, "messageIds": "00" * 16}
    await get(404, "fetchReceipts", "A conversation of others.", "bob", **nothing)
    await get(400, "search", "Nothing to look for.", "bob", q="?")
    large = {"recipientId": "alice", "messageContent": "x" * MAX_CONTENT_BYTES}
    for number in range(1 + PAGE_BYTES // MAX_CONTENT_BYTES):
        body = large | {"clientMessageId": f"large-{number}"}
        await recorder._ask({"user": "alice", "path": "/v1/sendMessage", "body": body})
    summary = "A page by its number that holds more than 1 MiB; the problem says how to go on."
    await get(400, "fetchMessages", summary, "alice", pageNumber=0, pageSize=20)
    await get(403, "fetchConversation", "Another's conversations, without the scope admin.", "bob", userId="alice")
