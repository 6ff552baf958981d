"""What carries a session: the handshake, frames over a real connection, and how it ends. The rules of a session itself
are in tests/unit/realtime.
"""

import asyncio
import gc
import json
import socket as sockets
from typing import Any

import aiohttp
import msgspec
import pytest

from rowbox.api.http.problems import Problem
from rowbox.api.realtime.socket import Socket
from rowbox.cacheserver.port import (
    HANDED_OVER,
    LINK_LOST,
    REPLACED,
    SIGNED_OUT,
    Changes,
    FetchChanges,
    FetchMessages,
    Follow,
    Lost,
    Notify,
    Page,
)
from rowbox.mailbox.errors import (
    ConnectedElsewhere,
    HandoverInProgress,
    Overloaded,
    RateLimited,
    SignedOut,
    StoreUnavailable,
    TokenRevoked,
)
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import ServerSettings, Settings, SocketSettings
from tests.http.api import NO_LIMITS, SETTINGS, Api, serving, until
from tests.http.api import token as access_token
from tests.http.sockets.feed_port import FeedFollowing, FeedPort, token
from tests.http.sockets.talk import connected, opened

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "rowbox.v1",
}


def ready(**settings: Any) -> Settings:
    return msgspec.structs.replace(SETTINGS, **settings)


def without_bearer(request: Any) -> Any:
    """Each request of these tests comes with a token of its own."""
    assert request.bearer.user_id == "alice"
    return msgspec.structs.replace(request, bearer=None)


