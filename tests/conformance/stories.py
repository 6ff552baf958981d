"""What clients do, step by step. Each story has users of its own; none waits by the clock.

A story asks for one thing after the other, or says in its transcript only what is the same whoever comes first.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from tests.conformance.caller import Answer, Caller
from tests.conformance.live import socket_of, stream_of
from tests.conformance.transcript import Json

Story = Callable[[Caller], Awaitable[None]]
THUMB, HEART = "\U0001f44d", "\u2764\ufe0f"


async def a_first_conversation(caller: Caller) -> None:
    sent = await caller.send("alice", "bob", "hello", "first")
    await caller.send("alice", "bob", "hello", "first")
    await caller.send("alice", "bob", "something else", "first")
    await caller.send("bob", "alice", "hello yourself", "first")
    for name in ("alice", "bob", "carol"):
        await caller.get(name, "fetchConversation")
        await caller.get(name, "fetchMessages")
    conversation_id = sent.json["conversationId"]
    await caller.get("alice", "fetchMessages", conversationId=conversation_id)
    await caller.get("carol", "fetchMessages", conversationId=conversation_id)
    await caller.get("alice", "sendStatus", clientMessageId="first")
    await caller.get("alice", "sendStatus", clientMessageId="never")


async def notes_to_oneself_and_any_text(caller: Caller) -> None:
    await caller.send("alice", "alice", "a note", "note")
    for number, text in enumerate(("\x00", "\u202ebackwards", "\U0001f600" * 3, " ", "e\u0301", "x" * 65_535)):
        await caller.send("alice", "bob", text, f"text-{number}")
    await caller.send("alice", "bob", "x" * 65_536, "too-large")
    await caller.send("alice", "bob", "", "empty")
    await caller.request(
        "a lone surrogate",
        "POST",
        "/v1/sendMessage",
        "alice",
        body=b'{"recipientId": "bob", "messageContent": "\\ud800", "clientMessageId": "surrogate"}',
    )
    await caller.get("alice", "fetchConversation")
    await caller.get("bob", "fetchMessages", pageSize=3)


async def marks(caller: Caller) -> None:
    first = await caller.send("alice", "bob", "one", "1")
    second = await caller.send("alice", "bob", "two", "2")
    third = await caller.send("alice", "bob", "three", "3")
    conversation_id = first.json["conversationId"]
    token = await _token(caller.get("bob", "fetchConversation"))
    for sent in (second, first, third, third):
        await caller.post("bob", "markRead", conversationId=conversation_id, messageId=sent.json["messageId"])
        await caller.get("bob", "fetchConversation", lastUpdatedTimestamp=token)
    await caller.post("carol", "markRead", conversationId=conversation_id, messageId=first.json["messageId"])
    await caller.post("bob", "markRead", conversationId=conversation_id, messageId="0" * 32)
    await caller.send("bob", "alice", "an answer reads what came before", "4")
    await caller.get("alice", "fetchConversation")


async def edits_and_unsends(caller: Caller) -> None:
    first = await caller.send("alice", "bob", "helo", "1")
    second = await caller.send("alice", "bob", "a secret", "2")
    note = await caller.send("alice", "alice", "to buy: milk", "3")
    place = {key: first.json[key] for key in ("conversationId", "messageId")}
    secret = {key: second.json[key] for key in ("conversationId", "messageId")}
    listed = await _token(caller.get("bob", "fetchConversation"))
    token = await _token(caller.get("bob", "fetchMessages"))

    async def bob_hears() -> None:
        nonlocal token
        token = await _token(caller.get("bob", "fetchMessages", lastUpdatedTimestamp=token, wait=20))

    for text in ("hello", "hello", "hello there"):
        answer = await caller.post("alice", "editMessage", **place, messageContent=text)
        if answer.json["changed"]:
            await bob_hears()
    for _ in range(2):
        answer = await caller.post("alice", "unsendMessage", **secret)
        if answer.json["changed"]:
            await bob_hears()
    await caller.post("alice", "editMessage", **secret, messageContent="what I meant")
    own = {key: note.json[key] for key in ("conversationId", "messageId")}
    await caller.post("alice", "editMessage", **own, messageContent="to buy: milk, bread")
    await caller.post("bob", "editMessage", **place, messageContent="not his")
    await caller.post("bob", "unsendMessage", **place)
    await caller.post("carol", "unsendMessage", **place)
    await caller.post("alice", "editMessage", **{**place, "messageId": "0" * 32}, messageContent="nothing")
    await caller.post("alice", "editMessage", **place, messageContent="")
    await caller.post("alice", "editMessage", **place, messageContent="x" * 65_536)
    await caller.post("alice", "unsendMessage", **place, messageContent="a field too many")
    await caller.send("alice", "bob", "helo", "1")
    await caller.get("bob", "fetchConversation", lastUpdatedTimestamp=listed)
    for name in ("alice", "bob"):
        await caller.get(name, "fetchConversation")
        await caller.get(name, "fetchMessages")
        await caller.get(name, "fetchMessages", conversationId=place["conversationId"], pageSize=1)
        await _deltas_to_the_end(caller, name, "fetchMessages", "0")


async def reactions(caller: Caller) -> None:
    first = await caller.send("alice", "bob", "shall we?", "1")
    second = await caller.send("alice", "bob", "a secret", "2")
    place = {key: first.json[key] for key in ("conversationId", "messageId")}
    secret = {key: second.json[key] for key in ("conversationId", "messageId")}
    listed = await _token(caller.get("bob", "fetchConversation"))
    tokens = {name: await _token(caller.get(name, "fetchMessages")) for name in ("alice", "bob")}

    async def does(name: str, call: str, to: dict[str, str] = place, **what: str) -> None:
        """Both have heard of it then."""
        answer = await caller.post(name, call, **to, **what)
        if answer.status == 200 and answer.json["changed"]:
            for one, token in tokens.items():
                heard = caller.get(one, "fetchMessages", lastUpdatedTimestamp=token, wait=20)
                tokens[one] = await _token(heard)

    for emoji in (THUMB, THUMB, HEART[0], HEART):
        await does("bob", "react", emoji=emoji)
    await does("alice", "react", emoji=HEART)
    await does("bob", "react", emoji="")
    await does("bob", "react", emoji="")
    await does("bob", "react", secret, emoji=THUMB)
    await does("alice", "editMessage", messageContent="shall we go?")
    await does("alice", "unsendMessage", secret)
    await does("bob", "react", secret, emoji=HEART)
    await does("bob", "react", secret, emoji="")
    await does("carol", "react", emoji=THUMB)
    for emoji in ("yes", "1", THUMB + THUMB):
        await does("bob", "react", emoji=emoji)
    await does("bob", "react", {**place, "messageId": "0" * 32}, emoji=THUMB)
    await does("bob", "react")
    await caller.get("bob", "fetchConversation", lastUpdatedTimestamp=listed)
    for name in ("alice", "bob"):
        await caller.get(name, "fetchMessages", conversationId=place["conversationId"], pageSize=2)
        await _deltas_to_the_end(caller, name, "fetchMessages", "0")


async def messages_disappear(caller: Caller) -> None:
    first = await caller.send("alice", "bob", "this stays", "1")
    place = {"conversationId": first.json["conversationId"]}
    tokens = {name: await _token(caller.get(name, "fetchConversation")) for name in ("alice", "bob")}

    async def does(name: str, call: str, **what: Json) -> None:
        """Both have heard of it then."""
        answer = await caller.post(name, call, **{**place, **what})
        if answer.status == 201 or (answer.status == 200 and answer.json["changed"]):
            for one, token in tokens.items():
                tokens[one] = await _token(caller.get(one, "fetchConversation", lastUpdatedTimestamp=token, wait=20))

    await does("alice", "setTtl", ttlMs=3_600_000)
    await does("bob", "setTtl", ttlMs=3_600_000)
    await does("alice", "sendMessage", messageContent="this does not", clientMessageId="2")
    newest = (await caller.get("alice", "fetchMessages", **place)).json["messages"][0]["messageId"]
    await does("alice", "editMessage", messageId=newest, messageContent="nor this")
    for ttl_ms in (1, 3_599_999, -1, 31_536_000_001, "3600000", None):
        await does("alice", "setTtl", ttlMs=ttl_ms)
    await does("alice", "setTtl", conversationId="0" * 32, ttlMs=3_600_000)
    await does("carol", "setTtl", ttlMs=3_600_000)
    await does("bob", "setTtl", ttlMs=0)
    await does("bob", "sendMessage", messageContent="this stays, too", clientMessageId="3")
    for name in ("alice", "bob"):
        await caller.get(name, "fetchConversation")
        await caller.get(name, "fetchMessages", **place)


async def a_group_lives_and_ends(caller: Caller) -> None:
    bob, carol, dave, eve = (caller.user(name) for name in ("bob", "carol", "dave", "eve"))
    begun = await _token(caller.get("carol", "fetchChanges"))
    made: dict[str, Json] = {"clientGroupId": "books", "members": [bob, carol], "name": "Books"}
    place = {"conversationId": (await caller.post("alice", "createGroup", **made)).json["conversationId"]}
    await caller.post("alice", "createGroup", **made)
    await caller.post("alice", "createGroup", **{**made, "name": "Films"})
    hello: dict[str, Json] = {**place, "messageContent": "hello", "clientMessageId": "1"}
    sent = await caller.post("bob", "sendMessage", **hello)
    await caller.post("bob", "sendMessage", **hello)
    await caller.post("bob", "sendMessage", **{**hello, "messageContent": "something else"})
    await caller.post("bob", "sendMessage", **hello, recipientId=carol)
    await caller.post("carol", "sendMessage", **{**hello, "messageContent": "x" * 16_385})
    await caller.get("carol", "fetchChanges", lastUpdatedTimestamp=begun)
    mark = {**place, "messageId": sent.json["messageId"]}
    await caller.post("carol", "markRead", **mark)
    begun = await _token(caller.get("carol", "fetchChanges"))
    for name in ("bob", "carol", "eve"):
        await caller.post(name, "editMessage", **mark, messageContent="hallo")
    await caller.post("carol", "react", **mark, emoji=THUMB)
    await caller.post("carol", "react", **mark, emoji=THUMB)
    await caller.get("carol", "fetchChanges", lastUpdatedTimestamp=begun)
    await caller.post("carol", "unsendMessage", **mark)
    await caller.post("alice", "unsendMessage", **mark)
    await caller.post("bob", "editMessage", **mark, messageContent="hello")
    await caller.post("bob", "react", **mark, emoji=HEART)
    await caller.get("carol", "fetchChanges", lastUpdatedTimestamp=begun)
    for name in ("carol", "eve"):
        await caller.get(name, "fetchGroup", **place)
        await caller.post(name, "addMembers", **place, userIds=[dave])
        await caller.post(name, "updateGroup", **place, name="Films")
        await caller.post(name, "setRole", **place, userId=bob, role="member")
        await caller.post(name, "removeMember", **place, userId=bob)
        await caller.post(name, "deleteGroup", **place)
    await caller.post("alice", "addMembers", **place, userIds=[])
    await caller.post("alice", "addMembers", **place, userIds=["not a user"])
    await caller.post("alice", "addMembers", **place, userIds=[dave, eve, dave])
    await caller.post("alice", "addMembers", **place, userIds=[dave])
    await caller.post("dave", "react", **mark, emoji=HEART)
    await caller.post("alice", "setRole", **place, userId=caller.user("frank"), role="admin")
    await caller.post("alice", "setRole", **place, userId=dave, role="admin")
    await caller.post("dave", "updateGroup", **place, name="Books and films", settings={"whoCanSend": "admins"})
    await caller.post("carol", "sendMessage", **{**hello, "clientMessageId": "2"})
    await caller.post("dave", "removeMember", **place, userId=eve)
    await caller.post("eve", "sendMessage", **hello)
    await caller.get("eve", "fetchGroup", **place)
    await caller.post("alice", "leaveGroup", **place)
    await caller.get("dave", "fetchGroup", **place)
    await caller.post("dave", "deleteGroup", **place)
    await caller.post("bob", "sendMessage", **{**hello, "clientMessageId": "3"})
    for name in ("alice", "bob", "eve"):
        await caller.get(name, "fetchConversation")
        await caller.get(name, "fetchMessages", **place)


async def pages_and_deltas_of_messages(caller: Caller) -> None:
    sent = [await caller.send("alice", "bob", f"text {number}", f"m-{number}") for number in range(23)]
    conversation_id, token = sent[0].json["conversationId"], ""
    for where in (None, conversation_id):
        for number in (0, 1, 2, 3):
            await caller.get("bob", "fetchMessages", conversationId=where, pageNumber=number, pageSize=10)
        page = await caller.get("bob", "fetchMessages", conversationId=where, pageSize=9)
        token = page.json["lastUpdatedTimestamp"]
        await caller.send("bob", "alice", "between the pages", f"between-{where is None}")
        while page.json["nextCursor"] is not None:
            cursor = page.json["nextCursor"]
            page = await caller.get("bob", "fetchMessages", conversationId=where, pageSize=9, cursor=cursor)
        await caller.get("bob", "fetchMessages", conversationId=where, lastUpdatedTimestamp=token)
    await _deltas_to_the_end(caller, "alice", "fetchMessages", "0", pageSize=7)
    await caller.get("carol", "fetchMessages", lastUpdatedTimestamp=token)
    await caller.get("bob", "fetchMessages", lastUpdatedTimestamp="rubbish")
    await caller.get("bob", "fetchMessages", cursor="rubbish")
    await caller.get("bob", "fetchMessages", pageNumber=10_000, pageSize=200)


async def large_pages(caller: Caller) -> None:
    for number in range(18):
        await caller.send("alice", "bob", chr(ord("a") + number) * 65_535, f"large-{number}")
    await caller.get("bob", "fetchMessages", pageNumber=0, pageSize=18)
    page = await caller.get("bob", "fetchMessages", pageSize=18)
    while page.json["nextCursor"] is not None:
        page = await caller.get("bob", "fetchMessages", pageSize=18, cursor=page.json["nextCursor"])
    await _deltas_to_the_end(caller, "bob", "fetchMessages", "0", pageSize=18)


async def lists_of_conversations(caller: Caller) -> None:
    names = [f"friend-{number}" for number in range(12)]
    token = await _token(caller.get("alice", "fetchConversation"))
    for number, name in enumerate(names):
        await caller.send(name, "alice", f"from {name}", "hello")
        if number % 3 == 0:
            await caller.send("alice", name, f"to {name}", f"back-{number}")
    await caller.get("alice", "fetchConversation", pageNumber=0, pageSize=5)
    await caller.get("alice", "fetchConversation", pageNumber=2, pageSize=5)
    page = await caller.get("alice", "fetchConversation", pageSize=5)
    await caller.send(names[0], "alice", "moves to the front", "again")
    while page.json["nextCursor"] is not None:
        page = await caller.get("alice", "fetchConversation", pageSize=5, cursor=page.json["nextCursor"])
    await _deltas_to_the_end(caller, "alice", "fetchConversation", page.json["lastUpdatedTimestamp"])
    await _deltas_to_the_end(caller, "alice", "fetchConversation", token)
    for name in names[:4]:
        await caller.get(name, "fetchConversation")


async def polls(caller: Caller) -> None:
    conversations = await _token(caller.get("bob", "fetchConversation"))
    messages = await _token(caller.get("bob", "fetchMessages"))
    waits = [
        asyncio.ensure_future(caller.get("bob", "fetchConversation", lastUpdatedTimestamp=conversations, wait=50)),
        asyncio.ensure_future(caller.get("bob", "fetchMessages", lastUpdatedTimestamp=messages, wait=50)),
    ]
    sent = await caller.send("alice", "bob", "news", "news")
    done = await asyncio.gather(*waits)
    del caller.transcript.entries[-3:]  # whichever was answered first
    for answer in done:
        caller.transcript.note(answer.status, answer.json["isDeltaUpdate"], answer.json["hasMore"])
    caller.transcript.note(sent.status, done[1].json["messages"][0]["messageId"] == sent.json["messageId"])
    token = done[1].json["lastUpdatedTimestamp"]
    await caller.get("bob", "fetchMessages", lastUpdatedTimestamp=token, wait=1)
    await caller.get("bob", "fetchMessages", wait=50)
    await caller.get("bob", "fetchMessages", lastUpdatedTimestamp=messages, wait=50)


async def the_feed_of_a_mailbox(caller: Caller) -> None:
    beginning = await _token(caller.get("bob", "fetchChanges"))
    sent = [await caller.send("alice", "bob", f"text {number}", f"m-{number}") for number in range(7)]
    await caller.send("carol", "bob", "from another one", "c")
    place = {key: sent[3].json[key] for key in ("conversationId", "messageId")}
    await caller.post("bob", "markRead", **place)
    await caller.get("bob", "fetchChanges", lastUpdatedTimestamp=beginning)
    await _deltas_to_the_end(caller, "bob", "fetchChanges", beginning, pageSize=3)
    await _deltas_to_the_end(caller, "alice", "fetchChanges", "0", pageSize=2)
    head = await _token(caller.get("bob", "fetchChanges"))
    await caller.get("bob", "fetchChanges", lastUpdatedTimestamp=head, wait=1)
    waiting = asyncio.ensure_future(caller.get("bob", "fetchChanges", lastUpdatedTimestamp=head, wait=50))
    news = await caller.send("alice", "bob", "news", "news")
    answer = await waiting
    del caller.transcript.entries[-2:]  # whichever was answered first
    caller.transcript.note(answer.status, answer.json["messages"][0]["messageId"] == news.json["messageId"])
    caller.transcript.note(answer.json["conversations"][0]["lastMessageId"] == news.json["messageId"])
    for number in range(22):
        await caller.send(f"friend-{number}", "bob", "hello", "hello")
    page = await caller.get("bob", "fetchChanges")
    await caller.get("bob", "fetchConversation", cursor=page.json["nextCursor"], pageSize=2)
    of_messages = await _token(caller.get("bob", "fetchMessages", pageSize=1))
    await caller.get("bob", "fetchChanges", lastUpdatedTimestamp=of_messages)
    await caller.get("bob", "fetchChanges", cursor=page.json["nextCursor"])
    await caller.get("bob", "fetchChanges", lastUpdatedTimestamp="rubbish")


async def one_feed_over_three_ways(caller: Caller) -> None:
    """Each change comes by the long poll, the stream and the socket, in the same words; and what was missed as well."""
    token = await _token(caller.get("bob", "fetchChanges"))
    async with socket_of(caller, "bob", token) as socket, stream_of(caller, "bob", token) as stream:

        async def by_all() -> None:
            nonlocal token
            poll = await caller.get("bob", "fetchChanges", lastUpdatedTimestamp=token, wait=50)
            others = await asyncio.gather(socket.changes(), stream.changes())
            caller.transcript.note("the others", *(one == poll.json for one in others))
            token = poll.json["lastUpdatedTimestamp"]

        first = await caller.send("alice", "bob", "hello", "1")
        await by_all()
        place = {key: first.json[key] for key in ("conversationId", "messageId")}
        await caller.post("bob", "markRead", **place)
        await by_all()
        await caller.post("alice", "editMessage", **place, messageContent="good morning")
        await by_all()
        await caller.post("alice", "unsendMessage", **place)
        await by_all()
        fields = {"recipientId": caller.user("alice"), "messageContent": "by the socket", "clientMessageId": "2"}
        for number in (1, 2):
            reply = await socket.call(number, "sendMessage", **fields)
            caller.transcript.note("reply", reply["status"], sorted(reply["body"]))
        await by_all()
        reply = await socket.call(3, "fetchMessages", pageSize="many")
        caller.transcript.note("reply", reply["status"], reply["body"]["code"])
    for number in range(3):
        await caller.send("carol", "bob", f"missed {number}", f"missed-{number}")
    missed = await caller.get("bob", "fetchChanges", lastUpdatedTimestamp=token)
    async with socket_of(caller, "bob", token) as socket, stream_of(caller, "bob", token) as stream:
        others = await asyncio.gather(socket.changes(), stream.changes())
        caller.transcript.note("the others", *(one == missed.json for one in others))


async def receipts_are_asked_for(caller: Caller) -> None:
    """Nothing is told of readers in these deployments: receipts come when they come, between any two answers."""
    first = await caller.send("alice", "bob", "one", "1")
    second = await caller.send("alice", "bob", "two", "2")
    note = await caller.send("alice", "alice", "a note", "3")
    conversation_id = first.json["conversationId"]
    await caller.post("bob", "markRead", conversationId=conversation_id, messageId=second.json["messageId"])
    both = f"{second.json['messageId']},{first.json['messageId']}"
    for name in ("alice", "bob", "carol"):
        await caller.get(name, "fetchReceipts", conversationId=conversation_id, messageIds=both)
    own = {key: note.json[key] for key in ("conversationId", "messageId")}
    await caller.get("alice", "fetchReceipts", conversationId=own["conversationId"], messageIds=own["messageId"])
    await caller.get("alice", "fetchReceipts", conversationId=conversation_id, messageIds=own["messageId"])
    await caller.get("alice", "fetchReceipts", conversationId=conversation_id, messageIds="x")
    await caller.get("alice", "fetchReceipts", conversationId=conversation_id)
    await caller.get(
        "alice", "fetchReceipts", conversationId=conversation_id, messageIds=both, userId=caller.user("bob")
    )
    await caller.get("alice", "fetchConversation")


async def words_are_found(caller: Caller) -> None:
    """The index is made before: how much of it is there after a fifth of a second, the machine decides."""
    first = await caller.send("alice", "bob", "Der Fuß des Berges, report.pdf", "1")
    await caller.send("alice", "carol", "明日、駅で会いましょう", "2")
    last = await caller.send("bob", "alice", "the foot of the mountain", "3")
    await caller.send("alice", "bob", "Der Berg ruft", "4")
    for name in ("alice", "bob"):
        await _indexed(caller, name)
    conversation_id = first.json["conversationId"]
    for query in ("FUSS berg", "report.pdf", "駅で", "foot", "oot", "nowhere"):
        await caller.get("alice", "search", q=query)
    page = await caller.get("bob", "search", q="der ber", pageSize=1)
    await caller.get("bob", "search", q="the", conversationId=conversation_id, senderId=caller.user("bob"))
    await caller.get("bob", "search", q="the", before=last.json["sentTimestamp"])
    await caller.get("bob", "search", q="der ber", pageSize=1, cursor=page.json["nextCursor"])
    fields = {"conversationId": conversation_id, "messageId": last.json["messageId"]}
    await caller.post("bob", "unsendMessage", **fields)
    await caller.get("bob", "search", q="mountain")
    await caller.get("bob", "search", q="")
    await caller.get("bob", "search", q="a", conversationId="00" * 16)


async def _indexed(caller: Caller, name: str) -> None:
    """Searches, for an operator and unseen, until the index of a mailbox is complete."""
    headers = {"Authorization": f"Bearer {caller.token(name)}"}
    is_complete = False
    while not is_complete:
        async with caller.session.get(f"{caller.next_url()}/v1/search?q=a", headers=headers) as response:
            is_complete = (await response.json())["complete"]


async def receipts_of_a_group_are_asked_for(caller: Caller) -> None:
    """Before anybody has come back with a token, so that nobody has proven anything."""
    made = {"clientGroupId": "g", "members": [caller.user("bob"), caller.user("carol")], "name": "Club"}
    group = (await caller.post("alice", "createGroup", **made)).json["conversationId"]
    to = {"conversationId": group, "messageContent": "hello", "clientMessageId": "1"}
    sent = (await caller.post("bob", "sendMessage", **to)).json["messageId"]
    for name in ("bob", "alice", "dave"):
        await caller.get(name, "fetchReceipts", conversationId=group, messageIds=sent)
    await caller.get("bob", "fetchReceipts", conversationId=group, messageIds=",".join([sent] * 11))


async def who_joins_is_given_what_was_written_before(caller: Caller) -> None:
    """... since the group says so, as it is now; who comes back gets what was written since he left."""
    carol, dave = caller.user("carol"), caller.user("dave")
    made: dict[str, Json] = {"clientGroupId": "g", "members": [caller.user("bob")], "name": "Club"}
    place = {"conversationId": (await caller.post("alice", "createGroup", **made)).json["conversationId"]}
    text: dict[str, Json] = {**place, "messageContent": "among us", "clientMessageId": "1"}
    await caller.post("alice", "sendMessage", **text)
    await caller.post("alice", "updateGroup", **place, settings={"history": "all"})
    await caller.post("bob", "updateGroup", **place, settings={"history": "recent"})
    await caller.post("alice", "updateGroup", **place, settings={"history": "recent"})
    await caller.get("bob", "fetchGroup", **place)
    sent = await caller.post("bob", "sendMessage", **{**text, "messageContent": "for all", "clientMessageId": "2"})
    mark = {**place, "messageId": sent.json["messageId"]}
    await caller.post("bob", "editMessage", **mark, messageContent="for everybody")
    token = await _token(caller.get("carol", "fetchChanges"))
    await caller.post("alice", "addMembers", **place, userIds=[carol, dave])
    await caller.get("carol", "fetchChanges", lastUpdatedTimestamp=token)
    await caller.get("carol", "fetchMessages", **place, pageSize=2)
    await caller.get("carol", "fetchConversation")
    await caller.post("carol", "react", **mark, emoji=THUMB)
    await caller.get("bob", "fetchReceipts", **place, messageIds=mark["messageId"])
    await caller.post("dave", "leaveGroup", **place)
    await caller.post("bob", "sendMessage", **{**text, "messageContent": "without dave", "clientMessageId": "3"})
    await caller.post("alice", "addMembers", **place, userIds=[dave])
    await caller.post("alice", "updateGroup", **place, settings={})
    await caller.post("alice", "addMembers", **place, userIds=[caller.user("eve")])
    for name in ("dave", "eve"):
        await caller.get(name, "fetchMessages", **place)


async def where_to_connect(caller: Caller) -> None:
    """The servers of these deployments have no addresses of their own."""
    named = {"Host": "chat.example.com"}
    for headers in (named, named | {"X-Forwarded-Proto": "https"}, {"Host": "chat.example.com/x"}):
        words = f"alice: connect, {headers}"
        await caller.request(words, "GET", "/v1/connect", "alice", headers=headers)
    await caller.get("alice", "connect", userId=caller.user("bob"))
    await caller.get("alice", "connect", zone="a")


async def devices_are_signed_out(caller: Caller) -> None:
    """One of two, which then is refused at whichever address; the other one goes on. Then all."""
    for device in ("phone", "laptop"):
        await caller.post("alice", "registerDevice", deviceId=device, name=f"Alice's {device}", platform="web")
    await caller.post("alice", "signOut", deviceId="phone")
    for device in ("phone", "phone", "phone", "laptop", "no id"):
        words = f"alice's {device}: fetchConversation"
        await caller.request(words, "GET", "/v1/fetchConversation", "alice", headers={"X-Device-Id": device})
    await caller.get("alice", "fetchDevices")
    await caller.post("alice", "registerDevice", deviceId="phone")
    await caller.post("alice", "signOut", deviceId="phone")
    await caller.post("alice", "signOut", deviceId="tablet")
    await caller.post("alice", "signOut")
    await caller.get("alice", "fetchDevices", userId=caller.user("bob"))
    await caller.post("alice", "signOut", all=True, exceptDeviceId="laptop")
    for _ in range(3):
        await caller.get("alice", "fetchDevices")


async def what_is_refused(caller: Caller) -> None:
    send = "/v1/sendMessage"
    fields = b'{"recipientId": "bob", "messageContent": "x", "clientMessageId": "refused"}'
    await caller.request("no token", "POST", send, body=fields)
    await caller.request("a wrong token", "GET", "/v1/fetchMessages", headers={"Authorization": "Bearer x.y.z"})
    await caller.request("no such call", "GET", "/v1/nothing", "alice")
    await caller.request("another method", "GET", send, "alice")
    await caller.request("no JSON", "POST", send, "alice", body=b"{")
    await caller.request("no object", "POST", send, "alice", body=b"[]")
    await caller.request("another media type", "POST", send, "alice", body=fields, headers={"Content-Type": "text/csv"})
    await caller.request("HEAD", "HEAD", "/v1/fetchConversation", "alice")
    await caller.post("alice", "sendMessage", recipientId="no user", messageContent="x", clientMessageId="1")
    await caller.post("alice", "sendMessage", recipientId="bob", messageContent="x")
    await caller.post("alice", "sendMessage", recipientId="bob", messageContent="x", clientMessageId="1", more=1)
    await caller.get("alice", "fetchMessages", userId=caller.user("bob"))
    await caller.get("alice", "fetchMessages", pageSize="many")
    await caller.get("alice", "fetchMessages", unknown=1)
    await caller.get("alice", "fetchMessages", cursor="x", pageNumber=1)
    await caller.get("alice", "fetchMessages", conversationId="z")
    await caller.get("alice", "fetchConversation")


async def an_admin_acts_for_others(caller: Caller) -> None:
    await caller.send("alice", "bob", "hello", "1")
    for path in ("/v1/fetchMessages", "/v1/fetchConversation"):
        params = {"userId": caller.user("bob")}
        await caller.request(f"admin: {path} of bob", "GET", path, "root", params=params, is_admin=True)
    await caller.request(
        "admin: sends for bob",
        "POST",
        "/v1/sendMessage",
        "root",
        is_admin=True,
        body=(
            f'{{"senderId": "{caller.user("bob")}", "recipientId": "{caller.user("alice")}",'
            ' "messageContent": "for bob", "clientMessageId": "admin"}'
        ).encode(),
    )
    await caller.get("bob", "fetchMessages")
    await caller.get("alice", "fetchConversation")


async def contacts_are_kept(caller: Caller) -> None:
    """A list of one's own, by pages; and who shows herself to her contacts alone."""
    alice, bob, carol = (caller.user(name) for name in ("alice", "bob", "carol"))
    token = await _token(caller.get("alice", "fetchChanges"))
    for _ in range(2):
        await caller.post("alice", "setContact", userId=bob, alias="Bob from work")
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token)
    await caller.post("alice", "setContact", userId=bob, favourite=True)
    await caller.post("alice", "setContact", userId=carol)
    for body in ({"userId": alice}, {"userId": "no userId"}, {"userId": bob, "remove": True, "alias": "x"}, {}):
        await caller.post("alice", "setContact", **body)
    await caller.post("alice", "setContact", userId=bob, alias="two\nlines")
    await caller.get("alice", "fetchContacts", pageSize=1)
    await caller.get("alice", "fetchContacts", after=bob)
    await caller.get("alice", "fetchContacts", pageSize=0)
    await caller.get("bob", "fetchContacts")
    await caller.get("bob", "fetchContacts", userId=alice)
    for _ in range(2):
        await caller.post("alice", "setContact", userId=bob, remove=True)
    await caller.post("alice", "setContact", userId=caller.user("dave"), remove=True)
    await caller.get("alice", "fetchContacts")
    await caller.post("alice", "setContact", userId=bob)
    await caller.get("alice", "fetchContacts")


