"""Following all that changes, over a socket and without one: over a server in process and the real owner."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from rowbox.client import (
    CONNECTED_ELSEWHERE,
    SIGNED_OUT,
    AccessDenied,
    Changes,
    Client,
    Connection,
    FollowChanges,
    OutcomeUnknown,
    Refused,
    TokenSource,
)
from rowbox.client.calls.retry import Pauses, Timing
from rowbox.client.following import session
from tests.http.api import Api, until
from tests.http.api import token as access_token

DEADLINE_S = 30


class Soon(Random):
    """No pause is long: what they are, stories.json has."""

    def random(self) -> float:
        return 0.001


QUICK = Timing(pauses=Pauses(base_s=0.001, cap_s=0.01), random=Soon())


def client_for(api: Api, user: str, **options: Any) -> Client:
    return Client(f"http://127.0.0.1:{api.server.port}", access_token(user), timing=QUICK, **options)


async def texts_until(follow: FollowChanges, last: str) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        async for change in follow:
            found += [message.message_content for message in change.messages]
            if last in found:
                break
    return found


class Wire:
    """What a server heard over sockets; `will` says what it does about each one."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sockets = 0
        self.polls = 0
        self.pages: list[dict[str, Any]] = []
        self.lists: list[dict[str, Any]] = []
        self.refusal: dict[str, Any] | None = None
        """Of polls."""
        self.handshake: Callable[[], web.Response | None] = lambda: None
        self.talk: Callable[[Wire, web.WebSocketResponse], Awaitable[None]] = until_closed
        self.url = ""
        self.asked = 0
        self.names = ""
        """Where it sends those that ask, once `tells` is set."""
        self.tells = asyncio.Event()
        self.tells.set()

    async def ws(self, request: web.Request) -> web.StreamResponse:
        self.sockets += 1
        if (refusal := self.handshake()) is not None:
            return refusal
        socket = web.WebSocketResponse(protocols=("rowbox.v1",))
        await socket.prepare(request)
        self.heard.append(await socket.receive_json())
        await self.talk(self, socket)
        return socket

    async def changes(self, request: web.Request) -> web.Response:
        self.polls += 1
        if self.refusal is not None:
            return web.json_response(self.refusal, status=self.refusal["status"])
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        is_known = request.query.get("lastUpdatedTimestamp") == page.get("lastUpdatedTimestamp")
        return web.json_response(body(page["lastUpdatedTimestamp"]) if is_known else page)

    async def connect(self, request: web.Request) -> web.Response:
        self.asked += 1
        await self.tells.wait()
        return web.json_response({"url": self.names, "expiresInMs": 300_000}, status=200 if self.names else 503)

    async def list(self, request: web.Request) -> web.Response:
        """Of messages or conversations. Each page of messages comes once, and then nothing is new."""
        if request.path.endswith("Conversation"):
            return web.json_response(body("c.5", is_delta=request.query.get("lastUpdatedTimestamp") is not None))
        if len(self.lists) > 1:
            return web.json_response(self.lists.pop(0))
        page = self.lists[0]
        if page["lastUpdatedTimestamp"] == request.query.get("lastUpdatedTimestamp"):
            await asyncio.Event().wait()  # held until the client leaves
        return web.json_response(page)

    async def call(self, request: web.Request) -> web.Response:
        return web.json_response({"conversationId": "c1", "unreadCount": 0, "lastUpdatedTimestamp": 5})


WELCOME = {"t": "welcome", "userId": "alice", "head": "5.h", "window": 8, "maxFrameBytes": 524288, "dedupeLifeMs": 7000}


def body(token: str, *texts: str, is_delta: bool = True) -> dict[str, Any]:
    messages = [
        {
            "messageId": text,
            "conversationId": "c1",
            "senderId": "bob",
            "participants": ["alice", "bob"],
            "messageContent": text,
            "sentTimestamp": 1,
            "lastUpdatedTimestamp": 1,
        }
        for text in texts
    ]
    return {
        "messages": messages,
        "conversations": [],
        "account": False,
        "isDeltaUpdate": is_delta,
        "lastUpdatedTimestamp": token,
        "hasMore": False,
        "resetReason": None,
        "nextCursor": None,
    }