async def samples(api: Api) -> dict[str, float]:
    lines = [line for line in (await api.admin("/metrics")).body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# ---------------------------------------------------------------------- the handshake


async def test_a_hello_is_welcomed(served: Api) -> None:
    async with connected(served) as talk:
        assert talk.socket.protocol == "rowbox.v1"
        await talk.say(t="hello", token=access_token("alice"), client="test/1.0")
        welcome = await talk.hears("welcome")
        assert (welcome["userId"], welcome["head"], welcome["deviceId"]) == ("alice", token(10), None)
        assert welcome["maxFrameBytes"] == 525_312
        assert welcome["retentionMs"] == SETTINGS.store.retention_ms


async def test_the_token_may_come_with_the_handshake(served: Api) -> None:
    async with connected(served, headers={"Authorization": f"Bearer {access_token('bob')}"}) as talk:
        await talk.say(t="hello")
        assert (await talk.hears("welcome"))["userId"] == "bob"


async def test_nothing_is_compressed_whatever_a_client_offers(served: Api) -> None:
    async with connected(served, compress=15) as talk:
        assert not talk.socket.compress


async def test_a_wrong_token_in_the_header_is_refused_before_the_upgrade(served: Api) -> None:
    answer = await served.get("/v1/ws", None, headers={**HANDSHAKE, "Authorization": "Bearer nonsense"})
    answer.problem(401, "unauthenticated")


@pytest.mark.parametrize(
    ("left_out", "text"),
    [
        ("Upgrade", "no handshake"),
        ("Connection", "no handshake"),
        ("Sec-WebSocket-Key", "no handshake"),
        ("Sec-WebSocket-Version", "no handshake"),
        ("Sec-WebSocket-Protocol", "has to offer rowbox.v1"),
    ],
)
async def test_what_is_no_handshake_is_a_problem(served: Api, left_out: str, text: str) -> None:
    headers = {name: value for name, value in HANDSHAKE.items() if name != left_out}
    problem = (await served.get("/v1/ws", headers=headers)).problem(400, "bad_request")
    assert text in problem.detail
    assert (await served.get("/v1/fetchMessages")).status == 200


async def test_a_token_in_the_url_is_refused(served: Api) -> None:
    """URLs stand in logs of proxies and in histories of browsers."""
    answer = await served.get(f"/v1/ws?token={access_token('alice')}", None, headers=HANDSHAKE)
    assert "never into a URL" in answer.problem(400, "bad_request").detail


async def test_another_method_is_refused(served: Api) -> None:
    (await served.request("POST", "/v1/ws", headers=HANDSHAKE)).problem(405, "method_not_allowed")
    assert (await served.request("HEAD", "/v1/ws", headers=HANDSHAKE)).status == 400


async def test_4401_for_a_hello_with_a_wrong_token(served: Api) -> None:
    async with connected(served) as talk:
        await talk.say(t="hello", token="nonsense")
        code, reason = await talk.ends()
        assert code == 4401
        assert "nonsense" not in reason


@pytest.mark.parametrize(
    ("origin", "code"), [("http://evil.example", 4403), ("https://chat.example", None), ("null", 4403)]
)
async def test_a_page_has_to_be_of_an_origin_that_is_listed(feed: FeedPort, origin: str, code: int | None) -> None:
    settings = ready(server=ServerSettings(port=0, admin_port=0, cors_origins=("https://chat.example",)))
    async with serving(feed, settings) as api, connected(api, headers={"Origin": origin}) as talk:
        if code is None:
            await talk.say(t="hello", token=access_token("alice"))
            await talk.hears("welcome")
        else:
            assert (await talk.ends())[0] == code
            assert feed.followings == []


async def test_an_origin_that_is_no_url_takes_nobodys_place(feed: FeedPort) -> None:
    """Strangers send it: each such handshake must leave its place free again."""
    async with serving(feed, ready(sockets=SocketSettings(max_per_server=1))) as api:
        for origin in ("http://[", "http://a]", "http://["):
            async with connected(api, headers={"Origin": origin}) as talk:
                assert (await talk.ends())[0] == 4403
            await until(lambda: len(api.connections) == 0)
        async with opened(api):
            pass


async def test_the_servers_own_pages_may_connect(served: Api) -> None:
    async with connected(served, headers={"Origin": f"http://127.0.0.1:{served.server.port}"}) as talk:
        await talk.say(t="hello", token=access_token("alice"))
        await talk.hears("welcome")


async def test_frames_sent_right_behind_the_handshake_and_the_hello_are_read(served: Api) -> None:
    async with connected(served) as talk:
        await talk.say(t="hello", token=access_token("alice"), follow=token(10))
        await talk.say(t="call", id=1, do="fetchConversation", args={"pageSize": 3})
        assert {(await talk.hears())["t"] for _ in range(3)} == {"welcome", "delta", "reply"}


# ---------------------------------------------------------------------- calls


async def test_a_call_is_what_its_http_request_is(served: Api, feed: FeedPort) -> None:
    fields = {"recipientId": "bob", "messageContent": "hé", "clientMessageId": "c1"}
    over_http = await served.post("/v1/sendMessage", fields)
    async with opened(served) as talk:
        reply = await talk.call(1, "sendMessage", **fields)
        assert (reply["status"], reply["body"]) == (over_http.status, over_http.json())
        assert without_bearer(feed.calls[0]) == without_bearer(feed.calls[1])
        query = {"pageSize": 7, "lastUpdatedTimestamp": "1.x", "wait": 3}
        await served.get("/v1/fetchConversation?pageSize=7&lastUpdatedTimestamp=1.x&wait=3")
        await talk.call(2, "fetchConversation", **query)
        assert without_bearer(feed.calls[2]) == without_bearer(feed.calls[3])


@pytest.mark.parametrize(
    ("name", "args", "status", "code"),
    [
        ("sendMessage", {"recipientId": "bob"}, 400, "bad_request"),
        ("sendMessage", {"later": 1}, 400, "unknown_parameter"),
        ("fetchMessages", {"later": 1}, 400, "unknown_parameter"),
        ("fetchMessages", {"pageSize": True}, 400, "bad_request"),
        ("fetchMessages", {"pageSize": [1]}, 400, "bad_request"),
        ("fetchMessages", {"userId": "bob"}, 403, "forbidden"),
        ("noSuchCall", {}, 400, "bad_request"),
        ("ws", {}, 400, "bad_request"),
    ],
)
async def test_wrong_calls_are_problems(served: Api, name: str, args: dict[str, Any], status: int, code: str) -> None:
    async with opened(served) as talk:
        reply = await talk.call(1, name, **args)
        problem = msgspec.convert(reply["body"], Problem)
        assert (reply["status"], problem.status, problem.code) == (status, status, code)


async def test_a_call_of_no_object_is_a_problem_and_not_the_end(served: Api) -> None:
    async with opened(served) as talk:
        for number, (name, args) in enumerate([("fetchMessages", [1]), ("sendMessage", "x"), ("markRead", None)]):
            await talk.say(t="call", id=number, do=name, args=args)
            assert (await talk.hears("reply"))["status"] == 400


async def test_pages_are_smaller_over_a_socket_than_by_http(served: Api, feed: FeedPort) -> None:
    await served.get("/v1/fetchMessages")
    async with opened(served) as talk:
        await talk.call(1, "fetchMessages")
    asked = [one.max_bytes for one in feed.calls if isinstance(one, FetchMessages)]
    assert asked == [1 << 20, 256 << 10]


async def test_errors_of_the_moment_say_when_to_try_again(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        feed.error = HandoverInProgress("elsewhere", retry_after_ms=321)
        reply = await talk.call(1, "fetchMessages")
        assert (reply["status"], reply["body"]["code"]) == (503, "handover_in_progress")
        assert reply["body"]["retryAfterMs"] == 321
        feed.error = RateLimited("slowly", retry_after_ms=1_500)
        reply = await talk.call(2, "fetchMessages")
        assert (reply["status"], reply["body"]["retryAfterMs"]) == (429, 1_500)
        feed.error = ValueError("a defect")
        reply = await talk.call(3, "fetchMessages")
        assert (reply["status"], reply["body"]["code"]) == (500, "internal")


async def test_the_33rd_call_at_once_is_refused(feed: FeedPort) -> None:
    go_on = asyncio.Event()

    async def waits(request: Any) -> Any:
        await go_on.wait()
        return feed.marked

    feed.mark_read = waits  # type: ignore[method-assign]
    args = {"conversationId": "0" * 32, "messageId": "0" * 32}
    async with serving(feed) as api, opened(api) as talk:
        for number in range(33):
            await talk.say(t="call", id=number, do="markRead", args=args)
        refused = await talk.hears("reply")
        assert (refused["id"], refused["status"], refused["body"]["code"]) == (32, 429, "rate_limited")
        assert refused["body"]["retryAfterMs"] > 0
        go_on.set()
        assert {(await talk.hears("reply"))["id"] for _ in range(32)} == set(range(32))


async def test_sends_reach_the_owner_in_the_order_of_their_frames(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        for number in range(30):
            args = {"recipientId": "bob", "messageContent": "x", "clientMessageId": f"c{number}"}
            await talk.say(t="call", id=number, do="sendMessage", args=args)
        for _ in range(30):
            await talk.hears("reply")
        assert [call.client_message_id for call in feed.calls] == [f"c{number}" for number in range(30)]


async def test_calls_are_counted_as_requests_of_their_route(served: Api) -> None:
    async with opened(served) as talk:
        await talk.call(1, "fetchMessages")
        await talk.call(2, "fetchMessages", later=1)
        await talk.call(3, "fetchMessages", lastUpdatedTimestamp="1.x", wait=1)
        found = await samples(served)
        counted = 'rowbox_http_requests_total{method="socket",route="/v1/fetchMessages",status="%d"}'
        assert (found[counted % 200], found[counted % 400]) == (2, 1)
        durations = 'rowbox_http_request_duration_seconds_count{method="socket",route="/v1/fetchMessages"}'
        assert found[durations] == 2  # the one that waited is a long poll


async def test_calls_are_logged_as_requests_are(served: Api, feed: FeedPort, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    feed.error = RateLimited("slowly")
    async with opened(served) as talk:
        await talk.call(1, "fetchMessages")
    assert "socket /v1/fetchMessages refused: 429 rate_limited, alice from 127.0.0.1: slowly" in caplog.text


async def test_a_client_that_leaves_ends_its_calls(served: Api, feed: FeedPort) -> None:
    ended = asyncio.Event()

    async def waits(request: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    feed.fetch_messages = waits  # type: ignore[method-assign]
    async with opened(served, follow=token(10)) as talk:
        await talk.say(t="call", id=1, do="fetchMessages")
        await talk.hears("delta")
        await until(lambda: served.drain.in_flight == 2)
    async with asyncio.timeout(30):
        await ended.wait()
    await until(lambda: served.drain.in_flight == 0)
    assert feed.followings == []


# ---------------------------------------------------------------------- deltas


async def test_commits_come_as_they_are_made(served: Api, feed: FeedPort) -> None:
    async with opened(served, follow=token(10)) as talk:
        assert (await talk.hears("delta"))["messages"] == []
        for number in range(20):
            version = feed.commit(b'{"n":%d}' % number, at_hand=number % 3 != 0)
            delta = await talk.hears("delta")
            assert (delta["prev"], delta["token"]) == (token(version - 1), token(version))
            assert delta["messages"] == [{"n": number}]
            await talk.say(t="ack", token=delta["token"])
            await talk.call(number, "fetchMessages")  # so the ack was read
        assert len(feed.pulls) == 1 + 7
        found = await samples(served)
        assert found['rowbox_socket_deltas_total{way="commit"}'] == 13
        assert found['rowbox_socket_deltas_total{way="pull"}'] == 8


async def test_what_was_missed_comes_in_pages(served: Api, feed: FeedPort) -> None:
    for _ in range(5):
        feed.commit(b'"%b"' % (b"x" * 30_000))
    async with opened(served, follow=token(10)) as talk:
        deltas = [await talk.hears("delta") for _ in range(3)]
        assert [len(delta["messages"]) for delta in deltas] == [2, 2, 1]
        assert [delta["prev"] for delta in deltas] == [token(10), token(12), token(14)]
        assert {pull.max_bytes for pull in feed.pulls} == {65_536}


async def test_a_client_that_reads_and_never_acknowledges_gets_eight(served: Api, feed: FeedPort) -> None:
    async with opened(served, follow=token(10)) as talk:
        for _ in range(20):
            feed.commit()
        for _ in range(8):
            await talk.hears("delta")
        await talk.say(t="ping")
        assert (await talk.hears())["t"] == "pong"


async def test_4400_for_a_token_that_nobody_gave(served: Api) -> None:
    async with opened(served, follow="12.nonsense") as talk:
        assert (await talk.ends())[0] == 4400


async def test_a_store_that_is_away_is_waited_for(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        feed.feed_error = StoreUnavailable("away", retry_after_ms=50)
        await talk.say(t="follow", token=token(10))
        notice = await talk.hears("notice")
        assert notice["code"] == "store_unavailable"
        feed.feed_error = None
        assert (await talk.hears("delta"))["prev"] == token(10)


async def test_4503_where_the_owner_cannot_be_followed(served: Api, feed: FeedPort) -> None:
    feed.feed_error = Overloaded("full")
    async with connected(served) as talk:
        await talk.say(t="hello", token=access_token("alice"))
        assert (await talk.ends())[0] == 4503


async def test_a_revoked_token_ends_the_socket_at_once(served: Api, feed: FeedPort) -> None:
    async with opened(served, "bob") as other, opened(served, follow=token(10)) as talk:
        feed.revoke("alice")
        assert (await talk.ends())[0] == 4401
        await other.say(t="ping")
        await other.hears("pong")
    async with connected(served) as again:
        await again.say(t="hello", token=access_token("alice"))
        assert (await again.ends())[0] == 4401


async def test_4410_where_the_user_has_signed_out(served: Api, feed: FeedPort) -> None:
    async with opened(served, follow=token(10)) as talk:
        feed.lose(Lost(SIGNED_OUT))
        assert (await talk.ends())[0] == 4410
    async with opened(served) as talk:
        feed.error = SignedOut("signed out")
        assert (await talk.call(1, "fetchMessages"))["body"]["code"] == "signed_out"
        assert (await talk.ends())[0] == 4410
    async with opened(served, follow=token(10)) as talk:
        await talk.hears("delta")
        feed.signed_out.add("alice")
        feed.commit(at_hand=False)
        assert (await talk.ends())[0] == 4410, "also where nobody told it, and a pull finds it"
    async with connected(served) as again:
        await again.say(t="hello", token=access_token("alice"))
        assert (await again.ends())[0] == 4410


async def test_the_owner_hears_from_which_device_a_socket_is(served: Api, feed: FeedPort) -> None:
    async with connected(served) as talk:
        await talk.say(t="hello", token=access_token("alice"), deviceId="phone")
        assert (await talk.hears("welcome"))["deviceId"] == "phone"
        (following,) = feed.followings
        bearer = following.request.bearer
        assert bearer is not None
        assert (bearer.device_id, bearer.is_of_device) == ("phone", False)
        await talk.call(1, "fetchMessages")
        assert feed.calls[-1].bearer == bearer
    async with connected(served) as talk:
        await talk.say(t="hello", token=access_token("alice", device="laptop"))
        assert (await talk.hears("welcome"))["deviceId"] == "laptop"
        bearer = feed.followings[-1].request.bearer
        assert bearer is not None
        assert (bearer.device_id, bearer.is_of_device) == ("laptop", True)
        await talk.say(t="auth", token=access_token("alice", device="phone"))
        assert (await talk.ends())[0] == 4403, "a token of another device"
    async with connected(served) as talk:
        await talk.say(t="hello", token=access_token("alice"), deviceId="no deviceId, but a name")
        assert (await talk.hears("welcome"))["deviceId"] == "no deviceId, but a name"
        bearer = feed.followings[-1].request.bearer
        assert bearer is not None
        assert bearer.device_id == ""


async def test_a_server_that_does_not_reach_the_mailbox_any_more_sends_its_clients_away(
    served: Api, feed: FeedPort
) -> None:
    async with opened(served, follow=token(10)) as talk:
        await talk.hears("delta")
        feed.lose(Lost(HANDED_OVER))
        code, reason = await talk.ends()
        assert code == 1012
        assert 0 <= int(reason.removeprefix("retryAfterMs=")) < 3_000


async def test_a_notice_while_the_way_to_the_mailbox_is_being_mended(served: Api, feed: FeedPort) -> None:
    async with opened(served, follow=token(10)) as talk:
        await talk.hears("delta")
        feed.lose(Lost(LINK_LOST, 700, is_over=False))
        assert await talk.hears() == {"t": "notice", "code": "link_lost", "retryAfterMs": 700}
        feed.commit()
        assert (await talk.hears("delta"))["token"] == token(11)


async def test_4409_where_too_many_follow_elsewhere(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        feed.lose(Lost(REPLACED))
        assert (await talk.ends())[0] == 4409


async def test_its_first_follow_takes_the_devices_place_and_a_fresh_token_goes_on_with_it(
    served: Api, feed: FeedPort
) -> None:
    async with opened(served, deviceId="phone") as talk, opened(served, "bob", deviceId="phone"), opened(served):
        await talk.say(t="auth", token=access_token("alice", ttl_s=7_000))
        await until(lambda: len(feed.wishes) == 4)
        first, other, without, again = [(one.connection, one.takes_place) for one in feed.wishes]
        assert first[1]
        assert other[1]
        assert first[0] != other[0]
        assert without == (0, False)
        assert again == (first[0], False)


async def test_4409_where_the_device_has_connected_at_another_server_since(served: Api, feed: FeedPort) -> None:
    async with opened(served, deviceId="phone") as talk:
        feed.feed_error = ConnectedElsewhere("this device has connected elsewhere")
        await talk.say(t="auth", token=access_token("alice", ttl_s=7_000))
        assert await talk.ends() == (4409, "this device has connected elsewhere")


async def test_a_call_with_a_revoked_token_ends_the_socket(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        feed.error = TokenRevoked("revoked")
        assert (await talk.call(1, "fetchMessages"))["body"]["code"] == "token_revoked"
        assert (await talk.ends())[0] == 4401


async def test_auth_goes_on_with_another_token_and_its_user_only(served: Api, feed: FeedPort) -> None:
    async with opened(served, follow=token(10)) as talk:
        await talk.hears("delta")
        await talk.say(t="auth", token=access_token("alice", ttl_s=50))
        assert (await talk.hears("expiring"))["inMs"] <= 51_000
        assert len(feed.followings) == 1
        feed.commit()
        await talk.hears("delta")
        await talk.say(t="auth", token=access_token("bob"))
        assert (await talk.ends())[0] == 4403


async def test_4401_when_a_token_ends(feed: FeedPort) -> None:
    settings = ready(auth=msgspec.structs.replace(SETTINGS.auth, leeway_ms=0))
    async with serving(feed, settings) as api, connected(api) as talk:
        await talk.say(t="hello", token=access_token("alice", ttl_s=1))
        assert [(await talk.hears())["t"] for _ in range(2)] == ["welcome", "expiring"]
        assert await talk.ends() == (4401, "the token has expired")


# ---------------------------------------------------------------------- frames that are none


@pytest.mark.parametrize("text", ["no json", "[]", '{"t":"ack"}', '{"t":"hello"}'])
async def test_4400_for_broken_frames(served: Api, text: str) -> None:
    async with opened(served) as talk:
        await talk.socket.send_str(text)
        assert (await talk.ends())[0] == 4400


async def test_4400_for_binary_frames(served: Api) -> None:
    async with opened(served) as talk:
        await talk.socket.send_bytes(b"{}")
        assert (await talk.ends())[0] == 4400


async def test_unknown_frames_are_ignored(served: Api) -> None:
    async with opened(served) as talk:
        await talk.say(t="later", x=1)
        await talk.say(t="sooner", conversationId="c")
        await talk.say(t="ping")
        assert await talk.hears() == {"t": "pong", "head": token(10)}


async def test_4429_for_a_flood_and_pings_of_the_protocol_count(served: Api) -> None:
    async with opened(served) as talk:
        for _ in range(101):
            await talk.socket.ping()
        assert (await talk.ends())[0] == 4429


async def test_a_ping_of_the_protocol_is_answered(served: Api) -> None:
    async with connected(served, autoping=False) as talk:
        await talk.socket.ping(b"abc")
        message = await talk.socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"abc")


async def test_1009_for_a_frame_that_is_too_large(served: Api) -> None:
    async with opened(served) as talk:
        await talk.socket.send_str(
            json.dumps({"t": "call", "id": 1, "do": "sendMessage", "args": {"x": "y" * 600_000}})
        )
        assert (await talk.ends())[0] == 1009
    await until(lambda: served.drain.in_flight == 0)
    assert (await samples(served))['rowbox_socket_closes_total{code="1009"}'] == 1


async def test_a_send_as_large_as_it_may_be_fits_into_a_frame(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        text = "\u0001" * 65_535  # six bytes each in JSON
        reply = await talk.call(1, "sendMessage", recipientId="bob", messageContent=text, clientMessageId="c1")
        assert reply["status"] == 201


async def test_text_that_is_no_utf_8_ends_with_1007(served: Api) -> None:
    async with opened(served) as talk:
        await talk.socket.send_frame(b'{"t":"\xff"}', aiohttp.WSMsgType.TEXT)
        assert (await talk.ends())[0] == 1007


# ---------------------------------------------------------------------- the end


async def test_a_client_that_closes_hears_its_code(served: Api) -> None:
    async with opened(served) as talk:
        await talk.socket.close(code=1001)
        assert talk.socket.close_code == 1001
    await until(lambda: served.drain.in_flight == 0)
    assert (await samples(served))['rowbox_socket_closes_total{code="1001"}'] == 1


async def test_codes_of_a_clients_own_are_counted_as_one(served: Api) -> None:
    for code in (3001, 4999):
        async with opened(served) as talk:
            await talk.socket.close(code=code)
    await until(lambda: served.drain.in_flight == 0)
    assert (await samples(served))['rowbox_socket_closes_total{code="other"}'] == 2


async def test_1012_with_a_moment_to_come_back_at(feed: FeedPort) -> None:
    async with (
        serving(feed) as api,
        opened(api, "alice") as one,
        opened(api, "bob") as two,
        opened(api, "eve") as three,
    ):
        api.server.drain()
        ends = [await talk.ends() for talk in (one, two, three)]
        assert {code for code, _ in ends} == {1012}
        moments = [int(reason.removeprefix("retryAfterMs=")) for _, reason in ends]
        assert all(0 <= moment < 3_000 for moment in moments)
        assert len(set(moments)) > 1


async def test_a_server_that_stops_does_not_wait_for_sockets(feed: FeedPort) -> None:
    """Nor for one whose client does not answer the close."""
    async with serving(feed) as api, opened(api), connected(api, autoclose=False) as deaf:
        await deaf.say(t="hello", token=access_token("bob"))
        await deaf.hears("welcome")
        began_s = asyncio.get_running_loop().time()
        await api.server.stop()
        assert asyncio.get_running_loop().time() - began_s < 8  # of 10 s that a drain may take
        assert len(api.connections) == 0


class SlowToFollow(FeedPort):
    """Followings begin when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_begin = asyncio.Event()
        self.begun = 0

    async def follow(self, request: Follow, notify: Notify) -> FeedFollowing:
        self.asked.set()
        await self.may_begin.wait()
        self.begun += 1
        return await super().follow(request, notify)


class FirstTokenRevoked(SlowToFollow):
    """The first token that is used is refused where the test says so. What is asked waits for `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.may_begin.set()
        self.first: Bearer | None = None
        self.is_revoked = False

    async def follow(self, request: Follow, notify: Notify) -> FeedFollowing:
        self.first = self.first or request.bearer
        return await super().follow(request, notify)

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        changes = await super().fetch_changes(request)
        self._judge(request.bearer)
        return changes

    async def fetch_messages(self, request: FetchMessages) -> Page:
        self.calls.append(request)
        assert self.go_on is not None
        await self.go_on.wait()
        self._judge(request.bearer)
        return self.page

    def _judge(self, bearer: Bearer | None) -> None:
        if self.is_revoked and bearer is self.first:
            raise TokenRevoked("the token was revoked")


async def test_what_was_asked_with_an_earlier_token_that_is_revoked_does_not_end_the_socket() -> None:
    """A program renews its token, and signs the old one out."""
    feed = FirstTokenRevoked()
    assert feed.go_on is not None
    async with serving(feed) as api, opened(api, follow=token(10)) as talk:
        await until(lambda: len(feed.pulls) == 1)
        await talk.say(t="call", id=1, do="fetchMessages")
        await until(lambda: len(feed.calls) == 1)
        feed.may_begin.clear()
        await talk.say(t="auth", token=access_token("alice", ttl_s=50))
        feed.asked.clear()
        await asyncio.wait_for(feed.asked.wait(), 30)
        feed.is_revoked = True
        feed.revoke_followings()
        feed.go_on.set()
        heard = {frame["t"]: frame for frame in [await talk.hears() for _ in range(2)]}
        assert heard.keys() == {"delta", "reply"}
        assert heard["reply"]["status"] == 401
        feed.may_begin.set()
        await talk.hears("expiring")
        assert [pull.bearer is feed.first for pull in feed.pulls] == [True, False]
        feed.commit()
        assert (await talk.hears("delta"))["token"] == token(11)
        feed.revoke_followings()
        assert (await talk.ends())[0] == 4401


async def test_a_following_that_begins_for_a_socket_that_was_closed_meanwhile_ends_at_once() -> None:
    feed = SlowToFollow()
    async with serving(feed) as api, connected(api, autoclose=False) as talk:
        await talk.say(t="hello", token=access_token("alice"))
        await asyncio.wait_for(feed.asked.wait(), 30)
        api.server.drain()
        assert (await talk.ends())[0] == 1012
        feed.may_begin.set()
        await until(lambda: feed.begun == 1)
        assert feed.followings == [], "the client has not answered the close yet"


async def test_a_server_that_stops_lets_nobody_in(feed: FeedPort) -> None:
    async with serving(feed) as api, opened(api):
        api.drain.begin()
        problem = (await api.get("/v1/ws", headers=HANDSHAKE)).problem(503, "handover_in_progress")
        assert problem.retry_after_ms is not None


async def test_4409_for_the_21st_connection_of_a_user_the_oldest_goes(feed: FeedPort) -> None:
    settings = ready(sockets=SocketSettings(max_per_user=2))
    async with (
        serving(feed, settings) as api,
        opened(api) as oldest,
        opened(api, "bob") as other,
        opened(api) as second,
        opened(api) as third,
    ):
        code, reason = await oldest.ends()
        assert (code, "more than 2 connections" in reason) == (4409, True)
        for talk in (other, second, third):
            await talk.say(t="ping")
            await talk.hears("pong")


async def test_a_revoked_token_displaces_nobody(served: Api, feed: FeedPort) -> None:
    """Who was signed out must not end the connections of who signed him out."""
    async with opened(served, deviceId="phone") as talk:
        feed.revoked.add("alice")
        async with connected(served) as other:
            await other.say(t="hello", token=access_token("alice"), deviceId="phone")
            assert (await other.ends())[0] == 4401
        feed.revoked.clear()
        await talk.say(t="ping")
        await talk.hears("pong")


async def test_4409_for_a_device_that_connected_elsewhere(served: Api) -> None:
    async with (
        opened(served, deviceId="phone") as before,
        opened(served, deviceId="laptop") as other,
        opened(served, deviceId="phone") as now,
        opened(served, "bob", deviceId="phone"),
    ):
        assert (await before.ends())[0] == 4409
        for talk in (other, now):
            await talk.say(t="ping")
            await talk.hears("pong")


async def test_a_full_server_refuses_before_the_upgrade(feed: FeedPort) -> None:
    settings = ready(sockets=SocketSettings(max_per_server=1))
    async with serving(feed, settings) as api:
        async with opened(api):
            problem = (await api.get("/v1/ws", None, headers=HANDSHAKE)).problem(503, "overloaded")
            assert problem.retry_after_ms is not None
        await until(lambda: api.drain.in_flight == 0)
        async with opened(api):
            found = await samples(api)
            assert (found["rowbox_sockets_refused_total"], found['rowbox_sockets_open{kind="socket"}']) == (1, 1)


async def test_too_many_at_once_are_refused_before_the_upgrade(feed: FeedPort) -> None:
    settings = ready(sockets=SocketSettings(handshakes_per_second=2))
    async with serving(feed, settings) as api, opened(api), opened(api):
        codes = {(await api.get("/v1/ws", None, headers=HANDSHAKE)).problem(503, "overloaded").code for _ in range(1)}
        assert codes == {"overloaded"}


# ---------------------------------------------------------------------- slow, and hostile


async def raw_socket(api: Api, *, receive_buffer: int = 4_096) -> sockets.socket:
    """A socket behind its welcome whose client reads nothing by itself."""
    client = await greeting(api, receive_buffer)
    assert b"welcome" in await asyncio.get_running_loop().sock_recv(client, 4_096)
    return client


async def greeting(api: Api, receive_buffer: int = 4_096) -> sockets.socket:
    """The same, before the welcome comes."""
    loop = asyncio.get_running_loop()
    client = sockets.socket()
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", api.server.port))
    head = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    await loop.sock_sendall(client, f"GET /v1/ws HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    assert b"101" in await loop.sock_recv(client, 4_096)
    await loop.sock_sendall(client, frame(json.dumps({"t": "hello", "token": access_token("slow")}).encode()))
    return client


def frame(text: bytes, opcode: int = 0x81) -> bytes:
    """A masked frame, with a mask of zeros."""
    size = len(text)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([opcode]) + length + bytes(4) + text


async def test_a_client_that_stops_reading_is_closed_and_nobody_else_notices(feed: FeedPort) -> None:
    """Its memory stays bounded whatever it asks for, and it is counted under 4008."""
    settings = ready(server=ServerSettings(port=0, admin_port=0, write_ms=600))
    feed.page = msgspec.structs.replace(feed.page, items=[b'"%b"' % (b"x" * 200_000)])
    loop = asyncio.get_running_loop()
    async with serving(feed, settings) as api, opened(api, "bob", follow=token(10)) as other:
        await other.hears("delta")
        client = await raw_socket(api)
        calls = [frame(json.dumps({"t": "call", "id": n, "do": "fetchMessages"}).encode()) for n in range(32)]
        await loop.sock_sendall(client, b"".join(calls))
        most, began_s = 0, loop.time()
        async with asyncio.timeout(30):
            while len(api.connections) > 1:
                most = max(most, api.connections.held_bytes)
                if loop.time() > began_s + 0.05 * (feed.head - 10):  # a few a second: many would be a flood of acks
                    feed.commit()
                    delta = await other.hears("delta")
                    await other.say(t="ack", token=delta["token"])
                await asyncio.sleep(0)
        client.close()
        assert 256 << 10 < most < 1 << 20  # as long as less lies unwritten, another call begins
        assert (await samples(api))['rowbox_socket_closes_total{code="4008"}'] == 1
        assert api.connections.held_bytes == 0


async def test_a_frame_that_does_not_end_counts_against_the_budget_of_all_connections(feed: FeedPort) -> None:
    settings = ready(server=ServerSettings(port=0, admin_port=0, held_bytes=1 << 20))
    loop = asyncio.get_running_loop()
    async with serving(feed, settings) as api:
        clients = [await raw_socket(api) for _ in range(5)]
        for client in clients:
            begun = b"\x81\xff" + (500_000).to_bytes(8) + bytes(4) + bytes(300_000)
            await asyncio.wait_for(loop.sock_sendall(client, begun), 30)
        await until(lambda: len(api.connections) <= 3)
        assert api.connections.held_bytes <= 1 << 20
        for client in clients:
            client.close()


async def test_after_a_whole_frame_nothing_is_held(feed: FeedPort) -> None:
    async with serving(feed) as api, opened(api) as talk:
        await talk.call(1, "sendMessage", recipientId="bob", messageContent="x" * 60_000, clientMessageId="c1")
        assert api.connections.held_bytes == 0


async def test_a_ping_amid_a_frame_that_does_not_end_forgives_nothing(feed: FeedPort) -> None:
    """Else pings would free each connection to hold a frame of the greatest size, uncounted."""
    loop = asyncio.get_running_loop()
    async with serving(feed) as api:
        client = await raw_socket(api)
        await until(lambda: api.connections.held_bytes == 0)
        await asyncio.wait_for(loop.sock_sendall(client, frame(b"x" * 60_000, opcode=0x01)), 30)  # more is to come
        await until(lambda: api.connections.held_bytes >= 60_000)
        for _ in range(3):
            await loop.sock_sendall(client, frame(b"?", opcode=0x89))
            await asyncio.wait_for(loop.sock_recv(client, 100), 30)
        assert api.connections.held_bytes >= 60_000
        client.close()


async def test_a_frame_that_is_taken_forgives_nothing_of_what_came_behind_it() -> None:
    """While a hello waits for the owner, the next frame and most of another one came."""
    loop, feed = asyncio.get_running_loop(), SlowToFollow()
    async with serving(feed) as api:
        client = await greeting(api)
        await asyncio.wait_for(feed.asked.wait(), 30)
        begun = b"\x81\xff" + (500_000).to_bytes(8) + bytes(4) + bytes(60_000)
        await asyncio.wait_for(loop.sock_sendall(client, frame(b'{"t":"ping"}') + begun), 30)
        await until(lambda: api.connections.held_bytes >= 60_000)
        feed.may_begin.set()
        heard = b""
        while b"pong" not in heard:
            heard += await asyncio.wait_for(loop.sock_recv(client, 4_096), 30)
        assert api.connections.held_bytes >= 60_000
        client.close()


async def test_pings_and_pongs_alone_hold_nothing(feed: FeedPort) -> None:
    """A client that only listens answers pings for months."""
    loop = asyncio.get_running_loop()
    async with serving(feed) as api:
        client = await raw_socket(api)
        before = api.connections.held_bytes
        for _ in range(80):
            await loop.sock_sendall(client, frame(b"x" * 125, opcode=0x8A))
        await loop.sock_sendall(client, frame(b"?", opcode=0x89))
        await asyncio.wait_for(loop.sock_recv(client, 100), 30)
        assert api.connections.held_bytes == before
        client.close()


async def test_a_client_that_closes_its_half_is_gone(feed: FeedPort) -> None:
    """No answer is waited for on a socket: whoever sends nothing more can acknowledge nothing."""
    async with serving(feed) as api:
        client = await raw_socket(api)
        client.shutdown(sockets.SHUT_WR)
        await until(lambda: api.drain.in_flight == 0)
        loop = asyncio.get_running_loop()
        assert b"100 Continue" not in await loop.sock_recv(client, 4_096)
        client.close()


async def test_those_who_come_and_go_leave_nothing(feed: FeedPort) -> None:
    settings = ready(rate_limits=NO_LIMITS)
    async with serving(feed, settings) as api:
        tasks = len(asyncio.all_tasks())

        async def comes_and_goes(number: int) -> None:
            async with opened(api, f"user{number}", follow=token(10)) as talk:
                await talk.hears("delta")

        for begin in range(0, 100, 20):
            async with asyncio.TaskGroup() as group:
                for number in range(begin, begin + 20):
                    group.create_task(comes_and_goes(number))
        await until(lambda: api.drain.in_flight == 0 and not len(api.connections))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert feed.followings == []
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, Socket)], "no timer holds one either"
        assert (await samples(api))['rowbox_sockets_open{kind="socket"}'] == 0