async def requests_wait(caller: Caller) -> None:
    """What strangers begin waits apart until it is accepted; what a contact begins does not."""
    alice, carol = caller.user("alice"), caller.user("carol")
    await caller.post("alice", "setContact", userId=carol)
    profile = {"userId": alice, "name": "Alice", "messagesFrom": "contacts", "groupAdds": "contacts"}
    body = json.dumps(profile).encode()
    await caller.request("an admin: createUser", "POST", "/v1/createUser", "root", body=body, is_admin=True)
    await caller.get("alice", "fetchUser")
    await caller.post("alice", "updateUser", messagesFrom="friends")
    token = await _token(caller.get("alice", "fetchChanges"))
    sent = await caller.send("bob", "alice", "hello", "1")
    place = {"conversationId": sent.json["conversationId"]}
    await caller.send("carol", "alice", "hello", "1")
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token)
    await caller.get("alice", "fetchConversation")
    await caller.get("alice", "fetchRequests")
    await caller.get("bob", "fetchRequests", userId=alice)
    await caller.get("bob", "fetchRequests")
    await caller.get("alice", "fetchRequests", cursor="x", pageSize=1)
    await caller.get("alice", "fetchRequests", pageSize=0)
    await caller.post("alice", "setConversation", **place, request=True)
    await caller.post("alice", "deleteConversation", **place)
    await caller.get("alice", "fetchRequests")
    await caller.send("bob", "alice", "please", "2")
    await caller.get("alice", "fetchRequests")
    for _ in range(2):
        await caller.post("alice", "setConversation", **place, request=False)
    await caller.get("alice", "fetchRequests")
    await caller.get("alice", "fetchConversation")
    await caller.send("bob", "alice", "thank you", "3")
    await caller.get("alice", "fetchMessages", **place)