def delta(prev: str, token: str, *texts: str) -> dict[str, Any]:
    return {"t": "delta", "prev": prev, "token": token} | body(token, *texts)


@asynccontextmanager
async def running_wire() -> AsyncIterator[Wire]:
    wire = Wire()
    app = web.Application()
    app.router.add_get("/v1/ws", wire.ws)
    app.router.add_get("/v1/fetchChanges", wire.changes)
    app.router.add_get("/v1/connect", wire.connect)
    app.router.add_get("/v1/fetchMessages", wire.list)
    app.router.add_get("/v1/fetchConversation", wire.list)
    app.router.add_post("/v1/markRead", wire.call)
    server = TestServer(app)
    await server.start_server()
    wire.url = str(server.make_url(""))
    try:
        yield wire
    finally:
        await server.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running_wire() as wire:
        yield wire


def client_of(wire: Wire, token: TokenSource = "access", **options: Any) -> Client:
    return Client(wire.url, token, timing=QUICK, **options)


async def until_closed(wire: Wire, socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            wire.heard.append(msgspec.json.decode(message.data))


class TestOverTheRealOwner:
    async def test_everything_comes_once_and_is_acknowledged(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice, client_for(rowbox, "bob") as bob:
            follow = bob.follow_changes()
            first = await anext(follow)
            assert (first.is_delta_update, first.messages) == (False, ())
            texts = [f"number {at}" for at in range(40)]
            for text in texts:
                await alice.send("bob", text)
            assert await texts_until(follow, texts[-1]) == texts

    async def test_calls_go_over_the_socket_while_it_is_open(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice:
            await alice.send("bob", "by HTTP")
            follow = alice.follow_changes()
            await anext(follow)
            sent = await alice.send("bob", "over the socket")
            again = await alice.send("bob", "over the socket", client_message_id="known")
            assert (await alice.send("bob", "over the socket", client_message_id="known")).duplicate
            assert again.message_id != sent.message_id
            assert (await alice.mark_read(sent.conversation_id, sent.message_id)).unread_count == 0
            assert (await alice.fetch_messages(page_size=1)).items[0].message_content == "over the socket"
            with pytest.raises(Refused) as raised:
                await alice.mark_read("nobody", "nothing")
            assert raised.value.status in {400, 404}
            metrics = (await rowbox.admin("/metrics")).body.decode()
            by_socket = [line for line in metrics.splitlines() if 'method="socket"' in line and 'sendMessage"' in line]
            assert any(line.endswith(" 3.0") for line in by_socket), by_socket

    async def test_from_a_token_it_goes_on(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice, client_for(rowbox, "bob") as bob:
            async with bob.follow_changes() as follow:
                await anext(follow)
                await alice.send("bob", "one")
                assert await texts_until(follow, "one") == ["one"]
                token = follow.token
            await alice.send("bob", "two")
            await alice.send("bob", "three")
            assert await texts_until(bob.follow_changes(token), "three") == ["two", "three"]

    async def test_a_token_of_another_list_is_refused(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice:
            with pytest.raises(Refused):
                await anext(alice.follow_changes("no token at all"))

    async def test_a_wrong_access_token_ends_it(self, rowbox: Api) -> None:
        async with Client(f"http://127.0.0.1:{rowbox.server.port}", "wrong", timing=QUICK) as nobody:
            with pytest.raises(AccessDenied) as raised:
                await anext(nobody.follow_changes())
            assert raised.value.code == "unauthenticated"

    async def test_the_oldest_of_too_many_ends(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice:
            follows = [alice.follow_changes() for _ in range(21)]
            for follow in follows:
                await anext(follow)
            with pytest.raises(Refused) as raised:
                await anext(follows[0])
            assert raised.value.code == CONNECTED_ELSEWHERE


class TestOneConnection:
    async def test_what_it_says(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            change = await anext(follow)
            assert [message.message_content for message in change.messages] == ["one"]
            waiting = asyncio.ensure_future(anext(follow))
            await until(lambda: len(wire.heard) == 2)
            waiting.cancel()
        hello, ack = wire.heard
        assert hello.pop("client").startswith("rowbox-client/")
        assert hello == {"t": "hello", "token": "access", "follow": "5.h"}
        assert ack == {"t": "ack", "token": "6.h"}

    async def test_it_comes_back_and_goes_on(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            number = 4 + wire.sockets
            await socket.send_json(WELCOME)
            await socket.send_json(delta(f"{number}.h", f"{number + 1}.h", str(wire.sockets)))
            await socket.close(code=1011)

        wire.talk = talk
        async with client_of(wire) as client:
            assert await texts_until(client.follow_changes("5.h"), "4") == ["1", "2", "3", "4"]
        assert [hello["follow"] for hello in wire.heard[:4]] == ["5.h", "6.h", "7.h", "8.h"]

    async def test_a_call_without_a_reply_is_tried_again_by_http(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            if wire.sockets == 1:
                await socket.send_json(WELCOME)
                await socket.send_json(delta("5.h", "6.h", "one"))
                wire.heard.append(await socket.receive_json())
                wire.handshake = lambda: web.Response(status=404)
            await socket.close(code=1011)

        wire.talk, wire.pages = talk, [body("6.h")]
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            assert (await client.mark_read("c1", "m1")).last_updated_timestamp == 5
        assert [frame.get("do") for frame in wire.heard[1:2]] == ["markRead"]

    async def test_a_call_that_has_no_reply_when_the_following_ends_is_tried_again_at_once(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            client._transport._call_s = 1_000_000.0
            await anext(follow)
            calling = asyncio.ensure_future(client.mark_read("c1", "m1"))
            await until(lambda: "markRead" in [frame.get("do") for frame in wire.heard])
            await follow.aclose()
            async with asyncio.timeout(DEADLINE_S):
                assert (await calling).last_updated_timestamp == 5

    async def test_a_call_over_a_socket_that_died_silently_is_tried_again_by_http(
        self, wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "PROBE_MS", 10.0)

        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            client._transport._call_s = 0.05
            calling = asyncio.ensure_future(client.mark_read("c1", "m1"))
            await until(lambda: "markRead" in [frame.get("do") for frame in wire.heard])
            client._transport._call_s = DEADLINE_S
            async with asyncio.timeout(DEADLINE_S):
                assert (await calling).last_updated_timestamp == 5
            await until(lambda: "ping" in [frame["t"] for frame in wire.heard])
        assert [frame.get("do") for frame in wire.heard].count("markRead") == 1

    async def test_a_token_that_is_refused_over_the_socket_is_renewed_for_the_call(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            call = await socket.receive_json()
            problem = {"code": "token_revoked", "detail": "why", "requestId": "r"}
            await socket.send_json({"t": "reply", "id": call["id"], "status": 401, "body": problem})
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            assert (await client.mark_read("c1", "m1")).last_updated_timestamp == 5

    async def test_an_impatient_call_is_told_that_nobody_knows(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await socket.receive_json()
            await socket.close(code=1011)

        wire.talk = talk
        async with client_of(wire, patience_s=0) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            with pytest.raises(OutcomeUnknown):
                await client.mark_read("c1", "m1")

    async def test_a_reply_that_is_an_error_is_one(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            call = await socket.receive_json()
            problem = {"code": "unknown_conversation", "detail": "why", "requestId": "r"}
            await socket.send_json({"t": "reply", "id": call["id"], "status": 404, "body": problem})
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            with pytest.raises(Refused) as raised:
                await client.mark_read("c1", "m1")
        assert (raised.value.code, raised.value.status, raised.value.request_id) == ("unknown_conversation", 404, "r")

    async def test_after_a_sleep_it_asks_whether_the_server_is_there(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            await client._transport._woke()
            await until(lambda: {"t": "ping"} in wire.heard)

    async def test_a_fresh_token_is_said_before_the_old_one_ends(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json({"t": "expiring", "inMs": 60_000})
            wire.heard.append(await socket.receive_json())
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        tokens = iter(["first", "second"])
        wire.talk = talk
        async with client_of(wire, lambda: next(tokens)) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
        assert (wire.heard[0]["token"], wire.heard[1]) == ("first", {"t": "auth", "token": "second"})

    async def test_a_refused_token_is_never_used_again(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            if wire.sockets == 1:
                await socket.close(code=4401, message=b"the token has expired")
                return
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        tokens = iter(["first", "second"])
        wire.talk = talk
        async with client_of(wire, lambda: next(tokens)) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
        assert [hello["token"] for hello in wire.heard if hello["t"] == "hello"] == ["first", "second"]
        assert wire.polls == 0

    @pytest.mark.parametrize(
        ("code", "kind", "of_error"),
        [
            (4401, AccessDenied, "token_revoked"),
            (4403, AccessDenied, "forbidden"),
            (4409, Refused, CONNECTED_ELSEWHERE),
            (4400, Refused, "bad_request"),
            (4410, AccessDenied, SIGNED_OUT),
            (4499, Refused, "closed_4499"),
        ],
    )
    async def test_a_code_that_says_stop(self, wire: Wire, code: int, kind: type[Refused], of_error: str) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.close(code=code, message=b"the token was revoked")

        wire.talk = talk
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            for _ in range(2):
                with pytest.raises(kind) as raised:
                    await anext(follow)
                assert raised.value.code == of_error
                assert not raised.value.retryable
        assert wire.sockets == 1

    @pytest.mark.parametrize("text", ["no JSON", "[]", '{"t":"delta"}', '{"t":"delta","messages":[{}]}', "[" * 99_999])
    async def test_what_is_no_frame_of_ours_ends_the_connection(self, wire: Wire, text: str) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_str(text if wire.sockets == 1 else json.dumps(delta("5.h", "6.h", "one")))
            await until_closed(wire, socket)

        wire.talk = talk
        async with client_of(wire) as client:
            assert await texts_until(client.follow_changes("5.h"), "one") == ["one"]
        assert wire.sockets == 2

    async def test_a_mistake_in_the_token_function_reaches_the_program(self, wire: Wire) -> None:
        def mistaken() -> str:
            raise NotImplementedError("later")

        async with client_of(wire, mistaken) as client, client.follow_changes() as follow:
            with pytest.raises(NotImplementedError):
                await anext(follow)

    async def test_a_redirect_is_not_followed(self, wire: Wire) -> None:
        """The access token would go where it leads."""
        elsewhere = Wire()
        app = web.Application()
        app.router.add_get("/v1/ws", elsewhere.ws)
        async with TestServer(app) as server:
            wire.handshake = lambda: web.Response(status=307, headers={"Location": str(server.make_url("/v1/ws"))})
            wire.pages = [body("6.h", "one")]
            async with client_of(wire) as client:
                assert await texts_until(client.follow_changes("5.h"), "one") == ["one"]
        assert elsewhere.sockets == 0


class TestWithoutASocket:
    async def test_long_polls_bring_what_is_new_until_there_is_one(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("7.h", "8.h", "three"))
            await until_closed(wire, socket)

        wire.talk, wire.pages = talk, [body("6.h", "one"), body("7.h", "two")]
        wire.handshake = lambda: web.Response(status=501) if wire.polls < 2 else None
        told: list[Connection] = []
        async with client_of(wire) as client, client.follow_changes("5.h", on_connection=told.append) as follow:
            assert await texts_until(follow, "three") == ["one", "two", "three"]
        assert [connection.is_connected for connection in told] == [True]

    async def test_calls_go_by_http(self, wire: Wire) -> None:
        wire.handshake, wire.pages = lambda: web.Response(status=404), [body("6.h", "one")]
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            await anext(follow)
            assert (await client.mark_read("c1", "m1")).last_updated_timestamp == 5

    async def test_a_server_that_is_away_is_told_of_and_waited_for(self, wire: Wire) -> None:
        async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
            await socket.send_json(WELCOME)
            await socket.send_json(delta("5.h", "6.h", "one"))
            await until_closed(wire, socket)

        wire.talk, wire.pages = talk, [{"no": "page"}]
        wire.handshake = lambda: web.Response(status=502) if wire.polls < 3 else None
        told: list[Connection] = []
        async with client_of(wire) as client, client.follow_changes("5.h", on_connection=told.append) as follow:
            assert await texts_until(follow, "one") == ["one"]
        assert [connection.is_connected for connection in told][-2:] == [False, True]
        assert isinstance(told[0].error, OutcomeUnknown)

    async def test_a_refused_poll_ends_it(self, wire: Wire) -> None:
        wire.handshake = lambda: web.Response(status=404)
        wire.refusal = {"status": 403, "code": "forbidden", "detail": "why"}
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            with pytest.raises(AccessDenied):
                await anext(follow)
        assert wire.polls == 1


class TestItsLife:
    async def test_it_begins_when_it_is_asked(self, wire: Wire) -> None:
        async with client_of(wire) as client:
            client.follow_changes("5.h")
            await asyncio.sleep(0)
        assert wire.sockets == 0

    async def test_a_wait_that_the_server_would_change_is_refused(self, wire: Wire) -> None:
        async with client_of(wire) as client:
            with pytest.raises(ValueError, match="1 to 55"):
                client.follow_changes(wait_s=56)

    async def test_what_is_ended_before_it_began_leaves_nothing(self, wire: Wire) -> None:
        async with client_of(wire) as client, client.follow_changes("5.h") as follow:
            waiting = asyncio.ensure_future(anext(follow))
            await asyncio.sleep(0)  # it has asked for a socket, and no task of it has run
            waiting.cancel()
        gc.collect()
        assert wire.sockets == 0

    async def test_it_ends_with_its_client(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice:
            follow = alice.follow_changes()
            await anext(follow)
            waiting = asyncio.ensure_future(anext(follow))
            await asyncio.sleep(0)
        with pytest.raises(OutcomeUnknown) as raised:
            await waiting
        assert raised.value.code == "client_closed"
        with pytest.raises(StopAsyncIteration):
            await anext(follow)

    async def test_what_was_not_dealt_with_comes_again(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice, client_for(rowbox, "bob") as bob:
            async with aclosing(bob.follow_changes()) as follow:
                await anext(follow)
                start = follow.token
                await alice.send("bob", "one")
                await anext(follow)
            assert await texts_until(bob.follow_changes(start), "one") == ["one"]

    async def test_a_program_that_asks_for_nothing_gets_a_window(self, rowbox: Api) -> None:
        async with client_for(rowbox, "alice") as alice, client_for(rowbox, "bob") as bob:
            follow = bob.follow_changes()
            await anext(follow)
            texts = [f"number {at}" for at in range(30)]
            for text in texts:
                await alice.send("bob", text)
            assert await texts_until(follow, texts[-1]) == texts

    async def test_what_a_listener_raises_ends_it(self, rowbox: Api) -> None:
        def broken(_: Connection) -> None:
            raise KeyError("a mistake of the program's")

        async with client_for(rowbox, "alice") as alice, alice.follow_changes(on_connection=broken) as follow:
            with pytest.raises(KeyError):
                await anext(follow)


def test_the_changes_of_a_page_are_its_items() -> None:
    page = msgspec.convert(body("5.h", "one"), Changes)
    assert page.items == page.messages