async def blocks_hide(caller: Caller) -> None:
    """The answers that Mallory gets are those that she would get, to the byte."""
    sent = await caller.send("mallory", "alice", "hello", "1")
    place = {"conversationId": sent.json["conversationId"]}
    token = await _token(caller.get("alice", "fetchChanges"))
    for call in ("block", "block"):
        await caller.post("alice", call, userId=caller.user("mallory"))
    await caller.post("alice", "block", userId=caller.user("alice"))
    await caller.post("alice", "block", userId="no userId")
    await caller.send("mallory", "alice", "an insult", "2")
    await caller.send("mallory", "alice", "an insult", "2")
    await caller.get("mallory", "sendStatus", clientMessageId="2")
    await caller.post("mallory", "editMessage", **place, messageId=sent.json["messageId"], messageContent="an insult")
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token)
    await caller.get("alice", "fetchMessages")
    await caller.get("alice", "fetchConversation")
    await caller.send("alice", "mallory", "an answer", "1")
    for name in ("alice", "mallory"):
        await caller.get(name, "fetchBlocks", pageSize=1)
    await caller.get("mallory", "fetchBlocks", userId=caller.user("alice"))
    await caller.get("alice", "fetchBlocks", pageSize=0)
    await caller.post("alice", "unblock", userId=caller.user("mallory"))
    await caller.post("alice", "unblock", userId=caller.user("carol"))
    await caller.get("alice", "fetchBlocks", after=caller.user("mallory"))
    await caller.send("mallory", "alice", "hello again", "3")
    await caller.get("alice", "fetchMessages")
    await caller.get("alice", "fetchHidden", userId=caller.user("alice"))
    for params in ({"pageSize": "1"}, {"pageSize": "9"}, {"cursor": "none"}):
        asked = {"userId": caller.user("alice"), **params}
        words = f"an admin: fetchHidden of alice {json.dumps(params)}"
        await caller.request(words, "GET", "/v1/fetchHidden", "root", params=asked, is_admin=True)


async def nobody_takes_reports(caller: Caller) -> None:
    sent = await caller.send("mallory", "alice", "an insult", "1")
    place = {"conversationId": sent.json["conversationId"]}
    await caller.post("alice", "report", **place, reason="spam", messageIds=[sent.json["messageId"]])
    await caller.post("alice", "report", **place)
    await caller.post("alice", "report", **place, reason="spam", comment="x" * 1001)


async def users_are_known(caller: Caller) -> None:
    async def made_known(who: str, **fields: Json) -> None:
        body = json.dumps({"userId": caller.user(who), **fields}).encode()
        words = f"an admin: createUser {who} {json.dumps(fields)}"
        await caller.request(words, "POST", "/v1/createUser", "root", body=body, is_admin=True)

    alice = {"name": "Alice", "avatar": "https://pictures.example/alice", "attributes": {"locale": "en"}}
    token = await _token(caller.get("alice", "fetchChanges"))
    await made_known("alice", **alice)
    await made_known("alice", **alice)
    await made_known("alice", **{**alice, "name": "Alicia"})
    await made_known("bob", name="Bob")
    token = await _token(caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20))
    for name in ("Al", "Al"):
        await caller.post("alice", "updateUser", name=name)
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20)
    await caller.post("carol", "createUser", name="Carol")
    await caller.post("carol", "updateUser", name="Carol")
    await caller.post("bob", "updateUser", name="two\nlines")
    await caller.post("bob", "updateUser", userId=caller.user("alice"), name="Not his")
    for name in ("alice", "bob"):
        await caller.get(name, "fetchUser")
        await caller.get(name, "fetchUser", userId=caller.user("alice"))
    await caller.get("bob", "fetchUser", userId=caller.user("carol"))
    everybody = ",".join(caller.user(name) for name in ("carol", "bob", "alice"))
    await caller.get("carol", "fetchUsers", userIds=everybody)
    await caller.post("bob", "deleteUser")
    body = json.dumps({"userId": caller.user("bob")}).encode()
    await caller.request("an admin: deleteUser bob", "POST", "/v1/deleteUser", "root", body=body, is_admin=True)
    await caller.get("bob", "fetchChanges")
    await caller.get("alice", "fetchUser", userId=caller.user("bob"))
    await made_known("bob", name="Bob")


async def conversations_are_set(caller: Caller) -> None:
    sent = await caller.send("bob", "alice", "hello", "1")
    talk = {"conversationId": sent.json["conversationId"]}
    token = await _token(caller.get("alice", "fetchChanges"))

    async def set_to(**settings: Json) -> None:
        await caller.post("alice", "setConversation", **talk, **settings)

    until = 4_102_444_800_000_000
    await set_to(mutedUntil=until, pinned=True)
    await set_to(pinned=True)
    await set_to(archived=True, markedUnread=True)
    await caller.get("alice", "fetchConversation")
    token = await _token(caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20))
    await caller.send("bob", "alice", "muted", "2")
    await caller.get("alice", "fetchConversation")
    await set_to(mutedUntil=0)
    await caller.send("bob", "alice", "not muted", "3")
    await caller.get("alice", "fetchConversation")
    await caller.post("alice", "markRead", **talk, messageId=sent.json["messageId"])
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20)
    await caller.get("bob", "fetchConversation")
    await caller.post("carol", "setConversation", **talk, pinned=True)
    await caller.post("alice", "setConversation", **talk, mutedUntil=-1)
    await caller.post("alice", "setConversation", **talk, mutedUntil="for ever")


async def conversations_are_deleted(caller: Caller) -> None:
    sent = await caller.send("bob", "alice", "secret", "1")
    await caller.send("alice", "bob", "as well", "2")
    talk = {"conversationId": sent.json["conversationId"]}
    token = await _token(caller.get("alice", "fetchChanges"))
    for _ in range(2):
        await caller.post("alice", "deleteConversation", **talk)
    await caller.get("alice", "fetchConversation")
    await caller.get("alice", "fetchMessages", **talk)
    await caller.get("alice", "fetchMessages")
    await caller.get("alice", "search", q="secret")
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20)
    await caller.post("alice", "setConversation", **talk, pinned=True)
    await caller.post("alice", "markRead", **talk, messageId=sent.json["messageId"])
    await caller.post("alice", "react", **talk, messageId=sent.json["messageId"], emoji="\U0001f44d")
    await caller.post("bob", "editMessage", **talk, messageId=sent.json["messageId"], messageContent="still secret")
    await caller.get("alice", "fetchConversation")
    await caller.send("bob", "alice", "new", "3")
    await caller.get("alice", "fetchConversation")
    await caller.get("alice", "fetchMessages", **talk)
    await caller.get("alice", "fetchChanges", lastUpdatedTimestamp=token, wait=20)
    await caller.get("bob", "fetchMessages", **talk)
    await caller.post("carol", "deleteConversation", **talk)


async def one_id_twenty_times_at_once(caller: Caller) -> None:
    tries = [caller.send("alice", "bob", "once", "once") for _ in range(20)]
    answers = await asyncio.gather(*tries)
    caller.transcript.entries.clear()
    caller.transcript.note(sorted(answer.status for answer in answers))
    caller.transcript.note(len({answer.json["messageId"] for answer in answers}))
    for name in ("alice", "bob"):
        await caller.get(name, "fetchMessages")


async def more_than_the_bucket_holds(caller: Caller) -> None:
    answers = await asyncio.gather(*[caller.send("alice", "bob", "much", f"much-{number}") for number in range(300)])
    caller.transcript.entries.clear()
    refused = [answer for answer in answers if answer.status == 429]
    caller.transcript.note(sorted({answer.status for answer in answers}), sorted({a.json["code"] for a in refused}))
    caller.transcript.note("at least 60 are taken", len(answers) - len(refused) >= 60)


async def twelve_people_talk(caller: Caller) -> None:
    """Anybody to anybody, with retries, marks and deltas: the mailboxes of many, wherever their owners are."""
    random = Random(12)
    people = [f"person-{number}" for number in range(12)]
    sent: list[tuple[str, str, str, str, Answer]] = []
    tokens = dict.fromkeys(people, "0")
    for number in range(220):
        who, other = random.sample(people, 2)
        kind = random.random()
        if kind < 0.5 or not sent:
            text, client_id = f"{who} says {number} to {other}", f"talk-{number}"
            sent.append((who, other, text, client_id, await caller.send(who, other, text, client_id)))
        elif kind < 0.6:
            sender, recipient, text, client_id, _ = random.choice(sent)
            await caller.send(sender, recipient, text, client_id)
        elif kind < 0.75:
            _, reader, _, _, answer = random.choice(sent)
            place = {key: answer.json[key] for key in ("conversationId", "messageId")}
            await caller.post(reader, "markRead", **place)
        else:
            call = random.choice(("fetchMessages", "fetchConversation"))
            key = f"{who} {call}"
            answer = await caller.get(who, call, lastUpdatedTimestamp=tokens.get(key, "0"))
            tokens[key] = answer.json["lastUpdatedTimestamp"]
    for name in people:
        await _deltas_to_the_end(caller, name, "fetchMessages", "0")
        await caller.get(name, "fetchConversation", pageSize=100)


async def _token(fetch: Awaitable[Answer]) -> str:
    answer = await fetch
    assert isinstance(answer.json["lastUpdatedTimestamp"], str)
    return answer.json["lastUpdatedTimestamp"]


async def _deltas_to_the_end(caller: Caller, name: str, call: str, token: str, **query: int) -> None:
    has_more = True
    while has_more:
        answer = await caller.get(name, call, lastUpdatedTimestamp=token, **query)
        token, has_more = answer.json["lastUpdatedTimestamp"], answer.json["hasMore"]


STORIES: Final[tuple[Story, ...]] = (
    edits_and_unsends,
    reactions,
    messages_disappear,
    a_group_lives_and_ends,
    a_first_conversation,
    notes_to_oneself_and_any_text,
    marks,
    pages_and_deltas_of_messages,
    large_pages,
    lists_of_conversations,
    polls,
    the_feed_of_a_mailbox,
    one_feed_over_three_ways,
    receipts_are_asked_for,
    words_are_found,
    devices_are_signed_out,
    receipts_of_a_group_are_asked_for,
    who_joins_is_given_what_was_written_before,
    where_to_connect,
    what_is_refused,
    an_admin_acts_for_others,
    contacts_are_kept,
    requests_wait,
    blocks_hide,
    nobody_takes_reports,
    users_are_known,
    conversations_are_set,
    conversations_are_deleted,
    one_id_twenty_times_at_once,
    more_than_the_bucket_holds,
    twelve_people_talk,
)
